"""Erasing the contents of artifacts and runs: a preview, the erasure that confirms it, and the list."""

import msgspec
from starlette.responses import Response

from adapters.postgres_views import MAX_PAGE
from app.erasures import Erased, Erasure, Preview
from app.http.answers import answer
from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints, json_body
from domain.errors import Invalid
from domain.names import artifact_stream, run_stream

endpoints = Endpoints("erasures")

FIND_PROBLEMS = (
    "project-not-found",
    "artifact-not-found",
    "run-not-found",
    "version-not-found",
    "nothing-to-erase",
    "validation-failed",
    "batch-too-large",
)


class ErasureTarget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to erase: contents of an artifact (kind and key), or of a run.

    Attributes:
        version: The version of the artifact, with its original; or of the record in the run's stream.
            All of them when left away.
    """

    kind: str | None = None
    key: str | None = None
    run: str | None = None
    version: int | None = None


class ErasureRequest(ErasureTarget, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same, with the reason, which is recorded for ever, and the `confirm` of its preview."""

    reason: str
    confirm: str


class ErasurePage(msgspec.Struct, frozen=True):
    """Erasures, oldest first; `next` is the `after` of the next page."""

    erasures: tuple[Erasure, ...]
    next: int | None
    position: int


class ErasureQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the erasures."""

    after: int = 0
    limit: int = 100
    at: int | None = None


@endpoints.add(
    "POST",
    "/v1/projects/{project}/erasures/preview",
    scope="admin",
    accepted=json_body(ErasureTarget),
    answers={200: Preview},
    problems=FIND_PROBLEMS,
)
def preview_erasure(call: Call[NoQuery, ErasureTarget]) -> Response:
    """Show what an erasure would take away, and what it would not reach; changes nothing."""
    stream, version = _target(call.body)
    return answer(call.ledger.erasures.preview(call.project, stream, version))


@endpoints.add(
    "POST",
    "/v1/projects/{project}/erasures",
    scope="admin",
    accepted=json_body(ErasureRequest),
    answers={201: Erased, 200: Erased},
    problems=(
        *FIND_PROBLEMS,
        "erasure-changed",
        "secret-detected",
        "queue-full",
        "outcome-unknown",
        "shutting-down",
    ),
)
def erase(call: Call[NoQuery, ErasureRequest]) -> Response:
    """Erase contents, as a preview showed them; what is erased already answers as it was the first time."""
    stream, version = _target(call.body)
    erased = call.ledger.erasures.erase(
        call.project,
        stream,
        version,
        reason=call.body.reason,
        confirm=call.body.confirm,
        actor=call.actor,
    )
    position = erased.erasures[-1].position
    return answer(erased, 200 if erased.replayed else 201, {"Deedbook-Position": str(position)})


@endpoints.add(
    "GET",
    "/v1/projects/{project}/erasures",
    scope="events:read",
    query=ErasureQuery,
    answers={200: ErasurePage},
    problems=("project-not-found", "position-in-the-future"),
)
def list_erasures(call: Call[ErasureQuery, None]) -> Response:
    """List what was erased, by whom and why."""
    position = call.position(call.query.at)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    found = call.ledger.erasures.page(call.project, call.query.after, limit, position)
    following = found[-1][0] if len(found) == limit else None
    return answer(
        ErasurePage(tuple(one for _, one in found), following, position),
        headers={"Deedbook-Position": str(position)},
    )


def _target(given: ErasureTarget) -> tuple[str, int | None]:
    """The stream and version meant."""
    if given.version is not None and given.version < 1:
        raise Invalid("validation-failed", "Versions count from 1.", pointer="/version")
    if given.run is not None and given.kind is None and given.key is None:
        return run_stream(given.run), given.version
    if given.run is None and given.kind is not None and given.key is not None:
        return artifact_stream(given.kind, given.key), given.version
    raise Invalid("validation-failed", "Give kind and key of an artifact, or a run.", pointer="")
