"""The command line: what it takes, what it prints where, and how it leaves."""

import io
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from app.cli import failure
from app.cli.root import COMMANDS, root, run
from app.version import VERSION
from domain import errors

ROOT = Path(__file__).parent.parent
NOBODY = "http://127.0.0.1:1"
EVENT = {
    "stream": "artifact/PRD/main",
    "type": "ArtifactWritten",
    "data": {"media_type": "text/markdown"},
    "content": "# Hello\n",
}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "TOKEN", "PROJECT", "RUN", "DATA"):
        monkeypatch.delenv(f"DEEDBOOK_{name}", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)


def give_input(monkeypatch: pytest.MonkeyPatch, raw: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def all_commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(root)
    for name in COMMANDS:
        found.append((name,))
        command = root.get_command(context, name)
        if isinstance(command, click.Group):
            found.extend((name, inner) for inner in command.list_commands(context))
    return found


@pytest.mark.parametrize("words", all_commands(), ids=" ".join)
def test_every_command_explains_itself(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: deedbook {' '.join(words)} ")


def test_the_list_of_commands_says_of_each_what_its_own_help_says() -> None:
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help, name


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    assert "130  interrupted" in capsys.readouterr().out


def test_without_a_word_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Commands:" in capsys.readouterr().out


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert declared == VERSION
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"deedbook {VERSION}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["project", "create"],
        ["log", "--limit", "0"],
        ["log", "--output", "yaml"],
        ["export", "--at", "-1"],
        ["append", "--expect", "stream"],
    ],
)
def test_wrong_usage_is_said_with_a_way_out(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == failure.USAGE
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("error: ")
    assert "(usage)" in written.err
    assert "--help" in written.err


def test_a_program_gets_the_problem_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--json", "project", "create"]) == failure.USAGE
    written = capsys.readouterr()
    assert written.out == ""
    assert json.loads(written.err)["code"] == "usage"


@pytest.mark.parametrize(
    "arguments", [["--url", NOBODY, "project", "list"], ["project", "list", "--url", NOBODY]]
)
def test_a_ledger_that_does_not_answer_is_named_and_a_hint_given(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == failure.SERVER
    written = capsys.readouterr()
    assert written.out == ""
    assert NOBODY in written.err
    assert "(server-unreachable)" in written.err
    assert "hint: " in written.err


def test_the_variable_is_used_where_no_flag_is_given(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEDBOOK_URL", "http://127.0.0.1:2")
    run(["project", "list", "--json"])
    assert "http://127.0.0.1:2" in json.loads(capsys.readouterr().err)["detail"]
    run(["project", "list", "--json", "--url", NOBODY])
    assert NOBODY in json.loads(capsys.readouterr().err)["detail"]


def test_a_project_is_asked_for_when_none_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["log", "--url", NOBODY]) == failure.USAGE
    assert "--project" in capsys.readouterr().err


def test_every_kind_of_error_has_an_exit_code() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.DeedbookError)
        and kind is not errors.DeedbookError
    ]
    assert len(kinds) > 8
    assert {kind for kind in kinds if kind not in failure.EXIT_CODES} == set()


def test_an_interruption_leaves_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("app.remote.connection.choose", interrupted)
    assert run(["project", "list"]) == failure.INTERRUPTED


def test_a_fault_of_ours_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("app.remote.connection.choose", broken)
    assert run(["project", "list"]) == failure.UNEXPECTED
    assert capsys.readouterr().err == "error: ZeroDivisionError: by zero (unexpected)\n"


def test_a_reader_that_has_enough_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "completion", "bash"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize(
    ("arguments", "absent"),
    [
        (["--help"], ["msgspec", "psycopg", "starlette", "httpx2", "eventsourcing"]),
        (["verify", "absent.zip"], ["psycopg", "starlette", "httpx2", "eventsourcing"]),
    ],
)
def test_a_quick_command_imports_nothing_heavy(arguments: list[str], absent: list[str]) -> None:
    script = (
        "import sys; from app.cli.root import run; "
        f"run({arguments!r}); print([name for name in {absent!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_DEEDBOOK_COMPLETE" in capsys.readouterr().out


@pytest.mark.parametrize(
    "raw",
    [
        json.dumps(EVENT).encode(),
        json.dumps(EVENT, indent=2).encode(),
        json.dumps([EVENT]).encode(),
        json.dumps([EVENT], indent=1).encode(),
        b"\n" + json.dumps(EVENT).encode() + b"\n\n",
    ],
    ids=["object", "object over lines", "array", "array over lines", "line"],
)
def test_an_event_can_be_written_in_several_ways(
    raw: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_input(monkeypatch, raw)
    assert run(["append", "p", "--dry-run", "--json"]) == 0
    written = capsys.readouterr()
    [shown] = json.loads(written.out)
    assert shown["stream"] == "artifact/PRD/main"
    assert shown["contents"][0].startswith("sha256:")


def test_ndjson_gives_one_event_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = json.dumps(EVENT).encode() + b"\n"
    give_input(monkeypatch, line * 3)
    assert run(["append", "p", "--dry-run", "--output", "ndjson"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"{", "malformed-json"),
        (b"nonsense", "malformed-json"),
        (b'{"stream":"project","type":"X","data":{"a":1.5}}', "float-not-allowed"),
        (b'{"stream":"project","stream":"project","type":"X","data":{}}', "malformed-json"),
        (b'{"stream":"project","type":"NoSuchType","data":{}}', "unknown-event-type"),
        (b'{"stream":"project","type":"ProjectChanged","data":{"no":1}}', "validation-failed"),
        (b'{"stream":"no/such","type":"ProjectChanged","data":{}}', "validation-failed"),
        (b'{"stream":"project","type":"ProjectChanged"}', "validation-failed"),
        (b'{"stream":"project","type":"ProjectChanged","data":{},"more":1}', "validation-failed"),
        (b"[1]", "validation-failed"),
        (b'{"stream":"project","type":"X","data":"\\u0000"}', "nul-character"),
        (b'{"stream":"project","type":"ProjectChanged","data":{}}\n{"stream"', "malformed-json"),
    ],
)
def test_a_bad_event_is_refused_before_anything_is_sent(
    raw: bytes, code: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_input(monkeypatch, raw)
    assert run(["append", "p", "--dry-run", "--json"]) == failure.USAGE
    assert json.loads(capsys.readouterr().err)["code"] == code


def test_nothing_on_standard_input_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    give_input(monkeypatch, b"\n")
    assert run(["append", "p", "--url", NOBODY]) == failure.USAGE
    assert "no event" in capsys.readouterr().err


def test_foreign_text_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from app.cli.output import printable

    assert printable("a\x1b[31mb\u202ec") == "a\\u001b[31mb\\u202ec"
    assert printable("Zoë 日本") == "Zoë 日本"
