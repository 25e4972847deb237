"""The implementation audit bundle of a run, from its events.

It depends on nothing else, so the same run gives the same bytes, whenever and however often it is
made.
"""

from collections.abc import Iterable, Mapping

from domain import canonical, deployment, patchset, plan, verification
from domain.audit_bundle import SCHEMA, AuditBundle, Entry, NamedContent
from domain.digest import format_digest
from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    ArtifactVersionName,
    AttestationRecorded,
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
    Recorded,
    RunCreated,
    SideEffectFinished,
    SideEffectIntended,
    StepFinished,
    StepStarted,
    TranscriptRecorded,
    VerificationRecorded,
    named_contents,
)
from domain.run import RunState, evolve
from projections.bundle_runs import artifacts_named

KINDS: Mapping[type[EventData], str] = {
    PlanRecorded: plan.KIND,
    PatchSetRecorded: patchset.KIND,
    VerificationRecorded: verification.KIND,
    TranscriptRecorded: "TRANSCRIPT",
    ApprovalRequested: "APPROVAL",
    ApprovalRecorded: "APPROVAL",
    SideEffectIntended: "SIDE_EFFECT",
    SideEffectFinished: "SIDE_EFFECT",
    AttestationRecorded: "ATTESTATION",
    InfrastructureRecorded: "INFRASTRUCTURE",
    DeploymentRecorded: deployment.KIND,
    StepStarted: "STEP",
    StepFinished: "STEP",
}
"""What a record is called; any other event of a run is of kind RUN."""
OTHER_KIND = "RUN"


def audit_bundle(run: str, origin: str, events: Iterable[tuple[Recorded, bytes]]) -> bytes:
    """The audit bundle of a run, as canonical JSON.

    Args:
        run: The run's id.
        origin: Of the project's log.
        events: All of the run's events in order, each with its leaf hash.
    """
    state, created = RunState(), RunCreated(title="")
    entries: list[Entry] = []
    artifacts: dict[ArtifactVersionName, None] = {}
    for event, leaf in events:
        state = evolve(state, event.data, event.actor)
        if isinstance(event.data, RunCreated):
            created = event.data
        artifacts.update(dict.fromkeys(artifacts_named(event.data)))
        entries.append(
            Entry(
                kind=KINDS.get(type(event.data), OTHER_KIND),
                key=run,
                version=event.version,
                position=event.position,
                type=event.type,
                time=event.time,
                actor=event.actor,
                leaf_hash=format_digest(leaf),
                contents=tuple(
                    NamedContent(
                        place=place,
                        digest=content.digest,
                        size_bytes=content.size_bytes,
                        media_type=content.media_type,
                    )
                    for place, content in named_contents(event.data)
                ),
            )
        )
    return canonical.write(
        AuditBundle(
            schema=SCHEMA,
            run=run,
            origin=origin,
            title=created.title,
            phase=state.phase,
            repository=created.repository,
            base_commit=created.base_commit,
            head_commit=created.head_commit,
            pull_request=created.pull_request,
            entries=tuple(entries),
            artifacts=tuple(
                sorted(artifacts, key=lambda one: (one.kind, one.key, one.version, one.digest))
            ),
        )
    )
