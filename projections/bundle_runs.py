"""The audit bundle of one implementation run: what it recorded, in order, and where it lies.

`data/runs/<run>/bundle.json` is the summary; beside it lie the contents that the run's records
name, as `<word>.v<n>.<extension>` with n the version of the record in the run's stream.
"""

import msgspec

from domain import canonical
from domain.digest import parse_digest
from domain.events import (
    ApprovalRecorded,
    ArtifactVersionName,
    Content,
    DeploymentRecorded,
    EventData,
    PatchSetRecorded,
    PlanRecorded,
    Recorded,
    RunCreated,
    RunFinished,
    SideEffectFinished,
    TranscriptRecorded,
    VerificationRecorded,
    contents_of,
)
from domain.run import RunPhase, RunState, evolve

WORDS: dict[type[EventData], str] = {
    PlanRecorded: "plan",
    PatchSetRecorded: "patchset",
    VerificationRecorded: "verification",
    TranscriptRecorded: "transcript",
}
"""How the content of a record is called in its file name."""

OTHER_WORD = "content"
"""For a record that is none of these."""


class RecordContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a record: its file, or the position at which it was erased."""

    digest: str
    media_type: str
    size_bytes: int
    path: str | None = None
    erased_at: int | None = None


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of the run, in short; the whole of it is the event at `position`."""

    position: int
    version: int
    type: str
    time: str
    actor: str
    name: str | None = None
    outcome: str | None = None
    content: RecordContent | None = None


class RunBundle(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of `bundle.json`."""

    run: str
    phase: RunPhase
    records: tuple[RunRecord, ...]
    title: str | None = None
    artifacts: tuple[ArtifactVersionName, ...] = ()


class RecordFile(msgspec.Struct, frozen=True):
    """A content that lies beside the summary."""

    version: int
    position: int
    word: str
    content: Content
    sha256: bytes


class RunFold:
    """Folds the events of one run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._state = RunState()
        self._title: str | None = None
        self._artifacts: dict[ArtifactVersionName, None] = {}
        self._records: list[tuple[RunRecord, Content | None]] = []
        self.files: list[RecordFile] = []

    def event(self, recorded: Recorded) -> None:
        """Take in the run's next event."""
        data = recorded.data
        self._state = evolve(self._state, data)
        if isinstance(data, RunCreated):
            self._title = data.title
        for name in artifacts_named(data):
            self._artifacts[name] = None
        content = next(iter(contents_of(data)), None)
        if content is not None:
            self.files.append(
                RecordFile(
                    recorded.version,
                    recorded.position,
                    WORDS.get(type(data), OTHER_WORD),
                    content,
                    parse_digest(content.digest),
                )
            )
        record = RunRecord(
            recorded.position,
            recorded.version,
            recorded.type,
            recorded.time,
            recorded.actor,
            _name(data),
            _outcome(data),
        )
        self._records.append((record, content))

    def encode(self, paths: dict[int, str], erased: dict[bytes, int]) -> bytes:
        """The bytes of `bundle.json`.

        Args:
            paths: Where each content lies, by the version of its record; erased ones are absent.
            erased: The position of erasure, by SHA-256.
        """
        return canonical.write(
            RunBundle(
                run=self._run,
                phase=self._state.phase,
                records=tuple(
                    record
                    if content is None
                    else msgspec.structs.replace(
                        record,
                        content=RecordContent(
                            content.digest,
                            content.media_type,
                            content.size_bytes,
                            paths.get(record.version),
                            erased.get(parse_digest(content.digest)),
                        ),
                    )
                    for record, content in self._records
                ),
                title=self._title,
                artifacts=tuple(self._artifacts),
            )
        )


def artifacts_named(data: EventData) -> tuple[ArtifactVersionName, ...]:
    """The artifact versions that a run's event names."""
    if isinstance(data, RunCreated | PlanRecorded):
        return data.artifacts
    return ()


def _name(data: EventData) -> str | None:
    match data:
        case VerificationRecorded():
            return data.name
        case DeploymentRecorded():
            return data.environment
        case ApprovalRecorded():
            return data.approval
        case SideEffectFinished():
            return data.effect
        case _:
            return None


def _outcome(data: EventData) -> str | None:
    match data:
        case VerificationRecorded():
            return data.result
        case ApprovalRecorded():
            return data.decision
        case RunFinished() | SideEffectFinished() | DeploymentRecorded():
            return data.outcome
        case _:
            return None
