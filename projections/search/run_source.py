"""What of a run can be found: its records as sentences with what they say, its documents, its transcripts."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from domain.events import (
    Content,
    EventData,
    PatchSetRecorded,
    PlanRecorded,
    Recorded,
    RunCreated,
    TranscriptRecorded,
    VerificationRecorded,
)
from projections.audit_bundle import KINDS, OTHER_KIND
from projections.search.chunks import chunks
from projections.search.indexed import MAX_CHUNKS, NOTHING, IndexedChunk, IndexedSource
from projections.trail import sentence

MAX_BODY_CHARACTERS = 1_200
MAX_NAMES_OF_COMMITS = 32
_WITH_DOCUMENT = (PlanRecorded, PatchSetRecorded, VerificationRecorded, TranscriptRecorded)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
"""Colours, cursor movements and titles of a terminal (ECMA-48, 5.4; OSC as xterm has it)."""

ReadText = Callable[[Content], str | None]
"""Gives a content as text; None when it is none, was erased, or is too large."""


def run_source(run: str, events: Iterable[Recorded], read: ReadText) -> IndexedSource:
    """A run as it is indexed, from its events in order."""
    title, version = run, 0
    names: list[str] = [run]
    found: list[IndexedChunk] = []
    cut = False
    for event in events:
        version = event.version
        if isinstance(event.data, RunCreated):
            title = event.data.title or run
        names += _commits(event.data)
        room = MAX_CHUNKS - len(found)
        new = list(islice(_of_event(event, title, read), room + 1))
        cut = cut or len(new) > room
        found += new[:room]
    if not found:
        return msgspec.structs.replace(NOTHING, version=version)
    return IndexedSource(
        version=version,
        chunks=tuple(found),
        names=tuple(dict.fromkeys(names))[: 1 + MAX_NAMES_OF_COMMITS],
        cut=cut,
    )


def plain(text: str) -> str:
    """What a terminal would have shown, without its escapes."""
    return _ESCAPES.sub("", text)


def _of_event(event: Recorded, title: str, read: ReadText) -> Iterator[IndexedChunk]:
    kind = KINDS.get(type(event.data), OTHER_KIND)
    said = sentence(event).partition(": ")[2] or sentence(event)
    heading = (title, said)
    body = "\n".join(dict.fromkeys(_said(msgspec.to_builtins(event.data))))
    yield IndexedChunk(kind=kind, heading=heading, body=body[:MAX_BODY_CHARACTERS])
    content = getattr(event.data, "content", None)
    if not isinstance(event.data, _WITH_DOCUMENT) or not isinstance(content, Content):
        return
    text = read(content)
    if text is None:
        return
    if isinstance(event.data, TranscriptRecorded):
        text = plain(text)
    for one in chunks(text, content.media_type, said).chunks:
        yield IndexedChunk(
            kind=kind,
            heading=(title, *one.heading),
            body=one.body,
            first=one.start,
            stop=one.stop,
        )


def _commits(data: EventData) -> list[str]:
    found = [getattr(data, name, None) for name in ("head_commit", "commit", "pull_request")]
    if isinstance(data, PatchSetRecorded):
        found += data.commits
    return [one for one in found if one]


def _said(value: object) -> Iterator[str]:
    """The texts in a record: what people wrote and what things are called, no digests."""
    if isinstance(value, str):
        if value and not _DIGEST.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _said(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _said(inner)
