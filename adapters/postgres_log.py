"""The event log in Postgres: group append under the projects' row locks, and reads by position.

One transaction records a group: it locks the projects in sorted order, reads what deciding needs,
decides (`domain.append`), writes contents, events and views, and commits. A lost answer is settled by
running the group again: the lock tells whether the first commit happened, ids and keys tell what.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from adapters.commit_signal import CommitSignal
from adapters.group_writer import DEFAULT_WAIT_SECONDS, GroupWriter, Outcome
from adapters.postgres_connect import connect
from adapters.postgres_view_rows import write_rows
from domain import append as rules
from domain import merkle
from domain.append import Decided, Earlier, Known
from domain.errors import Conflict, DeedbookError, NotFound, StaleVersion, Unavailable
from domain.events import parse
from domain.log import Append, Blob, Entry, LogHead, Receipt
from domain.times import format_time, parse_time
from projections.core_views import rows_of

LOCK_MILLISECONDS = 5_000
RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)
PAGE_EVENTS = 1_000
IMPORT_BATCH_EVENTS = 1_000

Cursor = psycopg.Cursor[TupleRow]

_LOCK = """
SELECT origin, size, frontier, last_time FROM project_log WHERE project_id = %b FOR UPDATE
"""
_HEADS = """
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
_RANGE = """
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
INSERT INTO blob (project_id, sha256, size_bytes, crc32, encoding, content)
SELECT project_id, sha256, size_bytes, crc32, 0, content FROM upload
WHERE project_id = %b AND sha256 = ANY(%b::bytea[])
ON CONFLICT DO NOTHING
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


class PostgresLog:
    """The port `domain.log.EventLog` over Postgres; use as a context manager.

    Args:
        url: For the writer's own connection, direct if there is a choice.
        pool: For reads.
        now: The clock.
    """

    def __init__(
        self,
        url: str,
        pool: ConnectionPool,
        *,
        signal: CommitSignal,
        now: Callable[[], datetime],
        pooled: bool = False,
    ) -> None:
        self._url = url
        self._pool = pool
        self._signal = signal
        self._now = now
        self._pooled = pooled
        self._connection: psycopg.Connection | None = None
        self._writer = GroupWriter(self._write_group)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()
        self._disconnect()

    def append(self, request: Append) -> Receipt:
        """See `EventLog.append`."""
        return self._writer.submit(request)

    def create(self, request: Append) -> Receipt:
        """See `EventLog.create`."""
        recalled = self.recall(request)
        if recalled is not None:
            return recalled
        exists = _exists(request.project)
        with connect(self._url, pooled=self._pooled) as connection:
            opened = connection.execute(
                """
                INSERT INTO project_log (project_id, origin)
                SELECT %s, %s || '.' || host FROM ledger ON CONFLICT DO NOTHING
                """,
                (request.project, request.project),
            )
            if opened.rowcount == 0:
                # Somebody was faster, perhaps this very request on another connection.
                connection.rollback()
                recalled = self.recall(request)
                if recalled is None:
                    raise exists
                return recalled
            cursor = connection.cursor(binary=True)
            with connection.pipeline():
                outcomes, sizes = self._transact(cursor, [request])
        outcome = outcomes[0]
        if isinstance(outcome, StaleVersion):
            raise exists
        if isinstance(outcome, BaseException):
            raise outcome
        for project, size in sizes.items():
            self._signal.committed(project, size)
        return outcome

    def recall(self, request: Append) -> Receipt | None:
        """See `EventLog.recall`."""
        with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            keys = _read_keys(cursor, request.project, [request])
            ids = _read_ids(cursor, request.project, [request])
        return rules.recall(request, keys, ids)

    def head(self, project: str) -> LogHead:
        """See `EventLog.head`."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(_LOCK.replace("FOR UPDATE", ""), (project,))
                .fetchone()
            )
        if row is None:
            raise _unknown(project)
        return _head(project, row)

    def read(self, project: str, after: int, upto: int) -> Iterator[Entry]:
        """See `EventLog.read`. Each page is a query of its own: rows never change."""
        while after < upto:
            last = min(after + PAGE_EVENTS, upto)
            with self._pool.connection() as connection:
                rows = (
                    connection.cursor(binary=True)
                    .execute(_RANGE, (project, after + 1, last))
                    .fetchall()
                )
            yield from (_entry(row) for row in rows)
            after = last

    def lines(self, project: str, after: int, upto: int) -> Iterator[bytes]:
        """See `EventLog.lines`. Postgres joins the lines; they pass through as bytes."""
        while after < upto:
            last = min(after + PAGE_EVENTS, upto)
            with self._pool.connection() as connection:
                row = (
                    connection.cursor(binary=True)
                    .execute(
                        r"""
                        SELECT string_agg(line, '\n'::bytea ORDER BY position) FROM event
                        WHERE project_id = %b AND position BETWEEN %b AND %b
                        """,
                        (project, after + 1, last),
                    )
                    .fetchone()
                )
            if row is not None and row[0] is not None:
                yield bytes(row[0]) + b"\n"
            after = last

    def stream(self, project: str, stream: str, after: int, limit: int, upto: int) -> list[Entry]:
        """See `EventLog.stream`."""
        with self._pool.connection() as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT position, stream, version, id, line, leaf FROM event
                    WHERE project_id = %b AND stream = %b AND version > %b AND position <= %b
                    ORDER BY version LIMIT %b
                    """,
                    (project, stream, after, upto, limit),
                )
                .fetchall()
            )
        return [_entry(row) for row in rows]

    def import_log(
        self, project: str, origin: str, lines: Iterable[bytes], blobs: Iterable[Blob]
    ) -> LogHead:
        """Open a project with events as they were recorded elsewhere; all or nothing.

        The lines keep their positions, times and origin; the caller has verified them.

        Raises:
            Conflict: `project-exists`.
        """
        size, frontier, last_time = 0, list[bytes](), "1970-01-01T00:00:00.000000Z"
        with connect(self._url, pooled=self._pooled) as connection:
            opened = connection.execute(
                "INSERT INTO project_log (project_id, origin) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (project, origin),
            )
            if opened.rowcount == 0:
                raise _exists(project)
            cursor = connection.cursor(binary=True)
            for blob in blobs:
                assert blob.content is not None
                _insert_blobs(cursor, [(project, blob)])
            batch: list[Entry] = []
            for line in lines:
                recorded = parse(line)
                assert recorded.position == size + 1
                leaf = merkle.leaf_hash(line)
                merkle.extend(frontier, size, leaf)
                size, last_time = recorded.position, recorded.time
                batch.append(
                    Entry(size, recorded.stream, recorded.version, recorded.id, line, leaf)
                )
                if len(batch) == IMPORT_BATCH_EVENTS:
                    _insert_entries(cursor, [(project, entry) for entry in batch])
                    batch.clear()
            _insert_entries(cursor, [(project, entry) for entry in batch])
            head = LogHead(project, origin, size, tuple(frontier), last_time)
            _update_log(cursor, head)
        self._signal.committed(project, size)
        return head

    def _write_group(self, requests: Sequence[Append]) -> list[Outcome]:
        """Run the group until its outcome is certain, or its callers no longer wait."""
        patience = max(
            (one.deadline for one in requests if one.deadline is not None),
            default=time.monotonic() + DEFAULT_WAIT_SECONDS,
        )
        uncertain = False
        attempt = 0
        while True:
            try:
                connection = self._connected()
                with contextlib.ExitStack() as settling:
                    settling.callback(_roll_back, connection)
                    cursor = connection.cursor(binary=True)
                    with connection.pipeline():
                        cursor.execute(
                            "SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_MILLISECONDS}ms",)
                        )
                        outcomes, sizes = self._transact(cursor, requests)
                    uncertain = True
                    connection.commit()
                    settling.pop_all()
            except (psycopg.DataError, psycopg.IntegrityError):
                # Cannot happen after the checks at the door, hence a bug: find the one that has it.
                if len(requests) == 1:
                    raise
                half = len(requests) // 2
                return [*self._write_half(requests[:half]), *self._write_half(requests[half:])]
            except psycopg.Error as error:
                # An old backend that is still committing holds the lock, so once this attempt has the
                # lock the outcome of the last one is settled, and `recall` finds what was recorded.
                self._disconnect()
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                attempt += 1
                if not _passing(error) or time.monotonic() + pause > patience:
                    raise _unsettled(error, uncertain=uncertain) from error
                time.sleep(pause)
            else:
                for project, size in sizes.items():
                    self._signal.committed(project, size)
                return outcomes

    def _write_half(self, requests: Sequence[Append]) -> list[Outcome]:
        try:
            return self._write_group(requests)
        except (psycopg.Error, DeedbookError) as error:
            return [error for _ in requests]

    def _transact(
        self, cursor: Cursor, requests: Sequence[Append]
    ) -> tuple[list[Outcome], dict[str, int]]:
        """Lock, read, decide, write; answers the outcomes and the new sizes of the logs."""
        by_project: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            by_project.setdefault(request.project, []).append(index)
        outcomes: list[Outcome | None] = [None] * len(requests)
        now = format_time(self._now())
        decided: list[tuple[Decided, list[Append]]] = []
        for project in sorted(by_project):  # one order of locks for everybody
            group = [requests[index] for index in by_project[project]]
            reading = _Reading(cursor.connection, project, group)
            head = reading.head()
            if head is None:
                found: Sequence[Outcome] = [_unknown(project) for _ in group]
            else:
                one = rules.decide(group, head, reading.known(), now)
                found = one.outcomes
                if one.head.size > head.size:
                    decided.append((one, group))
            for index, outcome in zip(by_project[project], found, strict=True):
                outcomes[index] = outcome
        _write(cursor, decided)
        settled = [outcome for outcome in outcomes if outcome is not None]
        assert len(settled) == len(requests)
        return settled, {one.head.project: one.head.size for one, _ in decided}

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._url, pooled=self._pooled)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


class _Reading:
    """What deciding needs of one project, read in one round trip, the lock first."""

    def __init__(self, connection: psycopg.Connection, project: str, group: list[Append]) -> None:
        self._project = project
        streams = sorted(
            {event.stream for one in group for event in one.events}
            | {stream for one in group for stream, _ in one.expected}
        )
        digests = sorted(
            {blob.sha256 for one in group for blob in one.blobs}
            | {sha256 for one in group for sha256 in one.referred}
        )
        keys = [one.key for one in group if one.key is not None]
        ids = [uuid.UUID(event.id) for one in group for event in one.events]
        # Separate statements: beside FOR UPDATE in one statement a read would see the old snapshot.
        self._lock = connection.cursor(binary=True).execute(_LOCK, (project,))
        self._heads = connection.cursor(binary=True).execute(_HEADS, (project, streams))
        self._ids = connection.cursor(binary=True).execute(_IDS, (project, ids))
        self._keys = (
            connection.cursor(binary=True).execute(_KEYS, (project, keys)) if keys else None
        )
        self._contents = (
            connection.cursor(binary=True).execute(
                _CONTENTS, {"project": project, "digests": digests}
            )
            if digests
            else None
        )
        self._connection = connection

    def head(self) -> LogHead | None:
        row = self._lock.fetchone()
        return None if row is None else _head(self._project, row)

    def known(self) -> Known:
        heads = {row[0]: row[1] for row in self._heads.fetchall()}
        ids = {str(row[3]): _entry(row) for row in self._ids.fetchall()}
        keys = self._keys.fetchall() if self._keys is not None else []
        contents = self._contents.fetchall() if self._contents is not None else []
        return Known(
            heads=heads,
            keys=_earlier(self._connection, self._project, keys),
            ids=ids,
            absent=frozenset(bytes(d) for d, blob, upload, _ in contents if not (blob or upload)),
            erased=frozenset(bytes(d) for d, blob, _, erased in contents if erased and not blob),
        )


def _write(cursor: Cursor, decided: Sequence[tuple[Decided, list[Append]]]) -> None:
    """Contents, events, keys, views and heads of all projects of the group, without waiting."""
    blobs: list[tuple[str, Blob]] = []
    entries: list[tuple[str, Entry]] = []
    keys: list[tuple[str, str, bytes, int, int]] = []
    for one, group in decided:
        project = one.head.project
        moved: set[bytes] = set()
        for request, outcome in zip(group, one.outcomes, strict=True):
            if not isinstance(outcome, Receipt) or outcome.replayed:
                continue
            entries += [(project, entry) for entry in outcome.entries]
            blobs += [(project, blob) for blob in request.blobs if blob.content is not None]
            moved |= {blob.sha256 for blob in request.blobs if blob.content is None}
            if request.key is not None:
                first = outcome.entries[0].position
                keys.append(
                    (project, request.key, request.request_sha256, first, len(outcome.entries))
                )
        if moved:
            cursor.execute(_MOVE_UPLOADS, (project, sorted(moved)))
            cursor.execute(
                "DELETE FROM upload WHERE project_id = %b AND sha256 = ANY(%b::bytea[])",
                (project, sorted(moved)),
            )
    _insert_blobs(cursor, blobs)
    _insert_entries(cursor, entries)
    if keys:
        cursor.execute(_INSERT_KEYS, [list(column) for column in zip(*keys, strict=True)])
    for one, _ in decided:
        _update_log(cursor, one.head)


def _insert_blobs(cursor: Cursor, blobs: Sequence[tuple[str, Blob]]) -> None:
    # In one order, and each digest once, so that two writers cannot wait for each other crosswise.
    unique = sorted({(project, blob.sha256): blob for project, blob in blobs}.items())
    if unique:
        cursor.execute(
            _INSERT_BLOBS,
            [
                [project for (project, _), _ in unique],
                [sha256 for (_, sha256), _ in unique],
                [blob.size_bytes for _, blob in unique],
                [blob.crc32 for _, blob in unique],
                [blob.content for _, blob in unique],
            ],
        )


def _insert_entries(cursor: Cursor, entries: Sequence[tuple[str, Entry]]) -> None:
    if not entries:
        return
    recorded = [(project, parse(entry.line), entry) for project, entry in entries]
    cursor.execute(
        _INSERT_EVENTS,
        [
            [project for project, _, _ in recorded],
            [event.position for _, event, _ in recorded],
            [event.stream for _, event, _ in recorded],
            [event.version for _, event, _ in recorded],
            [event.type for _, event, _ in recorded],
            [uuid.UUID(event.id) for _, event, _ in recorded],
            [event.actor for _, event, _ in recorded],
            [parse_time(event.time) for _, event, _ in recorded],
            [entry.line for _, _, entry in recorded],
            [entry.leaf for _, _, entry in recorded],
        ],
    )
    write_rows(
        cursor, ((project, row) for project, event, _ in recorded for row in rows_of(event))
    )


def _update_log(cursor: Cursor, head: LogHead) -> None:
    cursor.execute(
        _UPDATE_LOG,
        (
            head.size,
            merkle.frontier_to_bytes(head.frontier),
            parse_time(head.last_time),
            head.project,
        ),
    )


def _read_keys(cursor: Cursor, project: str, group: Sequence[Append]) -> dict[str, Earlier]:
    keys = [one.key for one in group if one.key is not None]
    if not keys:
        return {}
    rows = cursor.execute(_KEYS, (project, keys)).fetchall()
    return _earlier(cursor.connection, project, rows)


def _read_ids(cursor: Cursor, project: str, group: Sequence[Append]) -> dict[str, Entry]:
    ids = [uuid.UUID(event.id) for one in group for event in one.events]
    return {str(row[3]): _entry(row) for row in cursor.execute(_IDS, (project, ids)).fetchall()}


def _earlier(
    connection: psycopg.Connection, project: str, rows: Sequence[TupleRow]
) -> dict[str, Earlier]:
    found = {}
    for key, request_sha256, position, count in rows:
        entries = (
            connection.cursor(binary=True)
            .execute(_RANGE, (project, position, position + count - 1))
            .fetchall()
        )
        found[key] = Earlier(bytes(request_sha256), tuple(_entry(row) for row in entries))
    return found


def _entry(row: TupleRow) -> Entry:
    position, stream, version, event_id, line, leaf = row
    return Entry(position, stream, version, str(event_id), bytes(line), bytes(leaf))


def _head(project: str, row: TupleRow) -> LogHead:
    origin, size, frontier, last_time = row
    return LogHead(
        project,
        origin,
        size,
        tuple(merkle.frontier_from_bytes(bytes(frontier), size)),
        format_time(last_time),
    )


def _unknown(project: str) -> NotFound:
    return NotFound("project-not-found", f"There is no project {project[:40]!r}.")


def _exists(project: str) -> Conflict:
    return Conflict("project-exists", f"The project {project} exists already.")


def _roll_back(connection: psycopg.Connection) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.rollback()


def _passing(error: psycopg.Error) -> bool:
    """Whether trying again can help: not when disk or memory is full, or the rights are missing."""
    state = error.sqlstate or ""
    return state[:2] not in {"42", "53", "28", "3D"}


def _unsettled(error: psycopg.Error, *, uncertain: bool) -> Unavailable:
    if uncertain:
        return Unavailable(
            "outcome-unknown",
            "The database broke off and whether this was recorded is not known: "
            "repeat it with the same key or the same event ids.",
        )
    return Unavailable(
        "database-unavailable", f"The database did not take it: {type(error).__name__}; repeat it."
    )
