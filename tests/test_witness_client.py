"""Asking one witness: each answer, good, bad and absent, is told apart and bounded."""

import gzip
import socket
import threading
from collections.abc import Iterator

import httpx2
import pytest

from adapters import witness_client
from adapters.witness_client import (
    Answer,
    Cosigned,
    KnowsAnother,
    NotConsistent,
    Unanswered,
    WitnessClient,
    witness_http,
)
from tests.note_samples import ALPHA, CONSISTENCY, NOTE
from tests.witness_double import Reply, WitnessDouble

FIRST = f"old 0\n\n{NOTE}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def witness() -> Iterator[WitnessDouble]:
    with WitnessDouble("w.example", ALPHA).running() as running:
        yield running


@pytest.fixture
def client() -> Iterator[WitnessClient]:
    with WitnessClient() as opened:
        yield opened


def replied(witness: WitnessDouble, client: WitnessClient, reply: Reply) -> Answer:
    witness.replies.append(lambda _: reply)
    return client.add_checkpoint(witness.url, FIRST)


def test_a_first_checkpoint_is_cosigned(witness: WitnessDouble, client: WitnessClient) -> None:
    for prefix in (witness.url, witness.url + "/"):
        witness.seen.clear()
        answer = client.add_checkpoint(prefix, FIRST)
        assert isinstance(answer, Cosigned)
        assert [one.name for one in answer.signatures] == ["w.example"]
    assert witness.requests == [(0, 3, 200)] * 2


def test_what_a_witness_refuses_is_told_apart(
    witness: WitnessDouble, client: WitnessClient
) -> None:
    assert client.add_checkpoint(witness.url, CONSISTENCY) == KnowsAnother(0)
    witness.seen["alpha.ledger.example"] = (1, b"x" * 32)
    assert client.add_checkpoint(witness.url, CONSISTENCY) == NotConsistent()
    witness.logs.clear()
    assert client.add_checkpoint(witness.url, FIRST) == Unanswered(
        "it does not know this log (404)", away=False
    )


def test_the_largest_size_is_taken(witness: WitnessDouble, client: WitnessClient) -> None:
    headers = {"Content-Type": "Text/X.tlog.size ; charset=utf-8"}
    body = f"{2**63 - 1}\n".encode()
    assert replied(witness, client, Reply(409, body, headers)) == KnowsAnother(2**63 - 1)


SIZE = {"Content-Type": "text/x.tlog.size"}


@pytest.mark.parametrize(
    ("reply", "problem", "away"),
    [
        (Reply(200, b""), "other than signature lines", False),
        (Reply(200, b"\n"), "other than signature lines", False),
        (Reply(200, b"cosigned\n"), "other than signature lines", False),
        (Reply(200, NOTE.encode()), "other than signature lines", False),
        (Reply(200, "— w.example AAAAAAAA".encode()), "other than signature lines", False),
        (Reply(200, "— w.example AAAAAAAA\n\n".encode()), "other than signature lines", False),
        (Reply(200, "— w.example AAAAAAA=\n".encode() * 17), "other than signature", False),
        (Reply(200, "— w.example AAAA\n".encode()), "other than signature lines", False),
        (Reply(200, b"\xff\n"), "other than signature lines", False),
        (Reply(200, b"x" * 65_537), "more than 65536 bytes", True),
        (Reply(200, gzip.compress(b"x\n"), {"Content-Encoding": "gzip"}), "packs", True),
        (Reply(409, b"3\n"), "409 without the size", False),
        (Reply(409, b"3\n", {"Content-Type": "text/plain"}), "409 without the size", False),
        (Reply(409, b"3", SIZE), "409 without the size", False),
        (Reply(409, b"03\n", SIZE), "409 without the size", False),
        (Reply(409, b"-3\n", SIZE), "409 without the size", False),
        (Reply(409, b"3\n3\n", SIZE), "409 without the size", False),
        (Reply(409, f"{2**63}\n".encode(), SIZE), "409 without the size", False),
        (Reply(409, b"9" * 100_000, SIZE), "more than 65536 bytes", True),
        (Reply(400), "cannot read", False),
        (Reply(403), "does not know the key", False),
        (Reply(429), "too often", True),
        (Reply(500, b"\x1b[31m oh"), "it answers 500", True),
        (Reply(503), "it answers 503", True),
        (Reply(201, "— w.example AAAAAAAA\n".encode()), "it answers 201", True),
    ],
)
def test_each_answer_that_is_of_no_use_is_said_in_words_of_our_own(
    witness: WitnessDouble, client: WitnessClient, reply: Reply, problem: str, away: bool
) -> None:
    answer = replied(witness, client, reply)
    assert isinstance(answer, Unanswered)
    assert problem in answer.problem
    assert answer.away == away
    assert answer.problem.isprintable()


def test_no_redirection_is_followed(witness: WitnessDouble, client: WitnessClient) -> None:
    for status in (301, 302, 307, 308):
        answer = replied(witness, client, Reply(status, b"", {"Location": witness.url + "/x"}))
        assert answer == Unanswered(f"it answers {status}", away=True)
    assert len(witness.requests) == 4


def test_a_witness_that_is_down_or_cuts_the_line_is_away(
    witness: WitnessDouble, client: WitnessClient
) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        down = client.add_checkpoint(f"http://127.0.0.1:{bound.getsockname()[1]}", FIRST)
    witness.cut = 1
    for answer in (down, client.add_checkpoint(witness.url, FIRST)):
        assert isinstance(answer, Unanswered)
        assert answer.away
        assert "cannot be reached" in answer.problem
    nowhere = client.add_checkpoint("https://[", FIRST)
    assert isinstance(nowhere, Unanswered)


def test_a_witness_that_is_silent_is_left_after_some_time(witness: WitnessDouble) -> None:
    witness.released.clear()
    with WitnessClient(lambda: httpx2.Client(timeout=0.2)) as client:
        assert client.add_checkpoint(witness.url, FIRST) == Unanswered(
            "it does not answer in time", away=True
        )
    assert witness_http().timeout == witness_client.TIMEOUT


def test_an_answer_that_drips_is_left_after_some_time() -> None:
    """Each byte comes in time, and all of them never."""
    seconds = iter(range(0, 1_000, 5))
    looked = threading.Semaphore(0)

    def five_seconds_later() -> float:
        looked.release()
        return float(next(seconds))

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
                while looked.acquire(timeout=10):  # the next byte, when the last one was read
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        with WitnessClient(monotonic=five_seconds_later) as client:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            answer = client.add_checkpoint(url, FIRST)
        for _ in range(1_000):
            looked.release()  # so that it notices that nobody reads any more
        thread.join(10)
    assert answer == Unanswered("it does not answer in time", away=True)
