"""The slow path of an append, always right: lock, read what deciding needs, decide, write, commit.

Two round trips under the locks of the group's projects. Runs on a connection in autocommit mode, with
BEGIN and COMMIT of its own, because psycopg ends a pipeline of a managed transaction with a sync, and a
sync stops flushing after the last command: a large one would wait for ever, holding the locks.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import LiteralString

import msgspec
import psycopg
from psycopg.rows import TupleRow

from adapters.append_rows import Added, AddedEvent, added_by
from adapters.group_writer import Outcome
from adapters.postgres_view_rows import write_rows
from domain import append as rules
from domain import merkle
from domain.append import Decided, Earlier, Known
from domain.errors import NotFound
from domain.log import Append, Blob, Entry, LogHead, Receipt
from domain.times import format_time, parse_time
from projections.core_views import rows_of

Cursor = psycopg.Cursor[TupleRow]

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
# A plan is made once, since planning anew takes as long as running; so it must not read tables whole
# that were small then. For the transaction, as a pooler needs it, or for the writer's own session.
SETTINGS = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', true),
  set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
  set_config('enable_mergejoin', 'off', true), set_config('lock_timeout', '5s', true)
"""
SESSION_SETTINGS = """
SELECT set_config('plan_cache_mode', 'force_generic_plan', false),
  set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false),
  set_config('enable_mergejoin', 'off', false), set_config('lock_timeout', '5s', false)
"""
HEAD = "SELECT origin, size, frontier, last_time FROM project_log WHERE project_id = %b"
_LOCK = HEAD + " FOR UPDATE"
_VERSIONS = """
SELECT s, coalesce((SELECT version FROM event WHERE project_id = %b AND stream = s
                    ORDER BY version DESC LIMIT 1), 0)
FROM unnest(%b::text[]) s
"""
_IDS = """
SELECT position, stream, version, id, line, leaf FROM event
WHERE project_id = %b AND id = ANY(%b::uuid[])
"""
_KEYS = """
SELECT key, request_sha256, position, count FROM idempotency
WHERE project_id = %b AND key = ANY(%b::text[])
"""
_CONTENTS = """
SELECT d,
  EXISTS (SELECT FROM blob WHERE project_id = %(project)b AND sha256 = d),
  EXISTS (SELECT FROM upload WHERE project_id = %(project)b AND sha256 = d),
  EXISTS (SELECT FROM erasure WHERE project_id = %(project)b AND sha256 = d)
FROM unnest(%(digests)b::bytea[]) d
"""
# Where an event behind a position mentions a content, which is wherever it names it.
_NAMED_AT = """
SELECT d, max(event.position) FROM unnest(%b::bytea[]) d JOIN event
  ON project_id = %b AND event.position > %b
  AND position(convert_to('sha256:' || encode(d, 'hex'), 'UTF8') IN line) > 0
GROUP BY d
"""
RANGE = """
SELECT position, stream, version, id, line, leaf FROM event
WHERE project_id = %b AND position BETWEEN %b AND %b ORDER BY position
"""
_INSERT_BLOBS = """
INSERT INTO blob (project_id, sha256, size_bytes, crc32, encoding, content)
SELECT p, s, z, c, 0, b
FROM unnest(%b::text[], %b::bytea[], %b::int8[], %b::int8[], %b::bytea[]) AS t (p, s, z, c, b)
ON CONFLICT DO NOTHING
"""
_MOVE_UPLOADS = """
INSERT INTO blob (project_id, sha256, size_bytes, crc32, encoding, content, address)
SELECT project_id, sha256, size_bytes, crc32, 0, content, address FROM upload
WHERE project_id = %b AND sha256 = ANY(%b::bytea[])
ON CONFLICT DO NOTHING
"""
_DELETE_UPLOADS = "DELETE FROM upload WHERE project_id = %b AND sha256 = ANY(%b::bytea[])"
# Nothing may name their objects outside any more: they are deleted without waiting.
_DOOM_OBJECTS = """
INSERT INTO loose_object (project_id, address, doomed)
SELECT project_id, address, true FROM blob
WHERE project_id = %(project)b AND sha256 = ANY(%(digests)b::bytea[]) AND address IS NOT NULL
UNION
SELECT project_id, address, true FROM upload
WHERE project_id = %(project)b AND sha256 = ANY(%(digests)b::bytea[]) AND address IS NOT NULL
ON CONFLICT (project_id, address) DO UPDATE SET doomed = true
"""
_DELETE_BLOBS = "DELETE FROM blob WHERE project_id = %b AND sha256 = ANY(%b::bytea[])"
# Of an artifact of which a content is erased: its draft may be made of that. The text goes by a trigger.
_DISCARD_DRAFTS = """
UPDATE draft d SET state = 'discarded', changed_at = now() FROM (
  SELECT DISTINCT project_id, artifact FROM erasure
  WHERE project_id = %b AND sha256 = ANY(%b::bytea[])) e
WHERE d.project_id = e.project_id AND 'artifact/' || d.kind || '/' || d.key = e.artifact
  AND d.state IN ('open', 'committing')
"""
_INSERT_EVENTS = """
INSERT INTO event (project_id, position, stream, version, type, id, actor, time, line, leaf)
SELECT * FROM unnest(%b::text[], %b::int8[], %b::text[], %b::int8[], %b::text[], %b::uuid[],
  %b::text[], %b::timestamptz[], %b::bytea[], %b::bytea[])
"""
_INSERT_KEYS = """
INSERT INTO idempotency (project_id, key, request_sha256, position, count)
SELECT * FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::int8[], %b::int4[])
"""
_UPDATE_LOG = """
UPDATE project_log SET size = %b, frontier = %b, last_time = %b WHERE project_id = %b
"""


class Tip(msgspec.Struct, frozen=True):
    """A project as a group left it: its head, and the versions of the streams it touched."""

    head: LogHead
    versions: Mapping[str, int]
    size_before: int

    @property
    def grown(self) -> bool:
        """Whether anything was recorded."""
        return self.head.size > self.size_before


class Written(msgspec.Struct, frozen=True):
    """A group after its transaction: the outcome of each request, in order, and the projects' tips."""

    outcomes: list[Outcome]
    tips: list[Tip]


def append_slowly(connection: psycopg.Connection, requests: Sequence[Append], now: str) -> Written:
    """One transaction for the group, on a connection in autocommit mode."""
    with connection.pipeline():
        cursor = connection.cursor(binary=True)
        cursor.execute(BEGIN)
        cursor.execute(SETTINGS)
        written = decide_and_write(connection, requests, now)
        # Rolling back writes no WAL; a group of repeats and conflicts then waits for no disk.
        cursor.execute("COMMIT" if any(tip.grown for tip in written.tips) else "ROLLBACK")
    return written


def decide_and_write(
    connection: psycopg.Connection, requests: Sequence[Append], now: str
) -> Written:
    """The part between BEGIN and COMMIT, in a pipeline that the caller opened."""
    indexes = indexes_by_project(requests)
    readings = [
        # Sorted: one order of locks for everybody.
        _Reading(connection, project, [requests[index] for index in indexes[project]])
        for project in sorted(indexes)
    ]
    outcomes: dict[int, Outcome] = {}
    tips: list[Tip] = []
    grown: list[tuple[Decided, Sequence[Append]]] = []
    for reading in readings:
        head = reading.head()
        if head is None:
            found: Sequence[Outcome] = [project_not_found(reading.project) for _ in reading.group]
        else:
            known = reading.known()
            decided = rules.decide(reading.group, head, known, now)
            found = decided.outcomes
            tips.append(tip_of(decided, known.heads, head.size))
            if tips[-1].grown:
                grown.append((decided, reading.group))
        outcomes.update(zip(indexes[reading.project], found, strict=True))
    write(connection.cursor(binary=True), added_by(grown))
    return Written([outcomes[index] for index in range(len(requests))], tips)


def indexes_by_project(requests: Sequence[Append]) -> dict[str, list[int]]:
    """Where each project's requests are in the group."""
    indexes: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        indexes.setdefault(request.project, []).append(index)
    return indexes


def streams_of(requests: Sequence[Append]) -> set[str]:
    """The streams whose versions deciding needs."""
    return {event.stream for one in requests for event in one.events} | {
        stream for one in requests for stream, _ in one.expected
    }


def tip_of(decided: Decided, versions: Mapping[str, int], size_before: int) -> Tip:
    """What holds of a project once what was decided is committed."""
    later = dict(versions)
    for outcome in decided.outcomes:
        if isinstance(outcome, Receipt) and not outcome.replayed:
            later.update((entry.stream, entry.version) for entry in outcome.entries)
    return Tip(decided.head, later, size_before)


class _Reading:
    """What deciding needs of one project: sent at once, the lock first, and fetched when asked for."""

    def __init__(self, connection: psycopg.Connection, project: str, group: list[Append]) -> None:
        self.project = project
        self.group = group
        digests = sorted(
            {blob.sha256 for one in group for blob in one.blobs}
            | {sha256 for one in group for sha256 in (*one.referred, *one.erased)}
        )
        erasing = [one for one in group if one.erased]
        keys = [one.key for one in group if one.key is not None]
        self._connection = connection
        # Separate statements: beside FOR UPDATE in one statement a read would see the old snapshot.
        self._lock = self._execute(_LOCK, (project,))
        self._versions = self._execute(_VERSIONS, (project, sorted(streams_of(group))))
        self._ids = self._execute(_IDS, (project, _ids_of(group)))
        self._keys = self._execute(_KEYS, (project, keys)) if keys else None
        self._contents = (
            self._execute(_CONTENTS, {"project": project, "digests": digests}) if digests else None
        )
        self._named_at = (
            self._execute(
                _NAMED_AT,
                (
                    sorted({sha256 for one in erasing for sha256 in one.erased}),
                    project,
                    min(one.searched for one in erasing),
                ),
            )
            if erasing
            else None
        )

    def head(self) -> LogHead | None:
        row = self._lock.fetchone()
        return None if row is None else head_of(self.project, row)

    def known(self) -> Known:
        versions = {row[0]: row[1] for row in self._versions.fetchall()}
        ids = {str(row[3]): entry_of(row) for row in self._ids.fetchall()}
        keys = self._keys.fetchall() if self._keys is not None else []
        contents = self._contents.fetchall() if self._contents is not None else []
        named_at = self._named_at.fetchall() if self._named_at is not None else []
        return Known(
            heads=versions,
            keys=_earlier(self._connection, self.project, keys),
            ids=ids,
            absent=frozenset(bytes(d) for d, blob, upload, _ in contents if not (blob or upload)),
            erased=frozenset(bytes(d) for d, _, _, erased in contents if erased),
            named_at={bytes(d): position for d, position in named_at},
        )

    def _execute(
        self, statement: LiteralString, parameters: Sequence[object] | Mapping[str, object]
    ) -> Cursor:
        return self._connection.cursor(binary=True).execute(statement, parameters)


def write(cursor: Cursor, added: Added) -> None:
    """Contents, events, views, keys and heads, sent without waiting; always in this order of tables."""
    for project, digests in added.uploads.items():
        cursor.execute(_MOVE_UPLOADS, (project, digests))
        cursor.execute(_DELETE_UPLOADS, (project, digests))
    insert_blobs(cursor, added.blobs)
    for project, digests in added.erased.items():
        erase_contents(cursor, project, digests)
    insert_events(cursor, added.events)
    for project, digests in added.erased.items():
        cursor.execute(_DISCARD_DRAFTS, (project, digests))
    if added.keys:
        cursor.execute(
            _INSERT_KEYS,
            [
                [getattr(one, name) for one in added.keys]
                for name in added.keys[0].__struct_fields__
            ],
        )
    for head in added.heads:
        update_log(cursor, head)


def insert_blobs(cursor: Cursor, blobs: Sequence[tuple[str, Blob]]) -> None:
    """Contents that are not there yet."""
    if blobs:
        cursor.execute(
            _INSERT_BLOBS,
            [
                [project for project, _ in blobs],
                [blob.sha256 for _, blob in blobs],
                [blob.size_bytes for _, blob in blobs],
                [blob.crc32 for _, blob in blobs],
                [blob.content for _, blob in blobs],
            ],
        )


def move_uploads(cursor: Cursor, project: str, digests: Sequence[bytes]) -> int:
    """Staged contents become blobs; answers how many of them were there."""
    moved = cursor.execute(_MOVE_UPLOADS, (project, digests)).rowcount
    cursor.execute(_DELETE_UPLOADS, (project, digests))
    return moved


def erase_contents(cursor: Cursor, project: str, digests: Sequence[bytes]) -> None:
    """Contents and uploads go; whoever calls holds the project's lock, so that none comes back."""
    cursor.execute(_DOOM_OBJECTS, {"project": project, "digests": digests})
    cursor.execute(_DELETE_BLOBS, (project, digests))
    cursor.execute(_DELETE_UPLOADS, (project, digests))


def insert_events(cursor: Cursor, events: Sequence[AddedEvent]) -> None:
    """Events, and their rows in the core views."""
    if not events:
        return
    cursor.execute(
        _INSERT_EVENTS,
        [
            [one.project for one in events],
            [one.entry.position for one in events],
            [one.entry.stream for one in events],
            [one.entry.version for one in events],
            [one.recorded.type for one in events],
            [uuid.UUID(one.entry.id) for one in events],
            [one.recorded.actor for one in events],
            [one.time for one in events],
            [one.entry.line for one in events],
            [one.entry.leaf for one in events],
        ],
    )
    write_rows(cursor, ((one.project, row) for one in events for row in rows_of(one.recorded)))


def update_log(cursor: Cursor, head: LogHead) -> None:
    """The project's new size, frontier and time."""
    cursor.execute(
        _UPDATE_LOG,
        (
            head.size,
            merkle.frontier_to_bytes(head.frontier),
            parse_time(head.last_time),
            head.project,
        ),
    )


def read_versions(
    connection: psycopg.Connection, streams: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, int]]:
    """The present version of streams, by project; 0 for one without events."""
    with connection.pipeline():
        cursors = {
            project: connection.cursor(binary=True).execute(_VERSIONS, (project, names))
            for project, names in streams.items()
        }
        return {
            project: {row[0]: row[1] for row in cursor.fetchall()}
            for project, cursor in cursors.items()
        }


def read_earlier(
    connection: psycopg.Connection, request: Append
) -> tuple[dict[str, Earlier], dict[str, Entry]]:
    """What is recorded under the request's key, and under its event ids."""
    cursor = connection.cursor(binary=True)
    keys: list[TupleRow] = []
    if request.key is not None:
        keys = cursor.execute(_KEYS, (request.project, [request.key])).fetchall()
    ids = cursor.execute(_IDS, (request.project, _ids_of([request]))).fetchall()
    return (
        _earlier(connection, request.project, keys),
        {str(row[3]): entry_of(row) for row in ids},
    )


def entry_of(row: TupleRow) -> Entry:
    """From the columns position, stream, version, id, line, leaf."""
    position, stream, version, event_id, line, leaf = row
    return Entry(position, stream, version, str(event_id), bytes(line), bytes(leaf))


def head_of(project: str, row: TupleRow) -> LogHead:
    """From the columns of `HEAD`."""
    origin, size, frontier, last_time = row
    return LogHead(
        project,
        origin,
        size,
        tuple(merkle.frontier_from_bytes(bytes(frontier), size)),
        format_time(last_time),
    )


def project_not_found(project: str) -> NotFound:
    """The error for a project without a log."""
    return NotFound("project-not-found", f"There is no project {project[:40]!r}.")


def _ids_of(requests: Sequence[Append]) -> list[uuid.UUID]:
    return [uuid.UUID(event.id) for one in requests for event in one.events]


def _earlier(
    connection: psycopg.Connection, project: str, rows: Sequence[TupleRow]
) -> dict[str, Earlier]:
    found = {}
    for key, request_sha256, position, count in rows:
        entries = (
            connection.cursor(binary=True)
            .execute(RANGE, (project, position, position + count - 1))
            .fetchall()
        )
        found[key] = Earlier(bytes(request_sha256), tuple(entry_of(row) for row in entries))
    return found
