"""Runs and the audit trail: what happened, for people."""

import msgspec
from starlette.responses import Response

from adapters.postgres_views import MAX_PAGE, RunSummary, TrailFilter, TrailItem
from app.http.answers import answer, tagged
from app.http.call import At, Call
from app.http.conditions import etag
from app.http.endpoint import Endpoints

endpoints = Endpoints("runs and trail")


class RunPage(msgspec.Struct, frozen=True):
    """Runs in the order of their ids; `next` is the `after` of the next page."""

    runs: tuple[RunSummary, ...]
    next: str | None
    position: int


class RunQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the runs."""

    after: str = ""
    limit: int = 100
    at: int | None = None


class TrailPage(msgspec.Struct, frozen=True):
    """Events as sentences; `next` is the `after` of the next page."""

    items: tuple[TrailItem, ...]
    next: int | None
    position: int


class TrailQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the trail: oldest first after a position, or newest first before one."""

    after: int | None = None
    limit: int = 100
    at: int | None = None
    stream: str | None = None
    type: str | None = None
    actor: str | None = None
    newest_first: bool = False


@endpoints.add(
    "GET",
    "/v1/projects/{project}/runs",
    scope="events:read",
    query=RunQuery,
    answers={200: RunPage},
    problems=("project-not-found", "position-in-the-future"),
)
def list_runs(call: Call[RunQuery, None]) -> Response:
    """List the implementation runs, each with its phase."""
    position = call.position(call.query.at)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    found = call.ledger.views.runs(call.project, position, after=call.query.after, limit=limit)
    following = found[-1].run_id if len(found) == limit else None
    return answer(
        RunPage(tuple(found), following, position), headers={"Deedbook-Position": str(position)}
    )


@endpoints.add(
    "GET",
    "/v1/projects/{project}/runs/{run}",
    scope="events:read",
    query=At,
    answers={200: RunSummary},
    problems=("project-not-found", "run-not-found", "position-in-the-future"),
    headers=("If-None-Match",),
)
def get_run(call: Call[At, None]) -> Response:
    """Read an implementation run's phase."""
    position = call.position(call.query.at)
    found = call.ledger.views.run(call.project, call.path["run"], position)
    return tagged(call, found, etag(found.position), {"Deedbook-Position": str(position)})


@endpoints.add(
    "GET",
    "/v1/projects/{project}/trail",
    scope="events:read",
    query=TrailQuery,
    answers={200: TrailPage},
    problems=("project-not-found", "position-in-the-future"),
)
def read_trail(call: Call[TrailQuery, None]) -> Response:
    """Read the audit trail: who did what and when, a sentence for each event."""
    query = call.query
    position = call.position(query.at)
    limit = max(1, min(query.limit, MAX_PAGE))
    found = call.ledger.views.trail(
        call.project,
        position,
        which=TrailFilter(stream=query.stream, type=query.type, actor=query.actor),
        after=query.after,
        limit=limit,
        newest_first=query.newest_first,
    )
    following = found[-1].position if len(found) == limit else None
    return answer(
        TrailPage(tuple(found), following, position),
        headers={"Deedbook-Position": str(position)},
    )
