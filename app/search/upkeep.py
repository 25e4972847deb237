"""How the indexes stand, and what an operator has done to them."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from adapters.search.search_state import Failed, IndexState, SearchState
from app.search.reconcile import Reconciled, compare

EVERY_SECONDS = 86_400.0
"""Between two times that what a hosted index holds is compared with what it should hold."""


class Holding(Protocol):
    """What an index holds."""

    def inventory(self, project: str) -> Iterator[tuple[str, int, int]]:
        """Sources, each with the position it was indexed at and how many chunks it has there."""

    def drop(self, project: str, sources: Sequence[str]) -> None:
        """Have nothing of these sources any more."""


class Upkeep:
    """Looks after the indexes of all backends.

    Args:
        held: For each backend, what its index should hold, and what it holds.
    """

    def __init__(self, held: Sequence[tuple[SearchState, Holding]]) -> None:
        self.held = held

    def standing(self, project: str | None = None) -> list[IndexState]:
        """How each backend's index of one project stands, or of all."""
        return [row for state, _ in self.held for row in state.standing(project)]

    def failures(self, project: str | None = None) -> list[Failed]:
        """What could not be indexed."""
        return [row for state, _ in self.held for row in state.failures(project)]

    def troubles(self) -> list[str]:
        """What the indexes could not take, over all projects, which are not named."""
        told = []
        for state, _ in self.held:
            trouble = state.trouble()
            if trouble.failed:
                told.append(
                    f"{trouble.failed} sources could not be indexed ({state.backend}): `deedbook search status` "
                    "names them, `deedbook search retry` has them tried again"
                )
            if trouble.waiting:
                told.append(
                    f"{trouble.waiting} sources could not be indexed yet ({state.backend}), and are tried again"
                )
        return told

    def reindex(self, project: str) -> int:
        """Have everything of a project indexed anew; answers how many sources."""
        return max(state.reindex(project) for state, _ in self.held)

    def retry(self, project: str) -> int:
        """Have what failed tried again; answers how many sources, over all backends."""
        return sum(state.retry(project) for state, _ in self.held)

    def reconcile(self, project: str) -> Reconciled:
        """Compare what the indexes hold with what they should, and have the difference mended.

        Raises:
            Unavailable: `search-unavailable`.
        """
        found = [reconcile(state, holding, project) for state, holding in self.held]
        return Reconciled(
            max(one.sources for one in found),
            sum(one.missing for one in found),
            sum(one.stale for one in found),
        )


def reconcile(state: SearchState, holding: Holding, project: str) -> Reconciled:
    """The same with one backend's index.

    What it should hold is read after what it holds: of a source that comes in between it is said that it is
    missing, which does no harm, and not that nobody wants it.

    Raises:
        Unavailable: `search-unavailable`.
    """
    held = list(holding.inventory(project))
    found = compare(state.wanted(project), held)
    # What is of an older version goes first: only then does indexing bring what should be there.
    holding.drop(project, [*found.stale, *found.unknown])
    state.want_again(project, [*found.missing, *found.stale])
    state.reconciled(project, EVERY_SECONDS)
    return found.counted
