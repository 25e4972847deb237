"""What an index holds of a source: its chunks, in order, with what they can be found by."""

import msgspec

MAX_CHUNKS = 2_000
"""Of one source; the rest of a longer one cannot be found, and the index says so."""


class IndexedChunk(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk as it is indexed.

    Attributes:
        kind: What it is of: the artifact's kind, `CITATION`, `RUN`, or the kind of a run's record.
        heading: The way to it, the title of its source first.
        body: Its text, at most 1,200 characters.
        first: Where it begins in the stored text, in characters.
        stop: Where it ends.
    """

    kind: str
    heading: tuple[str, ...]
    body: str
    first: int = 0
    stop: int = 0

    @property
    def text(self) -> str:
        """What is searched: the way to it, and below that its text."""
        return f"{' > '.join(self.heading)}\n{self.body}"


class IndexedSource(msgspec.Struct, frozen=True, kw_only=True):
    """A source as it was at a position; without chunks there is nothing of it to be found.

    Attributes:
        version: Of its stream.
        names: By which somebody would call it: its key, identifiers in its title, its commit. The first ones
            are the best.
        cut: It has more chunks than are indexed.
    """

    version: int
    chunks: tuple[IndexedChunk, ...]
    names: tuple[str, ...] = ()
    cut: bool = False


NOTHING = IndexedSource(version=0, chunks=())
"""A source of which nothing can be found any more, or yet."""
