"""The commands against a ledger that runs: what they send, print, and leave behind."""

import hashlib
import io
import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import failure
from app.cli.root import run
from tests.serving import Served

EVENT = {
    "stream": "artifact/PRD/main",
    "type": "ArtifactWritten",
    "data": {"media_type": "text/markdown"},
    "content": "# Hello\n",
}

pytestmark = pytest.mark.usefixtures("command_line")

Typed = Callable[..., str]


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a command line; answers what it printed on standard output."""

    def type_it(*words: str, given: bytes = b"", expected: int = failure.OK) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = run(words)
        written = capsys.readouterr()
        assert code == expected, written.err
        return written.out if expected == failure.OK else written.err

    return type_it


def test_projects_are_opened_listed_shown_and_changed(typed: Typed, project: str) -> None:
    slug = f"{project}-b"
    made = json.loads(typed("--json", "project", "create", slug, "--title", "B"))
    assert (made["slug"], made["title"]) == (slug, "B")
    assert slug in typed("project", "list")
    typed("project", "edit", slug, "--title", "C", "--expect", "1")
    assert json.loads(typed("--json", "project", "show", slug))["title"] == "C"
    assert json.loads(typed("--json", "project", "show", slug, "--at", "1"))["title"] == "B"
    stale = typed("project", "edit", slug, "--title", "D", "--expect", "1", expected=6)
    assert "version-conflict" in stale
    assert "project-exists" in typed("project", "create", slug, expected=failure.CONFLICT)


def test_events_are_appended_from_standard_input(typed: Typed) -> None:
    one = typed("--json", "append", given=json.dumps(EVENT).encode())
    assert [row["position"] for row in json.loads(one)] == [2]
    two = json.dumps([EVENT, EVENT], indent=2).encode()
    assert [row["position"] for row in json.loads(typed("--json", "append", given=two))] == [3, 4]
    lines = b"\n".join(json.dumps({**EVENT, "content": str(n)}).encode() for n in range(1_002))
    rows = typed("--output", "ndjson", "append", given=lines).splitlines()
    assert json.loads(rows[-1])["position"] == 4 + 1_002


def test_a_dry_run_records_nothing(typed: Typed, served: Served, project: str) -> None:
    shown = typed("append", "--dry-run", given=json.dumps(EVENT).encode())
    assert "sha256:" in shown
    assert served.ledger.log.head(project).size == 1


def test_a_key_and_an_expected_version_hold(typed: Typed, served: Served, project: str) -> None:
    given = json.dumps({**EVENT, "id": "019a9f60-7c00-7000-8a00-00000000000a"}).encode()
    first = typed("--json", "append", "--key", "k", "--expect", "artifact/PRD/main=0", given=given)
    again = typed("--json", "append", "--key", "k", "--expect", "artifact/PRD/main=0", given=given)
    assert first == again
    other = json.dumps(EVENT).encode()
    stale = typed("append", "--expect", "artifact/PRD/main=0", given=other, expected=6)
    assert "has version 1, not 0" in stale
    assert served.ledger.log.head(project).size == 2


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (b"{", "malformed-json"),
        (b'{"stream":"x"}', "validation-failed"),
        (b'{"stream":"run/r1","type":"Nothing","data":{}}', "unknown-event-type"),
        (b'{"stream":"run/r1","type":"RunStarted","data":{"x":1.5}}', "float-not-allowed"),
        (b"", "usage"),
    ],
)
def test_bad_input_is_one_problem_and_records_nothing(
    typed: Typed, served: Served, project: str, given: bytes, code: str
) -> None:
    said = typed("append", given=given, expected=failure.USAGE)
    assert said.startswith("error: ")
    assert code in said
    assert served.ledger.log.head(project).size == 1


def test_the_log_is_shown_for_people_and_for_programs(typed: Typed) -> None:
    typed("append", given=json.dumps([EVENT] * 3).encode())
    shown = typed("log", "-n", "2").splitlines()
    assert len(shown) == 2
    assert "PRD/main version 3: wrote 8 bytes" in shown[-1]
    assert "opened the project" in typed("log", "--type", "ProjectCreated")
    raw = typed("--output", "ndjson", "log", "--after", "1", "-n", "1")
    assert json.loads(raw)["position"] == 2


def test_a_log_that_is_followed_shows_what_comes(
    served: Served, project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command is run in a thread, and ended by the end of its reader, as `head` does."""
    from app.remote.client import Client
    from app.remote.events import follow

    seen: list[int] = []
    started = threading.Event()

    def read() -> None:
        with Client(served.url, served.token) as client:
            events = follow(client, project, {}, after=0, wait=lambda _: None)
            for event in events:
                seen.append(event.position)
                started.set()
                if event.position == 2:
                    return

    thread = threading.Thread(target=read)
    thread.start()
    assert started.wait(20)
    served.ledger.write_artifact(project, "PRD", "main", b"x", actor="user:ada")
    thread.join(20)
    assert seen == [1, 2]


def test_a_replay_is_the_stored_lines(typed: Typed, served: Served, project: str) -> None:
    typed("append", given=json.dumps([EVENT] * 3).encode())
    stored = b"".join(served.ledger.log.lines(project, 0, 4))
    assert typed("replay").encode() == stored
    assert typed("replay", "--at", "2").encode() == stored[: stored.index(b"\n", 300) + 1]
    typed("replay", "-o", "events.jsonl")
    assert Path("events.jsonl").read_bytes() == stored
    assert not Path("events.jsonl.part").exists()
    assert "position-in-the-future" in typed("replay", "--at", "9", expected=failure.NOT_FOUND)


def test_an_export_is_taken_and_verified(typed: Typed, project: str) -> None:
    typed("append", given=json.dumps(EVENT).encode())
    made = json.loads(typed("--json", "export"))
    file = Path(f"{project}-2.zip")
    assert made["path"] == str(file)
    assert made["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert not file.with_name(file.name + ".part").exists()
    typed("export")  # it is there already, byte for byte
    said = typed("verify", str(file), expected=failure.NOT_VERIFIED)
    assert "Who made it is shown by its seal" in said
    made = json.loads(typed("--json", "export", "--seal"))
    assert made["sidecar"] == f"{file}.sigstore.json"
    typed("trusted-root", "-o", "keys")
    trusted = ("--trust", "keys/trust.json")
    report = json.loads(typed("--json", "verify", str(file), *trusted))
    assert report["state"] == "VERIFIED-UNANCHORED"
    typed("verify", str(file), *trusted, "--require-anchor", expected=failure.NOT_VERIFIED)
    typed("checkpoint", "-o", "pin")
    report = json.loads(typed("--json", "verify", str(file), *trusted, "--pin", "pin"))
    assert report["state"] == "VERIFIED"
    Path(made["sidecar"]).unlink()
    root = json.loads(typed("--json", "project", "show"))["root"]
    pinned = json.loads(typed("--json", "verify", str(file), "--pin", f"{root}@2"))
    assert pinned["state"] == "VERIFIED"
    wrong = typed("verify", str(file), "--pin", f"{'0' * 64}@2", expected=failure.NOT_VERIFIED)
    assert wrong == "" or "error" in wrong
    file.write_bytes(b"something else")
    refused = typed("export", "-o", str(file), expected=failure.CONFLICT)
    assert "file-exists" in refused
    assert file.read_bytes() == b"something else"
    typed("export", "-o", str(file), "--force")
    assert hashlib.sha256(file.read_bytes()).hexdigest() == made["sha256"]


def test_a_download_that_broke_off_goes_on(typed: Typed, project: str) -> None:
    typed("append", given=json.dumps(EVENT).encode())
    typed("export", "-o", "whole.zip")
    whole = Path("whole.zip").read_bytes()
    Path("rest.zip.part").write_bytes(whole[:1000])
    typed("export", "-o", "rest.zip")
    assert Path("rest.zip").read_bytes() == whole
    Path("wrong.zip.part").write_bytes(b"?" * 1000)
    typed("export", "-o", "wrong.zip")
    assert Path("wrong.zip").read_bytes() == whole


def test_a_bundle_opens_its_project_once(typed: Typed, project: str) -> None:
    typed("append", given=json.dumps(EVENT).encode())
    typed("export", "-o", "it.zip")
    assert "project-exists" in typed("import", "bundle", "it.zip", expected=failure.CONFLICT)
    Path("it.zip").write_bytes(b"?" + Path("it.zip").read_bytes())
    assert "bundle-not-verified" in typed("import", "bundle", "it.zip", expected=failure.USAGE)


def test_tokens_are_made_listed_and_revoked(typed: Typed, served: Served) -> None:
    secret = typed("token", "create", "from-cli", "--scope", "events:read").strip()
    listed = json.loads(typed("--json", "token", "list"))
    mine = next(one for one in listed if one["last_four"] == secret[-4:])
    assert mine["scopes"] == ["events:read"]
    assert secret not in json.dumps(listed)
    assert "insufficient-scope" in typed(
        "--token", secret, "token", "list", expected=failure.AUTHENTICATION
    )
    typed("token", "revoke", mine["id"])
    ended = typed("--token", secret, "project", "list", expected=failure.AUTHENTICATION)
    assert "unauthenticated" in ended


def test_a_secret_in_a_setting_is_never_printed(typed: Typed, served: Served) -> None:
    said = typed("--token", "dbk_wrong", "project", "list", expected=failure.AUTHENTICATION)
    assert "dbk_wrong" not in said
    assert served.token not in said
