"""A run for its page: timeline and gates, and what its plan, patch sets and reports say, as far as they are there."""

from collections.abc import Mapping

import msgspec

from app import runs
from app.ledger import Ledger
from domain import patchset, plan, verification
from domain.digest import parse_digest
from domain.errors import Damaged, Gone, Invalid, Malformed, NotFound
from domain.events import Content, PatchSetRecorded, PlanRecorded, Recorded, VerificationRecorded
from domain.names import run_stream
from domain.patchset import PatchSet
from domain.plan import Plan
from domain.typed_documents import document_in
from domain.verification import Check, VerificationReport
from projections.run_documents import RunDocuments, run_documents
from projections.run_gates import Gates
from projections.timeline import Timeline

MAX_DOCUMENT_BYTES = 2 * 1024 * 1024
"""A longer document is not read for a page."""
MAX_PATCHSETS = 10
"""Read of one run, and as many reports; the last ones."""


class RecordedPlan(msgspec.Struct, frozen=True):
    """The plan of a run; `plan` is None where the document is not there, and `problem` says why."""

    event: Recorded
    content: Content
    plan: Plan | None
    problem: str


class RecordedPatchSet(msgspec.Struct, frozen=True):
    """A patch set of a run, likewise; the sums count what has lines."""

    event: Recorded
    data: PatchSetRecorded
    patchset: PatchSet | None
    problem: str
    lines_added: int = 0
    lines_deleted: int = 0


class RunOverview(msgspec.Struct, frozen=True, kw_only=True):
    """A run, and what it recorded.

    Attributes:
        plan: The last one.
        patchsets: The last `MAX_PATCHSETS`, oldest first.
        checks: What the reports say about each check in force that did not simply pass, by the position and
            the name of the check.
    """

    timeline: Timeline
    gates: Gates
    documents: RunDocuments
    plan: RecordedPlan | None
    patchsets: tuple[RecordedPatchSet, ...]
    checks: Mapping[tuple[int, str], Check]


def run_overview(ledger: Ledger, project: str, run: str, at: int) -> RunOverview:
    """A run with what its documents say.

    Raises:
        NotFound: `project-not-found`, `run-not-found`, `position-in-the-future`.
    """
    shown = runs.timeline(ledger, project, run, at)
    documents = run_documents(ledger.stream_events(project, run_stream(run), at))
    return RunOverview(
        timeline=shown,
        gates=runs.gates_of_timeline(ledger, project, shown),
        documents=documents,
        plan=_plan(ledger, project, documents.plans[-1]) if documents.plans else None,
        patchsets=tuple(
            _patchset(ledger, project, event) for event in documents.patchsets[-MAX_PATCHSETS:]
        ),
        checks=_checks(ledger, project, shown, documents),
    )


def _plan(ledger: Ledger, project: str, event: Recorded) -> RecordedPlan:
    assert isinstance(event.data, PlanRecorded)
    content = event.data.content
    found, problem = _document(ledger, project, plan.KIND, content)
    return RecordedPlan(event, content, found if isinstance(found, Plan) else None, problem)


def _patchset(ledger: Ledger, project: str, event: Recorded) -> RecordedPatchSet:
    assert isinstance(event.data, PatchSetRecorded)
    found, problem = _document(ledger, project, patchset.KIND, event.data.content)
    if not isinstance(found, PatchSet):
        return RecordedPatchSet(event, event.data, None, problem)
    added = sum(one.lines_added or 0 for one in found.diff_manifest)
    deleted = sum(one.lines_deleted or 0 for one in found.diff_manifest)
    return RecordedPatchSet(event, event.data, found, problem, added, deleted)


def _checks(
    ledger: Ledger, project: str, shown: Timeline, documents: RunDocuments
) -> dict[tuple[int, str], Check]:
    wanted = {one.position for one in shown.checks if one.in_force and one.result != "PASSED"}
    found: dict[tuple[int, str], Check] = {}
    events = [one for one in documents.verifications if one.position in wanted]
    for event in events[-MAX_PATCHSETS:]:
        assert isinstance(event.data, VerificationRecorded)
        if event.data.content is None:
            continue
        report, _ = _document(ledger, project, verification.KIND, event.data.content)
        if isinstance(report, VerificationReport):
            found.update({(event.position, check.name): check for check in report.checks})
    return found


def _document(
    ledger: Ledger, project: str, kind: str, content: Content
) -> tuple[object | None, str]:
    """A document, or why it is not there; that a store is away is no property of it, and is raised."""
    if content.size_bytes > MAX_DOCUMENT_BYTES:
        return None, "It is too long to be shown here."
    try:
        return document_in(kind, ledger.blobs.read(project, parse_digest(content.digest))), ""
    except (NotFound, Gone, Damaged, Invalid, Malformed) as error:
        return None, error.detail
