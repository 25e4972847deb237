"""A project's log for verifiers (C2SP tlog-tiles): checkpoint, tiles, entries, and proofs made of them."""

import msgspec
from starlette.responses import Response

from app.http.answers import IMMUTABLE
from app.http.call import Call, NoQuery
from app.http.conditions import etag, unchanged
from app.http.endpoint import Endpoints
from app.http.events import position_in
from domain.digest import digest_of
from domain.tiles import Tile, parse_entries, parse_tile
from domain.tlog_proof import format_consistency, format_proof

endpoints = Endpoints("checkpoints")

TEXT = "text/plain"
BYTES = "application/octet-stream"
PART_SECONDS = 60
"""A partial tile does not change either, but the full one takes its place."""
PROBLEMS = ("project-not-found", "checkpoint-refused", "tree-damaged")


class CheckpointQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether it has to have been cosigned as the ledger's witness policy asks."""

    witnessed: bool = False


class ProofQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which checkpoint the proof leads to: the newest when left away."""

    size: int | None = None


class ConsistencyQuery(ProofQuery, frozen=True, forbid_unknown_fields=True):
    """The same, and the older size."""

    old: int = 0


@endpoints.add(
    "GET",
    "/v1/projects/{project}/log/checkpoint",
    scope="events:read",
    query=CheckpointQuery,
    answers={200: None},
    media_types=(TEXT,),
    problems=(
        "project-not-found",
        "checkpoint-refused",
        "checkpoint-unsigned",
        "checkpoint-unwitnessed",
    ),
    headers=("If-None-Match",),
)
def read_checkpoint(call: Call[CheckpointQuery, None]) -> Response:
    """Read the project's checkpoint: size and root of its log, signed.

    It is the log as it is now, with the cosignatures that there are of this size. A process without the
    key answers with the newest that was signed; `Deedbook-Position` says its size. With `witnessed=true`
    it is the newest that the ledger's witness policy is content with.
    """
    return checkpoint_of(call, call.project)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/log/tile/{tile:path}",
    scope="events:read",
    answers={200: None},
    media_types=(BYTES,),
    problems=("project-not-found", "tree-damaged", "tile-not-found", "tile-malformed"),
    headers=("If-None-Match",),
)
def read_tile(call: Call[NoQuery, None]) -> Response:
    """Read a tile of the project's tree: up to 256 hashes, one behind the other."""
    return tile_of(call, call.project)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/log/tile/entries/{tile:path}",
    scope="events:read",
    answers={200: None},
    media_types=(BYTES,),
    problems=("project-not-found", "tree-damaged", "tile-not-found", "tile-malformed"),
    headers=("If-None-Match",),
)
def read_entries(call: Call[NoQuery, None]) -> Response:
    """Read up to 256 events as they are stored, each behind its length (16 bits, big-endian)."""
    return entries_of(call, call.project)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/log/proof/{position}",
    scope="events:read",
    query=ProofQuery,
    answers={200: None},
    media_types=(TEXT,),
    problems=(*PROBLEMS, "position-not-found", "checkpoint-not-found", "checkpoint-unsigned"),
    headers=("If-None-Match",),
)
def read_proof(call: Call[ProofQuery, None]) -> Response:
    """Take away the proof that an event is in the log (C2SP tlog-proof), with its checkpoint."""
    return proof_of(call, call.project)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/log/consistency",
    scope="events:read",
    query=ConsistencyQuery,
    answers={200: None},
    media_types=(TEXT,),
    problems=(*PROBLEMS, "position-not-found", "checkpoint-not-found", "checkpoint-unsigned"),
    headers=("If-None-Match",),
)
def read_consistency(call: Call[ConsistencyQuery, None]) -> Response:
    """Take away the proof that the log only grew since an older size, with the newer checkpoint.

    The form is the one in which a witness takes it (C2SP tlog-witness).
    """
    return consistency_of(call, call.project)


def checkpoint_of(call: Call[CheckpointQuery, None], log: str) -> Response:
    """The newest checkpoint of a project's log, or of the seal log; or the newest that was cosigned."""
    if call.query.witnessed:
        signed = call.ledger.witnesses.witnessed(log)
    else:
        signed = call.ledger.checkpoints.latest(log)
    return _text(call, signed.note, signed.size)


def tile_of(call: Call[object, None], log: str) -> Response:
    """A tile of either."""
    tile = parse_tile(call.path["tile"])
    return _piece(call, tile, call.ledger.checkpoints.tile(log, tile))


def entries_of(call: Call[object, None], log: str) -> Response:
    """An entry bundle of either."""
    tile = parse_entries(call.path["tile"])
    return _piece(call, tile, call.ledger.checkpoints.entries(log, tile))


def proof_of(call: Call[ProofQuery, None], log: str) -> Response:
    """The proof of one entry of either."""
    position = position_in(call.path["position"])
    proof = call.ledger.checkpoints.inclusion(log, position, call.query.size)
    return _text(call, format_proof(proof), position)


def consistency_of(call: Call[ConsistencyQuery, None], log: str) -> Response:
    """The proof that either only grew."""
    proof = call.ledger.checkpoints.consistency(log, call.query.old, call.query.size)
    return _text(call, format_consistency(proof), call.query.old)


def _text(call: Call[object, None], text: str, position: int) -> Response:
    raw = text.encode()
    tag = etag(digest_of(raw))
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Deedbook-Position": str(position),
    }
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(raw, 200, headers, f"{TEXT}; charset=utf-8")


def _piece(call: Call[object, None], tile: Tile, raw: bytes) -> Response:
    tag = etag(digest_of(raw))
    kept = IMMUTABLE if tile.full else f"private, max-age={PART_SECONDS}"
    headers = {"ETag": tag, "Cache-Control": kept}
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(raw, 200, headers, BYTES)
