"""The way of one event to the root of its log, step by step, as a page shows it."""

from collections.abc import Sequence

import msgspec

from domain.merkle import node_hash


class PathStep(msgspec.Struct, frozen=True):
    """One level up: the node so far and its sibling give the next node.

    Attributes:
        sibling: A hash from the proof.
        on_left: Where it stands: left of the node so far, or right of it.
        first: The first position below the sibling.
        last: The last one.
        node: What the two give.
    """

    sibling: bytes
    on_left: bool
    first: int
    last: int
    node: bytes


def inclusion_path(
    leaf: bytes, index: int, size: int, hashes: Sequence[bytes]
) -> tuple[PathStep, ...]:
    """The steps of an inclusion proof (RFC 9162 section 2.1.3.2), whose last node is the root.

    Args:
        leaf: The leaf hash.
        index: Of the leaf, from 0.
        size: Of the log.
        hashes: The proof; it was checked before.
    """
    steps = []
    node, at, last, level = leaf, index, size - 1, 0
    for sibling in hashes:
        on_left = bool(at & 1) or at == last
        while on_left and at and not at & 1:  # alone at these levels: it goes up as it is
            at, last, level = at >> 1, last >> 1, level + 1
        beside = at - 1 if on_left else at + 1
        node = node_hash(sibling, node) if on_left else node_hash(node, sibling)
        first, stop = beside << level, min((beside + 1) << level, size)
        steps.append(PathStep(sibling, on_left, first + 1, stop, node))
        at, last, level = at >> 1, last >> 1, level + 1
    return tuple(steps)
