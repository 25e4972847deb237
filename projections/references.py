"""Which events name a content: what must be told of each of them before the content is erased. Pure.

A digest stands in an event's line as it is, so lines are searched as bytes, and only the few that
mention one are read.
"""

import re
from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from domain.events import ArtifactWritten, Recorded, contents_of, parse

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


class Reference(msgspec.Struct, frozen=True, omit_defaults=True):
    """An event that names a content; it stays in the log when the content is erased.

    Attributes:
        what: The content of an artifact's version, its original, or a content of a run's record.
        stream: The artifact's or the run's stream.
        version: The event's version in it.
        position: The event's position.
        title: Of the artifact's version; it stays in the log.
        citations: How many the artifact's version has; they stay too.
    """

    what: Literal["artifact", "original", "record"]
    stream: str
    version: int
    position: int
    digest: str
    size_bytes: int
    media_type: str
    title: str | None = None
    citations: int = 0

    @property
    def order(self) -> tuple[int, str]:
        """By position, and of one event by digest."""
        return (self.position, self.digest)


def references_of(recorded: Recorded) -> tuple[Reference, ...]:
    """The contents that an event names, each once; an empty one holds nothing and is left out."""
    data = recorded.data
    found: dict[str, Reference] = {}
    for content in contents_of(data):
        if not content.size_bytes or content.digest in found:
            continue
        written = data if isinstance(data, ArtifactWritten) else None
        what: Literal["artifact", "original", "record"] = "record"
        if written is not None:
            what = "artifact" if content is written else "original"
        found[content.digest] = Reference(
            what,
            recorded.stream,
            recorded.version,
            recorded.position,
            content.digest,
            content.size_bytes,
            content.media_type,
            written.title if written is not None else None,
            len(written.citations) if written is not None else 0,
        )
    return tuple(found.values())


def references_in(lines: bytes, digests: Collection[str]) -> Iterator[Reference]:
    """Which of these lines, each with its newline, name one of these contents."""
    wanted = {digest.encode() for digest in digests}
    if wanted.isdisjoint(_DIGEST.findall(lines)):
        return
    for line in lines.split(b"\n"):
        if wanted.isdisjoint(_DIGEST.findall(line)):
            continue
        for reference in references_of(parse(line)):
            if reference.digest in digests:
                yield reference
