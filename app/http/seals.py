"""Seals: sign an export, read its sidecar, and read the ledger's public keys."""

from starlette.responses import Response

from app.http.call import Call, NoQuery
from app.http.conditions import etag, unchanged
from app.http.endpoint import Endpoints, json_body
from app.http.events import position_in
from app.http.exports import PROBLEMS, ExportQuery, scope_of
from app.seals import Sealed
from domain.digest import digest_of
from domain.seal import Head
from domain.sigstore_bundle import MEDIA_TYPE
from domain.trust import encode_trust, trusted_root

endpoints = Endpoints("seals")


class NewSeal(ExportQuery, frozen=True, forbid_unknown_fields=True):
    """Which part of the project, as of the export; and the commit for which it is sealed."""

    head: Head | None = None


class SealQuery(ExportQuery, frozen=True, forbid_unknown_fields=True):
    """The same; of the commit its id alone."""

    head: str | None = None


@endpoints.add(
    "POST",
    "/v1/projects/{project}/exports/{position}/seal",
    scope="exports:create",
    accepted=json_body(NewSeal),
    answers={201: None},
    media_types=(MEDIA_TYPE,),
    problems=(
        *PROBLEMS,
        "validation-failed",
        "seal-unsigned",
        "checkpoint-unsigned",
        "checkpoint-refused",
        "signing-key-retired",
        "export-differs",
    ),
)
def seal_export(call: Call[NoQuery, NewSeal]) -> Response:
    """Seal an export: sign what it is, log that, and take the sidecar away (a Sigstore bundle).

    Sealing the same export for the same commit again answers the same bytes.
    """
    asked = call.body
    position = position_in(call.path["position"])
    found = call.ledger.seals.seal(call.project, position, scope_of(asked), asked.head)
    return _sidecar(call, found, 201)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/exports/{position}/seal",
    scope="exports:create",
    query=SealQuery,
    answers={200: None},
    media_types=(MEDIA_TYPE,),
    problems=("seal-not-found",),
    headers=("If-None-Match",),
)
def read_seal(call: Call[SealQuery, None]) -> Response:
    """Read the sidecar of an export that was sealed, for a commit or for none."""
    asked = call.query
    position = position_in(call.path["position"])
    found = call.ledger.seals.find(call.project, position, scope_of(asked), asked.head)
    return _sidecar(call, found, 200)


@endpoints.add(
    "GET",
    "/v1/trust",
    scope=None,
    answers={200: None},
    problems=("signing-key-absent",),
    headers=("If-None-Match",),
)
def read_trust(call: Call[NoQuery, None]) -> Response:
    """Read the ledger's public keys and where each is valid: a reader's `trust.json`."""
    return _keys(call, encode_trust(call.ledger.seals.trust()))


@endpoints.add(
    "GET",
    "/v1/trusted-root",
    scope=None,
    answers={200: None},
    problems=("signing-key-absent",),
    headers=("If-None-Match",),
)
def read_trusted_root(call: Call[NoQuery, None]) -> Response:
    """Read the seal log's public keys as Sigstore's clients want them: `trusted_root.json`."""
    return _keys(call, trusted_root(call.ledger.seals.trust()))


def _sidecar(call: Call[object, object], found: Sealed, status: int) -> Response:
    tag = etag(digest_of(found.sidecar))
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Deedbook-Seal-Index": str(found.index),
    }
    if call.method != "POST" and unchanged(call.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(found.sidecar, status, headers, MEDIA_TYPE)


def _keys(call: Call[NoQuery, None], raw: bytes) -> Response:
    tag = etag(digest_of(raw))
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(raw, 200, headers, "application/json")
