"""Blobs: upload content before the append that names it, and read it back."""

import msgspec
from starlette.responses import Response

from app.http.answers import answer, repr_digest, representation
from app.http.call import Call, NoQuery
from app.http.conditions import etag
from app.http.endpoint import Accepted, Endpoints
from domain.digest import digest_of, parse_digest
from domain.errors import Invalid
from domain.log import MAX_BLOB_BYTES

endpoints = Endpoints("blobs")

OCTETS: Accepted[bytes] = Accepted(bytes, {"*/*": bytes}, MAX_BLOB_BYTES)


class Uploaded(msgspec.Struct, frozen=True):
    """Content that is there now, until an event names it (for a day at most)."""

    digest: str
    size_bytes: int


@endpoints.add(
    "PUT",
    "/v1/projects/{project}/blobs/{digest}",
    scope="events:append",
    accepted=OCTETS,
    answers={201: Uploaded},
    problems=(
        "project-not-found",
        "digest-mismatch",
        "content-erased",
        "secret-detected",
        "body-too-large",
        "validation-failed",
        "blob-store-unavailable",
    ),
)
def put_blob(call: Call[NoQuery, bytes]) -> Response:
    """Upload content under its digest; repeating it changes nothing."""
    digest = call.path["digest"]
    parse_digest(digest)
    found = digest_of(call.body)
    if found != digest:
        raise Invalid("digest-mismatch", f"The bytes that came have {found}, not {digest}.")
    call.ledger.stage_blob(call.project, call.body)
    return answer(Uploaded(digest, len(call.body)), 201, {"Location": call.url_path})


@endpoints.add(
    "GET",
    "/v1/projects/{project}/blobs/{digest}",
    scope="events:read",
    answers={200: None, 206: None},
    media_types=("application/octet-stream",),
    problems=(
        "project-not-found",
        "blob-not-found",
        "content-erased",
        "content-missing",
        "blob-store-unavailable",
    ),
    headers=("If-None-Match", "If-Match", "Range", "If-Range"),
)
def get_blob(call: Call[NoQuery, None]) -> Response:
    """Read a blob that an event has named."""
    sha256 = parse_digest(call.path["digest"])
    call.position(None)
    blobs = call.ledger.blobs
    return representation(
        call,
        size_bytes=blobs.size(call.project, sha256),
        tag=etag(call.path["digest"]),
        media_type="application/octet-stream",
        pieces=lambda start, stop: blobs.pieces(call.project, sha256, start, stop),
        headers={**repr_digest(sha256), "Content-Disposition": "attachment"},
    )
