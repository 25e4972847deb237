"""Proofs and roots of a large tree from few stored nodes.

Every sixteenth node of the tree's heights is kept: at level 0 the leaves, at level 1 the roots of 16
leaves each, at level 2 of 256 and so on, as soon as such a subtree is full. A node between is made of
at most 8 of the level below. So whatever is asked of a log, of any size, at most two runs of up to 16
nodes are read from each of its levels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from domain.errors import Damaged
from domain.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

LEVEL_HEIGHT = 4
LEVEL_NODES = 1 << LEVEL_HEIGHT

Leaves = tuple[int, int]
"""A range of leaf indexes: the first, and the one behind the last."""


class Run(msgspec.Struct, frozen=True, order=True):
    """Nodes of one level, side by side; `stop` is behind the last."""

    level: int
    first: int
    stop: int


def full_nodes(size: int, level: int) -> int:
    """How many nodes of a level a log of this size has."""
    return size >> (LEVEL_HEIGHT * level)


def parents(children: Sequence[bytes]) -> list[bytes]:
    """The nodes one level up, of 16 children each; those that are left over wait."""
    whole = len(children) - len(children) % LEVEL_NODES
    nodes = list(children[:whole])
    for _ in range(LEVEL_HEIGHT):
        nodes = [node_hash(nodes[at], nodes[at + 1]) for at in range(0, len(nodes), 2)]
    return nodes


def inclusion_ranges(index: int, size: int) -> list[Leaves]:
    """The subtrees whose roots are the audit path of a leaf, sibling first (RFC 6962, 2.1.1)."""
    assert 0 <= index < size
    ranges: list[Leaves] = []
    first, stop = 0, size
    while stop - first > 1:
        middle = first + _split(stop - first)
        if index < middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((first, middle))
            first = middle
    return ranges[::-1]


def consistency_ranges(old: int, size: int) -> list[Leaves]:
    """The subtrees whose roots are the proof that the first `old` leaves are there (2.1.2)."""
    assert 0 < old <= size
    ranges: list[Leaves] = []
    first, stop = 0, size
    while old != stop:
        middle = first + _split(stop - first)
        if old <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((first, middle))
            first = middle
    if first:  # otherwise the old tree is this subtree itself, whose root the reader has
        ranges.append((first, stop))
    return ranges[::-1]


def needed(ranges: Iterable[Leaves]) -> list[Run]:
    """The stored nodes that the roots of these ranges are made of, in as few runs as it takes."""
    runs: list[Run] = []
    for height, index in (node for one in ranges for node in _perfect(*one)):
        level, above = divmod(height, LEVEL_HEIGHT)
        runs.append(Run(level, index << above, (index + 1) << above))
    runs.sort()
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].level == run.level and run.first <= joined[-1].stop:
            before = joined.pop()
            joined.append(Run(run.level, before.first, max(before.stop, run.stop)))
        else:
            joined.append(run)
    return joined


class Nodes:
    """Stored nodes as they were read, and what follows from them."""

    def __init__(self, read: Mapping[Run, bytes]) -> None:
        """Take the nodes of each run, one behind the other.

        Raises:
            Damaged: `tree-damaged`: some are not there.
        """
        self._hashes: dict[tuple[int, int], bytes] = {}
        for run, raw in read.items():
            if len(raw) != (run.stop - run.first) * HASH_BYTES:
                raise Damaged(
                    "tree-damaged",
                    f"Nodes {run.first} to {run.stop - 1} of level {run.level} are not all there: "
                    "run deedbook doctor --verify.",
                )
            for at in range(run.stop - run.first):
                node = raw[at * HASH_BYTES : (at + 1) * HASH_BYTES]
                self._hashes[run.level, run.first + at] = node

    def root(self, leaves: Leaves) -> bytes:
        """The root over a range of leaves that begins where a subtree as large could."""
        hashes = self.frontier(leaves)
        if not hashes:
            return EMPTY_ROOT
        root = hashes[-1]
        for left in reversed(hashes[:-1]):
            root = node_hash(left, root)
        return root

    def frontier(self, leaves: Leaves) -> list[bytes]:
        """The roots of its full subtrees, largest first."""
        return [self._node(height, index) for height, index in _perfect(*leaves)]

    def _node(self, height: int, index: int) -> bytes:
        if height % LEVEL_HEIGHT == 0:
            return self._hashes[height // LEVEL_HEIGHT, index]
        return node_hash(self._node(height - 1, 2 * index), self._node(height - 1, 2 * index + 1))


def _perfect(first: int, stop: int) -> Iterator[tuple[int, int]]:
    """A range as full subtrees, left to right: the height and index of each."""
    while first < stop:
        height = (stop - first).bit_length() - 1
        if first:
            height = min(height, (first & -first).bit_length() - 1)
        yield height, first >> height
        first += 1 << height


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1
