"""Whether a project's log is whole: each event as its line says, no gap, and the root over all leaves.

One pass in order of position. What the events say is handed on as it is read: to the fresh views,
and to the list of the contents that they name.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import LiteralString

import msgspec
import psycopg
from psycopg.rows import TupleRow

from adapters.examined import MAX_FINDINGS, Finding, Progress
from domain import merkle
from domain.digest import format_digest
from domain.errors import DeedbookError
from domain.events import Recorded, parse
from domain.names import parse_stream
from domain.times import EPOCH, parse_time

PAGE_EVENTS = 512
"""Positions a query; a line has at most 64 KiB, so a page has at most 32 MiB."""

_TIME: LiteralString = """
to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
"""
_ROWS = f"""
SELECT position, stream, version, type, id::text, actor, {_TIME.format("time")}, line, leaf
FROM event WHERE project_id = %(project)s AND position BETWEEN %(first)s AND %(last)s
ORDER BY position
"""
_COLUMNS = ("position", "stream", "version", "type", "id", "actor", "time")
_stream = lru_cache(maxsize=4_096)(parse_stream)


class Head(msgspec.Struct, frozen=True):
    """The row of `project_log` as it stands, unchecked."""

    origin: str
    size: int
    frontier: bytes
    last_time: str


def read_head(connection: psycopg.Connection, project: str) -> Head | None:
    """The project's row, None when there is none."""
    row = (
        connection.cursor(binary=True)
        .execute(
            f"""
            SELECT origin, size, frontier, {_TIME.format("last_time")} FROM project_log
            WHERE project_id = %s
            """,
            (project,),
        )
        .fetchone()
    )
    return None if row is None else Head(row[0], row[1], bytes(row[2]), row[3])


class LogWalk:
    """One walk over a project's events up to the size of the head.

    Args:
        take: Called with each event that could be read.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        project: str,
        head: Head,
        take: Callable[[Recorded], None],
    ) -> None:
        self._connection = connection
        self._project = project
        self._head = head
        self._take = take
        self._whole = True
        self._frontier: list[bytes] = []
        self._at = self._count = 0
        self._time = ""

    def events(self, progress: Progress, done: int, total: int) -> Iterator[Finding]:
        """Every row against its line and its place."""
        while self._at < self._head.size:
            last = min(self._at + PAGE_EVENTS, self._head.size)
            values = {"project": self._project, "first": self._at + 1, "last": last}
            rows = self._connection.cursor(binary=True).execute(_ROWS.encode(), values).fetchall()
            for row in rows:
                yield from self._row(row)
            if not rows:
                following = self._following(last)
                yield from self._gap(following)
                last = following - 1
            elif self._at < last:
                yield from self._gap(last + 1)
            self._at = last
            progress(done + last, total)

    def outside(self) -> Iterator[Finding]:
        """No event is before the first position, or after the size."""
        rows = self._connection.execute(
            """
            SELECT position FROM event WHERE project_id = %(project)s AND position < 1
            UNION ALL
            SELECT position FROM event WHERE project_id = %(project)s AND position >
              coalesce((SELECT size FROM project_log WHERE project_id = %(project)s), 0)
            LIMIT %(limit)s
            """,
            {"project": self._project, "limit": MAX_FINDINGS + 1},
        )
        for (position,) in rows:
            yield Finding(
                self._place(position), "The log's size does not reach to it: it was put there."
            )

    def streams(self) -> Iterator[Finding]:
        """Versions in each stream are 1, 2, 3 … and in the order of positions."""
        rows = self._connection.execute(
            """
            SELECT position, stream, version, before, position_before FROM (
              SELECT position, stream, version, lag(version) OVER w AS before,
                lag(position) OVER w AS position_before
              FROM event WHERE project_id = %s
              WINDOW w AS (PARTITION BY stream ORDER BY version)) s
            WHERE version <> coalesce(before, 0) + 1 OR position <= position_before
            ORDER BY position LIMIT %s
            """,
            (self._project, MAX_FINDINGS + 1),
        )
        for position, stream, version, before, position_before in rows:
            if version != (before or 0) + 1:
                wrong = f"version {version} of {stream} follows on version {before or 0}"
            else:
                wrong = f"version {version} of {stream} stands before version {before}"
                wrong += f", which is at position {position_before}"
            yield Finding(self._place(position, "version"), wrong[0].upper() + wrong[1:] + ".")

    def head(self) -> Iterator[Finding]:
        """The size, frontier and time that the log has, against those of its events."""
        place = f"project_log {self._project}"
        try:
            kept = merkle.frontier_from_bytes(self._head.frontier, self._head.size)
        except DeedbookError as error:
            yield Finding(f"{place} (size, frontier)", error.detail)
            return
        if not self._whole:
            # Which leaves are missing has been said; without them there is no root.
            yield Finding(
                f"{place} (size)", f"It says {self._head.size}, {self._count} events are there."
            )
            return
        if kept != self._frontier:
            yield Finding(
                f"{place} (frontier)",
                f"The events from {self._ranges(kept)} do not give the hashes that are kept: they "
                "are not those that were recorded, or the frontier is not.",
            )
        if self._head.last_time != (self._time or EPOCH):
            yield Finding(
                f"{place} (last_time)",
                f"It is {self._head.last_time}, the last event has {self._time or EPOCH}.",
            )

    def _row(self, row: TupleRow) -> Iterator[Finding]:
        position, line, leaf = row[0], bytes(row[7]), bytes(row[8])
        if position != self._at + 1:
            yield from self._gap(position)
        computed = merkle.leaf_hash(line)
        if computed != leaf:
            yield Finding(
                self._place(position, "line, leaf"),
                f"The line's leaf hash is {format_digest(computed)}, {leaf.hex()} is kept.",
            )
        if self._whole:
            merkle.extend(self._frontier, self._at, computed)
        self._at = position
        self._count += 1
        try:
            recorded = parse(line)
            _stream(recorded.stream)
            parse_time(recorded.time)
            self._take(recorded)
        except DeedbookError as error:
            yield Finding(self._place(position, "line"), error.detail)
            return
        said = (
            recorded.position,
            recorded.stream,
            recorded.version,
            recorded.type,
            recorded.id,
            recorded.actor,
            recorded.time,
        )
        if said != row[:7]:
            for name, column, member in zip(_COLUMNS, row[:7], said, strict=True):
                if column != member:
                    yield Finding(
                        self._place(position, name),
                        f"The column says {_short(column)}, the line {_short(member)}.",
                    )
        if recorded.time < self._time:
            yield Finding(
                self._place(position, "time"),
                f"{recorded.time} is before {self._time}, the time of the event before it.",
            )
        self._time = recorded.time

    def _gap(self, following: int) -> Iterator[Finding]:
        """Everything between the last position seen and `following` is missing."""
        self._whole = False
        first, last = self._at + 1, following - 1
        if first == last:
            yield Finding(self._place(first), "It is missing.")
        else:
            yield Finding(self._place(first), f"It and all up to position {last} are missing.")

    def _following(self, after: int) -> int:
        """The next position that is there, or the one after the size."""
        row = self._connection.execute(
            """
            SELECT min(position) FROM event
            WHERE project_id = %s AND position > %s AND position <= %s
            """,
            (self._project, after, self._head.size),
        ).fetchone()
        assert row is not None
        return self._head.size + 1 if row[0] is None else int(row[0])

    def _ranges(self, kept: list[bytes]) -> str:
        """The positions below each hash that differs."""
        first, found = 1, []
        sizes = [
            1 << bit for bit in range(self._head.size.bit_length()) if self._head.size >> bit & 1
        ]
        for size, ours, theirs in zip(reversed(sizes), self._frontier, kept, strict=True):
            if ours != theirs:
                found.append(f"{first} to {first + size - 1}")
            first += size
        return ", ".join(found)

    def _place(self, position: int, column: str | None = None) -> str:
        return f"event {self._project}/{position}" + (f" ({column})" if column else "")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else text[:79] + "…"
