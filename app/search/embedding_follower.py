"""Adds vectors to the index in Postgres: slow work, which words do not wait for."""

from collections.abc import Callable

from adapters.commit_signal import CommitSignal
from app.follower import Follower
from app.search.embedding import Embedding

SOURCES_AT_ONCE = 4


class EmbeddingFollower(Follower):
    """Adds vectors to what was indexed, the newest first.

    Args:
        embedding: Opens what makes them, when something is first to be done; None: there is no model.
        signal: Wakes it.
    """

    name = "embedding"
    between_seconds = 0.1
    when_away = "the database is away: texts get their vectors later"
    when_broken = "texts could not get their vectors"

    def __init__(self, embedding: Callable[[], Embedding | None], signal: CommitSignal) -> None:
        super().__init__(signal)
        self._open = embedding

    def look(self) -> float | None:
        """Add vectors until all have them."""
        embedding = self._open()
        while embedding is not None and embedding.some(SOURCES_AT_ONCE, self._stopping.is_set):
            pass
        return None
