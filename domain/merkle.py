"""The Merkle tree over a project's events (RFC 6962 section 2.1, SHA-256).

A frontier is the list of the roots of a log's perfect subtrees, largest first: one 32-byte hash for
each 1-bit of its size. It is all that an append needs.
"""

import hashlib
from collections.abc import Sequence

from domain.errors import Damaged

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()

_sha256 = hashlib.sha256


def leaf_hash(line: bytes) -> bytes:
    """The leaf of one event line, without its newline: SHA-256(0x00 || line)."""
    return _sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """An inner node: SHA-256(0x01 || left || right)."""
    return _sha256(b"\x01" + left + right).digest()


def extend(frontier: list[bytes], size: int, leaf: bytes) -> None:
    """Append one leaf, in place, to the frontier of a log of `size` leaves."""
    while size & 1:
        leaf = _sha256(b"\x01" + frontier.pop() + leaf).digest()
        size >>= 1
    frontier.append(leaf)


def root_of(frontier: Sequence[bytes]) -> bytes:
    """The root hash of the log that has this frontier."""
    if not frontier:
        return EMPTY_ROOT
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def frontier_to_bytes(frontier: Sequence[bytes]) -> bytes:
    """The stored form: the hashes, one behind the other."""
    return b"".join(frontier)


def frontier_from_bytes(raw: bytes, size: int) -> list[bytes]:
    """The frontier of a log of `size` leaves, from its stored form.

    Raises:
        Damaged: `frontier-malformed`, when the length does not fit the size.
    """
    if size < 0 or len(raw) != HASH_BYTES * size.bit_count():
        raise Damaged(
            "frontier-malformed",
            f"A log of {size} events has a frontier of {HASH_BYTES * max(size, 0).bit_count()} "
            f"bytes, not {len(raw)}.",
        )
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root hash over leaf hashes."""
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        extend(frontier, size, leaf)
    return root_of(frontier)


def inclusion_proof(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The audit path of leaf `index`, from its sibling up (RFC 6962 section 2.1.1)."""
    assert 0 <= index < len(leaves)
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(index, leaves[:split]), tree_root(leaves[split:])]
    return [*inclusion_proof(index - split, leaves[split:]), tree_root(leaves[:split])]


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Whether the proof leads from the leaf to the root (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes(leaf, *proof):
        return False
    node, last, at = leaf, size - 1, index
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root


def consistency_proof(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The proof that the log of `old` leaves is a prefix (RFC 6962 section 2.1.2)."""
    assert 0 < old <= len(leaves)
    return _subproof(old, leaves, whole=True)


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> bool:
    """Whether the proof leads from the old root to the new one (RFC 9162 section 2.1.4.2)."""
    if not 0 < old <= new or not _are_hashes(old_root, *proof):
        return False
    if old == new:
        return not proof and old_root == new_root
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    from_old = from_new = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            from_old, from_new = node_hash(node, from_old), node_hash(node, from_new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            from_new = node_hash(from_new, node)
        at, last = at >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root


def _are_hashes(*nodes: bytes) -> bool:
    """Whether all have the length of a hash: a node's halves could be cut elsewhere otherwise."""
    return all(len(node) == HASH_BYTES for node in nodes)


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _subproof(old: int, leaves: Sequence[bytes], *, whole: bool) -> list[bytes]:
    if old == len(leaves):
        return [] if whole else [tree_root(leaves)]
    split = _split(len(leaves))
    if old <= split:
        return [*_subproof(old, leaves[:split], whole=whole), tree_root(leaves[split:])]
    return [*_subproof(old - split, leaves[split:], whole=False), tree_root(leaves[:split])]
