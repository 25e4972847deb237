"""Runs and the audit trail: what happened, for people."""

from typing import Annotated

import msgspec
from starlette.responses import Response

from adapters.postgres_views import MAX_PAGE, RunSummary, TrailFilter, TrailItem
from app import attestations, runs
from app.http.answers import answer, tagged
from app.http.call import At, Call, NoQuery
from app.http.conditions import etag
from app.http.endpoint import Accepted, Endpoints
from app.runs import WrittenBundle
from domain.attestation import MAX_ATTESTATION_BYTES
from domain.digest import format_digest
from domain.events import AttestationRecorded, parse
from projections.run_gates import Gates
from projections.timeline import Timeline

endpoints = Endpoints("runs and trail")

ATTESTATION: Accepted[bytes] = Accepted(bytes, {"*/*": bytes}, MAX_ATTESTATION_BYTES)


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


class GatesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which commit the checks must have been made on; at which position to read."""

    commit: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{4,64}\Z")] | None = None
    at: int | None = None


class RecordedAttestation(msgspec.Struct, frozen=True):
    """Where an attestation stands, and what its event says; `replayed`: it had been recorded before."""

    id: str
    stream: str
    version: int
    position: int
    leaf_hash: str
    replayed: bool
    attestation: AttestationRecorded


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
    "/v1/projects/{project}/runs/{run}/timeline",
    scope="events:read",
    query=At,
    answers={200: Timeline},
    problems=("project-not-found", "run-not-found", "position-in-the-future"),
)
def get_timeline(call: Call[At, None]) -> Response:
    """Read what happened in a run, who allowed it, what it changed outside, and what backs it."""
    shown = runs.timeline(call.ledger, call.project, call.path["run"], call.query.at)
    return answer(shown, headers={"Deedbook-Position": str(shown.position)})


@endpoints.add(
    "GET",
    "/v1/projects/{project}/runs/{run}/gates",
    scope="events:read",
    query=GatesQuery,
    answers={200: Gates},
    problems=("project-not-found", "run-not-found", "position-in-the-future"),
)
def get_gates(call: Call[GatesQuery, None]) -> Response:
    """Read whether a run's gates hold: state, steps, checks, approvals, effects, contents."""
    query = call.query
    found = runs.gates(
        call.ledger, call.project, call.path["run"], commit=query.commit, at=query.at
    )
    return answer(found, headers={"Deedbook-Position": str(found.position)})


@endpoints.add(
    "POST",
    "/v1/projects/{project}/runs/{run}/attestations",
    scope="events:append",
    accepted=ATTESTATION,
    answers={201: RecordedAttestation, 200: RecordedAttestation},
    problems=(
        "project-not-found",
        "json-too-deep",
        "attestation-malformed",
        "attestation-unverified",
        "nul-character",
        "invalid-transition",
        "secret-detected",
        "content-erased",
        "idempotency-key-reused",
        "queue-full",
        "outcome-unknown",
        "blob-store-unavailable",
    ),
    headers=("Idempotency-Key",),
)
def record_attestation(call: Call[NoQuery, bytes]) -> Response:
    """Record an attestation by others: the body is a DSSE envelope or a Sigstore bundle, as it came.

    What the event says of it follows from its bytes and the project's policy.
    """
    receipt = attestations.record_attestation(
        call.ledger, call.project, call.path["run"], call.body, actor=call.actor, key=call.key
    )
    [entry] = receipt.entries
    data = parse(call.ledger.events.get(call.project, entry.position).line).data
    assert isinstance(data, AttestationRecorded)
    found = RecordedAttestation(
        id=entry.id,
        stream=entry.stream,
        version=entry.version,
        position=entry.position,
        leaf_hash=format_digest(entry.leaf),
        replayed=receipt.replayed,
        attestation=data,
    )
    return answer(
        found,
        200 if receipt.replayed else 201,
        {
            "Location": f"/v1/projects/{call.project}/events/{entry.position}",
            "Deedbook-Position": str(entry.position),
            "ETag": etag(entry.version),
        },
    )


@endpoints.add(
    "POST",
    "/v1/projects/{project}/runs/{run}/audit-bundle",
    scope="artifacts:write",
    answers={201: WrittenBundle, 200: WrittenBundle},
    problems=("project-not-found", "run-not-found", "queue-full", "outcome-unknown"),
)
def write_audit_bundle(call: Call[NoQuery, None]) -> Response:
    """Write a run's audit bundle as the artifact IMPLEMENTATION_AUDIT_BUNDLE, unless it is there."""
    found = runs.write_audit_bundle(call.ledger, call.project, call.path["run"], actor=call.actor)
    place = f"/v1/projects/{call.project}/artifacts/{found.kind}/{found.key}"
    return answer(
        found, 201 if found.written else 200, {"Location": f"{place}/versions/{found.version}"}
    )


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
