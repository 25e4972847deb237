"""The first import: what a new ledger is filled with, and how it goes on after an interruption.

A note in the data folder says that an import has begun; it goes when the import is complete. So a
start imports into a project that does not exist yet, or where an earlier start was broken off, and
never again after that: `deedbook import git` brings in what is committed later.
"""

import os
from collections.abc import Callable
from pathlib import Path

from app.git_import import import_git
from app.ledger import Ledger
from app.ledger_import import LedgerAppender
from app.progress import Progress
from domain.errors import DeedbookError, NotFound

NOTE = "importing"
ACTOR = "deedbook:import"
MAX_SHOWN = 5
NOTHING_THERE = frozenset({"git-missing", "git-not-a-repository", "git-empty"})
"""Where a second try would find no more than the first."""


def fill(
    ledger: Ledger,
    project: str,
    repository: Path,
    data_folder: Path,
    *,
    say: Callable[[str], None],
    quiet: bool = False,
) -> None:
    """Import the repository, unless that is done; without one, open an empty project.

    What cannot be imported is said; the ledger starts nevertheless.
    """
    note = data_folder / NOTE
    if _exists(ledger, project) and not note.exists():
        return
    note.write_bytes(os.fsencode(repository) + b"\n")
    done = True
    try:
        _import(ledger, project, repository, say=say, quiet=quiet)
    except DeedbookError as error:
        done = error.code in NOTHING_THERE
        say(
            f"Nothing is imported: {error.detail}"
            if done
            else f"The import stopped: {error.detail}"
        )
        if not done:
            say("The next start goes on with it.")
    open_project(ledger, project)
    if done:
        note.unlink()


def open_project(ledger: Ledger, project: str) -> None:
    """Make sure that the project exists."""
    if not _exists(ledger, project):
        ledger.create_project(project, title=project, actor=ACTOR)


def _exists(ledger: Ledger, project: str) -> bool:
    try:
        ledger.log.head(project)
    except NotFound:
        return False
    return True


def _import(
    ledger: Ledger, project: str, repository: Path, *, say: Callable[[str], None], quiet: bool
) -> None:
    say(f"Importing the git repository of {repository} as project {project}.")
    target = LedgerAppender(ledger, actor=ACTOR)
    with Progress("commits", hidden=quiet) as progress:
        report = import_git(target, repository, project, progress=progress)
    versions = sum(report.versions.values())
    say(f"Imported: {report.new_commits:,} commits, {versions:,} artifact versions.")
    if report.shallow:
        say("This clone is shallow: older commits are not in it.")
    for part in report.redacted[:MAX_SHOWN]:
        say(f"Replaced {', '.join(part.rules)} in {part.path or 'commit'} at {part.commit[:12]}.")
    if len(report.redacted) > MAX_SHOWN:
        say(f"Replaced secrets in {len(report.redacted) - MAX_SHOWN:,} more.")
    for one in report.skipped[:MAX_SHOWN]:
        say(f"Skipped {one.path} at {one.commit[:12]}: {one.reason}")
    if len(report.skipped) > MAX_SHOWN:
        say(f"Skipped {len(report.skipped) - MAX_SHOWN:,} more.")
