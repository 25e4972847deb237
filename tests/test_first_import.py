"""The first import: when it runs, when it is over, and that a ledger starts without it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app import first_import
from app.first_import import NOTE, fill, open_project
from app.git_import import ImportReport
from app.git_versions import Skipped
from app.ledger import Ledger
from app.ledger_import import LedgerAppender
from domain.errors import DeedbookError, Invalid, NotFound, Unavailable
from tests.ledger_samples import open_ledger


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with open_ledger(database_url) as ledger:
        yield ledger


class Source:
    """Stands for a repository: what reading it leads to, and how often it was read."""

    def __init__(self, outcome: DeedbookError | ImportReport) -> None:
        self.outcome = outcome
        self.reads = 0

    def __call__(
        self, target: LedgerAppender, repository: Path, project: str, **_: object
    ) -> ImportReport:
        self.reads += 1
        if isinstance(self.outcome, DeedbookError):
            raise self.outcome
        target.open(project)
        return self.outcome


def report(skipped: int = 0, *, shallow: bool = False) -> ImportReport:
    return ImportReport(
        commits=1,
        new_commits=1,
        versions={"PATCHSET": 1},
        skipped=[Skipped(f"{n:040}", f"{n}.md", "too large") for n in range(skipped)],
        shallow=shallow,
    )


class Start:
    """One start of a ledger after the other, on a data folder."""

    def __init__(self, ledger: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledger = ledger
        self.folder = folder
        self.note = folder / NOTE
        self._monkeypatch = monkeypatch

    def __call__(self, source: Source) -> str:
        """What it says."""
        said: list[str] = []
        self._monkeypatch.setattr(first_import, "import_git", source)
        fill(self.ledger, "deedbook", Path("code"), self.folder, say=said.append, quiet=True)
        return "\n".join(said)


@pytest.fixture
def start(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    return Start(ledger, tmp_path, monkeypatch)


def test_what_was_imported_is_said_and_not_imported_again(start: Start) -> None:
    source = Source(report())
    assert "Imported: 1 commits, 1 artifact versions." in start(source)
    assert start(source) == ""
    assert source.reads == 1
    assert not start.note.exists()


@pytest.mark.parametrize("code", ["git-missing", "git-not-a-repository", "git-empty"])
def test_without_a_repository_there_is_an_empty_project_and_no_second_try(
    start: Start, code: str
) -> None:
    source = Source(NotFound(code, "There is none."))
    assert start(source) == f"{start_line()}\nNothing is imported: There is none."
    assert start.ledger.log.head("deedbook").size == 1
    assert start(source) == ""
    assert source.reads == 1


@pytest.mark.parametrize(
    "error",
    [Unavailable("git-timeout", "It took too long."), Invalid("validation-failed", "It is odd.")],
)
def test_an_import_that_stopped_is_said_and_goes_on_at_the_next_start(
    start: Start, error: DeedbookError
) -> None:
    said = start(Source(error))
    assert f"The import stopped: {error.detail}" in said
    assert "The next start goes on with it." in said
    assert start.note.read_text() == "code\n"
    assert start.ledger.log.head("deedbook").size == 1
    again = Source(report())
    assert "Imported" in start(again)
    assert not start.note.exists()


def test_a_start_that_was_killed_left_a_note_and_the_next_one_goes_on(start: Start) -> None:
    open_project(start.ledger, "deedbook")
    start.note.touch()
    assert "Imported" in start(Source(report()))


def test_a_project_that_was_there_before_is_not_filled(start: Start) -> None:
    open_project(start.ledger, "deedbook")
    source = Source(report())
    assert start(source) == ""
    assert source.reads == 0


def test_what_is_skipped_is_said_up_to_a_limit(start: Start) -> None:
    said = start(Source(report(skipped=7))).splitlines()
    assert sum(line.startswith("Skipped") and line.endswith(": too large") for line in said) == 5
    assert said[-1] == "Skipped 2 more."


def test_a_shallow_clone_is_said_to_be_one(start: Start) -> None:
    assert "This clone is shallow" in start(Source(report(shallow=True)))


def start_line() -> str:
    return "Importing the git repository of code as project deedbook."
