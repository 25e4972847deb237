"""How the waiting appends of one project become entries: repeats, conflicts, places and hashes. Pure.

The writer calls `decide` under the project's lock with what it read there. Each request of the group
has an outcome of its own and never touches its neighbours.
"""

from collections.abc import Mapping, Sequence

import msgspec

from domain import merkle
from domain.errors import Conflict, DeedbookError, Gone, Invalid, StaleVersion
from domain.events import StoredLine, encode_line
from domain.log import Append, Entry, LogHead, Receipt


class Earlier(msgspec.Struct, frozen=True):
    """What an idempotency key stood for when it was first used."""

    request_sha256: bytes
    entries: tuple[Entry, ...]


class Known(msgspec.Struct, frozen=True):
    """What the lock's holder read: stream heads, keys, events by id, and digests that cannot come back.

    Attributes:
        absent: Contents that are neither there nor uploaded.
        erased: Contents that were erased.
        named_at: Of the contents to erase, the newest position whose event names them.
    """

    heads: Mapping[str, int]
    keys: Mapping[str, Earlier]
    ids: Mapping[str, Entry]
    absent: frozenset[bytes] = frozenset()
    erased: frozenset[bytes] = frozenset()
    named_at: Mapping[bytes, int] = {}


class Decided(msgspec.Struct, frozen=True):
    """A project's group after deciding: the new head, and an outcome for each request, in order."""

    head: LogHead
    outcomes: tuple[Receipt | DeedbookError, ...]


def decide(requests: Sequence[Append], head: LogHead, known: Known, now: str) -> Decided:
    """Give each request its entries, its first answer again, or its error.

    `now` is written as in events; the log's own time never falls.
    """
    heads, keys, ids = dict(known.heads), dict(known.keys), dict(known.ids)
    size, frontier, time = head.size, list(head.frontier), max(now, head.last_time)
    outcomes: list[Receipt | DeedbookError] = []
    recorded_any = False
    brought: set[bytes] = set()
    named: set[bytes] = set()
    erased = set(known.erased)
    for request in requests:
        try:
            recalled = recall(request, keys, ids)
            if recalled is not None:
                outcomes.append(recalled)
                continue
            _check_versions(request, heads)
            _check_contents(request, known, brought, erased)
            _check_erasing(request, known, named, erased)
            entries = _entries(request, heads, size, time)
        except DeedbookError as error:
            outcomes.append(error)
            continue
        recorded_any = True
        brought.update(blob.sha256 for blob in request.blobs)
        named.update(request.referred, (blob.sha256 for blob in request.blobs))
        erased.update(request.erased)
        for entry in entries:
            merkle.extend(frontier, size, entry.leaf)
            size = entry.position
            heads[entry.stream] = entry.version
            ids[entry.id] = entry
        if request.key is not None:
            keys[request.key] = Earlier(request.request_sha256, entries)
        outcomes.append(Receipt(entries))
    return Decided(
        LogHead(
            head.project,
            head.origin,
            size,
            tuple(frontier),
            time if recorded_any else head.last_time,
        ),
        tuple(outcomes),
    )


def recall(
    request: Append, keys: Mapping[str, Earlier], ids: Mapping[str, Entry]
) -> Receipt | None:
    """The first answer to a request that was made before, None when it is new.

    Raises:
        Invalid: `idempotency-key-reused`.
        Conflict: `event-id-conflict`.
    """
    if request.key is not None and (earlier := keys.get(request.key)) is not None:
        if earlier.request_sha256 != request.request_sha256:
            raise Invalid(
                "idempotency-key-reused",
                "This idempotency key was used for another request; take a new key.",
            )
        return Receipt(earlier.entries, replayed=True)
    found = [ids.get(event.id) for event in request.events]
    if not any(found):
        if len({event.id for event in request.events}) != len(request.events):
            raise Conflict("event-id-conflict", "Two events of the batch have the same id.")
        return None
    for event, entry in zip(request.events, found, strict=True):
        if entry is None or not _same(event.stream, event.type, event.data, event.actor, entry):
            raise Conflict(
                "event-id-conflict",
                f"The event id {event.id if entry else '(one of the batch)'} "
                "is recorded with other content; take a new id.",
            )
    return Receipt(tuple(entry for entry in found if entry is not None), replayed=True)


def _same(stream: str, type_name: str, data: bytes, actor: str, entry: Entry) -> bool:
    stored = msgspec.json.decode(entry.line, type=StoredLine)
    return (stored.stream, stored.type, bytes(stored.data), stored.actor) == (
        stream,
        type_name,
        data,
        actor,
    )


def _check_versions(request: Append, heads: Mapping[str, int]) -> None:
    for stream, version in request.expected:
        current = heads.get(stream, 0)
        if current != version:
            raise StaleVersion(
                "version-conflict",
                f"{stream} has version {current}, not {version}: read it again, then repeat.",
                members={"current_version": current, "stream": stream},
            )


def _check_contents(request: Append, known: Known, brought: set[bytes], erased: set[bytes]) -> None:
    """Everything that the events name is there afterwards; `brought` came with earlier requests."""
    for sha256 in (*request.referred, *(blob.sha256 for blob in request.blobs)):
        if sha256 in erased:
            raise Gone(
                "content-erased",
                f"The content sha256:{sha256.hex()} was erased in this project "
                "and cannot be written again.",
            )
    there = brought | {blob.sha256 for blob in request.blobs if blob.content is not None}
    for blob in request.blobs:
        if blob.sha256 in known.absent and blob.sha256 not in there:
            raise Invalid(
                "blob-not-found",
                f"The upload of sha256:{blob.sha256.hex()} is gone: upload it again.",
            )
    there.update(blob.sha256 for blob in request.blobs)
    for sha256 in request.referred:
        if sha256 in known.absent and sha256 not in there:
            raise Invalid(
                "blob-not-found",
                f"The content sha256:{sha256.hex()} is not in this project: upload it first.",
            )


def _check_erasing(request: Append, known: Known, named: set[bytes], erased: set[bytes]) -> None:
    """What is erased is named by those events only for which the caller has made an erasure.

    `named` was named by earlier requests of the group.
    """
    for sha256 in request.erased:
        late = sha256 in named or known.named_at.get(sha256, 0) > request.searched
        if late or sha256 in erased:
            raise Conflict(
                "erasure-changed",
                f"The content sha256:{sha256.hex()} was "
                f"{'named by another event' if late else 'erased'} meanwhile: look at what would "
                "be erased again, then repeat.",
            )


def _entries(request: Append, heads: Mapping[str, int], size: int, time: str) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    versions: dict[str, int] = {}
    for position, event in enumerate(request.events, start=size + 1):
        version = versions.get(event.stream, heads.get(event.stream, 0)) + 1
        versions[event.stream] = version
        line = encode_line(
            StoredLine(
                actor=event.actor,
                data=msgspec.Raw(event.data),
                id=event.id,
                position=position,
                stream=event.stream,
                time=time,
                type=event.type,
                version=version,
            )
        )
        entries.append(
            Entry(position, event.stream, version, event.id, line, merkle.leaf_hash(line))
        )
    return tuple(entries)
