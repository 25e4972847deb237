"""Keeps one backend's index up to date while nobody asks."""

from collections.abc import Callable

from adapters.commit_signal import CommitSignal
from app.follower import Follower
from app.search.indexing import SHUT_OUT_SECONDS, Indexing

SOURCES_AT_ONCE = 8
"""Claimed together, well within the time of their lease."""


class SearchFollower(Follower):
    """Indexes the sources of all projects.

    Args:
        indexing: Brings them.
        signal: Wakes it.
        brought: Called when something was indexed.
    """

    name = "search"
    between_seconds = 0.1
    when_away = "the database is away: the search index is brought up to date later"
    when_broken = "the search index could not be brought up to date"

    def __init__(
        self, indexing: Indexing, signal: CommitSignal, brought: Callable[[], None]
    ) -> None:
        super().__init__(signal)
        self._indexing = indexing
        self._brought = brought

    def look(self) -> float | None:
        """Index what is due; answers in how many seconds more will be, None when all is there."""
        state = self._indexing.state
        state.note_all()
        while not self._stopping.is_set() and (claims := state.claim(SOURCES_AT_ONCE)):
            for place, claim in enumerate(claims):
                if self._stopping.is_set():
                    state.release(claims[place:])
                    break
                if self._indexing.bring(claim):
                    self._brought()
                if self._indexing.shut_out:
                    state.release(claims[place + 1 :])
                    return SHUT_OUT_SECONDS
        return state.next_due()
