"""Importing repositories into a real ledger: all of it once, whatever happens on the way."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from app import git_batches, git_versions
from app.git_batches import batches
from app.git_import import ImportReport, import_git
from app.git_versions import Document, NewVersion, Recorded, event_id
from app.ledger import Ledger
from app.ledger_import import LedgerAppender
from domain.digest import digest_of, parse_digest
from domain.errors import Conflict, DeedbookError, Gone, Invalid, NotFound, TooLarge, Unavailable
from domain.events import ArtifactWritten, Source, parse
from domain.events import Recorded as RecordedEvent
from domain.patchset import read_patchset
from tests.git_samples import Repository
from tests.ledger_samples import erase, open_ledger

PROJECT = "alpha"


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with open_ledger(database_url) as opened:
        yield opened


class Breaking(LedgerAppender):
    """An appender that fails at the given append, or after it was made."""

    def __init__(self, ledger: Ledger, *, at: int, after: bool = False) -> None:
        super().__init__(ledger, actor="user:ada")
        self._left = at
        self._after = after

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        self._left -= 1
        if self._left < 0 and not self._after:
            raise Unavailable("database-unavailable", "Gone.")
        position = super().append(project, versions)
        if self._left < 0:
            raise Unavailable("outcome-unknown", "Perhaps.")
        return position


def imported(ledger: Ledger, repository: Repository, actor: str = "user:ada") -> ImportReport:
    return import_git(LedgerAppender(ledger, actor=actor), repository.folder, PROJECT)


def events(ledger: Ledger) -> list[RecordedEvent]:
    size = ledger.log.head(PROJECT).size
    return [parse(entry.line) for entry in ledger.log.read(PROJECT, 0, size)]


def written(ledger: Ledger) -> list[tuple[str, int, ArtifactWritten]]:
    return [
        (one.stream, one.version, one.data)
        for one in events(ledger)
        if isinstance(one.data, ArtifactWritten)
    ]


def content(ledger: Ledger, stream: str) -> bytes:
    """The content of the latest version."""
    latest = [data for name, _, data in written(ledger) if name == stream][-1]
    return ledger.blobs.read(PROJECT, parse_digest(latest.digest))


def streams(ledger: Ledger) -> list[str]:
    """The streams of documents in the order of their events."""
    return [name for name, _, _ in written(ledger) if "/PATCHSET/" not in name]


def contents_in_order(ledger: Ledger) -> list[tuple[str, bytes]]:
    return [
        (name, ledger.blobs.read(PROJECT, parse_digest(data.digest)))
        for name, _, data in written(ledger)
    ]


def test_every_commit_and_every_version_is_recorded(ledger: Ledger, repository: Repository) -> None:
    repository.git("config", "remote.origin.url", "https://u:p@example.com/a.git")
    first = repository.commit("Begin it\n\nReally.", PRD="# The plan\n")
    repository.write("src/x.py", "print()\n")
    second = repository.commit("Go on", PRD="---\ntitle: The new plan\n---\n", README="no title\n")
    seen: list[tuple[int, int | None]] = []
    report = import_git(
        LedgerAppender(ledger, actor="user:ada", title="Alpha"),
        repository.folder,
        PROJECT,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert report == ImportReport(
        commits=2,
        new_commits=2,
        versions={"PATCHSET": 2, "PRD": 2, "README": 1},
        skipped=[],
        position=6,
    )
    assert seen == [(0, 2), (2, 2), (2, 2)]
    recorded = events(ledger)
    assert [one.stream for one in recorded] == [
        "project",
        "artifact/PRD/PRD",
        f"artifact/PATCHSET/{first}",
        "artifact/PRD/PRD",
        "artifact/README/README",
        f"artifact/PATCHSET/{second}",
    ]
    assert {one.actor for one in recorded} == {"user:ada"}
    assert msgspec.to_builtins(recorded[1].data) == {
        "digest": digest_of(b"# The plan\n"),
        "size_bytes": 11,
        "media_type": "text/markdown",
        "title": "The plan",
        "source": {
            "commit": first,
            "path": "PRD.md",
            "repository": "https://example.com/a.git",
        },
    }
    assert getattr(recorded[3].data, "title", None) == "The new plan"
    assert getattr(recorded[4].data, "title", "") is None
    patch = recorded[5].data
    assert isinstance(patch, ArtifactWritten)
    assert (patch.media_type, patch.title, patch.source) == ("application/json", "Go on", None)
    read = read_patchset(content(ledger, f"artifact/PATCHSET/{second}"))
    assert (read.head, read.base, read.repository) == (
        second,
        first,
        "https://example.com/a.git",
    )
    assert [one.path for one in read.diff_manifest] == ["PRD.md", "README.md", "src/x.py"]
    assert ledger.views.project(PROJECT, 1).title == "Alpha"
    assert [one.id for one in recorded[1:3]] == [
        event_id(PROJECT, first, "PRD.md"),
        event_id(PROJECT, first, ""),
    ]


def test_a_commit_without_a_message_has_no_title(ledger: Ledger, repository: Repository) -> None:
    repository.commit(a="x")
    sha = repository.raw_commit(b"author A <a@b> 0 +0000\n", b"")
    imported(ledger, repository)
    assert [data.title for name, _, data in written(ledger) if name.endswith(sha)] == [None]


def test_an_import_that_is_repeated_adds_only_what_is_new(
    ledger: Ledger, repository: Repository
) -> None:
    repository.commit(a="1")
    imported(ledger, repository)
    size = ledger.log.head(PROJECT).size
    again = imported(ledger, repository)
    assert (again.new_commits, again.versions, again.position) == (0, {}, None)
    assert ledger.log.head(PROJECT).size == size
    repository.commit(b="1")
    repository.commit(a="2")
    more = imported(ledger, repository, actor="user:bob")
    assert (more.commits, more.new_commits) == (3, 2)
    assert more.versions == {"DOCUMENT": 2, "PATCHSET": 2}
    assert streams(ledger) == ["artifact/DOCUMENT/a", "artifact/DOCUMENT/b", "artifact/DOCUMENT/a"]


@pytest.mark.parametrize("after", [False, True])
def test_an_import_that_was_broken_off_goes_on(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Whole, as if it had never been interrupted; among it a commit of several batches."""
    monkeypatch.setattr(git_batches, "MAX_BATCH_EVENTS", 3)
    repository.commit(a="1")
    repository.commit(**{name: name for name in "bcdefgh"})
    repository.commit(a="2", b="2")
    expected = None
    for at in (9, *range(5)):
        project = f"broken-{at}"
        with contextlib.suppress(Unavailable):
            import_git(Breaking(ledger, at=at, after=after), repository.folder, project)
        broken_at = ledger.log.head(project).size
        assert (broken_at == 1 + 2 + 8 + 3) == (at == 9 or (after and at == 4))
        target = LedgerAppender(ledger, actor="user:ada")
        report = import_git(target, repository.folder, project)
        size = ledger.log.head(project).size
        assert sum(report.versions.values()) == size - broken_at
        found = [
            (one.stream, one.version, one.data)
            for one in (parse(entry.line) for entry in ledger.log.read(project, 1, size))
        ]
        assert report.skipped == []
        assert found == (expected or found)
        expected = found


def test_a_commit_half_recorded_as_another_kind_or_by_another_is_completed(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_batches, "MAX_BATCH_EVENTS", 2)
    sha = repository.commit(**{name: name for name in "abcde"})
    with pytest.raises(Unavailable):
        import_git(Breaking(ledger, at=1), repository.folder, PROJECT)
    assert streams(ledger) == ["artifact/DOCUMENT/a", "artifact/DOCUMENT/b"]
    repository.commit(a="---\nkind: PRD\n---\n", c="c2")
    report = imported(ledger, repository, actor="user:bob")
    assert report.skipped == []
    assert report.versions == {"DOCUMENT": 5, "PATCHSET": 2}
    assert streams(ledger) == [
        f"artifact/DOCUMENT/{key}" for key in ("a", "b", "c", "d", "e", "a", "c")
    ]
    assert len(ledger.views.versions(PROJECT, "PATCHSET", sha, ledger.position(PROJECT, None))) == 1


@pytest.mark.parametrize("actor", ["user:ada", "user:bob"])
def test_two_imports_at_the_same_time_record_everything_once(
    ledger: Ledger, repository: Repository, actor: str
) -> None:
    """The second one has looked before the first one wrote."""
    repository.commit(a="1")
    repository.commit(a="2", b="2")

    class Late(LedgerAppender):
        def recorded(self, project: str) -> Recorded:
            before = super().recorded(project)
            imported(ledger, repository)
            return before

    report = import_git(Late(ledger, actor=actor), repository.folder, PROJECT)
    assert report.skipped == []
    assert streams(ledger) == ["artifact/DOCUMENT/a", "artifact/DOCUMENT/a", "artifact/DOCUMENT/b"]
    assert ledger.log.head(PROJECT).size == 1 + 3 + 2


def test_a_document_keeps_its_kind_over_its_history_and_over_imports(
    ledger: Ledger, repository: Repository
) -> None:
    repository.commit(note="just a note\n")
    repository.commit(note="# ADR-7: use it\n")
    imported(ledger, repository)
    repository.commit(note="# No decision any more\n")
    imported(ledger, repository)
    repository.commit(note="---\nkind: PRD\n---\n")
    imported(ledger, repository)
    assert streams(ledger) == ["artifact/ADR_0007/note"] * 4


def test_an_artifact_written_by_hand_is_not_taken_for_the_document(
    ledger: Ledger, repository: Repository
) -> None:
    ledger.create_project(PROJECT, title="Alpha", actor="user:ada")
    ledger.write_artifact(PROJECT, "PRD", "main", b"# By hand\n", actor="user:ada")
    source = Source(commit="c", path="elsewhere.md")
    ledger.write_artifact(PROJECT, "NOTE", "main", b"x", source=source, actor="user:ada")
    repository.commit(main="# Another\n")
    imported(ledger, repository)
    assert streams(ledger)[-1] == "artifact/DOCUMENT/main"
    assert len(streams(ledger)) == 3
    assert content(ledger, "artifact/PRD/main") == b"# By hand\n"


def test_what_was_put_by_hand_as_the_same_document_is_not_repeated(
    ledger: Ledger, repository: Repository
) -> None:
    ledger.create_project(PROJECT, title="Alpha", actor="user:ada")
    ledger.write_artifact(PROJECT, "PRD", "PRD", b"# Plan\n", actor="user:ada")
    repository.commit(PRD="# Plan\n")
    report = imported(ledger, repository)
    assert report.versions == {"PATCHSET": 1}
    assert streams(ledger) == ["artifact/PRD/PRD"]


def test_no_two_documents_meet_in_one_artifact(ledger: Ledger, repository: Repository) -> None:
    paths = ["a/b.md", "a.b.md", "a._b.md", "A/b.md", "a/b.MD", "a/b.markdown", "a b.md", "a-b.md"]
    for path in paths:
        repository.write(path, path)
    repository.commit()
    imported(ledger, repository)
    assert len(set(streams(ledger))) == len(paths)
    at = ledger.position(PROJECT, None)
    latest = ledger.views.artifacts(PROJECT, at)
    assert {one.version for one in latest} == {1}


def test_a_branch_merged_later_ends_as_head_has_it(ledger: Ledger, repository: Repository) -> None:
    start = repository.commit(a="start", b="start")
    repository.branch("side", start)
    repository.commit(a="side", b="side")
    repository.switch("main")
    repository.commit(a="main")
    imported(ledger, repository)
    repository.merge("side", how="ours")
    imported(ledger, repository)
    assert content(ledger, "artifact/DOCUMENT/a") == b"main"
    assert content(ledger, "artifact/DOCUMENT/b") == b"start"
    assert streams(ledger).count("artifact/DOCUMENT/a") == 4


def test_an_unchanged_document_is_not_written_again_by_a_new_head(
    ledger: Ledger, repository: Repository
) -> None:
    repository.commit(a="1", b="1", c="1")
    imported(ledger, repository)
    repository.commit(c="2")
    assert imported(ledger, repository).versions == {"DOCUMENT": 1, "PATCHSET": 1}


def test_a_shallow_clone_that_is_deepened_gives_its_older_patch_sets(
    ledger: Ledger, repository: Repository, tmp_path: Path
) -> None:
    for number in range(4):
        repository.commit(a=str(number))
    repository.git("clone", "--quiet", "--depth=2", repository.folder.as_uri(), "../shallow")
    clone = tmp_path / "shallow"
    report = import_git(LedgerAppender(ledger, actor="user:ada"), clone, PROJECT)
    assert report.shallow
    assert report.versions == {"DOCUMENT": 2, "PATCHSET": 2}
    repository.git("-C", str(clone), "fetch", "--quiet", "--unshallow")
    report = import_git(LedgerAppender(ledger, actor="user:ada"), clone, PROJECT)
    assert not report.shallow
    assert report.versions == {"PATCHSET": 2}
    assert content(ledger, "artifact/DOCUMENT/a") == b"3"


def test_what_cannot_be_an_artifact_is_skipped_and_named(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.git_repository.GitRepository.content.__defaults__", (200,))
    sha = repository.commit(
        latin=b"caf\xe9",
        nul="a\0b",
        large="x" * 201,
        linked="As [said](citation:1).\n",
        good="# Good\n",
        empty="",
    )
    later = repository.commit(latin="café")
    report = imported(ledger, repository)
    assert [(one.commit, one.path) for one in report.skipped] == [
        (sha, "large.md"),
        (sha, "latin.md"),
        (sha, "linked.md"),
        (sha, "nul.md"),
    ]
    reasons = {one.path: one.reason for one in report.skipped}
    assert "201 bytes" in reasons["large.md"]
    assert "not UTF-8: bad byte at offset 3" in reasons["latin.md"]
    assert "citation:1" in reasons["linked.md"]
    assert "NUL" in reasons["nul.md"]
    assert streams(ledger) == [f"artifact/DOCUMENT/{key}" for key in ("empty", "good", "latin")]
    assert report.versions == {"DOCUMENT": 3, "PATCHSET": 2}
    assert content(ledger, f"artifact/PATCHSET/{later}")


def test_a_document_that_grew_too_large_is_told_by_its_name(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.git_repository.GitRepository.content.__defaults__", (200,))
    repository.commit(roadmap="# Small\n")
    repository.commit(roadmap="# Large\n" + "x" * 200)
    report = imported(ledger, repository)
    assert [one.path for one in report.skipped] == ["roadmap.md"]
    assert streams(ledger) == ["artifact/ROADMAP/roadmap"]


def test_a_content_that_was_erased_is_skipped(
    ledger: Ledger, repository: Repository, database_url: str
) -> None:
    repository.commit(a="secret", b="fine")
    imported(ledger, repository)
    erase(ledger, database_url, PROJECT, "artifact/DOCUMENT/a", 1, b"secret")
    repository.commit(a="clean", b="fine too", c="c")
    sha = repository.commit(a="secret", d="d")
    report = imported(ledger, repository)
    assert [(one.commit, one.path) for one in report.skipped] == [(sha, "a.md")]
    assert "erased" in report.skipped[0].reason
    assert report.versions == {"DOCUMENT": 4, "PATCHSET": 2}
    assert imported(ledger, repository).new_commits == 0


def test_large_contents_are_staged_and_recorded(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_versions, "STAGED_ABOVE_BYTES", 100)
    staged: list[bytes] = []

    class Watching(LedgerAppender):
        def stage(self, project: str, content: bytes) -> None:
            staged.append(content)
            super().stage(project, content)

    large = "# Large\n" + "x" * 100
    repository.commit(large=large, small="x")
    report = import_git(Watching(ledger, actor="user:ada"), repository.folder, PROJECT)
    assert report.versions == {"DOCUMENT": 2, "PATCHSET": 1}
    assert [len(one) > 100 for one in staged] == [True, True]  # the document and the patch set
    assert content(ledger, "artifact/DOCUMENT/large") == large.encode()


def test_a_dry_run_says_what_it_would_do_and_records_nothing(
    ledger: Ledger, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_versions, "STAGED_ABOVE_BYTES", 3)
    sha = repository.commit(a="1234", b=b"\xff")
    target = LedgerAppender(ledger, actor="user:ada")
    report = import_git(target, repository.folder, PROJECT, dry_run=True)
    assert report.versions == {"DOCUMENT": 1, "PATCHSET": 1}
    assert [one.commit for one in report.skipped] == [sha]
    assert (report.dry_run, report.position) == (True, None)
    with pytest.raises(NotFound):
        ledger.log.head(PROJECT)


@pytest.mark.parametrize("code", ["git-not-a-repository", "git-empty"])
def test_without_commits_no_project_is_opened(ledger: Ledger, tmp_path: Path, code: str) -> None:
    if code == "git-empty":
        Repository(tmp_path / "empty")
    with pytest.raises(NotFound) as caught:
        import_git(LedgerAppender(ledger, actor="user:ada"), tmp_path / "empty", PROJECT)
    assert caught.value.code == code
    with pytest.raises(NotFound):
        ledger.log.head(PROJECT)


def test_a_repository_with_missing_contents_is_not_half_imported(
    ledger: Ledger, repository: Repository
) -> None:
    repository.commit(a="x" * 50)
    blob = repository.git("rev-parse", "HEAD:a.md")
    (repository.folder / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(DeedbookError) as caught:
        imported(ledger, repository)
    assert caught.value.code in {"git-failed", "git-blob-missing"}
    assert ledger.log.head(PROJECT).size == 1


class Scripted:
    """A ledger that refuses as told; it records in memory."""

    def __init__(self, *refusals: tuple[str, DeedbookError]) -> None:
        self.refusals = dict(refusals)
        self.recorded_ids: list[str] = []
        self.asked = 0

    def open(self, project: str) -> None:
        """It is there."""

    def recorded(self, project: str) -> Recorded:
        return Recorded()

    def path_of(self, project: str, document: Document) -> str | None:
        return None

    def stage(self, project: str, content: bytes) -> None:
        """Nothing is large here."""

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        self.asked += 1
        for index, one in enumerate(versions):
            error = self.refusals.get(one.path)
            if error is not None:
                if isinstance(error, Invalid) and error.pointer is not None:
                    error.pointer = f"/events/{index}/data"
                raise error
        self.recorded_ids += [one.id for one in versions]
        return len(self.recorded_ids)


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (Invalid("validation-failed", "No.", pointer="/events/0"), True),
        (TooLarge("event-too-large", "No."), True),
        (TooLarge("body-too-large", "No."), True),
        (Gone("content-erased", "No."), True),
        (Conflict("event-id-conflict", "No."), False),
    ],
)
def test_what_the_ledger_refuses_is_left_out_and_the_rest_recorded_in_order(
    repository: Repository, error: DeedbookError, named: bool
) -> None:
    sha = repository.commit(**{name: name for name in "abcdefg"})
    for refused in ("a.md", "d.md", "g.md", ""):
        target = Scripted((refused, error))
        report = import_git(target, repository.folder, PROJECT)
        paths = [f"{name}.md" for name in "abcdefg"] + [""]
        paths.remove(refused)
        assert target.recorded_ids == [event_id(PROJECT, sha, path) for path in paths]
        assert target.asked <= 8
        skipped = [(one.path, one.reason) for one in report.skipped]
        assert skipped == ([(refused, "No.")] if named else [])
        assert sum(report.versions.values()) == 7


@pytest.mark.parametrize(
    "error",
    [
        Invalid("blob-not-found", "The upload is gone."),
        Invalid("validation-failed", "An actor.", pointer="/actor"),
        Invalid("validation-failed", "Odd.", pointer="/events/x"),
        Invalid("validation-failed", "Odd.", pointer="/events/99"),
        Conflict("project-exists", "Odd."),
        NotFound("project-not-found", "Gone."),
    ],
)
def test_a_refusal_that_is_about_no_version_ends_the_import(
    repository: Repository, error: DeedbookError
) -> None:
    repository.commit(a="a")

    class Refusing(Scripted):
        def append(self, project: str, versions: Sequence[NewVersion]) -> int:
            raise error

    with pytest.raises(type(error)) as caught:
        import_git(Refusing(), repository.folder, PROJECT)
    assert caught.value is error


def version(number: int, size: int = 0) -> NewVersion:
    return NewVersion(
        id=str(number), kind="NOTE", key="k", data={}, content=b"x" * size, commit="c"
    )


def shape(commits: list[list[int]]) -> list[list[int]]:
    """The sizes in each batch, of commits given as lists of sizes."""
    made = batches([version(0, size) for size in sizes] for sizes in commits)
    return [[len(one.content or b"") for one in batch] for batch in made]


def test_batches_hold_whole_commits_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_batches, "MAX_BATCH_EVENTS", 4)
    monkeypatch.setattr(git_batches, "MAX_BATCH_BYTES", 10)
    assert shape([]) == []
    assert shape([[1], [2], [3]]) == [[1, 2, 3]]
    assert shape([[1, 1], [1, 1], [1]]) == [[1, 1, 1, 1], [1]]
    assert shape([[5], [5], [1]]) == [[5, 5], [1]]
    assert shape([[1], [1] * 9, [2], [3]]) == [[1], [1] * 4, [1] * 4, [1], [2, 3]]
    assert shape([[1], [6, 6], [2]]) == [[1], [6], [6], [2]]
    assert shape([[50], [1]]) == [[50], [1]]


def test_a_large_commit_is_cut_alike_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_batches, "MAX_BATCH_EVENTS", 4)
    large = [1, 2, 3, 1, 2, 3]
    alone = shape([large])
    for before in ([], [[1]], [[1], [1, 1]]):
        assert shape([*before, large, [9]])[-3:-1] == alone


def test_of_a_large_commit_only_two_parts_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git_batches, "MAX_BATCH_EVENTS", 2)
    drawn = 0

    def commit() -> Iterator[NewVersion]:
        nonlocal drawn
        for number in range(100):
            drawn += 1
            yield version(number)

    for taken, _ in enumerate(batches([commit()]), start=1):
        assert drawn <= 2 * taken + 3


def test_an_id_is_the_same_wherever_it_is_made() -> None:
    assert event_id("p", "c", "a.md") == "a16bd588-cba9-800e-aa1c-64b30d54c7b2"
    different = {event_id(*names) for names in (("p", "c", "a"), ("q", "c", "a"), ("p", "ca", ""))}
    assert len(different) == 3
    assert all(one[14] == "8" and one[19] in "89ab" for one in different)
