"""Commands about runs as tests type them, and what they look at afterwards."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from domain.events import EventData
from tests.git_samples import Repository

Typed = Callable[..., str]
"""Runs a command line; answers what it printed: results, or with a failure the complaint."""
Recorded = Callable[[str], list[EventData]]
"""The data of a run's events, in order."""
Contents = Callable[[str], bytes]
"""The bytes of a digest."""

Kind = TypeVar("Kind", bound=EventData)


def the(kind: type[Kind], events: Sequence[EventData]) -> Kind:
    """The one event of a kind."""
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def repository_with_two_commits(folder: Path) -> tuple[str, str]:
    """A checkout in which two commits follow on the first; answers first and last."""
    repository = Repository(folder)
    first = repository.commit(message="First", read="# Read\n")
    repository.write("page.html", "<form>\n")
    repository.commit(message="A page")
    (folder / "read.md").unlink()
    repository.write("logo.bin", bytes(range(256)))
    return first, repository.commit(message="A logo")
