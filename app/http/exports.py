"""Exports: the ZIP of a project or a run at a position, and its manifest."""

import msgspec
from starlette.responses import Response

from adapters.postgres_exports import ExportRecord
from app.http.answers import IMMUTABLE, repr_digest, representation
from app.http.call import Call
from app.http.conditions import etag, unchanged
from app.http.endpoint import Endpoints
from app.http.events import position_in
from domain.digest import format_digest
from projections.bundle import ORIGINALS

endpoints = Endpoints("exports")

PROBLEMS = (
    "project-not-found",
    "position-in-the-future",
    "position-not-found",
    "run-not-found",
    "content-missing",
    "content-erased",
    "blob-store-unavailable",
)


class ExportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scope: the whole project, or one run; with originals or without."""

    run: str | None = None
    originals: bool = False


@endpoints.add(
    "GET",
    "/v1/projects/{project}/exports/{position}.zip",
    scope="exports:create",
    query=ExportQuery,
    answers={200: None, 206: None},
    media_types=("application/zip",),
    problems=(*PROBLEMS, "range-not-satisfiable", "precondition-failed"),
    headers=("If-None-Match", "If-Match", "Range", "If-Range"),
)
def get_export(call: Call[ExportQuery, None]) -> Response:
    """Take a project, or one run, away as a ZIP that proves itself.

    The same position gives the same bytes for ever.
    """
    record = _layout(call)
    digest = {} if record.zip_sha256 is None else repr_digest(record.zip_sha256)
    return representation(
        call,
        size_bytes=record.size_bytes,
        tag=record.etag,
        media_type="application/zip",
        pieces=lambda start, stop: call.ledger.exports.stream(record, start, stop),
        headers={
            **digest,
            "Content-Disposition": f'attachment; filename="{record.file_name}"',
            "Deedbook-Position": str(record.position),
        },
    )


@endpoints.add(
    "GET",
    "/v1/projects/{project}/exports/{position}/manifest",
    scope="exports:create",
    query=ExportQuery,
    answers={200: None},
    problems=PROBLEMS,
    headers=("If-None-Match",),
)
def get_manifest(call: Call[ExportQuery, None]) -> Response:
    """Read the manifest of an export: every file with its size and SHA-256."""
    record = _layout(call)
    tag = etag(format_digest(record.manifest_sha256))
    headers = {"ETag": tag, "Cache-Control": IMMUTABLE, **repr_digest(record.manifest_sha256)}
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(call.ledger.exports.manifest(record), 200, headers, "application/json")


def scope_of(asked: ExportQuery) -> str:
    """The scope that is asked for, by its name."""
    scope = "project" if asked.run is None else f"run:{asked.run}"
    return scope + ORIGINALS if asked.originals else scope


def _layout(call: Call[ExportQuery, None]) -> ExportRecord:
    position = position_in(call.path["position"])
    return call.ledger.exports.layout(call.project, position, scope_of(call.query))
