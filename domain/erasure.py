"""Erasing contents: the event that says so, what a person confirms, and what is not reached.

The proof stays whole: no event and no leaf changes. What goes is the content; its digest, its size, and
whatever the events themselves say about it remain in the log.
"""

import hashlib
from collections.abc import Iterable

from domain import canonical
from domain.errors import Invalid
from domain.events import ArtifactErased, EventData, RecordErased

STREAM = "erasures"
MAX_REASON_CHARACTERS = 1_000

REMAINS: tuple[str, ...] = (
    "Every event with all that it says: titles, citations, sources, digests, sizes, and this reason.",
    "These bytes can never be recorded in this project again.",
)
"""What the log keeps, for whoever is about to erase."""

NOT_REACHED: tuple[str, ...] = (
    "Copies that were handed out: exports, downloads, readers' caches. They still verify.",
    "Backups and archived logs of the database until they expire; its own files until a vacuum.",
    "Other projects that hold the same bytes: erase them there too.",
    "Contents that quote these ones: a later version, a patch, a transcript.",
    "Whoever can guess the content: its digest stays, and confirms the guess.",
    "Whoever has read a secret: revoke it where it is valid.",
)
"""What erasing does not reach, for whoever is about to erase."""


def check_reason(reason: str) -> None:
    """Refuse a reason that is empty or too long: it is recorded for ever.

    Raises:
        Invalid: `validation-failed`.
    """
    if not 1 <= len(reason.strip()) <= len(reason) <= MAX_REASON_CHARACTERS:
        raise Invalid(
            "validation-failed",
            f"A reason has 1 to {MAX_REASON_CHARACTERS} characters; it is recorded for ever.",
            pointer="/reason",
        )


def erasure_of(stream: str, version: int, digest: str, reason: str) -> EventData:
    """The event that records the erasure of a content that an event of a stream names."""
    if stream.startswith("run/"):
        return RecordErased(record=stream, record_version=version, digest=digest, reason=reason)
    return ArtifactErased(artifact=stream, artifact_version=version, digest=digest, reason=reason)


def confirmation(project: str, named: Iterable[tuple[str, int, str]]) -> str:
    """What is sent back to confirm: another set of contents, or of events that name them, gives another.

    Args:
        project: The project's slug.
        named: Stream, version and digest of each event that names a content to erase.
    """
    seen = {"named": [list(one) for one in sorted(named)], "project": project}
    return "sha256:" + hashlib.sha256(canonical.write(seen)).hexdigest()
