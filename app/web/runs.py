"""The runs of a project, and one run at a glance: how far it is, what holds, who allowed it, what it changed."""

from typing import Annotated

import msgspec
from starlette.responses import Response

from adapters.postgres_views import ArtifactVersion
from app.run_overview import RunOverview, run_overview
from app.runs import write_audit_bundle
from app.web.page import Pages, Visit
from app.web.place import Place, stand
from app.web.site import count, see, segment, shown
from domain import audit_bundle, patchset
from domain.errors import Invalid, NotFound
from domain.names import check_run_id
from domain.patchset import subject_of
from projections.check_bar import check_bar
from projections.run_stages import Stage, run_stages

pages = Pages()

RUNS = 50
"""On one page."""
EVENTS = 100
"""Of the run, on one page."""
TASKS = 200
FILES = 100
COMMITS = 20
FINDINGS = 10
TRANSCRIPTS = 50

_GRAVITY = {"FAILED": 0, "WARNED": 1}


class RunsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position to show; the page of runs that begins before a change of phase."""

    at: int | None = None
    before: int | None = None


class RunQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position to show; the page of the run's events that begins after a version."""

    at: int | None = None
    after: Annotated[int, msgspec.Meta(ge=0)] = 0


@pages.show("/p/{project}/runs", query=RunsQuery)
def show_runs(visit: Visit[RunsQuery]) -> Response:
    """Show the runs as they stood at a position, those that changed last first."""
    place = stand(visit, visit.query.at)
    found = visit.ledger.views.recent_runs(
        visit.project, place.position, before=visit.query.before, limit=RUNS + 1
    )
    return shown(
        visit,
        "runs.html",
        place=place,
        here="runs",
        time_path=f"{place.path}/runs",
        runs=found[:RUNS],
        before=visit.query.before,
        following=found[RUNS - 1].position if len(found) > RUNS else None,
    )


@pages.show("/p/{project}/runs/{run}", query=RunQuery)
def show_run(visit: Visit[RunQuery]) -> Response:
    """Show a run as it stood at a position."""
    place = stand(visit, visit.query.at)
    run = run_in(visit)
    found = run_overview(visit.ledger, visit.project, run, place.position)
    timeline, after = found.timeline, visit.query.after
    items = [one for one in timeline.items if one.version > after][:EVENTS]
    checks = sorted(
        (one for one in timeline.checks if one.in_force),
        key=lambda one: _GRAVITY.get(one.result, len(_GRAVITY)),
    )
    tasks = found.plan.plan.tasks if found.plan is not None and found.plan.plan is not None else ()
    named = {task.id for task in tasks}
    return shown(
        visit,
        "run.html",
        place=place,
        here="runs",
        time_path=f"{place.path}/runs/{run}",
        run=timeline,
        gates=found.gates,
        stages=_stages(found),
        documents=found.documents,
        plan=found.plan,
        tasks=tasks[:TASKS],
        task_count=len(tasks),
        steps={one.step: one for one in timeline.steps},
        other_steps=[one for one in timeline.steps if one.step not in named],
        patchsets=found.patchsets[::-1],
        patchset_artifacts=_patchset_artifacts(visit, place, found),
        most_files=FILES,
        most_commits=COMMITS,
        subject=subject_of,
        checks=[(one, check_bar(one.counts, one.result)) for one in checks],
        replaced=[one for one in timeline.checks if not one.in_force],
        reported=found.checks,
        most_findings=FINDINGS,
        transcripts=found.documents.transcripts[-TRANSCRIPTS:],
        items=items,
        after=after,
        following=items[-1].version if items and items[-1] != timeline.items[-1] else None,
        bundle=_artifact(visit, audit_bundle.KIND, run, place.position),
    )


@pages.take("/p/{project}/runs/{run}/audit-bundle", scope="artifacts:write")
def take_audit_bundle(visit: Visit[object]) -> Response:
    """Write the run's audit bundle, and show the run again."""
    run = run_in(visit)
    write_audit_bundle(visit.ledger, visit.project, run, actor=visit.reader.actor)
    return see(f"/p/{segment(visit.project)}/runs/{run}#take-away")


def run_in(visit: Visit[object]) -> str:
    """The run that the path names.

    Raises:
        NotFound: `run-not-found`, also for what could not be the name of one.
    """
    run = visit.path["run"]
    try:
        check_run_id(run)
    except Invalid:
        raise NotFound("run-not-found", f"{visit.project} has no run {run[:40]!r}.") from None
    return run


def _stages(found: RunOverview) -> tuple[Stage, ...]:
    read = [one for one in found.patchsets if one.patchset is not None]
    changed = ""
    if len(read) == found.documents.patchset_count:
        files = {
            change.path for one in read if one.patchset for change in one.patchset.diff_manifest
        }
        added, deleted = (
            sum(one.lines_added for one in read),
            sum(one.lines_deleted for one in read),
        )
        changed = f"{count(len(files), 'file')}, +{added:,} \u2212{deleted:,}"
    tasks = found.plan.plan.tasks if found.plan is not None and found.plan.plan is not None else ()
    return run_stages(
        found.timeline,
        plans=len(found.documents.plans),
        tasks=[task.id for task in tasks],
        patchsets=found.documents.patchset_count,
        changed=changed,
    )


def _patchset_artifacts(
    visit: Visit[RunQuery], place: Place, found: RunOverview
) -> dict[str, ArtifactVersion]:
    """The artifacts of kind PATCHSET that an import wrote of the commits at the heads of the patch sets."""
    heads = {one.patchset.head for one in found.patchsets if one.patchset is not None}
    known = {head: _artifact(visit, patchset.KIND, head, place.position) for head in heads}
    return {head: version for head, version in known.items() if version is not None}


def _artifact(visit: Visit[RunQuery], kind: str, key: str, position: int) -> ArtifactVersion | None:
    try:
        return visit.ledger.views.artifact(visit.project, kind, key, position)
    except NotFound:
        return None
