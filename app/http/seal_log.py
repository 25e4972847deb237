"""The ledger's seal log for verifiers (C2SP tlog-tiles): as a project's, one for all of them.

Its entries are signatures, digests and public keys, and name no project: any token may read them.
"""

from starlette.responses import Response

from app.http.call import Call, NoQuery
from app.http.checkpoints import (
    BYTES,
    PROBLEMS,
    TEXT,
    CheckpointQuery,
    ConsistencyQuery,
    ProofQuery,
    checkpoint_of,
    consistency_of,
    entries_of,
    proof_of,
    tile_of,
)
from app.http.endpoint import Endpoints
from domain.seal import SEAL_LOG

endpoints = Endpoints("seal log")

TILE_PROBLEMS = ("tree-damaged", "tile-not-found", "tile-malformed")
PROOF_PROBLEMS = (
    *(one for one in PROBLEMS if one != "project-not-found"),
    "position-not-found",
    "checkpoint-not-found",
    "checkpoint-unsigned",
)


@endpoints.add(
    "GET",
    "/v1/log/checkpoint",
    scope=None,
    query=CheckpointQuery,
    answers={200: None},
    media_types=(TEXT,),
    problems=("checkpoint-unsigned", "checkpoint-unwitnessed"),
    headers=("If-None-Match",),
)
def read_seal_log_checkpoint(call: Call[CheckpointQuery, None]) -> Response:
    """Read the seal log's checkpoint: its size and root, signed.

    With `witnessed=true` it is the newest that the ledger's witness policy is content with.
    """
    return checkpoint_of(call, SEAL_LOG)


@endpoints.add(
    "GET",
    "/v1/log/tile/{tile:path}",
    scope=None,
    answers={200: None},
    media_types=(BYTES,),
    problems=TILE_PROBLEMS,
    headers=("If-None-Match",),
)
def read_seal_log_tile(call: Call[NoQuery, None]) -> Response:
    """Read a tile of the seal log's tree."""
    return tile_of(call, SEAL_LOG)


@endpoints.add(
    "GET",
    "/v1/log/tile/entries/{tile:path}",
    scope=None,
    answers={200: None},
    media_types=(BYTES,),
    problems=TILE_PROBLEMS,
    headers=("If-None-Match",),
)
def read_seal_log_entries(call: Call[NoQuery, None]) -> Response:
    """Read up to 256 leaves of the seal log, each behind its length (16 bits, big-endian)."""
    return entries_of(call, SEAL_LOG)


@endpoints.add(
    "GET",
    "/v1/log/proof/{position}",
    scope=None,
    query=ProofQuery,
    answers={200: None},
    media_types=(TEXT,),
    problems=PROOF_PROBLEMS,
    headers=("If-None-Match",),
)
def read_seal_log_proof(call: Call[ProofQuery, None]) -> Response:
    """Take away the proof that an entry is in the seal log; positions count from 1."""
    return proof_of(call, SEAL_LOG)


@endpoints.add(
    "GET",
    "/v1/log/consistency",
    scope=None,
    query=ConsistencyQuery,
    answers={200: None},
    media_types=(TEXT,),
    problems=PROOF_PROBLEMS,
    headers=("If-None-Match",),
)
def read_seal_log_consistency(call: Call[ConsistencyQuery, None]) -> Response:
    """Take away the proof that the seal log only grew since an older size."""
    return consistency_of(call, SEAL_LOG)
