"""Adds vectors to chunks that have none, the newest sources first: slow work, which nothing waits for."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from adapters.search.embedder import Embedder
from adapters.search.local_index import LocalIndex, Unembedded

TEXTS_AT_ONCE = 16


class Embedding:
    """Makes vectors with the running model.

    Args:
        index: Whose chunks get vectors.
        embedder: The model.
        timed: Times a batch.
    """

    def __init__(
        self,
        index: LocalIndex,
        embedder: Embedder,
        timed: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._index = index
        self._embedder = embedder
        self._timed = timed
        index.drop_vectors_of_others(embedder.model)

    def some(self, limit: int, stopped: Callable[[], bool]) -> bool:
        """Embed the chunks of some sources; answers whether there may be more."""
        found = self._index.without_vectors(limit)
        for source in found:
            if not self._embed(source, stopped):
                return False
        return bool(found)

    def of(self, project: str, source: str) -> None:
        """Embed the chunks of one source, if they have no vectors."""
        for found in self._index.without_vectors_of(project, source):
            self._embed(found, lambda: False)

    def _embed(self, source: Unembedded, stopped: Callable[[], bool]) -> bool:
        vectors: list[list[float]] = []
        texts = [text for _, text in source.chunks]
        for first in range(0, len(texts), TEXTS_AT_ONCE):
            if stopped():
                return False
            with self._timed():
                vectors += self._embedder.embed(texts[first : first + TEXTS_AT_ONCE])
        self._index.add_vectors(source, self._embedder.model, vectors)
        return True
