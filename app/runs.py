"""Runs as use cases: the timeline, the gates, and the audit bundle as an artifact."""

from collections.abc import Iterator
from functools import partial

import msgspec

from adapters.attestation_key import verify_attested
from app.ledger import Ledger
from domain.approval_signature import SignedApproval, look_at
from domain.audit_bundle import KIND
from domain.digest import digest_of, format_digest, parse_digest
from domain.errors import NotFound, StaleVersion
from domain.events import ApprovalRecorded, Recorded, parse
from domain.names import run_stream
from domain.policy import Policy, evolve
from projections.audit_bundle import audit_bundle
from projections.run_gates import Gates, gates_of, unapproved
from projections.timeline import Timeline, TimelineFold

PAGE = 1_000
ATTEMPTS = 8
"""Of writing an audit bundle while somebody else writes it too."""


class WrittenBundle(msgspec.Struct, frozen=True):
    """The audit bundle of a run, as the artifact that it is now; `written`: this call made it."""

    kind: str
    key: str
    version: int
    digest: str
    size_bytes: int
    written: bool


def timeline(ledger: Ledger, project: str, run: str, at: int | None = None) -> Timeline:
    """A run as a person reads it.

    Raises:
        NotFound: `project-not-found`, `run-not-found`, `position-in-the-future`.
    """
    position = ledger.position(project, at)
    origin = ledger.log.head(project).origin
    _, policy = ledger.policy(project, position)

    def vouched(data: ApprovalRecorded, approval: str, scope: str) -> SignedApproval:
        return look_at(
            data,
            origin=origin,
            run=run,
            approval=approval,
            scope=scope,
            keys=policy.approver_keys,
            verify=verify_attested,
        )

    fold = TimelineFold(vouched)
    for event in _events(ledger, project, run, position):
        fold.event(event)
    digests = tuple(sorted(parse_digest(text) for text in fold.digests))
    known = ledger.uploads.held(project, digests) if digests else {}
    held = {format_digest(sha256) for sha256, facts in known.items() if not facts.staged}
    return fold.finish(run, position, held, ledger.erasures.erased(project, digests))


def gates(
    ledger: Ledger, project: str, run: str, *, commit: str | None = None, at: int | None = None
) -> Gates:
    """What must hold before the run's change may go on.

    Args:
        ledger: The ledger.
        project: The project's slug.
        run: The run's id.
        commit: The one on which the checks must have been made.
        at: The position to read at.

    Raises:
        NotFound: `project-not-found`, `run-not-found`, `position-in-the-future`.
    """
    return gates_of_timeline(ledger, project, timeline(ledger, project, run, at), commit)


def gates_of_timeline(
    ledger: Ledger, project: str, shown: Timeline, commit: str | None = None
) -> Gates:
    """The gates of a run whose timeline was read already, at the position of that."""
    policies = _policies(ledger, project, shown.position)
    events = _events(ledger, project, shown.run, shown.position)
    refused = unapproved(events, partial(_policy_before, policies))
    return gates_of(shown, policies[-1][1], refused, commit)


def write_audit_bundle(ledger: Ledger, project: str, run: str, *, actor: str) -> WrittenBundle:
    """Write the run's audit bundle as an artifact, unless its latest version is the same already.

    Raises:
        NotFound: `project-not-found`, `run-not-found`.
    """
    for attempt in range(ATTEMPTS):
        latest = ledger.views.latest_digest(project, KIND, run)
        version = latest[0] if latest else 0
        content = audit_bundle(run, ledger.log.head(project).origin, _leaves(ledger, project, run))
        found = WrittenBundle(KIND, run, version, digest_of(content), len(content), written=False)
        if latest is not None and latest[1] == found.digest:
            return found
        try:
            receipt = ledger.write_artifact(
                project,
                KIND,
                run,
                content,
                media_type="application/json",
                title=f"Audit bundle of run {run}",
                actor=actor,
                expected=version,
                derived=True,
            )
        except StaleVersion:
            if attempt == ATTEMPTS - 1:
                raise
            continue
        return msgspec.structs.replace(found, version=receipt.entries[0].version, written=True)
    raise AssertionError


def _events(ledger: Ledger, project: str, run: str, position: int) -> Iterator[Recorded]:
    count = 0
    for count, event in enumerate(  # noqa: B007 -- counted for what comes after the loop
        ledger.stream_events(project, run_stream(run), position), start=1
    ):
        yield event
    if not count:
        raise NotFound("run-not-found", f"{project} has no run {run} at position {position}.")


def _leaves(ledger: Ledger, project: str, run: str) -> Iterator[tuple[Recorded, bytes]]:
    upto, version = ledger.position(project, None), 0
    while page := ledger.log.stream(project, run_stream(run), version, PAGE, upto):
        for entry in page:
            yield parse(entry.line), entry.leaf
        version = page[-1].version
    if not version:
        raise NotFound("run-not-found", f"{project} has no run {run}.")


def _policies(ledger: Ledger, project: str, position: int) -> list[tuple[int, Policy]]:
    """The policies that a project has had, each with the position from which on it holds."""
    policies = [(0, Policy())]
    for event in ledger.stream_events(project, "project", position):
        policies.append((event.position, evolve(policies[-1][1], event.data)))
    return policies


def _policy_before(policies: list[tuple[int, Policy]], position: int) -> Policy:
    return next(policy for since, policy in reversed(policies) if since < position)
