"""Proofs as texts, tiles and stored nodes: published values, round trips, and the naive tree."""

import hashlib
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain import merkle
from domain.errors import DeedbookError
from domain.tiles import (
    Tile,
    format_bundle,
    format_entries,
    format_tile,
    parse_bundle,
    parse_entries,
    parse_hashes,
    parse_tile,
    tiles_of,
)
from domain.tlog_proof import (
    MAX_HASHES,
    MAX_PROOF_BYTES,
    ConsistencyProof,
    TlogProof,
    format_consistency,
    format_proof,
    parse_consistency,
    parse_proof,
)
from domain.tree_nodes import (
    LEVEL_NODES,
    NodeGroup,
    Nodes,
    boundary,
    consistency_ranges,
    full_nodes,
    groups_for,
    inclusion_ranges,
    parents,
)
from tests.export_samples import PUBLISHED_LINES
from tests.note_samples import CONSISTENCY, LEAVES, NOTE, PROOF

HASHES = st.lists(st.binary(min_size=32, max_size=32), max_size=5).map(tuple)


def test_the_published_proofs_are_written_byte_for_byte() -> None:
    inclusion = TlogProof(1, tuple(merkle.inclusion_proof(1, LEAVES)), NOTE)
    assert format_proof(inclusion) == PROOF
    assert parse_proof(PROOF) == inclusion
    consistency = ConsistencyProof(1, tuple(merkle.consistency_proof(1, LEAVES)), NOTE)
    assert format_consistency(consistency) == CONSISTENCY
    assert parse_consistency(CONSISTENCY) == consistency


@given(st.integers(0, 2**63 - 1), HASHES)
def test_every_proof_reads_back_as_it_was(number: int, hashes: tuple[bytes, ...]) -> None:
    proof = TlogProof(number, hashes, NOTE)
    assert parse_proof(format_proof(proof)) == proof
    consistency = ConsistencyProof(number, hashes, NOTE)
    assert parse_consistency(format_consistency(consistency)) == consistency


HASH = "tmE7X1jNXVEQ8AdgV/HuDYMOdcbvx/UiwVlsJjEuY8A=\n"


@pytest.mark.parametrize(
    "raw",
    [
        "",
        NOTE,
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("index 1", "index 01"),
        PROOF.replace("index 1", "index -1"),
        PROOF.replace("index 1", "index 9223372036854775808"),
        PROOF.replace("index 1", "extra AAAA\nindex 1"),
        PROOF.replace("index 1\n", ""),
        PROOF.replace("tmE7", "tmE"),
        PROOF.replace("Y8A=", "Y8B="),
        PROOF.replace(HASH, f" {HASH}"),
        PROOF.partition("\n\n")[0],
        PROOF.partition("\n\n")[0] + "\n\n",
        PROOF.replace("\n", "\r\n"),
        PROOF.replace(HASH, HASH * MAX_HASHES),
        PROOF + "x" * MAX_PROOF_BYTES,
    ],
)
def test_what_is_no_proof_is_refused(raw: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_proof(raw)
    assert caught.value.code == "proof-malformed"


@pytest.mark.parametrize("raw", ["", PROOF, CONSISTENCY.replace("old 1", "old 1 "), NOTE])
def test_what_is_no_consistency_proof_is_refused(raw: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_consistency(raw)
    assert caught.value.code == "proof-malformed"


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "0/000"),
        (Tile(0, 0, 3), "0/000.p/3"),
        (Tile(1, 999, 255), "1/999.p/255"),
        (Tile(2, 1_000), "2/x001/000"),
        (Tile(7, 1_234_067), "7/x001/x234/067"),
    ],
)
def test_a_tile_has_one_path(tile: Tile, path: str) -> None:
    assert format_tile(tile) == path
    assert parse_tile(path) == tile
    if tile.level == 0:
        assert parse_entries(format_entries(tile)) == tile


@given(st.integers(0, 7), st.integers(0, 10**20), st.integers(1, 256))
def test_every_tile_reads_back_as_it_was(level: int, index: int, width: int) -> None:
    tile = Tile(level, index, width)
    assert parse_tile(format_tile(tile)) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "0/1000",
        "0/x000/001",
        "0/x1/000",
        "0/001/002",
        "0/x001",
        "00/000",
        "8/000",
        "64/000",
        "-1/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/007",
        "0/000.p/",
        "0/000.p",
        "0/000/",
        "0/000\n",
        "8/0/000",
        "0/٠٠٠",
        f"0/{'x001/' * 7}000",
    ],
)
def test_what_names_no_tile_is_refused(path: str) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_tile(path)
    assert caught.value.code == "tile-malformed"


def test_the_published_tile_and_entries_have_their_bytes() -> None:
    tile = b"".join(LEAVES)
    assert hashlib.sha256(tile).hexdigest() == (
        "df44fbba2ee4742a1476d625c6e232e93736a9a26a7464a662e141a7fc7b2e95"
    )
    assert parse_hashes(tile, Tile(0, 0, 3)) == list(LEAVES)
    bundle = format_bundle(PUBLISHED_LINES)
    assert len(bundle) == 724
    assert hashlib.sha256(bundle).hexdigest() == (
        "2463e8208a4dcb1250e7effa0e5e19671c6719aa97e81a760e902da63c38c0fb"
    )
    assert parse_bundle(bundle) == list(PUBLISHED_LINES)


@pytest.mark.parametrize("raw", [b"\0", b"\0\x02x", format_bundle(PUBLISHED_LINES)[:-1]])
def test_a_cut_bundle_is_refused(raw: bytes) -> None:
    with pytest.raises(DeedbookError) as caught:
        parse_bundle(raw)
    assert caught.value.code == "tile-damaged"
    with pytest.raises(DeedbookError):
        parse_bundle(b"\0\0" * 257)
    with pytest.raises(DeedbookError):
        parse_hashes(bytes(31), Tile(0, 0, 1))


def test_a_log_has_the_tiles_that_its_size_gives() -> None:
    assert list(tiles_of(0)) == []
    assert list(tiles_of(3)) == [Tile(0, 0, 3)]
    assert list(tiles_of(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(tiles_of(70_000))[-3:] == [Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert Tile(1, 1, 17).size_needed() == 256 * 256 + 17 * 256


SIZE = 5_000
"""Large enough for nodes of three levels."""


@lru_cache
def leaves() -> tuple[bytes, ...]:
    return tuple(hashlib.sha256(str(index).encode()).digest() for index in range(SIZE))


@lru_cache
def levels() -> list[list[bytes]]:
    """What a ledger has stored at the size."""
    found = [list(leaves())]
    while len(found[-1]) >= LEVEL_NODES:
        found.append(parents(found[-1]))
    return found


def read(indexes: list[int], size: int) -> Nodes:
    """The groups that a ledger would read, which may hold more than the log of this size had."""
    groups = groups_for(indexes, size)
    assert len(groups) <= 4 * (len(indexes) + 1)
    return Nodes(
        {
            (level, parent): NodeGroup(
                b"".join(levels()[level][parent * LEVEL_NODES : (parent + 1) * LEVEL_NODES])
            )
            for level, parent in groups
        }
    )


def test_levels_have_the_nodes_that_a_size_gives() -> None:
    assert [len(one) for one in levels()] == [full_nodes(SIZE, level) for level in range(4)]


@settings(deadline=None)
@given(st.data())
def test_proofs_from_stored_nodes_are_those_of_the_whole_tree(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size))
    ranges = inclusion_ranges(index, size)
    nodes = read([index], size)
    proof = [nodes.root(one) for one in ranges]
    root = read([], size).root((0, size))
    assert root == merkle.tree_root(leaves()[:size])
    assert nodes.root((index, index + 1)) == leaves()[index]
    assert proof == merkle.inclusion_proof(index, leaves()[:size])
    assert merkle.verify_inclusion(leaves()[index], index, size, proof, root)
    nodes = read(boundary(old), size)
    old_root = nodes.root((0, old))
    consistency = [nodes.root(one) for one in consistency_ranges(old, size)]
    assert consistency == merkle.consistency_proof(old, leaves()[:size])
    assert merkle.verify_consistency(old, size, consistency, old_root, root)


def test_every_proof_of_every_small_log_is_that_of_the_whole_tree() -> None:
    for size in range(1, 70):
        assert read([], size).frontier((0, size)) == frontier(size)
        for index in range(size):
            nodes = read([index], size)
            proof = [nodes.root(one) for one in inclusion_ranges(index, size)]
            assert proof == merkle.inclusion_proof(index, leaves()[:size])
            nodes = read(boundary(index + 1), size)
            steps = consistency_ranges(index + 1, size)
            consistency = [nodes.root(one) for one in steps]
            assert consistency == merkle.consistency_proof(index + 1, leaves()[:size])
            assert nodes.frontier((0, index + 1)) == frontier(index + 1)


def frontier(size: int) -> list[bytes]:
    hashes: list[bytes] = []
    for index in range(size):
        merkle.extend(hashes, index, leaves()[index])
    return hashes


def test_an_empty_range_has_the_root_of_nothing() -> None:
    assert Nodes({}).root((0, 0)) == merkle.EMPTY_ROOT


def test_missing_nodes_are_damage() -> None:
    with pytest.raises(DeedbookError) as caught:
        Nodes({(1, 0): NodeGroup(bytes(32))}).root((0, 32))
    assert caught.value.code == "tree-damaged"
