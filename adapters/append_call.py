"""The fast path of an append: decided before the lock, written and committed by one function call.

The writer remembers how it left each project. If the size is still what it remembers, nothing in the
project has changed, so every remembered version holds and every line worked out from it is final;
`append_group` (migration 0002) checks that under the lock. Whatever is rarer goes the slow path.
"""

from collections import OrderedDict
from collections.abc import Sequence

import psycopg

from adapters.append_rows import Added, AddedEvent, added_by
from adapters.append_transaction import (
    Tip,
    Written,
    indexes_by_project,
    read_versions,
    streams_of,
    tip_of,
)
from adapters.binary_arrays import Bigints, Byteas, Ints, Texts, Times, Uuids
from adapters.group_writer import Outcome
from domain import append as rules
from domain import merkle
from domain.append import Decided, Known
from domain.log import Append, LogHead, Receipt
from domain.times import parse_time
from projections.core_views import ArtifactRow, rows_of

MAX_PROJECTS = 256
MAX_STREAMS = 10_000
"""Remembered at most; a stream more costs a look-up, a project more the slow path once."""

_CALL = f"SELECT append_group({', '.join(['%b'] * 42)})"


class Memory:
    """How the writer left the projects it wrote last; used by one thread at a time."""

    def __init__(self) -> None:
        self._projects: OrderedDict[str, tuple[LogHead, dict[str, int]]] = OrderedDict()

    def get(self, project: str) -> tuple[LogHead, dict[str, int]] | None:
        """The project's head and the versions known of its streams."""
        return self._projects.get(project)

    def keep(self, tip: Tip) -> None:
        """The project is as this group left it."""
        project = tip.head.project
        kept = self._projects.pop(project, None)
        # What was known of other streams holds only if nobody else wrote between.
        versions = kept[1] if kept is not None and kept[0].size == tip.size_before else {}
        if len(versions) > MAX_STREAMS:
            versions = {}
        versions.update(tip.versions)
        self._projects[project] = (tip.head, versions)
        if len(self._projects) > MAX_PROJECTS:
            self._projects.popitem(last=False)

    def forget(self) -> None:
        """Something went wrong: know nothing."""
        self._projects.clear()


def append_fast(
    connection: psycopg.Connection, requests: Sequence[Append], now: str, memory: Memory
) -> Written | None:
    """Write the group by one call; None, and nothing written, when it must go the slow path."""
    if any(one.erased or any(blob.content is None for blob in one.blobs) for one in requests):
        return None
    indexes = indexes_by_project(requests)
    if any(memory.get(project) is None for project in indexes):
        return None
    groups = {
        project: [requests[index] for index in indexes[project]] for project in sorted(indexes)
    }
    _look_up_streams(connection, groups, memory)
    decided: list[tuple[Decided, Sequence[Append]]] = []
    tips: list[Tip] = []
    outcomes: dict[int, Outcome] = {}
    for project, group in groups.items():
        remembered = memory.get(project)
        assert remembered is not None
        head, versions = remembered
        known = Known(
            heads={stream: versions[stream] for stream in streams_of(group)}, keys={}, ids={}
        )
        one = rules.decide(group, head, known, now)
        if not all(isinstance(found, Receipt) and not found.replayed for found in one.outcomes):
            return None  # a repeat or a conflict is answered from what is read under the lock
        decided.append((one, group))
        tips.append(tip_of(one, known.heads, head.size))
        outcomes.update(zip(indexes[project], one.outcomes, strict=True))
    added = added_by(decided)
    rows = _artifact_rows(added.events)
    if rows is None:
        return None
    sizes = [tip.size_before for tip in tips]
    found = connection.execute(_CALL, _parameters(added, rows, sizes, requests), binary=True)
    answer = found.fetchone()
    if answer is None or not answer[0]:
        return None  # what is remembered wrongly is corrected by what the slow path reads
    return Written([outcomes[index] for index in range(len(requests))], tips)


def _look_up_streams(
    connection: psycopg.Connection, groups: dict[str, list[Append]], memory: Memory
) -> None:
    """Learn the versions that are not remembered; without a lock, since the size is checked later."""
    missing = {}
    for project, group in groups.items():
        remembered = memory.get(project)
        assert remembered is not None
        unknown = sorted(streams_of(group) - remembered[1].keys())
        if unknown:
            missing[project] = unknown
    if missing:
        for project, versions in read_versions(connection, missing).items():
            remembered = memory.get(project)
            assert remembered is not None
            remembered[1].update(versions)


def _artifact_rows(events: Sequence[AddedEvent]) -> list[tuple[AddedEvent, ArtifactRow]] | None:
    """The rows for the views, None when there are others than plain artifact versions."""
    found = []
    for event in events:
        for row in rows_of(event.recorded):
            if not isinstance(row, ArtifactRow) or row.citations:
                return None
            found.append((event, row))
    return found


def _parameters(
    added: Added,
    rows: Sequence[tuple[AddedEvent, ArtifactRow]],
    sizes: Sequence[int],
    requests: Sequence[Append],
) -> list[object]:
    """The arguments of `append_group`, in its order."""
    heads, events, blobs, keys = added.heads, added.events, added.blobs, added.keys
    referred = sorted({(one.project, sha256) for one in requests for sha256 in one.referred})
    latest: dict[tuple[str, str, str], int] = {}
    for event, row in rows:  # versions of a stream ascend, so the last one is the greatest
        latest[event.project, row.kind, row.key] = row.version
    newest = list(latest.items())
    return [
        Texts([head.project for head in heads]),
        Bigints(sizes),
        Bigints([head.size for head in heads]),
        Byteas([merkle.frontier_to_bytes(head.frontier) for head in heads]),
        Times([parse_time(head.last_time) for head in heads]),
        Texts([one.project for one in events]),
        Bigints([one.entry.position for one in events]),
        Texts([one.entry.stream for one in events]),
        Bigints([one.entry.version for one in events]),
        Texts([one.recorded.type for one in events]),
        Uuids([one.entry.id for one in events]),
        Texts([one.recorded.actor for one in events]),
        Times([one.time for one in events]),
        Byteas([one.entry.line for one in events]),
        Byteas([one.entry.leaf for one in events]),
        Texts([project for project, _ in blobs]),
        Byteas([blob.sha256 for _, blob in blobs]),
        Bigints([blob.size_bytes for _, blob in blobs]),
        Bigints([blob.crc32 for _, blob in blobs]),
        Byteas([blob.content or b"" for _, blob in blobs]),
        Texts([project for project, _ in referred]),
        Byteas([sha256 for _, sha256 in referred]),
        Texts([one.project for one in keys]),
        Texts([one.key for one in keys]),
        Byteas([one.request_sha256 for one in keys]),
        Bigints([one.position for one in keys]),
        Ints([one.count for one in keys]),
        Texts([event.project for event, _ in rows]),
        Texts([row.kind for _, row in rows]),
        Texts([row.key for _, row in rows]),
        Bigints([row.version for _, row in rows]),
        Bigints([row.position for _, row in rows]),
        Byteas([row.sha256 for _, row in rows]),
        Bigints([row.size_bytes for _, row in rows]),
        Texts([row.media_type for _, row in rows]),
        Texts([row.title for _, row in rows]),
        Texts([row.actor for _, row in rows]),
        Times([event.time for event, _ in rows]),
        Texts([project for (project, _, _), _ in newest]),
        Texts([kind for (_, kind, _), _ in newest]),
        Texts([key for (_, _, key), _ in newest]),
        Bigints([version for _, version in newest]),
    ]
