"""The tree over a log: published values, and a second, naive definition that must agree."""

import hashlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import merkle
from domain.errors import Damaged
from tests.export_samples import PUBLISHED_LINES

CT_LEAVES = tuple(
    bytes.fromhex(one)
    for one in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
"""The entries with which Certificate Transparency's own implementations are tested."""
CT_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
LARGEST = 100
LEAVES = [merkle.leaf_hash(b"%d" % number) for number in range(LARGEST)]


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    halves = naive_root(leaves[:split]) + naive_root(leaves[split:])
    return hashlib.sha256(b"\x01" + halves).digest()


ROOTS = [naive_root(LEAVES[:size]) for size in range(LARGEST + 1)]


def test_the_published_events_have_their_published_leaves_and_root() -> None:
    leaves = [merkle.leaf_hash(line) for line in PUBLISHED_LINES]
    assert [leaf.hex() for leaf in leaves] == [
        "b6613b5f58cd5d5110f0076057f1ee0d830e75c6efc7f522c1596c26312e63c0",
        "4a4ef7bd2288791c5bc3870c80043a48f66b70ddf4586d57cdbfcdd14d586608",
        "3aceb35695a4fee6c8dc9b9ee96eefcfeba8ffcf614792186edd3010c49535c7",
    ]
    left = merkle.node_hash(leaves[0], leaves[1])
    assert left.hex() == "31e38c658f0e9c2f68ca238d6b7e4c28aa6dc5ce8d05701cdcfa0d59d5c6ef14"
    frontier: list[bytes] = []
    for size, leaf in enumerate(leaves):
        merkle.extend(frontier, size, leaf)
    assert merkle.frontier_to_bytes(frontier) == left + leaves[2]
    assert merkle.root_of(frontier).hex() == (
        "1fc89e6fe4b4eec240edebc9f595dc9f452f24d0600baf7733942cdf0bf90553"
    )


def test_the_published_proofs_of_the_published_log_come_out() -> None:
    leaves = [merkle.leaf_hash(line) for line in PUBLISHED_LINES]
    assert merkle.inclusion_proof(1, leaves) == [leaves[0], leaves[2]]
    assert merkle.consistency_proof(1, leaves) == [leaves[1], leaves[2]]


def test_an_erasure_adds_a_leaf_and_changes_none() -> None:
    line = (
        b'{"actor":"user:ada","data":{"artifact":"artifact/PRD/main","artifact_version":1,"digest":'
        b'"sha256:b2ff6d2fd87d90514ef85ae89f892c12538ae92fc70d655b2991eb69107ceb83","reason":'
        b'"subject request"},"id":"019a9f60-7c00-7000-8a00-000000000004","position":4,"stream":'
        b'"erasures","time":"2026-11-21T09:00:00.000000Z","type":"ArtifactErased","version":1}'
    )
    leaves = [merkle.leaf_hash(one) for one in (*PUBLISHED_LINES, line)]
    assert leaves[3].hex() == "985b561d89897ec3c59ff5f4e6eb48a07f7bf86bcd317c73322acd8bdff12045"
    assert merkle.tree_root(leaves).hex() == (
        "9b623c20106bfaaa942042f1c9679d7389415d7328a512b71768c6a2d1f54ba8"
    )


@pytest.mark.parametrize("size", CT_ROOTS)
def test_the_logs_of_certificate_transparency_have_the_same_roots(size: int) -> None:
    leaves = [merkle.leaf_hash(one) for one in CT_LEAVES[:size]]
    assert merkle.tree_root(leaves).hex() == CT_ROOTS[size]


def test_extending_a_frontier_agrees_with_the_naive_tree_at_every_size() -> None:
    frontier: list[bytes] = []
    for size, leaf in enumerate(LEAVES):
        assert merkle.root_of(frontier) == ROOTS[size]
        stored = merkle.frontier_to_bytes(frontier)
        assert merkle.frontier_from_bytes(stored, size) == frontier
        merkle.extend(frontier, size, leaf)
    assert merkle.root_of(frontier) == ROOTS[LARGEST]


@given(size=st.integers(0, 2**53 - 1), wrong=st.integers(0, 60 * 32))
def test_a_stored_frontier_whose_length_does_not_fit_the_size_is_damaged(
    size: int, wrong: int
) -> None:
    if wrong == 32 * size.bit_count():
        wrong += 1
    with pytest.raises(Damaged) as caught:
        merkle.frontier_from_bytes(bytes(wrong), size)
    assert caught.value.code == "frontier-malformed"


def test_a_negative_size_has_no_frontier() -> None:
    with pytest.raises(Damaged):
        merkle.frontier_from_bytes(bytes(32), -1)


def test_every_inclusion_proof_is_accepted_for_its_own_leaf_and_place_only() -> None:
    for size in range(1, LARGEST + 1):
        for index in range(size):
            proof = merkle.inclusion_proof(index, LEAVES[:size])
            leaf, root = LEAVES[index], ROOTS[size]
            assert merkle.verify_inclusion(leaf, index, size, proof, root)
            assert not merkle.verify_inclusion(LEAVES[index - 1], index, size, proof, root)
            other = (index + 1) % size
            assert size == 1 or not merkle.verify_inclusion(leaf, other, size, proof, root)
            assert not merkle.verify_inclusion(leaf, index, size, [*proof, leaf], root)
            assert not merkle.verify_inclusion(leaf, index, size, proof, ROOTS[size - 1])
            if proof:
                assert not merkle.verify_inclusion(leaf, index, size, proof[:-1], root)


def test_every_consistency_proof_is_accepted_for_its_own_roots_only() -> None:
    for new in range(1, LARGEST + 1):
        for old in range(1, new + 1):
            proof = merkle.consistency_proof(old, LEAVES[:new])
            assert merkle.verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])
            assert not merkle.verify_consistency(old, new, proof, ROOTS[old - 1], ROOTS[new])
            assert not merkle.verify_consistency(old, new, proof, ROOTS[old], ROOTS[new - 1])
            assert not merkle.verify_consistency(
                old, new, [*proof, ROOTS[old]], ROOTS[old], ROOTS[new]
            )
            if proof:
                assert not merkle.verify_consistency(old, new, proof[:-1], ROOTS[old], ROOTS[new])


@given(st.data())
def test_one_changed_bit_in_a_proof_is_noticed(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, LARGEST))
    old = data.draw(st.integers(1, new - 1))
    inclusion = merkle.inclusion_proof(old, LEAVES[:new])
    consistency = merkle.consistency_proof(old, LEAVES[:new])
    bit = data.draw(st.integers(0, 255))

    def flipped(proof: list[bytes]) -> list[bytes]:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = int.from_bytes(proof[at], "big") ^ 1 << bit
        return [*proof[:at], changed.to_bytes(32, "big"), *proof[at + 1 :]]

    assert not merkle.verify_inclusion(LEAVES[old], old, new, flipped(inclusion), ROOTS[new])
    assert not merkle.verify_consistency(old, new, flipped(consistency), ROOTS[old], ROOTS[new])


def test_places_outside_the_log_are_never_proven() -> None:
    for index, size in ((-1, 1), (1, 1), (0, 0), (5, 3)):
        assert not merkle.verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])
    for old, new in ((0, 1), (0, 0), (2, 1), (-1, 1)):
        assert not merkle.verify_consistency(old, new, [], ROOTS[1], ROOTS[1])


def test_halves_of_a_node_cut_at_another_place_are_no_proof() -> None:
    left, right = LEAVES[0], LEAVES[1]
    root = merkle.node_hash(left, right)
    assert merkle.verify_inclusion(left, 0, 2, [right], root)
    joined = left + right
    assert not merkle.verify_inclusion(joined[:31], 0, 2, [joined[31:]], root)
    assert not merkle.verify_inclusion(joined[:33], 0, 2, [joined[33:]], root)
    assert not merkle.verify_consistency(1, 2, [joined[31:]], joined[:31], root)


def test_a_leaf_is_never_taken_for_a_node() -> None:
    leaves = LEAVES[:2]
    forged = leaves[0] + leaves[1]
    assert merkle.leaf_hash(forged) != merkle.tree_root(leaves)


def test_no_two_sizes_of_one_log_share_a_root() -> None:
    assert all(one != other for one, other in pairwise(ROOTS))
    assert len(set(ROOTS)) == LARGEST + 1
