"""Keeps the index up to date while nobody asks: words first, which is quick; then vectors, the newest first."""

from collections.abc import Callable

from adapters.commit_signal import CommitSignal
from app.follower import Follower
from app.search.embedding import Embedding
from app.search.indexing import Indexing

SOURCES_AT_ONCE = 8
"""Claimed together, well within the time of their lease."""
EMBEDDED_AT_ONCE = 4
NOW = 0.0


class SearchFollower(Follower):
    """Indexes the sources of all projects.

    Args:
        indexings: Of each backend.
        embedding: Adds vectors to the index in Postgres; None: there are none.
        signal: Wakes it.
    """

    name = "search"
    between_seconds = 0.1
    when_away = "the database is away: the search index is brought up to date later"
    when_broken = "the search index could not be brought up to date"

    def __init__(
        self,
        indexings: tuple[Indexing, ...],
        embedding: Callable[[], Embedding | None],
        signal: CommitSignal,
    ) -> None:
        super().__init__(signal)
        self._indexings = indexings
        self._open_embedding = embedding
        self._embedding: Embedding | None = None
        self._opened = False

    def look(self) -> float | None:
        """Index what is due; answers in how many seconds more will be, None when all is there."""
        waits = [wait for one in self._indexings if (wait := self._bring(one)) is not None]
        if not waits and self._embed():
            return NOW
        return min(waits, default=None)

    def _bring(self, indexing: Indexing) -> float | None:
        indexing.note_all()
        while not self._stopping.is_set():
            claims = indexing.state.claim(SOURCES_AT_ONCE)
            if not claims:
                break
            for claim in claims:
                indexing.bring(claim)
                if self._stopping.is_set():
                    break
        return indexing.state.next_due()

    def _embed(self) -> bool:
        """Add some vectors; answers whether there may be more to add."""
        if not self._opened:
            self._embedding = self._open_embedding()
            self._opened = True
        if self._embedding is None or self._stopping.is_set():
            return False
        return self._embedding.some(EMBEDDED_AT_ONCE, self._stopping.is_set)
