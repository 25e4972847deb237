"""What a run recorded, kind by kind: its plans, patch sets, reports and transcripts, each with its event.

A pure fold of the run's events, beside the timeline: that one says what happened, this one where to
read on.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from domain.events import (
    ApprovalRecorded,
    ArtifactVersionName,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
    Recorded,
    RunCreated,
    TranscriptRecorded,
    VerificationRecorded,
)

MAX_KEPT = 200
"""Of each kind; the last ones."""


class RunDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """What a run recorded, in order.

    Attributes:
        artifacts: The versions that the run, or a plan of it, names: each once.
        decisions: The event of the last decision on each approval, by its name.
        patchset_count: All of them; so are the other counts.
    """

    artifacts: tuple[ArtifactVersionName, ...] = ()
    plans: tuple[Recorded, ...] = ()
    patchsets: tuple[Recorded, ...] = ()
    patchset_count: int = 0
    verifications: tuple[Recorded, ...] = ()
    transcripts: tuple[Recorded, ...] = ()
    transcript_count: int = 0
    infrastructure: tuple[Recorded, ...] = ()
    decisions: dict[str, Recorded] = {}


def run_documents(events: Iterable[Recorded]) -> RunDocuments:
    """Fold a run's events, in order."""
    artifacts: dict[ArtifactVersionName, None] = {}
    decisions: dict[str, Recorded] = {}
    kept: dict[type, deque[Recorded]] = {
        kind: deque(maxlen=MAX_KEPT)
        for kind in (
            PlanRecorded,
            PatchSetRecorded,
            VerificationRecorded,
            TranscriptRecorded,
            InfrastructureRecorded,
        )
    }
    counts = dict.fromkeys(kept, 0)
    for event in events:
        data = event.data
        if isinstance(data, RunCreated | PlanRecorded):
            artifacts.update(dict.fromkeys(data.artifacts))
        if isinstance(data, ApprovalRecorded):
            decisions[data.approval or f"#{event.version}"] = event
        if type(data) in kept:
            kept[type(data)].append(event)
            counts[type(data)] += 1
    return RunDocuments(
        artifacts=tuple(artifacts),
        plans=tuple(kept[PlanRecorded]),
        patchsets=tuple(kept[PatchSetRecorded]),
        patchset_count=counts[PatchSetRecorded],
        verifications=tuple(kept[VerificationRecorded]),
        transcripts=tuple(kept[TranscriptRecorded]),
        transcript_count=counts[TranscriptRecorded],
        infrastructure=tuple(kept[InfrastructureRecorded]),
        decisions=decisions,
    )
