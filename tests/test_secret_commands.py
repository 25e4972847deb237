"""Secrets on their way out of this machine: what is imported from git, put and appended by commands."""

import base64
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from app.cli import failure
from app.cli.root import run
from domain.digest import digest_of, parse_digest
from domain.events import ArtifactWritten, parse
from tests.git_samples import Repository
from tests.serving import Served
from tests.test_secrets import GITHUB, OWN

pytestmark = pytest.mark.usefixtures("command_line")

Typed = Callable[..., tuple[str, str]]


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a command line; answers what it printed to standard output, and to standard error."""

    def type_it(*words: str, given: bytes = b"", expected: int = failure.OK) -> tuple[str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = run(words)
        written = capfd.readouterr()
        assert code == expected, written.err
        return written.out, written.err

    return type_it


def everything(served: Served, project: str) -> bytes:
    """All that is recorded: the lines and the contents that they name."""
    size = served.ledger.position(project, None)
    found = b""
    for entry in served.ledger.log.read(project, 0, size):
        found += entry.line + b"\n"
        data = parse(entry.line).data
        if isinstance(data, ArtifactWritten):
            found += served.ledger.blobs.read(project, parse_digest(data.digest)) + b"\n"
    return found


def test_a_history_with_secrets_is_imported_without_them(
    served: Served, project: str, typed: Typed, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit("First", README=f"# Title {OWN}\n\n{GITHUB}\n")
    repository.commit(f"Use {GITHUB}\n\nand {OWN}", README="# Title\n")
    large = "# Large\n" + "word " * 300_000 + GITHUB
    sha = repository.commit("Large", LARGE=large)
    _, said = typed("import", "git", str(repository.folder))
    recorded = everything(served, project)
    assert GITHUB.encode() not in recorded
    assert OWN.encode() not in recorded
    assert b"Use [redacted:github-pat]" in recorded
    assert b"# Title [redacted:deedbook-token]\n\n[redacted:github-pat]\n" in recorded
    assert recorded.count(b'"type":"ArtifactWritten"') == 6
    assert f"replaced github-pat in LARGE.md at {sha[:12]}" in said
    assert "replaced github-pat, deedbook-token in the commit itself at " in said
    assert "5 secrets were replaced, in 3 versions: revoke them." in said
    assert GITHUB not in said
    _, again = typed("import", "git", str(repository.folder))
    assert "0 of 3 commits" in again


def test_a_file_with_a_secret_is_refused_before_anything_is_sent(
    served: Served, project: str, typed: Typed, tmp_path: Path
) -> None:
    Path("PRD.md").write_text(f"# One\n\n{GITHUB}\n")
    before = served.ledger.position(project, None)
    out, said = typed("artifact", "put", "PRD.md", "--url", "http://127.0.0.1:9", expected=2)
    assert "(secret-detected at /content)" in said
    assert "line 3 of the content" in said
    assert "--redact replaces" in said
    assert "github-pat" in said
    assert GITHUB not in out + said
    assert served.ledger.position(project, None) == before


def test_a_file_with_a_secret_is_put_without_it_when_asked(
    served: Served, project: str, typed: Typed
) -> None:
    Path("PRD.md").write_text(f"# One\n\n{GITHUB}\n")
    _, said = typed("artifact", "put", "PRD.md", "--redact")
    assert "replaced a secret in line 3 of PRD.md: github-pat" in said
    assert b"# One\n\n[redacted:github-pat]\n" in everything(served, project)


def test_what_is_allowed_here_is_still_decided_by_the_ledger(typed: Typed, project: str) -> None:
    Path("PRD.md").write_text(GITHUB)
    _, said = typed("artifact", "put", "PRD.md", "--json", expected=2)
    problem = json.loads(said.splitlines()[-1])
    _, said = typed(
        "artifact", "put", "PRD.md", "--allow-secret", problem["fingerprint"], expected=2
    )
    assert "secret-detected" in said
    assert "request" not in problem


@pytest.mark.parametrize("member", ["content", "content_base64"])
def test_events_with_secrets_are_refused_or_redacted(
    served: Served, project: str, typed: Typed, member: str
) -> None:
    raw = f"ran with {GITHUB}\n"
    given: dict[str, object] = {
        "stream": "run/r1",
        "type": "TranscriptRecorded",
        "data": {
            "command": ["x", "--token", "abc"],
            "exit_code": 0,
            "duration_ms": 1,
            "content": {"media_type": "text/plain"},
        },
        member: raw if member == "content" else base64.b64encode(raw.encode()).decode(),
    }
    first = {"stream": "run/r1", "type": "RunCreated", "data": {"title": "x"}}
    lines = b"\n".join(
        json.dumps(one).encode()
        for one in (first, {"stream": "run/r1", "type": "RunStarted", "data": {}}, given)
    )
    before = served.ledger.position(project, None)
    _, said = typed("append", given=lines, expected=2)
    assert "(secret-detected at /events/2/data/command/2)" in said
    assert served.ledger.position(project, None) == before
    _, said = typed("append", "--redact", given=lines)
    assert "replaced a secret at /events/2/data/command/2: secret-argument" in said
    assert "replaced a secret at /events/2/content: github-pat" in said
    assert b"[redacted:secret-argument]" in everything(served, project)
    assert b"abc" not in everything(served, project)


def test_a_scan_names_the_places_and_sends_nothing(typed: Typed, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit("One", NOTES=f"a\n{GITHUB}\n")
    repository.commit("Two", NOTES="a\n")
    out, said = typed("secrets", "scan", "--git", str(repository.folder), expected=3)
    assert "github-pat  NOTES.md  2" in out
    assert "1 in 1 of 4 texts" in said
    out, said = typed("secrets", "scan", str(repository.folder))
    assert "Nothing looks like a secret." in said
    (tmp_path / "x.env").write_text(f"TOKEN={OWN}\n")
    [found] = json.loads(typed("--json", "secrets", "scan", "x.env", expected=3)[0])
    assert (found["rule"], found["path"], found["line"]) == ("deedbook-token", "x.env", 1)
    assert OWN not in json.dumps(found)


def test_a_scan_of_no_repository_says_so(typed: Typed) -> None:
    _, said = typed("secrets", "scan", "--git", expected=failure.NOT_FOUND)
    assert "git-not-a-repository" in said


def test_the_rules_are_not_read_for_a_command_that_needs_none() -> None:
    import subprocess

    code = (
        "import sys; from app.cli.root import run; run(['--help']);"
        "assert 'adapters.secret_rules' not in sys.modules; assert 'tomllib' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=Path(__file__).parent.parent,
    )
    assert done.returncode == 0, done.stderr


def test_a_ledger_that_replaces_says_where(
    served: Served, http: httpx2.Client, project: str
) -> None:
    """The answer names each place, and a repeat of the same is still the same."""
    http.patch(f"/v1/projects/{project}/policy", json={"secrets": "replace"}).raise_for_status()
    event = {"stream": "run/r1", "type": "RunCreated", "data": {"title": f"With {GITHUB}"}}
    plain = {"stream": "run/r1", "type": "RunStarted", "data": {}}
    made = http.post(f"/v1/projects/{project}/events", json={"events": [event, plain]})
    assert made.status_code == 201, made.text
    assert made.json()["redactions"] == [{"pointer": "/events/0/data/title", "rule": "github-pat"}]
    put = http.post(
        f"/v1/projects/{project}/artifacts/PRD/main/versions",
        json={"content": f"# A\n{OWN}\n", "title": GITHUB},
    )
    assert put.status_code == 201, put.text
    assert put.json()["redactions"] == [
        {"pointer": "/title", "rule": "github-pat"},
        {"pointer": "/content", "rule": "deedbook-token"},
    ]
    same = {"content": f"# A\n{OWN}\n", "unless_same": True}
    again = http.post(f"/v1/projects/{project}/artifacts/PRD/main/versions", json=same)
    assert (again.status_code, again.json()["written"]) == (200, False), again.text
    patched = http.patch(f"/v1/projects/{project}", json={"title": f"T {GITHUB}"})
    assert patched.status_code == 200, patched.text
    changed = http.get(f"/v1/projects/{project}").json()
    assert changed["title"] == "T [redacted:github-pat]"
    recorded = everything(served, project)
    assert GITHUB.encode() not in recorded
    assert OWN.encode() not in recorded


def test_a_match_that_was_judged_to_be_none_is_let_through(
    served: Served, http: httpx2.Client, project: str, typed: Typed
) -> None:
    at = f"/v1/projects/{project}"
    body = {"content": f"# A\n{GITHUB}\n"}
    refused = http.post(f"{at}/artifacts/PRD/main/versions", json=body).json()
    allowed = {"allowed_secrets": [refused["fingerprint"]]}
    http.patch(f"{at}/policy", json=allowed).raise_for_status()
    assert http.post(f"{at}/artifacts/PRD/main/versions", json=body).status_code == 201
    raw = f"{GITHUB} ".encode() * 2
    assert http.put(f"{at}/blobs/{digest_of(raw)}", content=raw).status_code == 201
    assert GITHUB.encode() in everything(served, project)
    Path("PRD.md").write_text(f"# B\n{GITHUB}\n")
    typed("artifact", "put", "PRD.md", "--allow-secret", refused["fingerprint"])
    other = http.post(f"{at}/artifacts/PRD/main/versions", json={"content": OWN})
    assert other.json()["code"] == "secret-detected"
