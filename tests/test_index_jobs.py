"""Jobs of the queue: who may send one, what one does, and that late, doubled and forged ones do nothing."""

import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import jwt
import msgspec
import pytest

from adapters.qstash_queue import QStashQueue
from adapters.search.search_state import SearchState
from app.bootstrap import now, open_ledger
from app.search.job_follower import AGAIN_SECONDS, JobFollower
from app.search.job_setting import JOB_PATH, job_signature, open_queue
from app.settings import Settings
from domain.errors import Malformed, Unavailable
from tests.serving import Served, serve_ledger

CURRENT, FOLLOWING, FOREIGN = (f"sig_{letter * 32}" for letter in "abc")
PUBLIC = "https://ledger.example"
PROJECT = "jobs"
STREAM = "artifact/PRD/main"


@pytest.fixture
def ledger(database_url: str) -> Iterator[Served]:
    settings = Settings(
        database_url=database_url,
        deedbook_embedder="none",
        qstash_current_signing_key=CURRENT,
        qstash_next_signing_key=FOLLOWING,
        deedbook_public_url=PUBLIC,
    )
    with (
        open_ledger(settings, database_url) as opened,
        serve_ledger(opened, database_url) as served,
        served.client() as http,
    ):
        assert http.post("/v1/projects", json={"slug": PROJECT, "title": "Jobs"}).is_success
        write(http, "The zebra.\n")
        yield served


def write(http: httpx2.Client, content: str) -> None:
    made = http.post(
        f"/v1/projects/{PROJECT}/artifacts/PRD/main/versions", json={"content": content}
    )
    assert made.is_success, made.text


def body_of(**more: object) -> bytes:
    return msgspec.json.encode({"project": PROJECT, "stream": STREAM, "position": 2, **more})


def signature(body: bytes, key: str = CURRENT, **more: object) -> str:
    seconds = int(now().timestamp())
    of_body = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    claims: dict[str, Any] = {
        "iss": "Upstash",
        "sub": PUBLIC + JOB_PATH,
        "exp": seconds + 300,
        "nbf": seconds - 10,
        "iat": seconds,
        "jti": f"jwt_{secrets.token_hex(8)}",
        "body": more.pop("hashed", of_body),
        **more,
    }
    return jwt.encode({name: one for name, one in claims.items() if one is not None}, key, "HS256")


def send(ledger: Served, body: bytes, signed: str) -> httpx2.Response:
    with ledger.client("") as nobody:
        headers = {"Upstash-Signature": signed, "Content-Type": "application/json"}
        return nobody.post(JOB_PATH, content=body, headers=headers)


def found(ledger: Served, word: str) -> list[str]:
    with ledger.client() as http:
        answer = http.get(
            f"/v1/projects/{PROJECT}/search", params={"q": word, "mode": "lexical"}
        ).json()
    return [hit["key"] for hit in answer["hits"]]


@pytest.mark.parametrize("key", [CURRENT, FOLLOWING])
def test_a_signed_job_indexes_what_it_names(ledger: Served, key: str) -> None:
    assert found(ledger, "zebra") == []
    answer = send(ledger, body_of(), signature(body_of(), key))
    assert (answer.status_code, answer.json()) == (200, {"outcome": "indexed"})
    assert found(ledger, "zebra") == ["main"]


def test_doubled_and_late_jobs_do_nothing(ledger: Served) -> None:
    signed = signature(body_of())
    assert send(ledger, body_of(), signed).json() == {"outcome": "indexed"}
    assert send(ledger, body_of(), signed).json() == {"outcome": "current"}
    assert send(ledger, body_of(), signature(body_of())).json() == {"outcome": "current"}
    with ledger.client() as http:
        write(http, "The giraffe.\n")
    replayed = send(ledger, body_of(), signed)  # its work is done, and it is good once
    assert replayed.json() == {"outcome": "current"}
    assert found(ledger, "giraffe") == []
    late = send(ledger, body_of(), signature(body_of()))  # it names a position that is long past
    assert late.json() == {"outcome": "indexed"}
    assert found(ledger, "giraffe") == ["main"]


def test_a_job_also_does_what_another_left(ledger: Served) -> None:
    with ledger.client() as http:
        made = http.post(
            f"/v1/projects/{PROJECT}/artifacts/PRD/other/versions", json={"content": "The okapi.\n"}
        )
        assert made.is_success
    assert send(ledger, body_of(), signature(body_of())).is_success
    assert found(ledger, "okapi") == ["other"]


FORGED: dict[str, Callable[[bytes], str]] = {
    "no signature": lambda body: "",
    "no token": lambda body: "not.a.token",
    "another key": lambda body: signature(body, FOREIGN),
    "another body": lambda body: signature(body + b" "),
    "another address": lambda body: signature(body, sub="https://elsewhere.example" + JOB_PATH),
    "another issuer": lambda body: signature(body, iss="Somebody"),
    "expired": lambda body: signature(body, exp=1_700_000_000),
    "not yet": lambda body: signature(body, nbf=4_000_000_000),
    "no id": lambda body: signature(body, jti=None),
    "no end": lambda body: signature(body, exp=None),
    "no hash": lambda body: signature(body, hashed=None),
    "no algorithm": lambda body: jwt.encode({"iss": "Upstash"}, "", "none"),
    "very long": lambda body: "x" * 10_000,
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_what_our_queue_did_not_send_is_refused(
    ledger: Served, forged: Callable[[bytes], str]
) -> None:
    answer = send(ledger, body_of(), forged(body_of()))
    assert (answer.status_code, answer.json()["code"]) == (401, "bad-signature")
    assert found(ledger, "zebra") == []


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "validation-failed"),
        (b"[1", "malformed-json"),
        (body_of(stream="nonsense/x/y/z"), "validation-failed"),
        (body_of(extra=1), "validation-failed"),
        (b"\xff", "malformed-json"),
    ],
)
def test_a_signed_job_that_makes_no_sense_is_a_problem(
    ledger: Served, body: bytes, code: str
) -> None:
    try:
        body.decode()
    except UnicodeDecodeError:
        code = "bad-signature"  # the queue sends text
    answer = send(ledger, body, signature(body))
    assert answer.json()["code"] == code, answer.text


def test_a_job_for_what_is_not_there_does_nothing(ledger: Served) -> None:
    body = body_of(project="nowhere", stream="artifact/PRD/ghost")
    assert send(ledger, body, signature(body)).json() == {"outcome": "current"}


def test_a_ledger_without_keys_takes_no_job(served: Served) -> None:
    answer = send(served, body_of(), signature(body_of()))
    assert (answer.status_code, answer.json()["code"]) == (503, "jobs-not-configured")


def test_what_cannot_be_indexed_now_is_asked_for_again(
    ledger: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> bytes:
        raise Unavailable("blob-store-unavailable", "The blob store is away.")

    monkeypatch.setattr(ledger.ledger.blobs, "read", away)
    signed = signature(body_of())
    answer = send(ledger, body_of(), signed)
    assert (answer.status_code, answer.json()["code"]) == (503, "index-job-unfinished")
    monkeypatch.undo()
    assert send(ledger, body_of(), signed).json() == {"outcome": "indexed"}


class Queue(ThreadingHTTPServer):
    """What takes messages in QStash's place: keeps them, and fails as often as it is told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taking)
        self.taken: list[tuple[str, dict[str, str], bytes]] = []
        self.failures = 0


class Taking(BaseHTTPRequestHandler):
    """One message."""

    server: Queue

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.failures:
            self.server.failures -= 1
            self.send_response(503)
            answer = b'{"error": "away"}'
        else:
            self.server.taken.append((self.path, dict(self.headers), body))
            self.send_response(201)
            answer = b'{"messageId": "msg_1"}'
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def queue() -> Iterator[Queue]:
    with Queue() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def follower(ledger: Served, queue: Queue) -> JobFollower:
    sends = QStashQueue("token", PUBLIC + JOB_PATH, f"http://127.0.0.1:{queue.server_address[1]}")
    states = tuple(one.state for one in ledger.ledger.index_jobs.indexings)
    return JobFollower(states, sends, ledger.ledger.signal)


def test_a_commit_sends_a_job_for_each_source_and_the_job_indexes_it(
    ledger: Served, queue: Queue
) -> None:
    follower(ledger, queue).look()
    [(path, headers, body)] = queue.taken
    assert path == f"/v2/publish/{PUBLIC}{JOB_PATH}"
    assert headers["Authorization"] == "Bearer token"
    assert msgspec.json.decode(body) == {"project": PROJECT, "stream": STREAM, "position": 2}
    assert send(ledger, body, signature(body)).json() == {"outcome": "indexed"}


def test_what_was_sent_is_not_sent_again_until_it_should_be_done(
    ledger: Served, queue: Queue
) -> None:
    sending = follower(ledger, queue)
    wait = sending.look()
    assert wait == pytest.approx(AGAIN_SECONDS, abs=60)
    sending.look()
    assert len(queue.taken) == 1
    ledger.execute("UPDATE search_state SET due_at = now()")
    sending.look()
    assert len(queue.taken) == 2
    with ledger.client() as http:
        write(http, "The giraffe.\n")
    sending.look()
    assert [msgspec.json.decode(body)["position"] for _, _, body in queue.taken] == [2, 2, 3]


def test_a_queue_that_is_away_gets_its_jobs_later(ledger: Served, queue: Queue) -> None:
    queue.failures = 1
    sending = follower(ledger, queue)
    wait = sending.look()
    assert wait is not None
    assert wait < 60
    assert queue.taken == []
    ledger.execute("UPDATE search_state SET due_at = now()")
    sending.look()
    assert len(queue.taken) == 1


def test_settings_that_do_not_fit_each_other_are_refused() -> None:
    assert job_signature(Settings()) is None
    for settings in (
        Settings(qstash_current_signing_key=CURRENT, deedbook_public_url=PUBLIC),
        Settings(qstash_current_signing_key=CURRENT, qstash_next_signing_key=FOLLOWING),
    ):
        with pytest.raises(Malformed):
            job_signature(settings)
    with (
        pytest.raises(Malformed, match="QSTASH_CURRENT_SIGNING_KEY"),
        open_queue(Settings(qstash_token="t", deedbook_public_url=PUBLIC)),
    ):
        pass
    with open_queue(Settings()) as none:
        assert none is None


def test_two_backends_have_states_of_their_own(ledger: Served) -> None:
    other = SearchState(ledger.ledger.index_jobs.indexings[0].state._pool, "upstash")
    other.note_all()
    assert [one.stream for one in other.announce(10, 60.0)] == [STREAM]
    assert other.announce(10, 60.0) == []
