"""Erasing from the command line: shown first, confirmed by a person or by --yes, and said plainly."""

import io
import json
import sys
from collections.abc import Callable

import httpx2
import pytest

from app.cli import failure
from app.cli.root import run
from domain.digest import digest_of
from tests.run_commands import Typed
from tests.serving import Served

pytestmark = pytest.mark.usefixtures("command_line")

SECRET = b"# Notes\n\nThe word is sesame.\n"
ERASE = ("artifact", "erase", "NOTE", "secret")
Answered = Callable[..., tuple[int, str, str]]


@pytest.fixture
def written(command_line: None, typed: Typed) -> None:
    """One document, in one version, and its copy."""
    for key in ("secret", "copy"):
        typed(
            "artifact", "put", "-", "--kind", "NOTE", "--key", key, "--title", "A title",
            given=SECRET,
        )  # fmt: skip


@pytest.fixture
def at_a_terminal(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Answered:
    """Runs a command line for somebody who types an answer; gives code, output and the rest."""

    def type_it(answer: str, *words: str) -> tuple[int, str, str]:
        terminal = io.TextIOWrapper(io.BytesIO(answer.encode()))
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(sys, "stdin", terminal)
        code = run(words)
        said = capfd.readouterr()
        return code, said.out, said.err

    return type_it


def still_there(http: httpx2.Client, project: str) -> bool:
    return http.get(f"/v1/projects/{project}/blobs/{digest_of(SECRET)}").status_code == 200


@pytest.mark.usefixtures("written")
def test_a_dry_run_shows_what_would_go_and_what_is_not_reached(
    typed: Typed, capfd: pytest.CaptureFixture[str], http: httpx2.Client, project: str
) -> None:
    assert run([*ERASE, "--dry-run"]) == failure.OK
    said = capfd.readouterr().err
    for text in (
        "To be erased:\n  artifact/NOTE/secret version 1 “A title”: 29 bytes",
        "The same bytes, so erased too:\n  artifact/NOTE/copy version 1",
        "What stays:",
        "titles, citations",
        "What this does not reach:",
        "Copies that were handed out",
        "Backups",
        "Nothing was erased.",
    ):
        assert text in said
    shown = json.loads(typed("--json", *ERASE, "--version", "1", "--dry-run"))
    assert shown["confirm"].startswith("sha256:")
    assert [one["stream"] for one in shown["also"]] == ["artifact/NOTE/copy"]
    assert still_there(http, project)


@pytest.mark.usefixtures("written")
def test_nothing_is_erased_without_a_reason_and_a_yes(
    typed: Typed, http: httpx2.Client, project: str
) -> None:
    assert "--reason" in typed(*ERASE, "--yes", expected=failure.USAGE)
    assert "--dry-run" in typed(*ERASE, "--reason", "leaked", expected=failure.USAGE)
    assert still_there(http, project)


@pytest.mark.usefixtures("written")
def test_a_person_types_the_name_of_what_is_erased(
    at_a_terminal: Answered, http: httpx2.Client, project: str
) -> None:
    for wrong in ("\n", "y\n", "NOTE copy\n"):
        code, _, said = at_a_terminal(wrong, *ERASE, "--reason", "leaked")
        assert code == failure.USAGE
        assert "nothing was erased" in said
    code, _, _ = at_a_terminal("", *ERASE, "--reason", "leaked")  # Ctrl-D
    assert code == failure.INTERRUPTED
    assert still_there(http, project)
    code, out, said = at_a_terminal("NOTE secret\n", *ERASE, "--reason", "leaked", "--quiet")
    assert code == failure.OK
    assert "     4  artifact/NOTE/secret version 1  ERASED" in out
    assert "     5  artifact/NOTE/copy version 1  ERASED" in out
    assert "What this does not reach:" in said
    assert not still_there(http, project)


@pytest.mark.usefixtures("written")
def test_what_was_erased_is_said_wherever_one_looks(
    typed: Typed, capfd: pytest.CaptureFixture[str]
) -> None:
    erased = json.loads(typed("--json", *ERASE, "--reason", "leaked", "--yes"))
    assert [one["position"] for one in erased["erasures"]] == [4, 5]
    assert erased["objects_left"] == 0
    for words in (
        ("artifact", "get", "NOTE", "secret"),
        ("artifact", "diff", "NOTE", "secret"),
        ("--json", "artifact", "diff", "NOTE", "copy"),
    ):
        said = typed(*words, expected=failure.NOT_FOUND)
        assert "content-erased" in said
        assert "was erased at position 4" in said
    assert "ERASED AT" in typed("artifact", "history", "NOTE", "secret")
    assert "ERASED AT" in typed("artifact", "list")
    [version] = json.loads(typed("--json", "artifact", "history", "NOTE", "secret"))
    assert version["erased_position"] == 4
    log = typed("log", "--stream", "erasures")
    assert "erased artifact/NOTE/secret version 1: leaked" in log
    # Again, also without --yes at no terminal being asked in vain: it is done.
    assert run([*ERASE, "--reason", "again", "--yes"]) == failure.OK
    said = capfd.readouterr().err
    assert "Nothing is left to erase." in said
    assert "It was erased before, by token:admin" in said


def test_what_a_run_recorded_is_erased_too(typed: Typed, http: httpx2.Client, project: str) -> None:
    typed("run", "start", "A run", "--id", "r1")
    typed("record", "transcript", "--", sys.executable, "-c", "print('sesame')")
    shown = json.loads(typed("--json", "run", "erase", "r1", "--dry-run"))
    [content] = shown["contents"]
    assert content["what"] == "record"
    out = typed(
        "run", "erase", "r1", "--version", str(content["version"]), "--reason", "leaked", "--yes"
    )
    assert f"run/r1 version {content['version']}  ERASED" in out
    blob = http.get(f"/v1/projects/{project}/blobs/{content['digest']}")
    assert blob.json()["code"] == "content-erased"
    assert "⊘ 1 erased" in typed("run", "show", "r1")
    assert "nothing-to-erase" in typed(
        "run", "erase", "r1", "--version", "1", "--reason", "x", "--yes", expected=failure.USAGE
    )
    assert "run-not-found" in typed(
        "run", "erase", "r9", "--reason", "x", "--yes", expected=failure.NOT_FOUND
    )


@pytest.mark.usefixtures("written")
def test_only_an_administrator_may(
    served: Served, typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEDBOOK_TOKEN", served.limited("artifacts:write", "events:read"))
    said = typed(*ERASE, "--reason", "leaked", "--yes", expected=failure.AUTHENTICATION)
    assert "insufficient-scope" in said
