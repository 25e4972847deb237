"""Rounds with witnesses, over a real Postgres and real HTTP: what is kept, what stops the signing."""

import base64
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, LiteralString, Protocol, TypeVar

import httpx2
import psycopg
import pytest
from psycopg import sql

from adapters.postgres_checkpoints import PostgresCheckpoints
from adapters.postgres_connect import open_pool
from adapters.postgres_witnesses import PostgresWitnesses, Unwitnessed
from adapters.signature_check import verify_signature
from adapters.witness_alarms import clear_alarms
from adapters.witness_client import WitnessClient
from app import bootstrap
from app.checkpoints import Checkpoints
from app.ledger import Ledger
from app.settings import Settings
from app.witness_follower import WitnessFollower
from app.witness_setting import read_policy
from app.witnesses import CLAIM_SECONDS, RETRY_SECONDS, ROUND_SECONDS, Witnesses, WitnessRounds
from domain import merkle
from domain.checkpoint import parse_checkpoint
from domain.cosignature import CosignerKey
from domain.errors import DeedbookError
from domain.seal import SEAL_LOG
from domain.signed_note import NoteKey, parse_note
from domain.witness_policy import Policy, check_quorum, parse_policy
from tests.examined_samples import tamper
from tests.ledger_samples import START, another_database, open_ledger
from tests.note_samples import PUBLIC, published_signer
from tests.serving import serve_ledger
from tests.test_checkpoints import grow, leaves_of, set_back
from tests.test_doctor import places
from tests.witness_double import Reply, WitnessDouble

LOG = NoteKey("alpha.ledger.example", PUBLIC)


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


class Witness(Protocol):
    """One that runs: the double, or a program of others."""

    key: CosignerKey

    @property
    def vkey(self) -> str:
        """Its verifier key."""

    @property
    def policy_line(self) -> str:
        """Its line of a policy."""


AnyWitness = TypeVar("AnyWitness", bound=Witness)


class AnyScene(Generic[AnyWitness]):
    """A ledger, its witnesses, and rounds that are held when the test says so."""

    def __init__(self, ledger: Ledger, url: str, witnesses: Sequence[AnyWitness]) -> None:
        self.ledger = ledger
        self.url = url
        self.witnesses = witnesses
        self.clock = Clock()
        lines = "".join(one.policy_line for one in witnesses)
        names = " ".join(one.key.name for one in witnesses)
        least = min(2, len(witnesses))
        self.policy = parse_policy(f"{lines}group g {least} {names}\nquorum g\n".encode())
        self.closing = ExitStack()
        pool = self.closing.enter_context(open_pool(url, max_size=4))
        self.store = PostgresWitnesses(pool)
        client = self.closing.enter_context(
            WitnessClient(lambda: httpx2.Client(timeout=5.0, trust_env=False))
        )
        self.rounds = WitnessRounds(self.store, ledger.checkpoints, self.policy, client, self.clock)
        self.handed_out = Witnesses(self.store, self.policy)

    def round(self) -> list[str]:
        """Sign, let the time of a round pass, and hold one."""
        self.ledger.checkpoints.latest("alpha")
        self.clock.pass_by(ROUND_SECONDS)
        return self.rounds.hold("alpha")

    def cosigned(self) -> tuple[str, ...]:
        """Who has cosigned the newest checkpoint."""
        note = self.ledger.checkpoints.latest("alpha").note
        return check_quorum(note, self.policy, verify_signature).names

    def problems(self) -> dict[str, str | None]:
        """Witness → what went wrong the last time."""
        names = {one.vkey: one.key.name for one in self.witnesses}
        states = self.store.states("alpha", list(names))
        return {names[one.witness]: one.problem for one in states}

    def refused(self) -> str:
        """The sentence with which signing is refused."""
        with pytest.raises(DeedbookError) as caught:
            self.ledger.checkpoints.latest("alpha")
        assert caught.value.code == "checkpoint-refused"
        return caught.value.detail


Scene = AnyScene[WitnessDouble]


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with open_ledger(database_url) as opened:
        opened.create_project("alpha", title="Alpha", actor="user:ada")
        yield opened


@pytest.fixture
def doubles() -> Iterator[list[WitnessDouble]]:
    with ExitStack() as closing:
        yield [
            closing.enter_context(WitnessDouble(f"w{number}.example", LOG).running())
            for number in (1, 2, 3)
        ]


@pytest.fixture
def scene(ledger: Ledger, database_url: str, doubles: list[WitnessDouble]) -> Iterator[Scene]:
    """With three witnesses, of whom two are the quorum."""
    made = Scene(ledger, database_url, doubles)
    with made.closing:
        yield made


@pytest.fixture
def alone(ledger: Ledger, database_url: str, doubles: list[WitnessDouble]) -> Iterator[Scene]:
    """With one witness."""
    made = Scene(ledger, database_url, doubles[:1])
    with made.closing:
        yield made


def counts(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_log_that_grows_is_cosigned_again_and_again(scene: Scene) -> None:
    for size in (1, 4, 5, 38):
        grow(scene.ledger, size - scene.ledger.position("alpha", None))
        assert scene.round() == []
        assert scene.cosigned() == ("w1.example", "w2.example", "w3.example")
        newest = scene.ledger.checkpoints.latest("alpha")
        assert newest.size == size
        assert scene.handed_out.witnessed("alpha").size == size
        assert scene.ledger.checkpoints.inclusion("alpha", 1).checkpoint == newest.note
    assert scene.witnesses[0].requests == [(0, 1, 200), (1, 4, 200), (4, 5, 200), (5, 38, 200)]
    assert scene.problems() == dict.fromkeys(scene.problems(), None)
    assert places(scene.url) == []


def test_nothing_is_asked_twice_and_nothing_before_its_time(scene: Scene) -> None:
    scene.round()
    assert scene.rounds.due() == []
    scene.clock.pass_by(1)
    grow(scene.ledger)
    scene.ledger.checkpoints.latest("alpha")
    (due,) = scene.rounds.due()
    assert due.due_at == scene.clock.time + timedelta(seconds=ROUND_SECONDS - 1)
    assert scene.rounds.hold("alpha") == []
    assert len(scene.witnesses[0].requests) == 1
    scene.clock.pass_by(ROUND_SECONDS - 1)
    scene.rounds.hold("alpha")
    assert len(scene.witnesses[0].requests) == 2
    scene.clock.pass_by(ROUND_SECONDS)
    scene.rounds.hold("alpha")
    assert len(scene.witnesses[0].requests) == 2


def test_an_answer_that_was_lost_after_it_took_effect_is_asked_for_again(alone: Scene) -> None:
    (witness,) = alone.witnesses
    witness.cut = 1
    assert alone.round() == [witness.vkey]
    assert alone.cosigned() == ()
    grow(alone.ledger, 2)
    alone.round()
    assert alone.cosigned() == ("w1.example",)
    assert witness.requests == [(0, 1, 200), (0, 3, 409), (1, 3, 200)]


def test_the_same_checkpoint_may_be_asked_for_again(alone: Scene) -> None:
    (witness,) = alone.witnesses
    witness.cut = 1
    alone.round()
    alone.round()
    assert alone.cosigned() == ("w1.example",)
    assert witness.requests == [(0, 1, 200), (0, 1, 409), (1, 1, 200)]


def test_a_witness_that_is_down_keeps_nobody_else_from_cosigning(scene: Scene) -> None:
    scene.witnesses[1].replies += [lambda _: Reply(503)] * 2
    assert scene.round() == [scene.witnesses[1].vkey]
    assert scene.cosigned() == ("w1.example", "w3.example")
    assert scene.problems()["w2.example"] == "it answers 503"
    assert scene.handed_out.witnessed("alpha").size == 1
    # Its second failure makes it wait twice as long, so that it misses a round.
    grow(scene.ledger)
    assert scene.round() == [scene.witnesses[1].vkey]
    grow(scene.ledger)
    assert scene.round() == []
    assert scene.cosigned() == ("w1.example", "w3.example")
    grow(scene.ledger)
    scene.round()
    assert scene.cosigned() == ("w1.example", "w2.example", "w3.example")
    assert scene.problems()["w2.example"] is None
    assert [status for *_, status in scene.witnesses[1].requests] == [503, 503, 409, 200]


def test_the_wait_after_failures_grows_and_ends(alone: Scene) -> None:
    (witness,) = alone.witnesses
    waits = []
    for _ in range(9):
        witness.replies.append(lambda _: Reply(500))
        alone.round()
        (due,) = alone.rounds.due()
        wait = (due.due_at - alone.clock.time).total_seconds()
        waits.append(wait)
        alone.clock.pass_by(wait - ROUND_SECONDS)
    assert waits == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    assert RETRY_SECONDS == (10.0, 600.0)


def flipped(reply: Reply) -> Reply:
    """The same signature for another time."""
    line = parse_note(f"x\n\n{reply.body.decode()}").signatures[0]
    raw = bytearray(line.signature)
    raw[7] ^= 1
    text = base64.b64encode(line.key_id + bytes(raw)).decode()
    return Reply(200, f"— {line.name} {text}\n".encode())


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (flipped, "its cosignature does not hold"),
        (lambda _: Reply(200, "— other.example AAAAAAAA\n".encode()), "of its own key"),
        (lambda _: Reply(200, b"cosigned\n"), "other than signature lines"),
        (lambda _: Reply(200, b"x" * 100_000), "more than 65536 bytes"),
        (lambda _: Reply(404), "does not know this log"),
        (lambda _: Reply(403), "does not know the key"),
        (lambda _: Reply(409, b"1"), "409 without the size"),
        (
            lambda _: Reply(409, b"0\n", {"Content-Type": "text/x.tlog.size"}),
            "names that one",
        ),
    ],
)
def test_an_answer_that_does_not_hold_is_not_kept(
    scene: Scene, spoil: Callable[[Reply], Reply], problem: str
) -> None:
    scene.witnesses[0].replies.append(spoil)
    scene.round()
    assert scene.cosigned() == ("w2.example", "w3.example")
    assert problem in (scene.problems()["w1.example"] or "")
    assert counts(scene.url, "cosignature") == 2
    assert counts(scene.url, "witness_alarm") == 0
    scene.round()
    assert scene.cosigned() == ("w1.example", "w2.example", "w3.example")


def test_lines_of_others_beside_a_good_one_are_left_away(alone: Scene) -> None:
    stranger = WitnessDouble("other.example")

    def more(reply: Reply) -> Reply:
        text = parse_note(alone.ledger.checkpoints.latest("alpha").note).text
        return Reply(200, stranger.cosign(text).encode() + reply.body)

    alone.witnesses[0].replies.append(more)
    alone.round()
    assert alone.cosigned() == ("w1.example",)
    assert "other.example" not in alone.ledger.checkpoints.latest("alpha").note


def test_a_witness_that_names_another_size_each_time_is_left(alone: Scene) -> None:
    grow(alone.ledger, 9)
    sizes = iter((3, 5, 7))
    alone.witnesses[0].replies += [
        lambda _: Reply(409, f"{next(sizes)}\n".encode(), {"Content-Type": "text/x.tlog.size"})
    ] * 3
    alone.round()
    assert len(alone.witnesses[0].requests) == 3
    assert "another size each time" in (alone.problems()["w1.example"] or "")


def test_the_newest_that_meets_the_quorum_is_older_when_a_witness_lacks(scene: Scene) -> None:
    scene.round()
    for _ in range(3):
        grow(scene.ledger)
        for witness in scene.witnesses[1:]:
            witness.replies.append(lambda _: Reply(500))
        scene.round()
        scene.clock.pass_by(1_000)
    assert scene.cosigned() == ("w1.example",)
    witnessed = scene.handed_out.witnessed("alpha")
    assert witnessed.size == 1
    quorum = check_quorum(witnessed.note, scene.policy, verify_signature)
    assert quorum.ok
    assert len(quorum.names) == 3


def test_nothing_is_handed_out_as_witnessed_that_is_not(
    scene: Scene, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    def code(witnesses: Witnesses, project: str = "alpha") -> str:
        with pytest.raises(DeedbookError) as caught:
            witnesses.witnessed(project)
        return caught.value.code

    assert code(scene.handed_out, "other") == "project-not-found"
    assert code(scene.handed_out) == "checkpoint-unwitnessed"
    scene.round()
    assert scene.handed_out.witnessed("alpha").size == 1
    assert code(ledger.witnesses) == "checkpoint-unwitnessed"  # it was opened without a policy
    assert code(Witnesses(scene.store, parse_policy(b"quorum none\n"))) == "checkpoint-unwitnessed"
    with psycopg.connect(scene.url) as connection:
        for witness in scene.witnesses:
            tamper(
                connection,
                sql.SQL("UPDATE cosignature SET line = {} WHERE witness = {}").format(
                    witness.cosign("another\n1\ntext\n"), witness.vkey
                ),
            )
    assert code(scene.handed_out) == "checkpoint-unwitnessed"
    assert "does not hold" in caplog.text
    assert sum(place.startswith("cosignature alpha/1/") for place in places(scene.url)) == 3


@pytest.mark.parametrize(
    "change",
    [
        "size = 9",
        "witness = 'nobody'",
        "witness = replace(witness, 'w1', 'w2')",
        "line = line || ' '",
        "line = replace(line, 'w1', 'w2')",
        "line = ''",
    ],
)
def test_a_change_of_any_column_of_a_cosignature_is_found(
    alone: Scene, change: LiteralString
) -> None:
    alone.round()
    assert places(alone.url) == []
    with psycopg.connect(alone.url) as connection:
        tamper(connection, sql.SQL("UPDATE cosignature SET ") + sql.SQL(change))
    found = [place for place in places(alone.url) if place.startswith("cosignature alpha/")]
    assert len(found) == 1


def test_a_log_that_the_policy_does_not_name_is_not_sent(
    ledger: Ledger, scene: Scene, doubles: list[WitnessDouble]
) -> None:
    ledger.create_project("beta", title="Beta", actor="user:ada")
    for project in ("alpha", "beta"):
        ledger.checkpoints.latest(project)
    assert {one.project for one in scene.rounds.due()} == {"alpha", "beta"}
    named = parse_policy(
        f"log {LOG.name}+43d827ce+AddamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea\n"
        f"{doubles[0].policy_line}quorum w1.example\n".encode()
    )
    with WitnessClient() as client:
        rounds = WitnessRounds(scene.store, ledger.checkpoints, named, client, scene.clock)
        assert {one.project for one in rounds.due()} == {"alpha"}


# Threats 3 and 4


@contextmanager
def another_history(
    server: str, template: str, witnesses: Sequence[AnyWitness]
) -> Iterator[AnyScene[AnyWitness]]:
    """The same log in another database: the same first event, the same key, and then something else."""
    with another_database(server, template) as url, open_ledger(url) as ledger:
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
        ledger.write_artifact("alpha", "NOTE", "n", b"otherwise", actor="user:eve")
        made = AnyScene(ledger, url, witnesses)
        with made.closing:
            yield made


def test_t04_a_witness_refuses_a_fork_and_signing_stops(
    scene: Scene,
    postgres_server: str,
    template_database: str,
    doubles: list[WitnessDouble],
    caplog: pytest.LogCaptureFixture,
) -> None:
    grow(scene.ledger, 2)
    scene.round()
    with another_history(postgres_server, template_database, doubles) as fork:
        grow(fork.ledger, 5)
        with caplog.at_level(logging.ERROR):
            fork.round()
        assert [status for *_, status in doubles[0].requests] == [200, 409, 422]
        assert fork.cosigned() == ()
        assert caplog.text.count("ALARM") == 3
        assert counts(fork.url, "witness_alarm") == 3
        (first, *_) = fork.store.alarms("alpha", standing=True)
        assert (first.kind, first.old_size, first.size) == ("not-consistent", 3, 7)
        assert parse_checkpoint(parse_note(first.note).text).size == 7

        grow(fork.ledger)
        assert "refused the checkpoint at 7 events" in fork.refused()
        fork.clock.pass_by(100_000)
        assert fork.rounds.due() == []
        assert fork.rounds.hold("alpha") == []
        assert len(doubles[0].requests) == 3
        assert any(place == "witness_alarm alpha/1" for place in places(fork.url))
    # What was not forked goes on.
    grow(scene.ledger)
    scene.round()
    assert scene.cosigned() == ("w1.example", "w2.example", "w3.example")


def test_t03_a_witness_knows_more_than_a_log_that_was_cut(alone: Scene) -> None:
    """The newest events, all that was signed of them and all cosignatures are taken away."""
    grow(alone.ledger, 20)
    alone.round()
    leaves = leaves_of(alone.ledger)[:18]
    frontier: list[bytes] = []
    for index, leaf in enumerate(leaves):
        merkle.extend(frontier, index, leaf)
    set_back(alone.url, 18, frontier)
    with psycopg.connect(alone.url) as connection:
        tamper(connection, sql.SQL("DELETE FROM cosignature"))
        tamper(
            connection,
            sql.SQL("DELETE FROM checkpoint"),
            sql.SQL("DELETE FROM tree_node"),
            sql.SQL("DELETE FROM witness_state"),
            sql.SQL("UPDATE tracking SET position = 0"),
        )
    assert alone.ledger.checkpoints.latest("alpha").size == 18  # nothing here contradicts
    alone.round()
    assert alone.witnesses[0].requests[1:] == [(0, 18, 409)]
    (alarm,) = alone.store.alarms("alpha", standing=True)
    assert (alarm.kind, alarm.old_size, alarm.size) == ("rolled-back", 21, 18)
    alone.ledger.write_artifact("alpha", "NOTE", "more", b"x", actor="user:ada")
    assert "has cosigned this log at 21 events" in alone.refused()


def test_t03_a_cut_log_with_new_events_on_top_is_refused(
    alone: Scene, postgres_server: str, template_database: str, doubles: list[WitnessDouble]
) -> None:
    grow(alone.ledger, 20)
    alone.round()
    with another_history(postgres_server, template_database, doubles[:1]) as cut:
        grow(cut.ledger, 40)
        cut.round()
        assert [one.kind for one in cut.store.alarms("alpha", standing=True)] == ["not-consistent"]


def test_a_cleared_alarm_lets_sign_and_comes_again_if_nothing_was_done(
    scene: Scene, postgres_server: str, template_database: str, doubles: list[WitnessDouble]
) -> None:
    grow(scene.ledger, 2)
    scene.round()
    with another_history(postgres_server, template_database, doubles) as fork:
        fork.round()
        assert len(fork.store.alarms("alpha", standing=True)) == 3
        cleared = clear_alarms(fork.url, "alpha", "we looked", START)
        assert [one.ordinal for one in cleared] == [1, 2, 3]
        with pytest.raises(DeedbookError) as caught:
            clear_alarms(fork.url, "alpha", "again", START)
        assert caught.value.code == "alarm-not-found"
        grow(fork.ledger, 5)
        assert fork.ledger.checkpoints.latest("alpha").size == 7
        fork.round()
        assert [one.ordinal for one in fork.store.alarms("alpha", standing=True)] == [4, 5, 6]
        reasons = [one.reason for one in fork.store.alarms("alpha", standing=False)]
        assert reasons == ["we looked"] * 3 + [None] * 3


def test_alarms_and_cosignatures_are_append_only_and_the_service_clears_none(
    scene: Scene, postgres_server: str, template_database: str, doubles: list[WitnessDouble]
) -> None:
    grow(scene.ledger, 2)
    scene.round()
    with another_history(postgres_server, template_database, doubles) as fork:
        fork.round()
        for url, table in (
            (scene.url, "cosignature"),
            (fork.url, "witness_alarm"),
            (fork.url, "witness_alarm_cleared"),
        ):
            for statement in ("DELETE FROM {}", "UPDATE {} SET project_id = 'x'", "TRUNCATE {}"):
                if table == "witness_alarm_cleared" and not statement.startswith("TRUNC"):
                    continue  # it is empty: there is no row to refuse
                with (
                    psycopg.connect(url) as connection,
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                ):
                    connection.execute(sql.SQL(statement).format(sql.Identifier(table)))
        with (
            open_pool(fork.url, max_size=1) as pool,
            pool.connection() as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(
                "INSERT INTO witness_alarm_cleared VALUES ('alpha', 1, now(), 'I did it')"
            )


def test_the_seal_log_is_cosigned_too_and_an_alarm_stops_the_sealing(
    alone: Scene, database_url: str
) -> None:
    ledger, (witness,) = alone.ledger, alone.witnesses
    log = NoteKey("ledger.example", PUBLIC)
    witness.logs[log.name] = [log]

    def seal() -> None:
        grow(ledger)
        ledger.seals.seal("alpha", ledger.position("alpha", None), "project", None)

    seal()
    first = ledger.checkpoints.latest(SEAL_LOG).note
    assert SEAL_LOG in {one.project for one in alone.rounds.due()}
    alone.clock.pass_by(ROUND_SECONDS)
    alone.rounds.hold(SEAL_LOG)
    assert alone.handed_out.witnessed(SEAL_LOG).note.startswith(first)
    ledger.witnesses = alone.handed_out
    with serve_ledger(ledger, database_url) as served, served.client() as http:
        cosigned = http.get("/v1/log/checkpoint", params={"witnessed": "true"})
        assert cosigned.text.count("— w1.example ") == 1
        assert http.get("/v1/log/checkpoint").text == cosigned.text
    seal()
    witness.replies.append(lambda _: Reply(422))
    alone.clock.pass_by(ROUND_SECONDS)
    alone.rounds.hold(SEAL_LOG)
    with pytest.raises(DeedbookError) as caught:
        seal()
    assert caught.value.code == "checkpoint-refused"
    assert caught.value.detail.startswith("No checkpoint of the seal log is signed any more")
    assert "witness_alarm /1" in places(database_url)
    ledger.checkpoints.latest("alpha")
    clear_alarms(database_url, SEAL_LOG, "a test", START)
    seal()
    assert ledger.checkpoints.latest(SEAL_LOG).size == 3


def test_an_alarm_does_not_wait_for_a_signature_that_takes_long(
    alone: Scene, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.postgres_witnesses.LOCK_SECONDS", 0.1)
    alone.ledger.checkpoints.latest("alpha")
    alone.witnesses[0].replies.append(lambda _: Reply(422))
    alone.clock.pass_by(ROUND_SECONDS)
    with psycopg.connect(database_url) as signing:
        signing.execute("SELECT FROM tracking FOR UPDATE")
        alone.rounds.hold("alpha")
        assert len(alone.store.alarms("alpha", standing=True)) == 1


# Several processes, and a witness that hangs


def test_of_two_processes_one_asks(alone: Scene, database_url: str) -> None:
    (witness,) = alone.witnesses
    alone.ledger.checkpoints.latest("alpha")
    witness.released.clear()
    other = Scene(alone.ledger, database_url, alone.witnesses)
    with other.closing:
        thread = threading.Thread(target=alone.rounds.hold, args=("alpha",))
        thread.start()
        assert witness.asked.wait(20)
        assert other.rounds.hold("alpha") == []
        other.clock.pass_by(CLAIM_SECONDS - 1)
        assert other.rounds.hold("alpha") == []
        # The first one died: its claim ends, and the other asks.
        other.clock.pass_by(1)
        witness.released.set()
        thread.join(20)
        assert len(witness.requests) == 1
        assert alone.cosigned() == ("w1.example",)
    with open_pool(database_url, max_size=1) as pool:
        store = PostgresWitnesses(pool)
        grow(alone.ledger)
        alone.ledger.checkpoints.latest("alpha")
        now = alone.clock.time + timedelta(seconds=ROUND_SECONDS)
        claim = now + timedelta(seconds=CLAIM_SECONDS)
        assert store.begin("alpha", [witness.vkey], now, claim) is not None
        assert store.begin("alpha", [witness.vkey], claim - timedelta(seconds=1), claim) is None
        assert store.begin("alpha", [witness.vkey], claim, claim) is not None


def test_two_that_ask_about_the_same_checkpoint_do_no_harm(alone: Scene) -> None:
    alone.ledger.checkpoints.latest("alpha")
    (witness,) = alone.witnesses
    now = alone.clock.time
    found = alone.store.begin("alpha", [witness.vkey], now, now)
    assert found is not None
    for _ in range(2):
        alone.rounds._ask("alpha", found, witness.vkey)
    assert alone.cosigned() == ("w1.example",)
    assert counts(alone.url, "cosignature") == 1
    assert [status for *_, status in witness.requests] == [200, 409, 200]


def test_a_process_that_comes_late_raises_no_alarm(alone: Scene) -> None:
    """Another one has sent a newer checkpoint meanwhile: the witness knows more than it is sent."""
    alone.ledger.checkpoints.latest("alpha")
    (witness,) = alone.witnesses
    now = alone.clock.time
    late = alone.store.begin("alpha", [witness.vkey], now, now)
    assert late == Unwitnessed(1, late.note if late else "", {witness.vkey: 0})
    grow(alone.ledger, 3)
    alone.round()
    assert late is not None
    alone.rounds._ask("alpha", late, witness.vkey)
    assert witness.requests == [(0, 4, 200), (0, 1, 409)]
    assert counts(alone.url, "witness_alarm") == 0
    grow(alone.ledger)
    alone.round()
    assert witness.requests[2:] == [(4, 5, 200)]


def test_a_witness_that_hangs_holds_up_neither_appends_nor_signing(alone: Scene) -> None:
    (witness,) = alone.witnesses
    alone.ledger.checkpoints.latest("alpha")
    witness.released.clear()
    thread = threading.Thread(target=alone.rounds.hold, args=("alpha",))
    thread.start()
    assert witness.asked.wait(20)
    grow(alone.ledger, 3)
    assert alone.ledger.checkpoints.latest("alpha").size == 4
    witness.released.set()
    thread.join(20)
    note = alone.handed_out.witnessed("alpha").note
    assert parse_checkpoint(parse_note(note).text).size == 1


def test_a_log_whose_tree_is_damaged_is_said_and_asked_later(alone: Scene) -> None:
    grow(alone.ledger, 20)
    alone.round()
    grow(alone.ledger, 20)
    alone.ledger.checkpoints.latest("alpha")
    with psycopg.connect(alone.url) as connection:
        tamper(connection, sql.SQL("UPDATE tree_node SET hash = sha256('x') WHERE index = 0"))
    alone.clock.pass_by(ROUND_SECONDS)
    assert alone.rounds.hold("alpha") == []
    assert "do not lead to the root" in (alone.problems()["w1.example"] or "")
    assert len(alone.witnesses[0].requests) == 1


# The follower, the settings, and a whole service


def test_a_follower_asks_what_is_due_and_leaves_alone_who_does_not_work(
    ledger: Ledger, scene: Scene
) -> None:
    ledger.create_project("beta", title="Beta", actor="user:ada")
    for witness in scene.witnesses:
        witness.logs["beta.ledger.example"] = [NoteKey("beta.ledger.example", PUBLIC)]
    for project in ("alpha", "beta"):
        ledger.checkpoints.latest(project)
    seconds = [1_000.0]
    follower = WitnessFollower(scene.rounds, ledger.signal, scene.clock, lambda: seconds[0])
    scene.witnesses[0].replies.append(lambda _: Reply(503))
    assert follower.look() is None
    # The first log's round found it away, so the second one's did not ask it.
    assert [len(one.requests) for one in scene.witnesses] == [1, 2, 2]
    wait = follower.look()
    assert wait is not None
    assert 0 < wait <= ROUND_SECONDS
    scene.clock.pass_by(wait)
    seconds[0] += RETRY_SECONDS[0]
    assert follower.look() is None
    assert [len(one.requests) for one in scene.witnesses] == [4, 2, 2]
    assert scene.witnesses[0].requests[1:] == [(0, 1, 409), (1, 1, 200), (0, 1, 200)]
    assert scene.rounds.due() == []


def policy_file(folder: Path, witnesses: Sequence[WitnessDouble]) -> Path:
    file = folder / "witness.policy"
    lines = "".join(one.policy_line for one in witnesses)
    names = " ".join(one.key.name for one in witnesses)
    file.write_text(f"{lines}group all-of-them all {names}\nquorum all-of-them\n")
    return file


def test_a_service_has_its_checkpoints_cosigned_while_nobody_asks(
    database_url: str, tmp_path: Path, doubles: list[WitnessDouble]
) -> None:
    settings = Settings(
        database_url=database_url,
        deedbook_data=str(tmp_path),
        deedbook_host="ledger.example",
        deedbook_witness_policy=str(policy_file(tmp_path, doubles[:2])),
    )
    with bootstrap.open_ledger(settings, database_url, serving=True, make_key=True) as ledger:
        with psycopg.connect(database_url) as connection:
            row = connection.execute("SELECT ed25519 FROM log_key").fetchone()
        assert row is not None
        for witness in doubles[:2]:
            witness.logs = {LOG.name: [NoteKey(LOG.name, bytes(row[0]))]}
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
        for witness in doubles[:2]:
            assert witness.asked.wait(30)
    assert not any(thread.name == "witnesses" for thread in threading.enumerate())
    with open_pool(database_url, max_size=2) as pool:
        policy = read_policy(settings.deedbook_witness_policy)
        witnessed = Witnesses(PostgresWitnesses(pool), policy).witnessed("alpha")
        assert Checkpoints(PostgresCheckpoints(pool), None).latest("alpha") == witnessed


def test_the_witnessed_checkpoint_is_handed_out_over_http(scene: Scene, database_url: str) -> None:
    scene.ledger.witnesses = scene.handed_out
    with serve_ledger(scene.ledger, database_url) as served, served.client() as http:
        path = "/v1/projects/alpha/log/checkpoint"
        none = http.get(path, params={"witnessed": "true"})
        assert (none.status_code, none.json()["code"]) == (404, "checkpoint-unwitnessed")
        plain = http.get(path)
        scene.round()
        cosigned = http.get(path)
        assert cosigned.text.startswith(plain.text)
        assert cosigned.text.count("— w") == 3
        assert cosigned.headers["etag"] != plain.headers["etag"]
        witnessed = http.get(path, params={"witnessed": "true"})
        assert sorted(witnessed.text.split("\n")) == sorted(cosigned.text.split("\n"))
        grow(scene.ledger, 2)
        assert http.get(path).text.count("— w") == 0
        again = http.get(path, params={"witnessed": "true"})
        assert again.headers["deedbook-position"] == "1"
        assert http.get(path, params={"witnessed": "perhaps"}).status_code == 400
        gone = http.get("/v1/projects/nowhere/log/checkpoint", params={"witnessed": "true"})
        assert gone.json()["code"] == "project-not-found"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("witness w {vkey} http://w.example/x\nquorum w\n", "the address of w"),
        ("witness w {vkey} https://user@w.example/\nquorum w\n", "the address of w"),
        ("witness w {vkey} https://w.example/?a\nquorum w\n", "the address of w"),
        ("witness w {vkey} https://w.example/#a\nquorum w\n", "the address of w"),
        ("witness w {vkey} https://w.example:0/\nquorum w\n", "the address of w"),
        ("witness w {vkey} https://w.example:x/\nquorum w\n", "the address of w"),
        ("witness w {vkey} https://é.example/\nquorum w\n", "the address of w"),
        ("witness w {vkey} file:///x\nquorum w\n", "the address of w"),
        ("witness w {vkey} w.example\nquorum w\n", "the address of w"),
        ("witness w {vkey}\nquorum w\n", "too few for its quorum"),
        ("nonsense\n", "line 1"),
    ],
)
def test_a_policy_that_is_of_no_use_keeps_a_service_from_starting(
    tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "policy"
    file.write_text(text.format(vkey=WitnessDouble("w.example").vkey))
    with pytest.raises(DeedbookError) as caught:
        read_policy(str(file))
    assert caught.value.code == "witness-policy-malformed"
    assert why in caught.value.detail


def test_a_policy_that_is_of_use_is_read(tmp_path: Path) -> None:
    file = tmp_path / "policy"
    vkey = WitnessDouble("w.example").vkey
    for url in ("https://w.example/x", "http://127.0.0.1:1/", "http://[::1]:1", "http://localhost"):
        file.write_text(f"witness w {vkey} {url}\nquorum w\n")
        policy = read_policy(str(file))
        assert isinstance(policy, Policy)
        assert policy.witnesses[0].url == url
    assert read_policy(None) is None
    with pytest.raises(DeedbookError) as caught:
        read_policy(str(tmp_path / "absent"))
    assert "DEEDBOOK_WITNESS_POLICY cannot be read" in caught.value.detail


def test_a_ledger_without_a_signer_reads_no_policy(database_url: str) -> None:
    settings = Settings(database_url=database_url, deedbook_witness_policy="/nowhere/at/all")
    with bootstrap.open_ledger(settings, database_url):
        pass
    with (
        pytest.raises(DeedbookError),
        bootstrap.open_ledger(settings, database_url, signer=published_signer()),
    ):
        pass
