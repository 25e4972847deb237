"""What a decided group adds to the tables; the slow and the fast path write the same rows."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from domain.append import Decided
from domain.events import EVENT_TYPES, Recorded
from domain.log import Append, Blob, Entry, LogHead, Receipt
from domain.times import parse_time

_data_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}


class AddedEvent(msgspec.Struct, frozen=True):
    """One row of `event`, and the event for the views."""

    project: str
    recorded: Recorded
    entry: Entry
    time: datetime


class AddedKey(msgspec.Struct, frozen=True):
    """One row of `idempotency`."""

    project: str
    key: str
    request_sha256: bytes
    position: int
    count: int


class Added(msgspec.Struct, frozen=True):
    """A group's rows.

    Attributes:
        blobs: Each once. Their order is free: whoever writes them holds their project's lock.
        uploads: Digests of contents that were uploaded before, by project.
        erased: Digests of contents that go away, by project.
    """

    heads: tuple[LogHead, ...]
    events: list[AddedEvent]
    blobs: list[tuple[str, Blob]]
    uploads: dict[str, list[bytes]]
    keys: list[AddedKey]
    erased: dict[str, list[bytes]]


def added_by(decided: Iterable[tuple[Decided, Sequence[Append]]]) -> Added:
    """The rows of the requests that are new, of all projects of a group."""
    heads: list[LogHead] = []
    events: list[AddedEvent] = []
    blobs: dict[tuple[str, bytes], Blob] = {}
    uploads: dict[str, set[bytes]] = {}
    keys: list[AddedKey] = []
    erased: dict[str, list[bytes]] = {}
    for one, requests in decided:
        project, time = one.head.project, parse_time(one.head.last_time)
        heads.append(one.head)
        for request, outcome in zip(requests, one.outcomes, strict=True):
            if not isinstance(outcome, Receipt) or outcome.replayed:
                continue
            entries = outcome.entries
            for event, entry in zip(request.events, entries, strict=True):
                recorded = Recorded(
                    position=entry.position,
                    stream=entry.stream,
                    version=entry.version,
                    type=event.type,
                    id=entry.id,
                    actor=event.actor,
                    time=one.head.last_time,
                    data=_data_decoders[event.type].decode(event.data),
                )
                events.append(AddedEvent(project, recorded, entry, time))
            for blob in request.blobs:
                if blob.content is None:
                    uploads.setdefault(project, set()).add(blob.sha256)
                else:
                    blobs[project, blob.sha256] = blob
            if request.erased:
                erased.setdefault(project, []).extend(request.erased)
            if request.key is not None:
                keys.append(
                    AddedKey(
                        project,
                        request.key,
                        request.request_sha256,
                        entries[0].position,
                        len(entries),
                    )
                )
    return Added(
        tuple(heads),
        events,
        [(project, blob) for (project, _), blob in blobs.items()],
        {project: sorted(digests) for project, digests in uploads.items()},
        keys,
        erased,
    )
