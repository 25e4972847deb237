"""Reads of single events and filtered pages of them, as the bytes that are stored."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from psycopg_pool import ConnectionPool

from adapters.postgres_connect import reading
from adapters.postgres_views import TrailFilter
from domain.errors import NotFound
from domain.times import format_time
from projections.activity import Moment

PAGE_EVENTS = 1_000
PROBES = 64
"""Positions that are looked at together where one is searched for by its time."""


class StoredEvent(msgspec.Struct, frozen=True):
    """An event's line and its leaf hash."""

    line: bytes
    leaf: bytes


class PostgresEvents:
    """Events by position, and by stream, type and actor."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def get(self, project: str, position: int) -> StoredEvent:
        """One event.

        Raises:
            NotFound: `position-not-found`.
        """
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT line, leaf FROM event WHERE project_id = %b AND position = %b",
                    (project, position),
                )
                .fetchone()
            )
        if row is None:
            raise NotFound("position-not-found", f"{project} has no event at position {position}.")
        return StoredEvent(bytes(row[0]), bytes(row[1]))

    def moments(self, project: str, positions: Sequence[int]) -> list[Moment]:
        """The times of some positions, in order; those that do not exist are left away."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT position, time FROM event WHERE project_id = %s AND position = ANY(%s)
                ORDER BY position
                """,
                (project, list(positions)),
            ).fetchall()
        return [Moment(position, format_time(time)) for position, time in rows]

    def position_before(self, project: str, time: datetime, upto: int) -> int:
        """The newest position up to `upto` whose event is older than a time; 0: none is.

        There is no index of times, and none is needed: a log's time never falls, so a few rounds find it.
        """
        low, high = 0, upto
        with reading(self._pool) as connection:
            while low < high:
                step = -(-(high - low) // PROBES)
                probes = [*range(low + step, high, step), high]
                row = connection.execute(
                    """
                    SELECT max(position) FROM event
                    WHERE project_id = %s AND position = ANY(%s) AND time < %s
                    """,
                    (project, probes, time),
                ).fetchone()
                assert row is not None
                low = low if row[0] is None else int(row[0])
                high = min((one for one in probes if one > low), default=low + 1) - 1
        return low

    def version(self, project: str, stream: str, upto: int) -> int:
        """The version of a stream at a position; 0 when it has no event."""
        with self._pool.connection() as connection:
            row = connection.execute(
                """
                SELECT version FROM event WHERE project_id = %s AND stream = %s AND position <= %s
                ORDER BY version DESC LIMIT 1
                """,
                (project, stream, upto),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def page(
        self,
        project: str,
        which: TrailFilter,
        *,
        after: int,
        upto: int,
        limit: int,
        newest_first: bool = False,
    ) -> list[tuple[int, bytes]]:
        """(position, line) of up to `limit` events with `after` < position ≤ `upto`, in order."""
        order = "DESC" if newest_first else "ASC"
        # A stream's order is that of its versions, for which there is an index.
        within, key = "", "position"
        if which.stream is not None:
            within, key = "AND stream = %(stream)s", "version"
        with self._pool.connection() as connection:
            return (
                connection.cursor(binary=True)
                .execute(
                    f"""
                    SELECT position, line FROM event
                    WHERE project_id = %(project)s
                      AND position > %(after)s AND position <= %(upto)s {within}
                      AND (%(type)s::text IS NULL OR type = %(type)s)
                      AND (%(actor)s::text IS NULL OR actor = %(actor)s)
                      AND (%(until)s::timestamptz IS NULL OR time <= %(until)s)
                    ORDER BY {key} {order} LIMIT %(limit)s
                    """,
                    {
                        "project": project,
                        "after": after,
                        "upto": upto,
                        "limit": limit,
                        **{name: getattr(which, name) for name in which.__struct_fields__},
                    },
                )
                .fetchall()
            )

    def lines(
        self,
        project: str,
        which: TrailFilter,
        *,
        after: int,
        upto: int,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[bytes]:
        """The lines of the same events, each with its newline, joined by pages."""
        left = limit
        while after < upto and left != 0:
            wanted = PAGE_EVENTS if left is None else min(PAGE_EVENTS, left)
            found = self.page(
                project, which, after=after, upto=upto, limit=wanted, newest_first=newest_first
            )
            if found:
                yield b"".join(bytes(line) + b"\n" for _, line in found)
            if len(found) < wanted:
                return
            if newest_first:
                upto = found[-1][0] - 1
            else:
                after = found[-1][0]
            left = None if left is None else left - len(found)
