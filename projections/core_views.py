"""The core views as rows: what one event adds to them. Pure, and the same for append and rebuild.

Rows are only ever added, so a read at a position is a filter. The latest version of an artifact is
the greatest; `artifact_latest` is only its index.
"""

import msgspec

from domain import canonical
from domain.digest import parse_digest
from domain.errors import Damaged
from domain.events import (
    ArtifactErased,
    ArtifactWritten,
    ProjectChanged,
    ProjectCreated,
    Recorded,
    RecordErased,
)
from domain.run import phase_after


class ProjectRow(msgspec.Struct, frozen=True):
    """Title and description from this position on; None leaves the earlier one."""

    position: int
    title: str | None
    description: str | None


class ArtifactRow(msgspec.Struct, frozen=True):
    """One version of one artifact."""

    kind: str
    key: str
    version: int
    position: int
    sha256: bytes
    size_bytes: int
    media_type: str
    title: str | None
    actor: str
    time: str
    citations: int


class CitationRow(msgspec.Struct, frozen=True):
    """One citation of one version; `citation` is its canonical JSON."""

    kind: str
    key: str
    version: int
    index: int
    position: int
    url: str
    citation: bytes


class RunRow(msgspec.Struct, frozen=True):
    """A run entered a phase; the title comes with the first row."""

    run_id: str
    position: int
    version: int
    phase: str
    title: str | None
    time: str


class ErasureRow(msgspec.Struct, frozen=True):
    """A content of one artifact version was erased, or of a run's record: then `artifact` is its stream."""

    position: int
    artifact: str
    artifact_version: int
    sha256: bytes


Row = ProjectRow | ArtifactRow | CitationRow | RunRow | ErasureRow


def rows_of(recorded: Recorded) -> tuple[Row, ...]:
    """What this event adds to the views.

    Its stream's name was checked when it was recorded, so that here it is only taken apart.

    Raises:
        Damaged: `event-malformed`, for an event in a stream in which it cannot be.
    """
    match recorded.data:
        case ArtifactWritten() as data:
            return _artifact_rows(recorded, data)
        case ProjectCreated(title=title, description=description):
            return (ProjectRow(recorded.position, title, description),)
        case ProjectChanged(title=title, description=description):
            return (ProjectRow(recorded.position, title, description),)
        case ArtifactErased() as data:
            return (
                ErasureRow(
                    recorded.position,
                    data.artifact,
                    data.artifact_version,
                    parse_digest(data.digest),
                ),
            )
        case RecordErased() as data:
            return (
                ErasureRow(
                    recorded.position, data.record, data.record_version, parse_digest(data.digest)
                ),
            )
        case data:
            phase = phase_after(data)
            if phase is None:
                return ()
            first, _, run_id = recorded.stream.partition("/")
            if first != "run":
                raise _misplaced(recorded)
            return (
                RunRow(
                    run_id,
                    recorded.position,
                    recorded.version,
                    phase,
                    getattr(data, "title", None),
                    recorded.time,
                ),
            )


def _artifact_rows(recorded: Recorded, data: ArtifactWritten) -> tuple[Row, ...]:
    first, _, name = recorded.stream.partition("/")
    kind, _, key = name.partition("/")
    if first != "artifact":
        raise _misplaced(recorded)
    version = ArtifactRow(
        kind,
        key,
        recorded.version,
        recorded.position,
        parse_digest(data.digest),
        data.size_bytes,
        data.media_type,
        data.title,
        recorded.actor,
        recorded.time,
        len(data.citations),
    )
    if not data.citations:
        return (version,)
    return (
        version,
        *(
            CitationRow(
                kind,
                key,
                recorded.version,
                citation.index,
                recorded.position,
                citation.url,
                canonical.write(citation),
            )
            for citation in data.citations
        ),
    )


def _misplaced(recorded: Recorded) -> Damaged:
    return Damaged(
        "event-malformed",
        f"{recorded.type} does not belong into a stream like {recorded.stream[:64]!r}.",
    )
