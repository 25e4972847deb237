"""A change of keys: logged, valid by index and size, and survived at every crash."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from adapters import ed25519_key, p256_key
from adapters.postgres_keys import Role
from adapters.postgres_owner import open_owner
from adapters.signature_check import verify_signature
from app import bootstrap
from app.keys import key_rotation
from app.keys.key_rotation import Rotation, rotate
from app.ledger import Ledger
from app.offline.signatures import SIGNATURES
from app.settings import Settings
from domain.checkpoint import open_checkpoint
from domain.errors import Conflict, DeedbookError, Invalid
from domain.key_change import KEY_CHANGE_TYPE, parse_key_change
from domain.seal import SEAL_LOG, Head
from domain.signed_note import parse_note
from domain.sigstore_bundle import parse_bundle
from domain.trust import Trust
from projections.verify_seal import check_signed
from tests.test_doctor import places

REASON = "a yearly change"


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """A ledger's, with its keys in a folder."""
    return Settings(
        database_url=database_url,
        deedbook_host="ledger.example",
        deedbook_log_key=f"file:{tmp_path / 'log.key'}",
        deedbook_seal_key=f"file:{tmp_path / 'seal.key'}",
    )


@contextmanager
def service(settings: Settings) -> Iterator[Ledger]:
    """A service on it, that makes the keys if there are none."""
    assert settings.database_url is not None
    with bootstrap.open_ledger(settings, settings.database_url, serving=True) as ledger:
        yield ledger


def change(settings: Settings, role: Role, **given: object) -> Rotation:
    assert settings.database_url is not None
    with open_owner(settings.database_url) as connection:
        return rotate(connection, settings, role, reason=REASON, **given)  # type: ignore[arg-type]


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """A service with a project of two events that was sealed."""
    with service(settings) as opened:
        opened.create_project("alpha", title="Alpha", actor="user:ada")
        opened.write_artifact("alpha", "PRD", "main", b"# Alpha\n", actor="user:ada")
        opened.seals.seal("alpha", 2, "project", None)
        yield opened


def seal(ledger: Ledger, number: int) -> bytes:
    head = Head(f"{number:040x}", "https://git.example/alpha")
    return ledger.seals.seal("alpha", 2, "project", head).sidecar


def good(sidecar: bytes, trust: Trust) -> bool:
    try:
        check_signed(parse_bundle(sidecar), trust, SIGNATURES)
    except DeedbookError:
        return False
    return True


def test_seals_of_before_and_after_a_change_hold_and_the_old_key_seals_nothing_more(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    before = seal(ledger, 1)
    old = (tmp_path / "seal.key").read_bytes()
    done = change(settings, "seal")
    assert (done.index, done.resealed) == (2, ())
    assert (tmp_path / "seal.key.retired-1").read_bytes() == old
    assert (tmp_path / "seal.key").read_bytes() != old
    with pytest.raises(Conflict) as caught:
        seal(ledger, 2)
    assert caught.value.code == "signing-key-retired"
    with service(settings) as new:
        after = seal(new, 2)
        trust = new.seals.trust()
        assert good(before, trust)
        assert good(after, trust)
        assert seal(new, 1) == before
    assert [(key.first, key.until) for key in trust.seal_keys] == [(0, 3), (3, None)]
    assert settings.database_url is not None
    assert places(settings.database_url) == []


def test_after_a_theft_later_seals_are_not_valid_any_more_and_can_be_made_again(
    settings: Settings, ledger: Ledger
) -> None:
    kept, stolen = seal(ledger, 1), seal(ledger, 2)
    assert change(settings, "seal", last_good=1, preview=True).resealed == (2,)
    assert change(settings, "seal", last_good=1).resealed == (2,)
    with service(settings) as new:
        trust = new.seals.trust()
        assert good(kept, trust)
        assert not good(stolen, trust)
        again = seal(new, 2)
        assert again != stolen
        assert good(again, trust)
        assert seal(new, 1) == kept
        assert seal(new, 2) == again
    assert settings.database_url is not None
    assert places(settings.database_url) == []


def test_a_log_key_ends_at_the_sizes_that_it_signed(settings: Settings, ledger: Ledger) -> None:
    last = ledger.checkpoints.latest("alpha")
    before = seal(ledger, 1)
    change(settings, "log")
    ledger.write_artifact("alpha", "PRD", "main", b"# Alpha 2\n", actor="user:ada")
    with pytest.raises(Conflict) as caught:
        ledger.checkpoints.latest("alpha")
    assert caught.value.code == "signing-key-retired"
    with service(settings) as new:
        trust = new.seals.trust()
        grown = new.checkpoints.latest("alpha")
        origin = "alpha.ledger.example"
        assert open_checkpoint(last.note, trust.note_keys(origin, 2), verify_signature).size == 2
        assert open_checkpoint(grown.note, trust.note_keys(origin, 3), verify_signature).size == 3
        old, current = (key.public_key for key in trust.log_keys)
        assert [key.public_key for key in trust.note_keys(origin, 2)] == [old]
        assert [key.public_key for key in trust.note_keys(origin, 3)] == [current]
        assert [key.public_key for key in trust.note_keys("new.ledger.example", 1)] == [current]
        assert good(before, trust)
        assert good(seal(new, 2), trust)
    assert settings.database_url is not None
    assert places(settings.database_url) == []


def test_the_change_of_a_log_key_is_signed_by_both_and_says_why(
    settings: Settings, ledger: Ledger, database_url: str
) -> None:
    change(settings, "log")
    note = ledger.checkpoints.latest(SEAL_LOG).note
    assert len(parse_note(note).signatures) == 2
    for key in ledger.seals.trust().note_keys("ledger.example", 2):
        assert open_checkpoint(note, [key], verify_signature).size == 2
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT statement FROM seal_entry WHERE of_project IS NULL"
        ).fetchone()
    assert row is not None
    assert KEY_CHANGE_TYPE.encode() in row[0]
    assert parse_key_change(row[0]).reason == REASON


def test_a_preview_changes_nothing(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    change(settings, "log", preview=True)
    assert sorted(tmp_path.iterdir()) == before
    seal(ledger, 1)
    assert len(ledger.seals.trust().log_keys) == 1


@pytest.mark.parametrize("role", ["log", "seal"])
@pytest.mark.parametrize("crash", ["append_entry", "_exchange", "sync_folder"])
def test_a_change_that_a_crash_cut_short_is_finished_by_the_next_attempt(
    settings: Settings,
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    role: Role,
    crash: str,
) -> None:
    def fail(*_: object) -> None:
        raise OSError(crash)

    with monkeypatch.context() as patched:
        patched.setattr(key_rotation, crash, fail)
        with pytest.raises(OSError, match=crash):
            change(settings, role)
    if crash != "sync_folder":  # there the names were exchanged already
        assert change(settings, role).finished_only == (crash == "_exchange")
    keys = ledger.seals.trust()
    assert len(keys.log_keys if role == "log" else keys.seal_keys) == 2
    left = sorted(file.name for file in tmp_path.iterdir() if file.name.startswith(f"{role}.key"))
    assert left == [f"{role}.key", f"{role}.key.retired-1"]
    with service(settings) as new:
        assert good(seal(new, 7), new.seals.trust())


def test_a_machine_with_other_keys_changes_nothing(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    seal(ledger, 1)
    (tmp_path / "seal.key").unlink()
    p256_key.make_seal_key(tmp_path / "seal.key")
    with pytest.raises(Conflict) as caught:
        change(settings, "log")
    assert caught.value.code == "signing-key-mismatch"
    assert len(ledger.seals.trust().log_keys) == 1
    assert not (tmp_path / "log.key.next").exists()


@pytest.mark.parametrize(
    ("role", "given"),
    [
        ("seal", {"last_good": 5}),
        ("log", {"last_good": 0}),
        ("seal", {"reason": ""}),
        ("seal", {"reason": "x" * 501}),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(
    settings: Settings, ledger: Ledger, role: Role, given: dict[str, object]
) -> None:
    assert settings.database_url is not None
    asked = {"reason": REASON, **given}
    with open_owner(settings.database_url) as connection, pytest.raises(Invalid):
        rotate(connection, settings, role, **asked)  # type: ignore[arg-type]
    assert len(ledger.seals.trust().seal_keys) == 1


def test_a_change_and_many_signatures_at_once_leave_one_sound_log(
    settings: Settings, ledger: Ledger
) -> None:
    answers: list[str] = []

    def work(number: int) -> None:
        try:
            seal(ledger, number)
            answers.append("sealed")
        except DeedbookError as error:
            answers.append(error.code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for one in threads:
        one.start()
    change(settings, "seal")
    for one in threads:
        one.join()
    assert len(answers) == 12
    assert set(answers) <= {"sealed", "signing-key-retired"}
    with service(settings) as new:
        trust = new.seals.trust()
        for number in range(12):
            assert good(seal(new, number), trust)
    assert settings.database_url is not None
    assert places(settings.database_url) == []


def test_the_public_halves_lie_beside_the_keys_and_no_secret_in_them(
    settings: Settings, ledger: Ledger, tmp_path: Path
) -> None:
    seal(ledger, 1)
    names = {"trust.json", "trusted_root.json", "seal.pub"}
    assert names <= {file.name for file in tmp_path.iterdir()}
    for name in names:
        assert b"PRIVATE" not in (tmp_path / name).read_bytes()
    secret = ed25519_key.open_key(tmp_path / "log.key")
    assert secret.public_key.hex() in repr(secret)
    assert (tmp_path / "seal.key").stat().st_mode & 0o077 == 0
