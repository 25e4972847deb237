"""Adds vectors to chunks that have none, the newest sources first: slow work, which nothing waits for."""

from collections.abc import Callable

from adapters.search.embedder import Embedder
from adapters.search.local_index import LocalIndex

TEXTS_AT_ONCE = 16


class Embedding:
    """Makes vectors with the running model."""

    def __init__(self, index: LocalIndex, embedder: Embedder) -> None:
        self._index = index
        self._embedder = embedder
        index.drop_vectors_of_others(embedder.model)

    def some(self, limit: int, stopped: Callable[[], bool]) -> bool:
        """Embed the chunks of some sources; answers whether there were any."""
        found = self._index.without_vectors(limit)
        for source in found:
            vectors: list[list[float]] = []
            texts = [text for _, text in source.chunks]
            for first in range(0, len(texts), TEXTS_AT_ONCE):
                if stopped():
                    return False
                vectors += self._embedder.embed(texts[first : first + TEXTS_AT_ONCE])
            self._index.add_vectors(source, self._embedder.model, vectors)
        return bool(found)
