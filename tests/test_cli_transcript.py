"""`record transcript` and `record effect run`: a command's output on record, whatever happens."""

import json
import os
import select
import signal
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from app.cli import failure
from app.cli.root import run
from app.remote import client, transcripts
from domain.events import SideEffectFinished, TranscriptRecorded
from tests.run_commands import Contents, Recorded, Typed, reachable_until, the
from tests.serving import Served

pytestmark = pytest.mark.usefixtures("command_line")

ROOT = Path(__file__).parent.parent
TRANSCRIPT = ("record", "transcript")
TOKEN = "ghp_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5"  # in two, so that nobody takes it for one


@pytest.fixture(autouse=True)
def _run(command_line: None, typed: Typed) -> None:
    typed("run", "start", "It", "--id", "it")


def test_a_command_leaves_with_its_own_exit_code(typed: Typed, recorded: Recorded) -> None:
    said = typed(*TRANSCRIPT, "--", "sh", "-c", "echo out; exit 42", expected=42)
    assert "Transcript recorded: exit code 42" in said
    one = the(TranscriptRecorded, recorded("it"))
    assert (one.exit_code, one.truncated, one.step) == (42, False, None)
    assert one.command == ("sh", "-c", "echo out; exit 42")
    assert one.content.size_bytes == 4
    typed(*TRANSCRIPT, "--allow-failure", "false")


def test_for_programs_the_result_is_apart_from_the_output(
    typed: Typed, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["--json", *TRANSCRIPT, "--", "sh", "-c", "echo out; echo err >&2"]) == 0
    written = capfd.readouterr()
    assert json.loads(written.out)["exit_code"] == 0
    assert written.err == "out\nerr\n"


def test_options_behind_the_command_are_the_commands_own(typed: Typed, recorded: Recorded) -> None:
    assert typed(*TRANSCRIPT, "echo", "--json", "--step", "x") == "--json --step x\n"
    assert the(TranscriptRecorded, recorded("it")).command[1:] == ("--json", "--step", "x")


def test_nothing_is_run_that_could_not_be_recorded(
    typed: Typed, recorded: Recorded, tmp_path: Path
) -> None:
    mark = str(tmp_path / "mark")
    wrong = [*TRANSCRIPT, "--step", "none", "--", "touch", mark]
    assert "unknown-reference" in typed(*wrong, expected=failure.CONFLICT)
    typed("run", "finish", "--no-bundle")
    over = typed(*TRANSCRIPT, "--", "touch", mark, expected=failure.CONFLICT)
    assert "Run it is succeeded" in over
    away = ["--url", "http://127.0.0.1:1", *TRANSCRIPT, "--run", "it", "--", "touch", mark]
    assert "server-unreachable" in typed(*away, expected=failure.SERVER)
    assert not Path(mark).exists()
    assert len(recorded("it")) == 3
    nothing = typed(*TRANSCRIPT, "--run", "it", expected=failure.USAGE)
    assert "COMMAND" in nothing


def test_a_command_that_cannot_start_records_nothing_but_ends_its_effect(
    typed: Typed, recorded: Recorded
) -> None:
    said = typed(*TRANSCRIPT, "--", "no-such-command", expected=failure.NOT_FOUND)
    assert "command-not-found" in said
    assert len(recorded("it")) == 2
    effect = ["record", "effect", "run", "--scope", "mail.send", "--intent", "Tell"]
    typed(*effect, "--", "no-such-command", expected=failure.NOT_FOUND)
    finished = the(SideEffectFinished, recorded("it"))
    assert (finished.outcome, finished.error) == ("failed", "There is no command no-such-command.")


def test_of_twenty_megabytes_the_beginning_and_the_end_are_recorded(
    typed: Typed, recorded: Recorded, content: Contents
) -> None:
    code = "import sys; sys.stdout.write(''.join('%019d\\n' % n for n in range(1_000_000)))"
    out = typed(*TRANSCRIPT, "--", sys.executable, "-c", code)
    assert len(out) == 20_000_000
    one = the(TranscriptRecorded, recorded("it"))
    assert one.truncated
    kept = content(one.content.digest)
    assert 4_000_000 < len(kept) < 4_200_000
    assert kept.startswith(b"%019d\n" % 0)
    assert kept.endswith(b"%019d\n" % 999_999)
    assert b"bytes are left out here]" in kept


def test_a_secret_in_a_command_or_its_output_is_replaced_before_it_is_sent(
    typed: Typed, recorded: Recorded, content: Contents
) -> None:
    fails = ["sh", "-c", 'echo "$1"; exit 7', "sh", f"--token={TOKEN}"]
    said = typed(*TRANSCRIPT, "--", *fails, expected=7)
    assert "2 secrets were replaced before sending." in said
    one = the(TranscriptRecorded, recorded("it"))
    assert content(one.content.digest) == b"--token=[redacted:github-pat]\n"
    assert one.command[-1] == "--token=[redacted:github-pat]"


def test_an_output_with_a_secret_that_cannot_be_replaced_is_left_out(
    typed: Typed, recorded: Recorded, content: Contents
) -> None:
    code = f"import sys; sys.stdout.buffer.write(b'\\0 {TOKEN}')"
    typed(*TRANSCRIPT, "--", sys.executable, "-c", code)
    one = the(TranscriptRecorded, recorded("it"))
    assert one.truncated
    kept = content(one.content.digest)
    assert kept.startswith(b"[deedbook: the output is left out: In line 1 of the content")
    assert TOKEN.encode() not in kept


def test_a_transcript_that_is_refused_does_not_take_the_outcome_with_it(
    typed: Typed, recorded: Recorded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = transcripts.transcript_event

    def of_no_step(run: str, prepared: transcripts.Prepared) -> dict[str, object]:
        event = made(run, prepared)
        return {**event, "data": {**msgspec.to_builtins(prepared.data), "step": "none"}}

    monkeypatch.setattr(transcripts, "transcript_event", of_no_step)
    effect = ["record", "effect", "run", "--scope", "mail.send", "--intent", "x"]
    assert "unknown-reference" in typed(*effect, "--", "true", expected=failure.CONFLICT)
    assert the(SideEffectFinished, recorded("it")).outcome == "succeeded"
    [file] = tmp_path.glob("deedbook-it-*.json")
    assert [event["type"] for event in json.loads(file.read_bytes())] == ["TranscriptRecorded"]


def test_a_ledger_that_is_gone_after_the_command_costs_nothing(
    typed: Typed,
    served: Served,
    recorded: Recorded,
    content: Contents,
    project: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command itself shuts the way to the ledger."""
    gone = tmp_path / "gone"
    monkeypatch.setattr(client, "RETRY_WAITS", (0.01,))
    with reachable_until(gone, served.url) as url:
        said = typed(
            "--url", url, *TRANSCRIPT, "--run", "it", "--", "sh", "-c",
            f"echo done; touch {gone}", expected=failure.SERVER,
        )  # fmt: skip
    [file] = tmp_path.glob("deedbook-it-*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert f"deedbook append {project} < {file}" in said
    assert len(recorded("it")) == 2
    typed("append", project, given=file.read_bytes())
    typed("append", project, given=file.read_bytes())
    one = the(TranscriptRecorded, recorded("it"))
    assert content(one.content.digest) == b"done\n"


def test_where_nothing_can_be_written_it_is_saved_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    event = {"id": "019a9f60-7c00-7000-8a00-00000000000a", "type": "x"}
    folders = [tmp_path / "file" / "in", tmp_path / "data", tmp_path / "last"]
    file = transcripts.save_for_later(folders, "it", [event])
    assert file == tmp_path / "data" / "deedbook-it-00000000000a.json"
    assert json.loads(file.read_bytes()) == [event]


def test_an_effect_that_failed_says_so_and_has_its_transcript(
    typed: Typed, recorded: Recorded
) -> None:
    effect = [
        "record",
        "effect",
        "run",
        "--scope",
        "mail.send",
        "--intent",
        "Tell",
        "--effect",
        "t",
    ]
    typed(*effect, "--", "sh", "-c", "echo no; exit 9", expected=9)
    events = recorded("it")
    assert [type(event).__name__ for event in events[2:]] == [
        "SideEffectIntended",
        "TranscriptRecorded",
        "SideEffectFinished",
    ]
    finished = the(SideEffectFinished, events)
    assert finished.outcome == "failed"
    assert finished.error == "The command left with exit code 9."
    shown = typed("run", "show")
    assert "✗  Tell  mail.send" in shown


@pytest.mark.parametrize("effect", [False, True])
def test_an_interrupted_command_is_recorded(
    recorded: Recorded, content: Contents, effect: bool
) -> None:
    """Ctrl-C reaches the command, which ends in its own way; its transcript says how."""
    words = ["effect", "run", "--scope", "mail.send", "--intent", "x"] if effect else ["transcript"]
    code = "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [sys.executable, "-m", "app", "record", *words, "--", "sh", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], 60)[0]
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (5, b"caught\n"), said
    one = the(TranscriptRecorded, recorded("it"))
    assert one.exit_code == 5
    assert content(one.content.digest) == b"ready\ncaught\n"
    if effect:
        assert the(SideEffectFinished, recorded("it")).outcome == "unknown"


def test_a_reader_that_has_enough_does_not_end_the_record(
    recorded: Recorded, content: Contents, tmp_path: Path
) -> None:
    line = (
        f"{sys.executable} -m app record transcript -- sh -c 'yes | head -n 100000; exit 3' | head -n 1;"
        " exit ${PIPESTATUS[0]}"
    )
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (3, b"y\n"), done.stderr
    one = the(TranscriptRecorded, recorded("it"))
    assert (one.exit_code, one.content.size_bytes) == (3, 200_000)


def test_a_very_long_command_line_is_cut(typed: Typed, recorded: Recorded) -> None:
    typed(*TRANSCRIPT, "--", "true", "x" * 100_000)
    one = the(TranscriptRecorded, recorded("it"))
    assert one.command[0] == "true"
    assert len(one.command[1]) < 10_000
    assert one.command[1].endswith("…")
