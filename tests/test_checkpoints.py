"""Signing: when it is done, by whom, and what is never signed."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql

from adapters import postgres_checkpoints
from adapters.commit_signal import CommitSignal
from adapters.ed25519_key import FileSigner, make_key, open_key
from adapters.postgres_checkpoints import PostgresCheckpoints
from adapters.postgres_connect import open_pool
from adapters.postgres_keys import current_key, register_key
from adapters.signature_check import verify_signature
from app import bootstrap
from app.checkpoint_follower import (
    REFUSED_SECONDS,
    UNSIGNED_LEAVES,
    UNSIGNED_SECONDS,
    CheckpointFollower,
)
from app.checkpoints import Checkpoints
from app.keys.signing_key import open_signer
from app.ledger import Ledger
from app.settings import Settings
from domain import merkle
from domain.checkpoint import open_checkpoint
from domain.errors import DeedbookError
from domain.signed_note import NoteKey
from tests.examined_samples import tamper
from tests.ledger_samples import open_ledger
from tests.note_samples import PUBLIC, published_signer
from tests.test_doctor import places

KEY = NoteKey("alpha.ledger.example", PUBLIC)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with the project alpha at position 1."""
    with open_ledger(database_url) as opened:
        opened.create_project("alpha", title="Alpha", actor="user:ada")
        yield opened


def grow(ledger: Ledger, count: int = 1) -> None:
    for _ in range(count):
        ledger.write_artifact("alpha", "NOTE", "n", b"same", actor="user:ada")


def leaves_of(ledger: Ledger) -> list[bytes]:
    return [entry.leaf for entry in ledger.log.read("alpha", 0, ledger.position("alpha", None))]


@contextmanager
def without_key(url: str) -> Iterator[Checkpoints]:
    """Another process on the same database, without the key."""
    with open_pool(url, max_size=2) as pool:
        yield Checkpoints(PostgresCheckpoints(pool), None)


def refused(ledger: Ledger) -> str:
    with pytest.raises(DeedbookError) as caught:
        ledger.checkpoints.latest("alpha")
    assert caught.value.code == "checkpoint-refused"
    return caught.value.detail


def test_a_log_that_grew_by_much_is_taken_in_several_transactions(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_checkpoints, "LEAVES_A_TRANSACTION", 7)
    for count in (40, 1, 23, 260):
        grow(ledger, count)
        signed = ledger.checkpoints.latest("alpha")
        assert signed.root == merkle.tree_root(leaves_of(ledger))
        assert open_checkpoint(signed.note, [KEY], verify_signature).size == signed.size
    for position in (1, 16, 17, 256, 257, 325):
        ledger.checkpoints.inclusion("alpha", position)
    assert places(database_url) == []


def test_a_process_without_the_key_hands_out_what_was_signed_last(
    ledger: Ledger, database_url: str
) -> None:
    with without_key(database_url) as other:
        assert not other.signs
        for ask in (other.latest, lambda project: other.inclusion(project, 1)):
            with pytest.raises(DeedbookError) as caught:
                ask("alpha")
            assert caught.value.code == "checkpoint-unsigned"
        signed = ledger.checkpoints.latest("alpha")
        grow(ledger, 3)
        assert other.latest("alpha") == signed
        other.inclusion("alpha", 1)
        with pytest.raises(DeedbookError) as caught:
            other.inclusion("alpha", 4)
        assert caught.value.code == "position-not-found"
        ledger.checkpoints.latest("alpha")
        other.inclusion("alpha", 4)


def test_a_log_whose_newest_events_were_cut_off_is_not_signed_any_more(
    ledger: Ledger, database_url: str
) -> None:
    """Threat 3: the last events are taken away, and the frontier set back, by the database's owner."""
    grow(ledger, 20)
    ledger.checkpoints.latest("alpha")
    frontier: list[bytes] = []
    for index, leaf in enumerate(leaves_of(ledger)[:18]):
        merkle.extend(frontier, index, leaf)
    set_back(database_url, 18, frontier)
    assert "it had 21 events, and has 18" in refused(ledger)
    with psycopg.connect(database_url) as connection:
        tamper(connection, sql.SQL("UPDATE tracking SET position = 18"))
    assert "it was signed at 21 events, and has 18" in refused(ledger)
    assert "checkpoint alpha/21" in places(database_url)


def test_a_log_that_was_written_anew_is_not_signed_any_more(
    ledger: Ledger, database_url: str
) -> None:
    """Threat 2: an event is changed, and leaf, nodes and frontier are worked out again."""
    grow(ledger, 40)
    ledger.checkpoints.latest("alpha")
    grow(ledger, 2)
    leaves = leaves_of(ledger)
    leaves[3] = merkle.leaf_hash(b"forged")
    frontier: list[bytes] = []
    for index, leaf in enumerate(leaves):
        merkle.extend(frontier, index, leaf)
    with psycopg.connect(database_url) as connection:
        tamper(
            connection,
            sql.SQL("UPDATE event SET leaf = {} WHERE position = 4").format(leaves[3]),
            sql.SQL("DELETE FROM tree_node"),
            sql.SQL("UPDATE tracking SET position = 0"),
        )
    assert "do not give the root that it has" in refused(ledger)
    set_back(database_url, len(leaves), frontier)
    assert "its first 41 events are not those that were signed before" in refused(ledger)


def set_back(url: str, size: int, frontier: list[bytes]) -> None:
    with psycopg.connect(url) as connection:
        tamper(
            connection,
            sql.SQL("UPDATE project_log SET size = {}, frontier = {}").format(
                size, merkle.frontier_to_bytes(frontier)
            ),
        )
        connection.execute("ALTER TABLE event DISABLE TRIGGER USER")
        connection.execute("DELETE FROM event WHERE position > %s", (size,))
        connection.execute("ALTER TABLE event ENABLE ALWAYS TRIGGER refuse_row")


def test_no_wrong_proof_is_handed_out(ledger: Ledger, database_url: str) -> None:
    grow(ledger, 40)
    ledger.checkpoints.latest("alpha")
    with psycopg.connect(database_url) as connection:
        tamper(
            connection,
            sql.SQL("UPDATE tree_node SET hash = sha256('x') WHERE index = 0"),
            sql.SQL("UPDATE event SET leaf = sha256('x') WHERE position = 20"),
        )
    for ask in (
        lambda: ledger.checkpoints.inclusion("alpha", 20),
        lambda: ledger.checkpoints.inclusion("alpha", 40),
        lambda: ledger.checkpoints.consistency("alpha", 17),
    ):
        with pytest.raises(DeedbookError) as caught:
            ask()
        assert caught.value.code == "tree-damaged"
    with psycopg.connect(database_url) as connection:
        tamper(connection, sql.SQL("DELETE FROM tree_node WHERE index = 0"))
    with pytest.raises(DeedbookError) as caught:
        ledger.checkpoints.inclusion("alpha", 40)
    assert caught.value.code == "tree-damaged"


def test_nodes_that_were_damaged_when_they_were_read_do_not_outlive_the_damage(
    ledger: Ledger, database_url: str
) -> None:
    grow(ledger, 40)
    ledger.checkpoints.latest("alpha")
    node = sql.SQL("UPDATE tree_node SET hash = {} WHERE level = 1 AND index = 0")
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT hash FROM tree_node WHERE level = 1 AND index = 0"
        ).fetchone()
        assert row is not None
        tamper(connection, node.format(bytes(32)))
    for _ in range(3):
        with pytest.raises(DeedbookError):
            ledger.checkpoints.inclusion("alpha", 40)
    with psycopg.connect(database_url) as connection:
        tamper(connection, node.format(row[0]))
    assert ledger.checkpoints.inclusion("alpha", 40).index == 39


def test_proofs_of_a_growing_log_are_right_from_nodes_that_are_kept(ledger: Ledger) -> None:
    for size in (40, 41, 47, 48, 300):
        grow(ledger, size - len(leaves_of(ledger)))
        leaves = leaves_of(ledger)
        assert len(leaves) == size
        assert ledger.checkpoints.latest("alpha").size == size
        for position in (1, 17, 33, size):
            for _ in ("read", "kept"):
                proof = ledger.checkpoints.inclusion("alpha", position)
                assert list(proof.hashes) == merkle.inclusion_proof(position - 1, leaves)
                older = ledger.checkpoints.consistency("alpha", position)
                assert list(older.hashes) == merkle.consistency_proof(position, leaves)


def test_nodes_can_be_made_again_from_the_leaves(ledger: Ledger, database_url: str) -> None:
    grow(ledger, 40)
    ledger.checkpoints.latest("alpha")
    grow(ledger)
    with psycopg.connect(database_url) as connection:
        tamper(
            connection,
            sql.SQL("DELETE FROM tree_node"),
            sql.SQL("UPDATE tracking SET position = 0"),
        )
    assert ledger.checkpoints.latest("alpha").size == 42
    ledger.checkpoints.inclusion("alpha", 40)
    assert places(database_url) == []


def test_checkpoints_and_keys_are_append_only_even_for_their_owner(
    ledger: Ledger, database_url: str
) -> None:
    ledger.checkpoints.latest("alpha")
    for table in ("checkpoint", "log_key"):
        for statement in ("DELETE FROM {}", "UPDATE {} SET ordinal = 9", "TRUNCATE {}"):
            with (
                psycopg.connect(database_url) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(sql.SQL(statement).format(sql.Identifier(table)))


class Clock:
    """Seconds that pass when told to."""

    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def follower(ledger: Ledger, clock: Clock) -> CheckpointFollower:
    return CheckpointFollower(ledger.checkpoints, ledger.signal, clock)


def signed_size(url: str) -> int:
    with without_key(url) as other:
        try:
            return other.latest("alpha").size
        except DeedbookError:
            return 0


def test_a_log_is_signed_two_seconds_after_its_first_unsigned_event(
    ledger: Ledger, database_url: str, follower: CheckpointFollower, clock: Clock
) -> None:
    assert follower.look() == UNSIGNED_SECONDS
    clock.seconds += 1.5
    grow(ledger)
    assert follower.look() == 0.5
    assert signed_size(database_url) == 0
    clock.seconds += 0.5
    assert follower.look() is None
    assert signed_size(database_url) == 2
    grow(ledger)
    assert follower.look() == UNSIGNED_SECONDS


def test_a_log_is_signed_at_once_when_many_events_are_unsigned(
    ledger: Ledger, database_url: str, follower: CheckpointFollower
) -> None:
    grow(ledger, UNSIGNED_LEAVES - 2)
    assert follower.look() == UNSIGNED_SECONDS
    grow(ledger)
    assert follower.look() is None
    assert signed_size(database_url) == UNSIGNED_LEAVES


def test_what_cannot_be_signed_is_said_and_does_not_keep_others_from_it(
    ledger: Ledger,
    database_url: str,
    follower: CheckpointFollower,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger.create_project("beta", title="Beta", actor="user:ada")
    with psycopg.connect(database_url) as connection:
        tamper(
            connection,
            sql.SQL("UPDATE event SET leaf = sha256('x') WHERE project_id = 'beta'"),
        )
    follower.look()
    clock.seconds += UNSIGNED_SECONDS
    with caplog.at_level(logging.ERROR):
        assert follower.look() == REFUSED_SECONDS
        assert follower.look() == REFUSED_SECONDS
    assert caplog.text.count("No checkpoint of beta is signed any more") == 1
    assert signed_size(database_url) == 1


def test_a_log_that_another_process_is_signing_is_passed_by(
    ledger: Ledger, database_url: str, follower: CheckpointFollower, clock: Clock
) -> None:
    ledger.checkpoints.latest("alpha")
    grow(ledger)
    follower.look()
    clock.seconds += UNSIGNED_SECONDS
    with psycopg.connect(database_url) as other:
        other.execute("SELECT FROM tracking FOR UPDATE")
        assert follower.look() == UNSIGNED_SECONDS
    assert signed_size(database_url) == 1
    clock.seconds += UNSIGNED_SECONDS
    assert follower.look() is None
    assert signed_size(database_url) == 2


def test_a_service_signs_while_nobody_asks(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, deedbook_data=str(tmp_path))
    with bootstrap.open_ledger(settings, database_url, serving=True, make_key=True) as ledger:
        key = open_key(tmp_path / "keys" / "log.key").public_key
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
        known = NoteKey("alpha.ledger.localhost", key)
        note = ""
        with without_key(database_url) as other:
            for _ in range(100):
                try:
                    note = other.latest("alpha").note
                    break
                except DeedbookError:
                    ledger.signal.wait("alpha", 10, 0.1)
        assert open_checkpoint(note, [known], verify_signature).size == 1


def test_the_first_start_makes_the_key_and_the_next_one_finds_it(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "log.key"
    with open_pool(database_url, max_size=2) as pool:
        assert current_key(pool) is None
        first = open_signer(f"file:{file}", pool, make=True)
        assert first is not None
        assert current_key(pool) == first.public_key
        again = open_signer(f"file:{file}", pool, make=True)
        assert again is not None
        assert again.public_key == first.public_key


def test_a_process_that_finds_no_key_makes_no_other_and_says_so(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_pool(database_url, max_size=2) as pool:
        open_signer(f"file:{tmp_path / 'here.key'}", pool, make=True)
        assert open_signer(f"file:{tmp_path / 'elsewhere.key'}", pool, make=True) is None
    assert not (tmp_path / "elsewhere.key").exists()
    assert "signs no checkpoints" in caplog.text


def test_a_service_makes_no_key_in_a_place_that_nobody_named(
    database_url: str, tmp_path: Path
) -> None:
    """A container's own folder is gone tomorrow, and the key of the ledger with it."""
    settings = Settings(database_url=database_url, deedbook_data=str(tmp_path))
    with bootstrap.open_ledger(settings, database_url, serving=True) as ledger:
        assert not ledger.checkpoints.signs
    assert list(tmp_path.iterdir()) == []
    named = Settings(database_url=database_url, deedbook_log_key=f"file:{tmp_path / 'log.key'}")
    with bootstrap.open_ledger(named, database_url, serving=True) as ledger:
        assert ledger.checkpoints.signs


def test_a_process_with_another_key_does_not_start(database_url: str, tmp_path: Path) -> None:
    make_key(tmp_path / "other.key")
    settings = Settings(
        database_url=database_url, deedbook_log_key=f"file:{tmp_path / 'other.key'}"
    )
    with bootstrap.open_ledger(settings, database_url, signer=published_signer()):
        pass
    with (
        pytest.raises(DeedbookError) as caught,
        bootstrap.open_ledger(settings, database_url, serving=True),
    ):
        pass
    assert caught.value.code == "signing-key-mismatch"


def test_of_two_that_start_first_one_makes_the_key_and_the_other_serves_without(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other has looked, found no key, and made its own; then the first registers."""
    with open_pool(database_url, max_size=2) as pool:
        first = FileSigner(Ed25519PrivateKey.generate())

        def too_late(file: Path) -> bool:
            made = make_key(file)
            register_key(pool, first.public_key)
            return made

        monkeypatch.setattr("adapters.ed25519_key.make_key", too_late)
        assert open_signer(f"file:{tmp_path / 'late.key'}", pool, make=True) is None
        assert current_key(pool) == first.public_key
    assert not (tmp_path / "late.key").exists()


def test_a_follower_ends_with_its_ledger(ledger: Ledger, database_url: str, clock: Clock) -> None:
    with (
        CommitSignal(database_url) as signal,
        CheckpointFollower(ledger.checkpoints, signal, clock) as follower,
    ):
        assert follower._thread.is_alive()
    assert not follower._thread.is_alive()
