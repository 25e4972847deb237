"""Compares what an index holds with what it should, source by source, and has the difference mended.

In Postgres they cannot differ unless somebody changed the tables by hand. An index outside can: a request that
the network held back may arrive after the next one.
"""

from collections.abc import Iterable, Mapping

import msgspec


class Reconciled(msgspec.Struct, frozen=True):
    """What was found amiss: sources that are missing or incomplete, and such as should not be there."""

    sources: int
    missing: int
    stale: int


class Differences(msgspec.Struct, frozen=True):
    """The same by name; `unknown` ones are of no source that there is."""

    sources: int
    missing: tuple[str, ...]
    stale: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def counted(self) -> Reconciled:
        """How many of each."""
        return Reconciled(self.sources, len(self.missing), len(self.stale) + len(self.unknown))


def compare(
    wanted: Mapping[str, tuple[int, int] | None], held: Iterable[tuple[str, int, int]]
) -> Differences:
    """What differs; what is worked at just now does not.

    Args:
        wanted: Each source with the position it is indexed at and how many chunks it has, or None.
        held: What the index has: sources with a position and how many chunks of it.
    """
    found: dict[str, set[tuple[int, int]]] = {}
    for source, position, chunks in held:
        found.setdefault(source, set()).add((position, chunks))
    missing, stale = [], []
    for source, should in wanted.items():
        if should is None:
            continue
        there = found.get(source, set())
        if should[1] and should not in there:
            missing.append(source)
        elif there - {should}:
            stale.append(source)
    unknown = [source for source in found if source not in wanted]
    return Differences(len(found), tuple(missing), tuple(stale), tuple(unknown))
