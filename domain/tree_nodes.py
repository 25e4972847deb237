"""Proofs and roots of a large tree from few stored nodes.

Every sixteenth node of the tree's heights is kept: at level 0 the leaves, at level 1 the roots of 16
leaves each, at level 2 of 256 and so on, as soon as such a subtree is full. A node between is made of
at most 8 of the level below. Sixteen that have one parent are a group: whatever is asked of a log, of any
size, is in few groups of each level.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from domain.errors import Damaged
from domain.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

LEVEL_HEIGHT = 4
LEVEL_NODES = 1 << LEVEL_HEIGHT

Leaves = tuple[int, int]
"""A range of leaf indexes: the first, and the one behind the last."""


Group = tuple[int, int]
"""The level of its nodes, and the index of their parent."""

_sha256 = hashlib.sha256


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


def groups_for(indexes: Sequence[int], size: int) -> list[Group]:
    """The groups on the way from leaves up, and those at the end of a log of this size.

    With the index of a leaf they give its audit path; with those of the leaves before and behind a
    boundary, the root of the log up to there and its consistency proof; with none, the root of the log.
    """
    groups: list[Group] = []
    level, nodes = 0, size
    while nodes:
        shift = LEVEL_HEIGHT * (level + 1)
        wanted = {index >> shift for index in indexes}
        wanted.add((nodes - 1) >> LEVEL_HEIGHT)
        # Above a group without a parent, nothing is there yet.
        groups.extend((level, one) for one in wanted if one << LEVEL_HEIGHT < nodes)
        level, nodes = level + 1, nodes >> LEVEL_HEIGHT
    return groups


def group_bytes(group: Group, size: int) -> int:
    """How long the nodes of a group are that a log of this size has."""
    level, parent = group
    there = full_nodes(size, level) - (parent << LEVEL_HEIGHT)
    return min(there, LEVEL_NODES) * HASH_BYTES


def boundary(size: int) -> list[int]:
    """The leaves before and behind the end that a log once had."""
    return [size - 1, size] if size else []


class NodeGroup:
    """The nodes of a group that a log has, and those between them and their parent, once they are asked for."""

    __slots__ = ("_heights", "nodes")

    def __init__(self, nodes: bytes) -> None:
        self.nodes = nodes
        self._heights = [nodes]

    def node(self, above: int, at: int) -> bytes | None:
        """The node `above` heights over its own level that begins with node `at`, if it is full."""
        while len(self._heights) <= above:  # two that have one parent stand next to each other
            below = self._heights[-1]
            pairs = range(0, len(below) - HASH_BYTES, 2 * HASH_BYTES)
            self._heights.append(
                b"".join(
                    [
                        _sha256(b"\x01" + below[pair : pair + 2 * HASH_BYTES]).digest()
                        for pair in pairs
                    ]
                )
            )
        first = (at >> above) * HASH_BYTES
        found = self._heights[above][first : first + HASH_BYTES]
        return found if len(found) == HASH_BYTES else None


class Nodes:
    """Groups as they were read, and what follows from them."""

    def __init__(self, groups: Mapping[Group, NodeGroup]) -> None:
        self._groups = groups

    def root(self, leaves: Leaves) -> bytes:
        """The root over a range of leaves that begins where a subtree as large could.

        Raises:
            Damaged: `tree-damaged`: nodes are not there.
        """
        hashes = self.frontier(leaves)
        if not hashes:
            return EMPTY_ROOT
        root = hashes[-1]
        for left in reversed(hashes[:-1]):
            root = node_hash(left, root)
        return root

    def frontier(self, leaves: Leaves) -> list[bytes]:
        """The roots of its full subtrees, largest first.

        Raises:
            Damaged: `tree-damaged`: nodes are not there.
        """
        return [self._node(height, index) for height, index in _perfect(*leaves)]

    def _node(self, height: int, index: int) -> bytes:
        level, above = divmod(height, LEVEL_HEIGHT)
        first = index << above
        found = self._groups[level, first >> LEVEL_HEIGHT].node(above, first % LEVEL_NODES)
        if found is None:
            raise Damaged(
                "tree-damaged",
                f"Nodes of level {level} below node {first >> LEVEL_HEIGHT} are not all "
                "there: run deedbook doctor --verify.",
            )
        return found


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
