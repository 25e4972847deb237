"""`checkpoint`, `proof`, `verify-proof` and `key`: against a real server, and offline."""

import json
from pathlib import Path

import pytest

from adapters.ed25519_key import make_key, open_key
from adapters.postgres_connect import open_pool
from adapters.postgres_keys import register_key
from app.cli import failure
from app.cli.root import run
from domain.signed_note import NoteKey, format_key, format_note, sign
from tests.export_samples import PUBLISHED_LINES
from tests.note_samples import (
    ALPHA_KEY,
    LEDGER_KEY,
    NOTE,
    PROOF,
    PUBLIC,
    published_signer,
)
from tests.serving import Served


def key_of(project: str) -> str:
    return format_key(NoteKey(f"{project}.ledger.example", PUBLIC))


def grow(served: Served, project: str) -> None:
    served.ledger.write_artifact(project, "NOTE", "n", b"same", actor="user:ada")


@pytest.mark.usefixtures("command_line")
def test_a_checkpoint_is_printed_as_it_is_signed(
    project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["checkpoint", "--key", key_of(project)]) == 0
    note = capsys.readouterr().out
    assert note.startswith(f"{project}.ledger.example\n1\n")
    assert run(["--json", "checkpoint", project]) == 0
    assert json.loads(capsys.readouterr().out)["note"] == note


@pytest.mark.usefixtures("command_line")
def test_a_kept_checkpoint_only_ever_moves_on(
    served: Served, project: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = tmp_path / "deedbook.checkpoint"
    key = tmp_path / "log.vkey"
    key.write_text(key_of(project) + "\n")
    assert run(["checkpoint", "-o", str(kept)]) == 0
    first = kept.read_text()
    for _ in range(3):
        grow(served, project)
        moved = ["checkpoint", "--since", str(kept), "-o", str(kept), "--key", str(key)]
        assert run(moved) == 0
    assert kept.read_text().split("\n")[1] == "4"

    lines = first.split("\n")
    forged = f"{lines[0]}\n1\n{'A' * 43}=\n"
    note = format_note(sign(forged, lines[0], published_signer()))
    for text, code in (
        (note, "log-forked"),
        (note.replace("\n1\n", "\n9\n"), "log-forked"),
        (first.replace(project, "other"), "log-forked"),
        ("nothing", "note-malformed"),
    ):
        kept.write_text(text)
        capsys.readouterr()
        assert run(["checkpoint", "--since", str(kept), "-o", str(kept)]) == failure.NOT_VERIFIED
        assert code in capsys.readouterr().err
        assert kept.read_text() == text


@pytest.mark.usefixtures("command_line")
def test_a_checkpoint_by_another_key_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["checkpoint", "--key", ALPHA_KEY]) == failure.NOT_VERIFIED
    assert "signature-missing" in capsys.readouterr().err
    assert run(["checkpoint", "--key", "nonsense"]) == failure.USAGE


@pytest.mark.usefixtures("command_line")
def test_a_proof_is_taken_away_and_checked_offline(
    served: Served, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(served, project)
    assert run(["proof", "2", "--event", "event.json"]) == 0
    assert run(["proof", project, "1", "-o", "first.tlog-proof"]) == 0
    assert run(["proof", "1", "--size", "1"]) == failure.NOT_FOUND
    assert run(["proof", project, "one"]) == failure.USAGE
    monkeypatch.setenv("DEEDBOOK_URL", "http://127.0.0.1:1")
    proof, key = f"{project}-2.tlog-proof", ["--key", key_of(project)]
    assert run(["verify-proof", proof, *key, "--event", "event.json"]) == 0
    assert (
        run(["verify-proof", "first.tlog-proof", *key, "--event", "event.json"])
        == failure.NOT_VERIFIED
    )


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """The published proof and its event."""
    proof, event = tmp_path / "alpha-2.tlog-proof", tmp_path / "event.json"
    proof.write_text(PROOF)
    event.write_bytes(PUBLISHED_LINES[1] + b"\n")
    return proof, event


def states(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, dict[str, bool | None]]:
    capsys.readouterr()
    code = run(["--json", "verify-proof", *arguments])
    report = json.loads(capsys.readouterr().out)
    return code, report["state"], {one["id"]: one["ok"] for one in report["checks"]}


def test_the_published_proof_is_verified(
    published: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    proof, event = map(str, published)
    code, state, checks = states([proof, "--key", ALPHA_KEY, "--event", event], capsys)
    assert (code, state) == (0, "VERIFIED")
    assert set(checks.values()) == {True}
    assert run(["verify-proof", proof, "--key", ALPHA_KEY, "--event", event]) == 0
    assert "VERIFIED  " in capsys.readouterr().out


def test_what_was_not_given_leaves_a_proof_incomplete(
    published: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    proof, event = map(str, published)
    for arguments, missing in (
        ([proof], {"signature", "event", "inclusion"}),
        ([proof, "--key", ALPHA_KEY], {"event", "inclusion"}),
        ([proof, "--event", event], {"signature"}),
    ):
        code, state, checks = states(arguments, capsys)
        assert (code, state) == (failure.NOT_VERIFIED, "INCOMPLETE")
        assert {name for name, ok in checks.items() if ok is None} == missing


@pytest.mark.parametrize(
    ("proof", "line", "key", "step"),
    [
        ("nothing", PUBLISHED_LINES[1], ALPHA_KEY, "shape"),
        (PROOF.replace("\n3\n", "\n03\n"), PUBLISHED_LINES[1], ALPHA_KEY, "shape"),
        (PROOF.replace("\n3\n", "\n4\n"), PUBLISHED_LINES[1], ALPHA_KEY, "signature"),
        (PROOF, PUBLISHED_LINES[1], LEDGER_KEY, "signature"),
        (PROOF, PUBLISHED_LINES[0], ALPHA_KEY, "event"),
        (PROOF, b"{}", ALPHA_KEY, "event"),
        (PROOF, PUBLISHED_LINES[1].replace(b"PASSED", b"FAILED"), ALPHA_KEY, "inclusion"),
        (PROOF.replace("index 1", "index 2"), PUBLISHED_LINES[1], ALPHA_KEY, "inclusion"),
        (PROOF.replace("tmE7", "umE7"), PUBLISHED_LINES[1], ALPHA_KEY, "inclusion"),
        (PROOF.replace("Os6z", "Ps6z"), PUBLISHED_LINES[1], ALPHA_KEY, "inclusion"),
    ],
)
def test_each_contradiction_fails_at_its_step(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    proof: str,
    line: bytes,
    key: str,
    step: str,
) -> None:
    (tmp_path / "p").write_text(proof)
    (tmp_path / "e").write_bytes(line)
    arguments = [str(tmp_path / "p"), "--event", str(tmp_path / "e"), "--key", key]
    code, state, checks = states(arguments, capsys)
    assert (code, state, checks[step]) == (failure.NOT_VERIFIED, "FAILED", False)


def test_a_checkpoint_is_no_proof(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "note").write_text(NOTE)
    _, state, _ = states([str(tmp_path / "note")], capsys)
    assert state == "FAILED"


def test_the_key_is_shown_without_its_secret(
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from tests.ledger_samples import open_ledger

    file = tmp_path / "log.key"
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("DEEDBOOK_DATA", str(tmp_path))
    monkeypatch.setenv("DEEDBOOK_LOG_KEY", f"file:{file}")
    assert run(["key", "show"]) == 0
    written = capsys.readouterr()
    assert written.out == ""
    assert "There is no key at" in written.err
    make_key(file)
    with open_pool(database_url, max_size=1) as pool:
        register_key(pool, open_key(file).public_key)
    with open_ledger(database_url) as ledger:
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
    capsys.readouterr()
    assert run(["key", "show", "alpha"]) == 0
    written = capsys.readouterr()
    wanted = format_key(NoteKey("alpha.ledger.example", open_key(file).public_key))
    assert written.out == f"{wanted}\n"
    assert run(["doctor"]) == 0
    assert "signs this ledger's checkpoints" in capsys.readouterr().out
    assert run(["key", "show", "other"]) == failure.NOT_FOUND
    file.unlink()
    assert run(["doctor"]) == 0
    assert "sign no checkpoints" in capsys.readouterr().out
    make_key(file)
    assert run(["key", "show"]) == failure.CONFLICT
    assert run(["doctor"]) == failure.NOT_VERIFIED
    assert "signing key: the one at" in capsys.readouterr().out
    file.chmod(0o644)
    assert run(["key", "show"]) == failure.AUTHENTICATION
    assert run(["doctor"]) == failure.NOT_VERIFIED
    assert "PRIVATE" not in capsys.readouterr().out
