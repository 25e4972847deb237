"""Imports: open a project from an export."""

from pathlib import Path

from starlette.responses import Response

from app.bundle_import import Imported, import_bundle
from app.http.answers import answer
from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints, file_body
from domain.errors import Forbidden

endpoints = Endpoints("imports")

MAX_UPLOAD_BYTES = 1024 * 1024 * 1024


@endpoints.add(
    "POST",
    "/v1/imports/bundle",
    scope="admin",
    accepted=file_body("application/zip", MAX_UPLOAD_BYTES),
    answers={201: Imported},
    problems=(
        "project-exists",
        "bundle-not-verified",
        "bundle-not-whole",
        "archive-unreadable",
        "archive-too-large",
        "blob-store-unavailable",
    ),
)
def post_bundle(call: Call[NoQuery, Path]) -> Response:
    """Open a project from an export, verified first; all or nothing."""
    if call.token.projects is not None:
        raise Forbidden(
            "project-forbidden", "Opening a project needs a token that is for every project."
        )
    imported = import_bundle(
        call.ledger, call.body, progress=lambda _done, _total: None, max_bytes=MAX_UPLOAD_BYTES
    )
    return answer(imported, 201, {"Location": f"/v1/projects/{imported.project}"})
