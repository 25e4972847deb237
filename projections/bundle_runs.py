"""The audit bundle of one implementation run: what it recorded, in order, and where it lies.

`data/runs/<run>/bundle.json` is the summary; beside it lie the contents that the run's records
name, as `<word>.v<n>.<extension>` with n the version of the record in the run's stream; of several
with the same word in one record, the second is `<word>.v<n>-2.<extension>`.
"""

from collections.abc import Mapping

import msgspec

from domain import canonical
from domain.digest import parse_digest
from domain.events import (
    ApprovalRecorded,
    ArtifactVersionName,
    AttestationRecorded,
    Content,
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
    Recorded,
    RunCreated,
    RunFinished,
    SideEffectFinished,
    StepFinished,
    StepStarted,
    TranscriptRecorded,
    VerificationRecorded,
    named_contents,
)
from domain.run import RunPhase, RunState, evolve

WORDS: dict[type[EventData], str] = {
    PlanRecorded: "plan",
    PatchSetRecorded: "patchset",
    VerificationRecorded: "verification",
    TranscriptRecorded: "transcript",
    AttestationRecorded: "attestation",
    InfrastructureRecorded: "infrastructure",
    DeploymentRecorded: "deployment",
}
"""How the content of a record is called in its file name."""

OTHER_WORD = "content"
"""For a record that is none of these."""

PLACE_WORDS = {"patch": "patch", "sources": "source", "inputs": "input", "outputs": "output"}
"""How a further content is called, by the member of the data that names it."""


class RecordContent(msgspec.Struct, frozen=True, omit_defaults=True):
    """The content of a record: its file, or the position at which it was erased."""

    digest: str
    media_type: str
    size_bytes: int
    path: str | None = None
    erased_at: int | None = None


class RunRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event of the run, in short; the whole of it is the event at `position`.

    Attributes:
        content: The record's own content.
        further: The others that it names: a patch, the tools' files, what went in and came out.
    """

    position: int
    version: int
    type: str
    time: str
    actor: str
    name: str | None = None
    outcome: str | None = None
    content: RecordContent | None = None
    further: tuple[RecordContent, ...] = ()


class RunBundle(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of `bundle.json`."""

    run: str
    phase: RunPhase
    records: tuple[RunRecord, ...]
    title: str | None = None
    artifacts: tuple[ArtifactVersionName, ...] = ()


class RecordFile(msgspec.Struct, frozen=True):
    """A content that lies beside the summary; `name` is its file's, without the extension."""

    version: int
    position: int
    name: str
    content: Content
    sha256: bytes


class RunFold:
    """Folds the events of one run."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._state = RunState()
        self._title: str | None = None
        self._artifacts: dict[ArtifactVersionName, None] = {}
        self._records: list[tuple[RunRecord, bool, tuple[RecordFile, ...]]] = []
        self.files: list[RecordFile] = []

    def event(self, recorded: Recorded) -> None:
        """Take in the run's next event."""
        data = recorded.data
        self._state = evolve(self._state, data, recorded.actor)
        if isinstance(data, RunCreated):
            self._title = data.title
        for name in artifacts_named(data):
            self._artifacts[name] = None
        files = _files(recorded)
        self.files += files
        record = RunRecord(
            recorded.position,
            recorded.version,
            recorded.type,
            recorded.time,
            recorded.actor,
            _name(data),
            _outcome(data),
        )
        own = isinstance(getattr(data, "content", None), Content)
        self._records.append((record, own, files))

    def encode(self, paths: Mapping[str, str], erased: Mapping[bytes, int]) -> bytes:
        """The bytes of `bundle.json`.

        Args:
            paths: Where each content lies, by the name of its file; erased ones are absent.
            erased: The position of erasure, by SHA-256.
        """
        records = []
        for record, own, files in self._records:
            contents = tuple(
                RecordContent(
                    file.content.digest,
                    file.content.media_type,
                    file.content.size_bytes,
                    paths.get(file.name),
                    erased.get(file.sha256),
                )
                for file in files
            )
            records.append(
                msgspec.structs.replace(
                    record, content=contents[0] if own else None, further=contents[own:]
                )
                if contents
                else record
            )
        return canonical.write(
            RunBundle(
                run=self._run,
                phase=self._state.phase,
                records=tuple(records),
                title=self._title,
                artifacts=tuple(self._artifacts),
            )
        )


def _files(recorded: Recorded) -> tuple[RecordFile, ...]:
    """The contents of a record under the names of their files."""
    own_word = WORDS.get(type(recorded.data), OTHER_WORD)
    counts: dict[str, int] = {}
    files = []
    for place, content in named_contents(recorded.data):
        word = PLACE_WORDS.get(place.split("/")[1], own_word)
        counts[word] = counts.get(word, 0) + 1
        number = f"-{counts[word]}" if counts[word] > 1 else ""
        files.append(
            RecordFile(
                recorded.version,
                recorded.position,
                f"{word}.v{recorded.version}{number}",
                content,
                parse_digest(content.digest),
            )
        )
    return tuple(files)


def artifacts_named(data: EventData) -> tuple[ArtifactVersionName, ...]:
    """The artifact versions that a run's event names."""
    match data:
        case RunCreated() | PlanRecorded():
            return data.artifacts
        case StepStarted(inputs=values) | StepFinished(outputs=values):
            return tuple(one.artifact for one in values if one.artifact is not None)
        case _:
            return ()


def _name(data: EventData) -> str | None:
    match data:
        case VerificationRecorded():
            return data.name
        case AttestationRecorded():
            return data.predicate_type
        case DeploymentRecorded():
            return data.environment
        case ApprovalRecorded():
            return data.approval
        case SideEffectFinished():
            return data.effect
        case StepStarted() | StepFinished():
            return data.step
        case _:
            return None


def _outcome(data: EventData) -> str | None:
    match data:
        case VerificationRecorded():
            return data.result
        case AttestationRecorded():
            return "verified" if data.verified else "unverified"
        case ApprovalRecorded():
            return data.decision
        case RunFinished() | SideEffectFinished() | DeploymentRecorded() | StepFinished():
            return data.outcome
        case _:
            return None
