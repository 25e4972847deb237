"""The event log in Postgres: appends in groups, reads by position.

A group is written by one function call when the writer knows its projects (`append_call`), else by a
transaction that locks first (`append_transaction`). A lost answer is settled by running the group again
under the locks: an old backend that is still committing holds them, so whoever has them sees how it
ended, and keys and ids tell what was recorded.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Self, TypeVar

import psycopg
from psycopg_pool import ConnectionPool

from adapters.append_call import Memory, append_fast
from adapters.append_rows import AddedEvent
from adapters.append_transaction import (
    BEGIN,
    HEAD,
    RANGE,
    SESSION_SETTINGS,
    SETTINGS,
    Tip,
    Written,
    append_slowly,
    decide_and_write,
    entry_of,
    head_of,
    insert_blobs,
    insert_events,
    move_uploads,
    project_not_found,
    read_earlier,
    update_log,
)
from adapters.binary_arrays import accept_packed
from adapters.commit_signal import CommitSignal
from adapters.group_writer import DEFAULT_WAIT_SECONDS, GroupWriter, Outcome
from adapters.postgres_connect import connect
from domain import append as rules
from domain import merkle
from domain.errors import Conflict, Damaged, DeedbookError, StaleVersion, Unavailable
from domain.events import parse
from domain.log import Append, Blob, Entry, LogHead, Receipt
from domain.times import EPOCH, format_time, parse_time

RETRY_SECONDS = (0.05, 0.2, 0.5, 1.0, 2.0)
PAGE_EVENTS = 1_000
IMPORT_BATCH_EVENTS = 1_000
IMPORT_BATCH_BYTES = 1024 * 1024
IMPORT_ROW_BYTES = 1_024  # an empty content counts too

_Result = TypeVar("_Result")
_logger = logging.getLogger(__name__)


class PostgresLog:
    """The port `domain.log.EventLog` over Postgres; use as a context manager.

    Args:
        url: For the writer's own connection, direct if there is a choice.
        pool: For reads.
        now: The clock.
        pooled: The URL leads to a transaction pooler.
        fast: Whether groups may take the fast path; the slow one is the reference.
    """

    def __init__(
        self,
        url: str,
        pool: ConnectionPool,
        *,
        signal: CommitSignal,
        now: Callable[[], datetime],
        pooled: bool = False,
        fast: bool = True,
    ) -> None:
        self._url = url
        self._pool = pool
        self._signal = signal
        self._now = now
        self._pooled = pooled
        self._fast = fast
        self._memory = Memory()
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
        written = self._settle([request], lambda: self._open_log(request))
        outcome = written.outcomes[0]
        if isinstance(outcome, StaleVersion):
            raise _exists(request.project)
        if isinstance(outcome, BaseException):
            raise outcome
        self._tell(written.tips)
        return outcome

    def recall(self, request: Append) -> Receipt | None:
        """See `EventLog.recall`."""
        with self._pool.connection() as connection:
            keys, ids = read_earlier(connection, request)
        return rules.recall(request, keys, ids)

    def head(self, project: str) -> LogHead:
        """See `EventLog.head`."""
        with self._pool.connection() as connection:
            row = connection.cursor(binary=True).execute(HEAD, (project,)).fetchone()
        if row is None:
            raise project_not_found(project)
        return head_of(project, row)

    def read(self, project: str, after: int, upto: int) -> Iterator[Entry]:
        """See `EventLog.read`. Each page is a query of its own: rows never change."""
        while after < upto:
            last = min(after + PAGE_EVENTS, upto)
            with self._pool.connection() as connection:
                rows = (
                    connection.cursor(binary=True)
                    .execute(RANGE, (project, after + 1, last))
                    .fetchall()
                )
            yield from (entry_of(row) for row in rows)
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
                        SELECT string_agg(line, '\x0a'::bytea ORDER BY position) FROM event
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
        return [entry_of(row) for row in rows]

    def import_log(
        self, project: str, origin: str, lines: Iterable[bytes], blobs: Iterable[Blob]
    ) -> LogHead:
        """See `EventLog.import_log`."""
        try:
            head = self._import(project, origin, lines, blobs)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            raise Damaged(
                "event-malformed",
                "No ledger can have recorded these events, an id occurs twice perhaps "
                f"({type(error).__name__}); nothing was imported.",
            ) from error
        except psycopg.Error as error:
            raise _unsettled(error, uncertain=error.sqlstate is None) from error
        self._signal.committed(project, head.size)
        return head

    def _import(
        self, project: str, origin: str, lines: Iterable[bytes], blobs: Iterable[Blob]
    ) -> LogHead:
        size, frontier, last_time = 0, list[bytes](), EPOCH
        with connect(self._url, pooled=self._pooled) as connection:
            opened = connection.execute(
                "INSERT INTO project_log (project_id, origin) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (project, origin),
            )
            if opened.rowcount == 0:
                raise _exists(project)
            cursor = connection.cursor(binary=True)
            for group in _by_size(blobs):
                insert_blobs(
                    cursor, [(project, blob) for blob in group if blob.content is not None]
                )
                staged = [blob.sha256 for blob in group if blob.content is None]
                if staged and move_uploads(cursor, project, staged) != len(staged):
                    raise Unavailable(
                        "outcome-unknown",
                        "Contents that were uploaded for this import are gone; nothing was imported, "
                        "repeat it.",
                    )
                group.clear()  # or they would be held while the next ones are read
            batch: list[AddedEvent] = []
            for line in lines:
                recorded = parse(line)
                if recorded.position != size + 1:
                    raise Damaged(
                        "event-malformed", f"Position {size + 1} is not where it belongs."
                    )
                leaf = merkle.leaf_hash(line)
                merkle.extend(frontier, size, leaf)
                size, last_time = recorded.position, max(last_time, recorded.time)
                entry = Entry(size, recorded.stream, recorded.version, recorded.id, line, leaf)
                batch.append(AddedEvent(project, recorded, entry, parse_time(recorded.time)))
                if len(batch) == IMPORT_BATCH_EVENTS:
                    insert_events(cursor, batch)
                    batch.clear()
            insert_events(cursor, batch)
            head = LogHead(project, origin, size, tuple(frontier), last_time)
            update_log(cursor, head)
            cursor.execute(
                "INSERT INTO imported_log (project_id, origin, size) VALUES (%b, %b, %b)",
                (project, origin, size),
            )
        return head

    def _write_group(self, requests: Sequence[Append]) -> list[Outcome]:
        """Run the group until its outcome is certain, or its callers no longer wait."""
        try:
            written = self._settle(requests, lambda: self._attempt(requests))
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            # Cannot happen after the checks at the door, hence a bug: only its bearer shall suffer.
            if len(requests) > 1:
                half = len(requests) // 2
                return [*self._write_half(requests[:half]), *self._write_half(requests[half:])]
            _logger.exception("Postgres refused the rows of an append to %s", requests[0].project)
            return [
                Unavailable(
                    "append-refused",
                    f"The database refused these rows ({type(error).__name__}), nothing was "
                    "recorded: this is a defect of the ledger, its log says more.",
                )
            ]
        for tip in written.tips:
            self._memory.keep(tip)
        self._tell(written.tips)
        return written.outcomes

    def _write_half(self, requests: Sequence[Append]) -> list[Outcome]:
        try:
            return self._write_group(requests)
        except DeedbookError as error:
            return [error for _ in requests]

    def _attempt(self, requests: Sequence[Append]) -> Written:
        """One try of a group. Without memory, as after any error, it is the slow path."""
        connection = self._connected()
        now = format_time(self._now())
        written = append_fast(connection, requests, now, self._memory) if self._fast else None
        return written or append_slowly(connection, requests, now)

    def _settle(self, requests: Sequence[Append], attempt: Callable[[], _Result]) -> _Result:
        """Repeat an attempt while that can help and somebody waits.

        Raises:
            Unavailable: `database-unavailable` (nothing was recorded) or `outcome-unknown`.
            psycopg.DataError, psycopg.IntegrityError: Nothing was recorded; no repeat would help.
        """
        patience = max(
            (one.deadline for one in requests if one.deadline is not None),
            default=time.monotonic() + DEFAULT_WAIT_SECONDS,
        )
        uncertain = False
        for pause in _pauses():
            try:
                return attempt()
            except (psycopg.DataError, psycopg.IntegrityError):
                self._memory.forget()
                self._roll_back()
                raise
            except (psycopg.Error, _UnreachedError) as error:
                self._memory.forget()
                self._disconnect()
                # An answer that came says that nothing was recorded; a lost connection says nothing.
                lost = isinstance(error, psycopg.Error) and error.sqlstate is None
                uncertain = uncertain or lost
                if not _passing(error) or time.monotonic() + pause > patience:
                    raise _unsettled(error, uncertain=uncertain) from error
            except BaseException:
                # Damaged rows, say: the transaction is open still, and its locks are held.
                self._memory.forget()
                self._disconnect()
                raise
            time.sleep(pause)
        raise AssertionError

    def _open_log(self, request: Append) -> Written:
        """Open the log and record its first events, in one transaction on a connection of its own."""
        recalled = self.recall(request)
        if recalled is not None:
            return Written([recalled], [])
        with self._connect() as connection:
            connection.execute(BEGIN)
            connection.execute(SETTINGS)
            opened = connection.execute(
                """
                INSERT INTO project_log (project_id, origin)
                SELECT %s, %s || '.' || host FROM ledger ON CONFLICT DO NOTHING
                """,
                (request.project, request.project),
            )
            if opened.rowcount == 1:
                with connection.pipeline():
                    written = decide_and_write(connection, [request], format_time(self._now()))
                    grown = any(tip.grown for tip in written.tips)
                    connection.execute("COMMIT" if grown else "ROLLBACK")
                return written
            # Somebody was faster, perhaps this very request on a connection that was lost since.
            connection.execute("ROLLBACK")
            if connection.execute("SELECT FROM ledger").rowcount == 0:
                raise Unavailable(
                    "ledger-unnamed", "The ledger has no host name yet: start its server once."
                )
        recalled = self.recall(request)
        return Written([recalled or _exists(request.project)], [])

    def _tell(self, tips: Iterable[Tip]) -> None:
        for tip in tips:
            if tip.grown:
                self._signal.committed(tip.head.project, tip.head.size)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self._connection = self._connect()
            accept_packed(self._connection)
            if not self._pooled:
                self._connection.execute(SESSION_SETTINGS)
        return self._connection

    def _connect(self) -> psycopg.Connection:
        try:
            return connect(self._url, autocommit=True, pooled=self._pooled)
        except psycopg.Error as error:
            raise _UnreachedError from error

    def _roll_back(self) -> None:
        if self._connection is not None:
            try:
                self._connection.rollback()
            except psycopg.Error:
                self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


class _UnreachedError(Exception):
    """No connection: nothing was sent; its cause says why."""


def _by_size(blobs: Iterable[Blob]) -> Iterator[list[Blob]]:
    """Contents in groups, each ended by the one that makes it large."""
    group: list[Blob] = []
    size = 0
    for blob in blobs:
        group.append(blob)
        size += len(blob.content or b"") + IMPORT_ROW_BYTES
        if size >= IMPORT_BATCH_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _pauses() -> Iterator[float]:
    yield from RETRY_SECONDS
    while True:
        yield RETRY_SECONDS[-1]


def _exists(project: str) -> Conflict:
    return Conflict("project-exists", f"The project {project} exists already.")


def _passing(error: psycopg.Error | _UnreachedError) -> bool:
    """Whether trying again can help: not when disk or memory is full, or the rights are missing."""
    state = getattr(error, "sqlstate", None) or ""
    return state == "53300" or state[:2] not in {"42", "53", "28", "3D"}


def _unsettled(error: psycopg.Error | _UnreachedError, *, uncertain: bool) -> Unavailable:
    if uncertain:
        return Unavailable(
            "outcome-unknown",
            "The database broke off and whether this was recorded is not known: "
            "repeat it with the same key or the same event ids.",
        )
    return Unavailable(
        "database-unavailable",
        f"The database did not take it ({type(error.__cause__ or error).__name__}): repeat it.",
    )
