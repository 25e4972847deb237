"""`witness` and what `checkpoint` and `doctor` have to do with witnesses, typed as an operator would."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import failure
from app.cli.root import run
from domain.signed_note import NoteKey, format_key, format_note, sign
from tests.ledger_samples import open_ledger
from tests.note_samples import PUBLIC, published_signer
from tests.run_commands import Typed
from tests.serving import serve_ledger
from tests.test_checkpoints import grow
from tests.test_witnesses import LOG, Scene
from tests.witness_double import Reply, WitnessDouble

VKEY = format_key(LOG)


@pytest.fixture
def scene(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A ledger with one witness that is its policy, served, and commands that speak to it."""
    with (
        open_ledger(database_url) as ledger,
        WitnessDouble("w1.example", LOG).running() as witness,
    ):
        ledger.create_project("alpha", title="Alpha", actor="user:ada")
        made = Scene(ledger, database_url, [witness])
        ledger.witnesses = made.handed_out
        policy = tmp_path / "witness.policy"
        policy.write_text(f"{witness.policy_line}quorum w1.example\n")
        with made.closing, serve_ledger(ledger, database_url) as served:
            monkeypatch.chdir(tmp_path)
            for name, value in (
                ("DATABASE_URL", database_url),
                ("DEEDBOOK_DATA", str(tmp_path / "data")),
                ("DEEDBOOK_URL", served.url),
                ("DEEDBOOK_TOKEN", served.token),
                ("DEEDBOOK_PROJECT", "alpha"),
                ("DEEDBOOK_WITNESS_POLICY", str(policy)),
            ):
                monkeypatch.setenv(name, value)
            yield made


def raise_an_alarm(scene: Scene) -> None:
    scene.witnesses[0].replies.append(lambda _: Reply(422))
    scene.round()


def test_the_status_says_what_each_witness_has_cosigned(
    scene: Scene, typed: Typed, capfd: pytest.CaptureFixture[str]
) -> None:
    assert typed("witness", "status") == ""
    scene.round()
    grow(scene.ledger, 2)
    scene.witnesses[0].replies.append(lambda _: Reply(503))
    scene.round()
    (log,) = json.loads(typed("--json", "witness", "status", "alpha"))
    assert (log["project"], log["checkpoint"], log["stopped"], log["alarms"]) == (
        "alpha",
        3,
        False,
        [],
    )
    (witness,) = log["witnesses"]
    assert (witness["witness"], witness["cosigned"], witness["failures"], witness["problem"]) == (
        "w1.example",
        1,
        1,
        "it answers 503",
    )
    assert "it answers 503" in typed("witness", "status")
    assert json.loads(typed("--json", "witness", "status", "other")) == []
    found = json.loads(typed("--json", "doctor"))
    (odd,) = [one for one in found if one["subject"] == "witnesses"]
    assert odd["result"] == "odd"
    scene.round()
    found = json.loads(typed("--json", "doctor"))
    assert [one["result"] for one in found if one["subject"] == "witnesses"] == ["good"]
    Path("witness.policy").write_text("nonsense\n")
    found = json.loads(stopped(capfd, "--json", "doctor", "--verify"))
    (wrong,) = [one for one in found if one["result"] == "wrong"]
    assert (wrong["subject"], found[-2]["subject"]) == ("witnesses", "contents")


def test_an_alarm_is_shown_and_cleared_with_a_reason(
    scene: Scene,
    typed: Typed,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raise_an_alarm(scene)
    assert "ALARM" in stopped(capfd, "witness", "status")
    monkeypatch.delenv("DEEDBOOK_WITNESS_POLICY")
    assert "ALARM" in stopped(capfd, "witness", "status")
    report = json.loads(stopped(capfd, "--json", "witness", "status"))
    assert report[0]["stopped"]
    found = json.loads(stopped(capfd, "--json", "doctor"))
    (wrong,) = [one for one in found if one["subject"] == "witnesses of alpha"]
    assert wrong["result"] == "wrong"
    grow(scene.ledger)
    assert "checkpoint-refused" in typed("checkpoint", expected=failure.SERVER)

    clear = ("witness", "clear", "alpha", "--reason")
    assert "witness" in typed(*clear[:3], expected=failure.USAGE)
    typed(*clear, " ", "--yes", expected=failure.USAGE)
    typed("witness", "clear", "--reason", "x", expected=failure.USAGE)
    typed(*clear, "x", "--seals", expected=failure.USAGE)
    typed("witness", "clear", "--seals", "--reason", "x", expected=failure.NOT_FOUND)
    typed("witness", "clear", "other", "--reason", "x", "--yes", expected=failure.NOT_FOUND)
    assert "refused the checkpoint" in typed(*clear, "looked", "--dry-run")
    typed(*clear, "looked", given=b"n\n", expected=failure.INTERRUPTED)
    typed(*clear, "looked", expected=failure.INTERRUPTED)
    assert scene.store.alarms("alpha", standing=True) != []
    assert "refused the checkpoint" in typed(*clear, " restored a backup ", given=b"y\n")
    (alarm,) = scene.store.alarms("alpha", standing=False)
    assert alarm.reason == "restored a backup"
    assert alarm.cleared_at is not None
    typed("witness", "status")
    typed("checkpoint")
    typed(*clear, "again", "--yes", expected=failure.NOT_FOUND)
    raise_an_alarm(scene)
    (again,) = json.loads(typed("--json", *clear, "again", "--yes"))
    assert (again["ordinal"], again["kind"]) == (2, "not-consistent")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")


def stopped(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    """What a command prints that ends with exit code 3."""
    capfd.readouterr()
    assert run(words) == failure.NOT_VERIFIED
    return capfd.readouterr().out


def test_a_checkpoint_is_taken_as_the_witnesses_cosigned_it(scene: Scene, typed: Typed) -> None:
    policy = ("--witness-policy", "witness.policy")
    assert "checkpoint-unwitnessed" in typed(
        "checkpoint", "--witnessed", expected=failure.NOT_FOUND
    )
    assert "quorum-missing" in typed("checkpoint", *policy, expected=failure.NOT_VERIFIED)
    scene.round()
    grow(scene.ledger, 2)
    assert "quorum-missing" in typed("checkpoint", *policy, expected=failure.NOT_VERIFIED)
    note = typed("checkpoint", "--witnessed", "--key", VKEY, *policy)
    assert note.startswith("alpha.ledger.example\n1\n")
    assert "— w1.example " in note


def test_the_repository_is_a_witness(scene: Scene, typed: Typed, tmp_path: Path) -> None:
    kept = tmp_path / "deedbook.checkpoint"
    command = ("checkpoint", "--witness-file", kept.name, "--key", VKEY)
    typed(*command)
    first = kept.read_bytes()
    assert first.startswith(b"alpha.ledger.example\n1\n")
    inode = kept.stat().st_ino
    typed(*command)
    assert (kept.read_bytes(), kept.stat().st_ino) == (first, inode)
    grow(scene.ledger, 4)
    typed(*command)
    assert kept.read_text().split("\n")[1] == "5"
    assert json.loads(typed("--json", *command))["size"] == 5
    assert sorted(one.name for one in tmp_path.iterdir()) == [kept.name, "witness.policy"]
    for words in (("--since", kept.name), ("-o", "other")):
        typed(*command, *words, expected=failure.USAGE)


@pytest.mark.parametrize("size", [1, 3, 9])
def test_a_fork_leaves_the_file_as_it_is_and_writes_both_notes_beside_it(
    scene: Scene, typed: Typed, tmp_path: Path, size: int
) -> None:
    """Threat 4: what was committed is another history: smaller, as large, and larger than the log."""
    grow(scene.ledger, 2)
    kept = tmp_path / "deedbook.checkpoint"
    text = f"alpha.ledger.example\n{size}\n{'A' * 43}=\n"
    forged = format_note(sign(text, "alpha.ledger.example", published_signer()))
    kept.write_text(forged)
    command = ("checkpoint", "--witness-file", kept.name, "--key", VKEY)
    offered = typed("checkpoint")
    for _ in range(2):
        said = typed(*command, expected=failure.NOT_VERIFIED)
        assert "log-forked" in said
        assert "evidence-1.json" in said
    assert kept.read_text() == forged
    evidence = tmp_path / "deedbook.checkpoint.evidence-1.json"
    held = json.loads(evidence.read_text())
    assert (held["kept"], held["offered"]) == (forged, offered)
    assert (held["consistency"] is None) == (size == 9)
    grow(scene.ledger)
    typed(*command, expected=failure.NOT_VERIFIED)
    assert json.loads(evidence.read_text()) == held
    assert (tmp_path / "deedbook.checkpoint.evidence-2.json").exists()


def test_evidence_does_not_pile_up_without_end(scene: Scene, typed: Typed, tmp_path: Path) -> None:
    kept = tmp_path / "c"
    kept.write_text(
        format_note(sign(f"{LOG.name}\n9\n{'A' * 43}=\n", LOG.name, published_signer()))
    )
    for number in range(1, 100):
        (tmp_path / f"c.evidence-{number}.json").touch()
    said = typed("checkpoint", "--witness-file", "c", expected=failure.CONFLICT)
    assert "evidence-exists" in said


def test_a_file_that_is_no_checkpoint_of_this_log_is_left_as_it_is(
    scene: Scene, typed: Typed, tmp_path: Path
) -> None:
    kept = tmp_path / "deedbook.checkpoint"
    other = format_note(
        sign(f"other.example\n1\n{'A' * 43}=\n", "other.example", published_signer())
    )
    for text, code in ((other, "log-forked"), ("", "note-malformed")):
        kept.write_text(text)
        said = typed("checkpoint", "--witness-file", kept.name, expected=failure.NOT_VERIFIED)
        assert code in said
        assert kept.read_text() == text
    foreign = format_key(NoteKey("other.example", PUBLIC))
    kept.unlink()
    typed("checkpoint", "--witness-file", kept.name, "--key", foreign, expected=3)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["witness.policy"]


def test_a_file_that_is_ahead_of_the_witnesses_stays(
    scene: Scene, typed: Typed, tmp_path: Path
) -> None:
    scene.round()
    grow(scene.ledger, 3)
    kept = tmp_path / "deedbook.checkpoint"
    typed("checkpoint", "--witness-file", kept.name)
    newest = kept.read_text()
    typed("checkpoint", "--witness-file", kept.name, "--witnessed")
    assert kept.read_text() == newest
    forged = format_note(sign(f"{LOG.name}\n4\n{'A' * 43}=\n", LOG.name, published_signer()))
    for size in ("4", "9"):
        lines = forged.split("\n")
        text = "\n".join([lines[0], size, lines[2], ""])
        kept.write_text(format_note(sign(text, LOG.name, published_signer())))
        said = typed(
            "checkpoint", "--witness-file", kept.name, "--witnessed", expected=failure.NOT_VERIFIED
        )
        assert "log-forked" in said


def test_a_kept_file_is_an_ordinary_pin_and_a_cosigned_one_is_counted(
    scene: Scene, typed: Typed, capfd: pytest.CaptureFixture[str]
) -> None:
    typed("trusted-root", "-o", "keys")
    typed("checkpoint", "--witness-file", "deedbook.checkpoint")
    scene.round()
    typed("checkpoint", "--witnessed", "-o", "cosigned")
    grow(scene.ledger, 2)
    typed("export", "--seal", "-o", "alpha.zip")
    verify = ("verify", "alpha.zip", "--trust", "keys/trust.json", "--pin")
    policy = ("--witness-policy", "witness.policy")
    assert "VERIFIED  alpha.zip" in typed(*verify, "deedbook.checkpoint")
    assert "w1.example cosigned the pin" in typed(*verify, "cosigned", *policy)
    said = stopped(capfd, *verify, "deedbook.checkpoint", *policy)
    assert "FAILED  alpha.zip" in said
    assert "none of its witnesses cosigned the pin" in said
    Path("other.policy").write_text(f"witness x {WitnessDouble('w1.example').vkey}\nquorum x\n")
    stopped(capfd, *verify, "cosigned", "--witness-policy", "other.policy")
    Path("other.policy").write_text("quorum y\n")
    typed(*verify, "cosigned", "--witness-policy", "other.policy", expected=failure.USAGE)
    text, _, lines = Path("cosigned").read_text().partition("\n\n")
    own = lines.split("\n")[0]
    spoilt = scene.witnesses[0].cosign("another\n1\ntext\n")
    Path("spoilt").write_text(f"{text}\n\n{own}\n{spoilt}")
    stopped(capfd, *verify, "spoilt", *policy)
