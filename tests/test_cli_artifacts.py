"""Writing artifacts and importing repositories from the command line, into a ledger that runs."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from app.cli import failure
from app.cli.root import run
from app.git_import import import_git
from app.remote.artifacts import Proposal, put_artifact
from app.remote.client import Client
from app.remote.imports import RemoteAppender
from domain.errors import StaleVersion, Unavailable
from tests.git_samples import Repository
from tests.serving import Served

pytestmark = pytest.mark.usefixtures("command_line")

Typed = Callable[..., str]


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a command line; answers what it printed: the results, and behind them the remarks."""

    def type_it(*words: str, given: bytes = b"", expected: int = failure.OK) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = run(words)
        written = capfd.readouterr()
        assert code == expected, written.err
        return written.out if "--json" in words and expected == 0 else written.out + written.err

    return type_it


def test_a_document_is_known_by_its_path_and_front_matter(typed: Typed, tmp_path: Path) -> None:
    Repository(tmp_path / "repository")
    folder = tmp_path / "repository" / "docs" / "specs"
    folder.mkdir(parents=True)
    file = folder / "SPEC-0008.md"
    file.write_text("# Search\n")
    said = typed("artifact", "put", str(file))
    assert f"{file} is SPEC_0008 docs.specs.SPEC-0008 (text/markdown)" in said
    file.write_text("---\ntitle: Find it\n---\n")
    made = json.loads(typed("--json", "artifact", "put", str(file), "--key", "main"))
    assert (made["kind"], made["key"], made["version"]) == ("SPEC_0008", "main", 1)
    assert "written" not in made
    [listed] = json.loads(typed("--json", "artifact", "history", "SPEC_0008", "main"))
    assert listed["title"] == "Find it"


def test_outside_a_repository_the_path_from_here_counts(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "PRD.md").write_text("x")
    assert "PRD here.PRD" in typed("artifact", "put", "here/PRD.md")
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere.md"
    elsewhere.write_text("x")
    assert f"DOCUMENT {elsewhere.stem.replace('.', '._')} " in typed(
        "artifact", "put", str(elsewhere)
    )


def test_standard_input_needs_a_name_and_takes_its_title_from_the_text(typed: Typed) -> None:
    assert "--kind" in typed("artifact", "put", "-", given=b"x", expected=failure.USAGE)
    named = ["artifact", "put", "-", "--kind", "PRD", "--key", "main"]
    typed("--json", *named, given=b"# One\n")
    listed = json.loads(typed("--json", "artifact", "list"))
    assert [(one["title"], one["media_type"]) for one in listed] == [("One", "text/markdown")]
    typed(*named, "--title", "Mine", given=b"# Two\n")
    assert json.loads(typed("--json", "artifact", "list"))[0]["title"] == "Mine"
    plan = ["artifact", "put", "-", "--kind", "IMPLEMENTATION_PLAN", "--key", "p"]
    written = b'{"schema": "deedbook/plan/v1", "tasks": [{"id": "t1", "title": "Do it"}]}'
    typed(*plan, given=written)
    assert typed("artifact", "get", "IMPLEMENTATION_PLAN", "p") == written.decode()
    broken = typed(*plan, given=b"{", expected=failure.USAGE)
    assert "malformed-json" in broken


def test_an_expected_version_holds_and_the_same_content_is_not_written_again(
    typed: Typed, served: Served, project: str
) -> None:
    put = ["artifact", "put", "-", "--kind", "PRD", "--key", "main"]
    typed(*put, "--expect", "0", given=b"one")
    assert "version-conflict" in typed(*put, "--expect", "0", given=b"two", expected=6)
    typed(*put, "--expect", "1", given=b"two")
    assert "version-conflict" in typed(*put, "--expect", "1", given=b"three", expected=6)
    same = typed(*put, "--if-changed", given=b"two")
    assert "PRD main has this content already; nothing was written." in same
    assert served.ledger.log.head(project).size == 3
    typed(*put, "--if-changed", given=b"three")
    typed(*put, given=b"three")
    assert served.ledger.log.head(project).size == 5
    assert "-two" in typed("artifact", "diff", "PRD", "main", "--from", "2", "--to", "3")
    shown = json.loads(typed("--json", "artifact", "diff", "PRD", "main", "--from", "0"))
    assert (shown["from"], shown["to"]) == (0, 4)


def test_bytes_that_are_no_text_keep_what_they_are(typed: Typed, tmp_path: Path) -> None:
    raw = bytes(range(256))
    (tmp_path / "a.png").write_bytes(raw)
    (tmp_path / "a.unknown").write_bytes(raw)
    assert "--kind" in typed("artifact", "put", "a.png", expected=failure.USAGE)
    named = ["--kind", "NOTE", "--key"]
    typed("artifact", "put", "a.png", *named, "a")
    typed("artifact", "put", "a.unknown", *named, "b")
    typed("artifact", "put", "a.unknown", *named, "c", "--media-type", "image/gif")
    listed = json.loads(typed("--json", "artifact", "list"))
    assert [one["media_type"] for one in listed] == [
        "image/png",
        "application/octet-stream",
        "image/gif",
    ]
    typed("artifact", "get", "NOTE", "a", "-o", "back.png")
    assert (tmp_path / "back.png").read_bytes() == raw


def test_a_large_content_is_uploaded_first(typed: Typed, tmp_path: Path) -> None:
    content = "# Large\n" + "x" * 1_100_000
    (tmp_path / "large.md").write_text(content)
    made = json.loads(typed("--json", "artifact", "put", "large.md"))
    assert made["size_bytes"] == len(content)
    typed("artifact", "get", made["kind"], made["key"], "-o", "back.md")
    assert (tmp_path / "back.md").read_text() == content


def test_citations_come_from_a_file(typed: Typed, tmp_path: Path, served: Served) -> None:
    cited = tmp_path / "cited.json"
    cited.write_text('[{"url": "https://example.com/a", "title": "A"}]')
    put = ["artifact", "put", "-", "--kind", "PRD", "--key", "main", "--citations", "cited.json"]
    made = json.loads(typed("--json", *put, given=b"As [said](citation:1).\n"))
    assert made["version"] == 1
    assert json.loads(typed("--json", "artifact", "list"))[0]["citations"] == 1
    unresolved = typed(*put, given=b"[x](citation:2)", expected=failure.USAGE)
    assert "citation-unresolved" in unresolved
    for text, code in (
        ("[", "malformed-json"),
        ("{}", "validation-failed at /citations"),
        ('[{"address": 1}]', "validation-failed at /citations"),
        ('[{"url": "ftp://a/"}]', "validation-failed at /citations/0/url"),
        ("[" + " " * 1_100_000 + "]", "body-too-large"),
    ):
        cited.write_text(text)
        assert code in typed(*put, given=b"x", expected=failure.USAGE)


def test_a_file_that_cannot_be_read_is_said(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "file-not-found" in typed("artifact", "put", "absent.md", expected=failure.NOT_FOUND)
    assert "file-unreadable" in typed("artifact", "put", ".", expected=failure.USAGE)
    monkeypatch.setattr("domain.log.MAX_BLOB_BYTES", 10)
    (tmp_path / "a.md").write_text("x" * 11)
    assert "body-too-large" in typed("artifact", "put", "a.md", expected=failure.USAGE)
    put = ["artifact", "put", "-", "--kind", "PRD", "--key", "main"]
    assert "body-too-large" in typed(*put, given=b"x" * 11, expected=failure.USAGE)


class Losing(httpx2.BaseTransport):
    """Loses the first answer to each POST after it was given."""

    def __init__(self) -> None:
        self._inner = httpx2.HTTPTransport()
        self._lost: set[str] = set()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        response = self._inner.handle_request(request)
        if request.method == "POST" and str(request.url) not in self._lost:
            self._lost.add(str(request.url))
            response.read()
            raise httpx2.ReadError("lost", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


def losing(served: Served) -> Client:
    return Client(served.url, served.token, transport=Losing(), wait=lambda _: None)


@pytest.mark.parametrize("unless_same", [False, True])
def test_an_answer_that_is_lost_writes_nothing_twice(
    served: Served, project: str, unless_same: bool
) -> None:
    proposal = Proposal(kind="PRD", key="main", media_type="text/markdown", title="T")
    with losing(served) as client:
        made = put_artifact(client, project, proposal, b"x", expected=0, unless_same=unless_same)
        assert made is not None
        assert (made["version"], made["position"]) == (1, 2)
        assert served.ledger.log.head(project).size == 2
        with pytest.raises(StaleVersion):
            put_artifact(client, project, proposal, b"y", expected=0, unless_same=False)


def test_an_import_over_http_whose_answers_are_lost_records_everything_once(
    served: Served, project: str, tmp_path: Path
) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit(a="1", large="x" * 1_100_000)
    repository.commit(a="2", b=b"\xff")
    with losing(served) as client:
        target = RemoteAppender(client, create=False)
        report = import_git(target, repository.folder, project)
        assert report.versions == {"DOCUMENT": 3, "PATCHSET": 2}
        assert report.position == served.ledger.log.head(project).size == 6
        assert import_git(target, repository.folder, project).new_commits == 0


def test_a_repository_is_imported_again_and_again(
    typed: Typed, tmp_path: Path, project: str, served: Served
) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit(PRD="# Plan\n", main="# Main\n")
    sha = repository.commit(odd=b"\xff")
    typed("artifact", "put", "-", "--kind", "NOTE", "--key", "main", given=b"by hand")
    words = ("import", "git", "repository")
    dry = json.loads(typed("--json", *words, "--dry-run"))
    assert dry == [
        {"kind": "DOCUMENT", "versions": 1},
        {"kind": "PATCHSET", "versions": 2},
        {"kind": "PRD", "versions": 1},
    ]
    assert served.ledger.log.head(project).size == 2
    said = typed(*words)
    assert f"warning: skipped odd.md at {sha[:12]}: The text is not UTF-8" in said
    assert f"2 of 2 commits imported into {project}." in said
    assert "Everything is recorded already." in typed(*words)
    kinds = [one["kind"] for one in json.loads(typed("--json", "artifact", "list"))]
    assert kinds == ["DOCUMENT", "NOTE", "PATCHSET", "PATCHSET", "PRD"]
    typed("export", "-o", "it.zip", "--seal")
    typed("trusted-root", "-o", ".")
    report = json.loads(typed("--json", "verify", "it.zip", "--trust", "trust.json"))
    assert report["state"] == "VERIFIED-UNANCHORED"


def test_a_project_is_opened_only_when_asked_to(typed: Typed, tmp_path: Path, project: str) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit(a="x")
    words = ("--project", f"{project}-new", "import", "git", "repository")
    assert "project-not-found" in typed(*words, expected=failure.NOT_FOUND)
    assert "would be imported" in typed(*words, "--dry-run", "--create")
    assert "project-not-found" in typed(*words, expected=failure.NOT_FOUND)
    assert "1 of 1 commits imported" in typed(*words, "--create")
    assert "git-not-a-repository" in typed(
        "import", "git", str(tmp_path), expected=failure.NOT_FOUND
    )


def test_a_shallow_clone_is_warned_of(typed: Typed, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    for number in range(3):
        repository.commit(a=str(number))
    repository.git("clone", "--quiet", "--depth=1", repository.folder.as_uri(), "../shallow")
    assert "warning: The clone is shallow" in typed("import", "git", "shallow")


def test_a_list_that_is_not_one_of_a_ledger_is_refused() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/artifacts"):
            return httpx2.Response(200, json={"artifacts": [{"kind": 1}], "next": None})
        return httpx2.Response(200, json={"position": 1})

    with Client("http://127.0.0.1:1", transport=httpx2.MockTransport(answer)) as client:
        with pytest.raises(Unavailable) as caught:
            RemoteAppender(client, create=False).recorded("p")
        assert caught.value.code == "unexpected-answer"


def test_the_first_token_is_made_in_the_database(
    typed: Typed, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", served.database_url)
    monkeypatch.setenv("DEEDBOOK_HOST", "ledger.example")
    made = json.loads(
        typed(
            "--json", "token", "create", "ci", "--direct", "--scope", "events:read", "--days", "3"
        )
    )
    assert served.ledger.tokens.find(made["token"]).scopes == ("events:read",)
    monkeypatch.delenv("DEEDBOOK_TOKEN")
    first = typed("token", "create", "first", "--for", "a").split()[0]
    found = served.ledger.tokens.find(first)
    assert "admin" not in found.scopes
    assert len(found.scopes) == 4
    assert found.projects == ("a",)
    assert "not one of" in typed("token", "create", "x", "--scope", "root", expected=failure.USAGE)
