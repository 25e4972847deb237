"""Checkpoints, tiles and proofs over HTTP, read and checked as a client of C2SP tlog-tiles would."""

import base64

import httpx2
import pytest

from adapters.signature_check import verify_signature
from domain import merkle
from domain.checkpoint import Checkpoint, open_checkpoint
from domain.signed_note import NoteKey
from domain.tiles import Tile, format_entries, format_tile, parse_bundle, parse_hashes, tiles_of
from domain.tlog_proof import parse_consistency, parse_proof
from tests.note_samples import PUBLIC
from tests.serving import Served

MORE = 300
"""Events enough for a full tile and a part of the next."""


def opened(note: str, project: str) -> Checkpoint:
    """The checkpoint in a note, whose signature holds."""
    return open_checkpoint(note, [NoteKey(f"{project}.ledger.example", PUBLIC)], verify_signature)


def grow(http: httpx2.Client, project: str, count: int) -> None:
    events = [
        {
            "stream": f"artifact/NOTE/n{index}",
            "type": "ArtifactWritten",
            "data": {"media_type": "text/plain", "title": str(index)},
            "content": "same",
        }
        for index in range(count)
    ]
    for at in range(0, count, 100):
        made = http.post(f"/v1/projects/{project}/events", json={"events": events[at : at + 100]})
        assert made.status_code == 201, made.text


@pytest.fixture
def grown(http: httpx2.Client, project: str) -> str:
    """A project of 1 + 300 events."""
    grow(http, project, MORE)
    return project


def lines_of(http: httpx2.Client, project: str) -> list[bytes]:
    replay = http.get(f"/v1/projects/{project}/events", headers={"Accept": "application/x-ndjson"})
    return replay.content.splitlines()[:-1]


def test_the_checkpoint_is_the_log_as_it_is_now_and_signed(
    http: httpx2.Client, project: str
) -> None:
    for _ in range(2):
        lines = lines_of(http, project)
        answer = http.get(f"/v1/projects/{project}/log/checkpoint")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["deedbook-position"] == str(len(lines))
        checkpoint = opened(answer.text, project)
        assert checkpoint.size == len(lines)
        assert checkpoint.root == merkle.tree_root([merkle.leaf_hash(line) for line in lines])
        again = http.get(f"/v1/projects/{project}/log/checkpoint")
        assert again.text == answer.text
        tag = {"If-None-Match": answer.headers["etag"]}
        assert http.get(f"/v1/projects/{project}/log/checkpoint", headers=tag).status_code == 304
        grow(http, project, 17)


def test_the_tree_can_be_made_again_from_tiles_and_entries(http: httpx2.Client, grown: str) -> None:
    base = f"/v1/projects/{grown}/log"
    checkpoint = opened(http.get(f"{base}/checkpoint").text, grown)
    assert checkpoint.size == MORE + 1
    leaves: list[bytes] = []
    upper: list[bytes] = []
    lines: list[bytes] = []
    for tile in tiles_of(checkpoint.size):
        answer = http.get(f"{base}/tile/{format_tile(tile)}")
        assert answer.status_code == 200
        (upper if tile.level else leaves).extend(parse_hashes(answer.content, tile))
        if tile.level == 0:
            entries = http.get(f"{base}/tile/entries/{format_entries(tile)}")
            lines += parse_bundle(entries.content)
            immutable = "immutable" in answer.headers["cache-control"]
            assert immutable == ("immutable" in entries.headers["cache-control"]) == tile.full
    assert lines == lines_of(http, grown)
    assert leaves == [merkle.leaf_hash(line) for line in lines]
    assert upper == [merkle.tree_root(leaves[:256])]
    assert merkle.tree_root(leaves) == checkpoint.root


def test_every_part_of_a_tile_is_there_also_when_it_is_full(
    http: httpx2.Client, grown: str
) -> None:
    base = f"/v1/projects/{grown}/log"
    http.get(f"{base}/checkpoint")
    full = http.get(f"{base}/tile/0/000").content
    for width in (1, 17, 255):
        assert http.get(f"{base}/tile/0/000.p/{width}").content == full[: 32 * width]
    lines = parse_bundle(http.get(f"{base}/tile/entries/000.p/17").content)
    assert lines == lines_of(http, grown)[:17]


@pytest.mark.parametrize(
    ("tile", "status", "code"),
    [
        ("0/001", 404, "tile-not-found"),
        ("0/001.p/46", 404, "tile-not-found"),
        ("1/000", 404, "tile-not-found"),
        ("1/000.p/2", 404, "tile-not-found"),
        ("2/000.p/1", 404, "tile-not-found"),
        ("7/x999/x999/x999/x999/x999/x999/999", 404, "tile-not-found"),
        ("entries/001", 404, "tile-not-found"),
        ("0/1", 400, "tile-malformed"),
        ("8/000", 400, "tile-malformed"),
        ("entries/0/000", 400, "tile-malformed"),
        ("0/000.p/256", 400, "tile-malformed"),
    ],
)
def test_a_tile_that_is_not_there_is_a_clear_problem(
    http: httpx2.Client, grown: str, tile: str, status: int, code: str
) -> None:
    http.get(f"/v1/projects/{grown}/log/checkpoint")
    answer = http.get(f"/v1/projects/{grown}/log/tile/{tile}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_no_tile_is_handed_out_that_no_checkpoint_covers(http: httpx2.Client, project: str) -> None:
    tile = f"/v1/projects/{project}/log/tile/{format_tile(Tile(0, 0, 1))}"
    assert http.get(tile).status_code == 404
    http.get(f"/v1/projects/{project}/log/checkpoint")
    assert http.get(tile).status_code == 200


@pytest.mark.parametrize("position", [1, 2, 16, 255, 256, 257, MORE, MORE + 1])
def test_a_proof_leads_from_its_event_to_the_signed_root(
    http: httpx2.Client, grown: str, position: int
) -> None:
    base = f"/v1/projects/{grown}"
    proof = parse_proof(http.get(f"{base}/log/proof/{position}").text)
    checkpoint = opened(proof.checkpoint, grown)
    leaf = merkle.leaf_hash(http.get(f"{base}/events/{position}").content)
    assert proof.index == position - 1
    assert merkle.verify_inclusion(
        leaf, proof.index, checkpoint.size, proof.hashes, checkpoint.root
    )


def test_a_proof_is_to_any_checkpoint_that_was_signed(http: httpx2.Client, project: str) -> None:
    base = f"/v1/projects/{project}/log"
    first = opened(http.get(f"{base}/checkpoint").text, project)
    grow(http, project, 40)
    last = opened(http.get(f"{base}/checkpoint").text, project)
    proof = parse_proof(http.get(f"{base}/proof/1", params={"size": 1}).text)
    assert opened(proof.checkpoint, project) == first
    grown = parse_consistency(http.get(f"{base}/consistency", params={"old": 1}).text)
    assert opened(grown.checkpoint, project) == last
    assert merkle.verify_consistency(1, last.size, grown.hashes, first.root, last.root)
    nothing = parse_consistency(http.get(f"{base}/consistency").text)
    assert (nothing.old, nothing.hashes) == (0, ())
    same = parse_consistency(http.get(f"{base}/consistency", params={"old": last.size}).text)
    assert same.hashes == ()


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ("proof/99", 404, "position-not-found"),
        ("proof/0", 400, "invalid-parameter"),
        ("proof/1?size=7", 404, "checkpoint-not-found"),
        ("proof/1?size=0", 404, "checkpoint-not-found"),
        ("proof/1?size=9223372036854775807", 404, "checkpoint-not-found"),
        ("proof/1?size=-1", 400, "invalid-parameter"),
        ("proof/999999999999999999", 404, "position-not-found"),
        ("consistency?old=2", 404, "position-not-found"),
        ("consistency?old=9223372036854775807", 404, "position-not-found"),
        ("consistency?old=1&size=7", 404, "checkpoint-not-found"),
    ],
)
def test_a_proof_that_cannot_be_made_is_a_clear_problem(
    http: httpx2.Client, project: str, asked: str, status: int, code: str
) -> None:
    answer = http.get(f"/v1/projects/{project}/log/{asked}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize(
    "asked", ["checkpoint", "tile/0/000.p/1", "tile/entries/000.p/1", "proof/1", "consistency"]
)
def test_the_log_asks_for_the_right_to_read_events(
    served: Served, http: httpx2.Client, project: str, asked: str
) -> None:
    path = f"/v1/projects/{project}/log/{asked}"
    http.get(f"/v1/projects/{project}/log/checkpoint")
    with served.client(served.limited("events:read", projects=(project,))) as client:
        assert client.get(path).status_code == 200
    with served.client(served.limited("events:read", projects=("other",))) as client:
        assert client.get(path).json()["code"] == "project-forbidden"
    with served.client(served.limited("events:append")) as client:
        assert client.get(path).json()["code"] == "insufficient-scope"
    absent = http.get(f"/v1/projects/absent/log/{asked}")
    assert (absent.status_code, absent.json()["code"]) == (404, "project-not-found")


def test_a_witness_would_take_the_consistency_proof_as_it_comes(
    http: httpx2.Client, project: str
) -> None:
    text = http.get(f"/v1/projects/{project}/log/consistency", params={"old": 1}).text
    head, _, note = text.partition("\n\n")
    assert head == "old 1"
    assert note == http.get(f"/v1/projects/{project}/log/checkpoint").text
    grow(http, project, 2)
    lines = http.get(f"/v1/projects/{project}/log/consistency?old=1&size=1").text.split("\n")
    assert lines[:2] == ["old 1", ""]
    http.get(f"/v1/projects/{project}/log/checkpoint")
    longer = http.get(f"/v1/projects/{project}/log/consistency?old=1").text.split("\n")
    assert len(base64.b64decode(longer[1])) == 32
