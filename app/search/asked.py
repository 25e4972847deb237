"""What somebody searches for, and what a backend has to say to it."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from adapters.search.local_search import Found
from adapters.search.search_state import Freshness
from domain.search import Mode, Warned


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A search.

    Attributes:
        projects: In which is searched; whoever asks may read all of them.
        text: As `check_query` gives it.
        kinds: Of passages; none: all.
        limit: Hits at most.
    """

    projects: tuple[str, ...]
    text: str
    mode: Mode = "hybrid"
    kinds: tuple[str, ...] = ()
    limit: int = 10


class Outcome(msgspec.Struct, frozen=True):
    """What a backend found: chunks that are the newest of their sources, the best first.

    Attributes:
        mode: The one that was used.
        fresh: How far the index of each project has come.
    """

    found: Sequence[Found]
    mode: Mode
    warnings: tuple[Warned, ...]
    fresh: Sequence[Freshness]


class Backend(Protocol):
    """Who answers: the index in Postgres, or a hosted one."""

    name: str

    def ask(self, asked: Asked) -> Outcome:
        """Search.

        Raises:
            Invalid: `query-invalid`, `semantic-unavailable`.
            NotFound: `project-not-found`.
            Unavailable: `search-unavailable`.
        """

    def missing(self) -> list[str]:
        """Why it does not search by meaning; nothing: it does."""

    def troubles(self) -> list[str]:
        """Why else it answers less than it could, as far as is known without asking anybody outside."""
