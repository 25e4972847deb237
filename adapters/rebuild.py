"""Replays every event into fresh views, and proves those in use equal to them, or mends them.

The log is not locked: positions have no gaps and events never change, so the events up to the size
read at the start are a snapshot by themselves.
"""

from collections.abc import Iterator, Sequence

import msgspec
import psycopg
from psycopg import sql

from adapters.examined import Progress
from adapters.fresh_views import LATEST, VIEWS, Compared, Difference, FreshViews
from adapters.postgres_owner import open_owner
from domain.errors import Damaged, DeedbookError, NotFound
from domain.events import parse

PAGE_EVENTS = 1_000
MAX_REPORTED = 100
"""Differences that a report names; more are counted."""


class Reported(msgspec.Struct, frozen=True):
    """A row that differs, as it is shown."""

    what: str
    place: str


class RebuildReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild found.

    Attributes:
        equal: Whether the views in use were what the events say, before any repair.
        projects: How many were looked at.
        events: How many were replayed.
        rows: How many the events give, by view.
        different: How many rows differed.
        repaired: Whether they have been replaced.
        differences: The first of them; `different` says how many there are in all.
    """

    equal: bool
    projects: int
    events: int
    rows: dict[str, int]
    different: int
    repaired: bool
    differences: tuple[Reported, ...]

    def summary(self) -> dict[str, object]:
        """All but the list of differences, for a person."""
        return {
            "equal": self.equal,
            "projects": self.projects,
            "events": self.events,
            **{f"rows of {view}": count for view, count in self.rows.items()},
            "different": self.different,
            "repaired": self.repaired,
        }


def rebuild(url: str, project: str | None, *, repair: bool, progress: Progress) -> RebuildReport:
    """Fold all events of one project, or of all, and compare every view with the one in use.

    Args:
        url: The owner's, direct: temporary tables are made.
        project: None means all.
        repair: Replace the rows that are wrong, under the project's lock.
        progress: Called with the events done and the events to do.

    Raises:
        NotFound: `project-not-found`.
        Damaged: An event is missing or unreadable; names its place, and nothing was repaired there.
        Unavailable: `database-unavailable`.
    """
    with open_owner(url) as connection:
        return _Rebuild(connection, repair=repair, progress=progress).run(project)


class _Rebuild:
    def __init__(self, connection: psycopg.Connection, *, repair: bool, progress: Progress) -> None:
        self._connection = connection
        self._repair = repair
        self._progress = progress
        self._views = FreshViews(connection)
        self._done = 0

    def run(self, project: str | None) -> RebuildReport:
        total = total_events(self._connection, project)
        rows = dict.fromkeys((*VIEWS.values(), LATEST), 0)
        named: list[Difference] = []
        projects = different = 0
        for name in projects_of(self._connection, project):
            projects += 1
            for compared in self._one(name, total):
                rows[compared.view] += compared.rows
                different += compared.different
                named.extend(compared.differences[: MAX_REPORTED - len(named)])
        self._progress(self._done, total)
        return RebuildReport(
            equal=not different,
            projects=projects,
            events=self._done,
            rows=rows,
            different=different,
            repaired=self._repair and different > 0,
            differences=tuple(Reported(one.what, one.place) for one in named),
        )

    def _one(self, project: str, total: int) -> list[Compared]:
        self._views.begin(project)
        size = size_of(self._connection, project)
        self._fold(project, 0, size, total)
        self._views.finish()
        compared = list(self._views.compare(size))
        if self._repair and any(one.different for one in compared):
            self._mend(project, size, total)
        return compared

    def _mend(self, project: str, folded: int, total: int) -> None:
        with self._connection.transaction():
            self._connection.execute(
                "SELECT FROM project_log WHERE project_id = %s FOR UPDATE", (project,)
            )
            size = size_of(self._connection, project)
            self._fold(project, folded, size, total)
            self._views.finish()
            # What was appended meanwhile is looked at here for the first time.
            wrong = [one.view for one in self._views.compare(size) if one.different]
            self._views.replace(wrong, size)
            assert not any(one.different for one in self._views.compare(size))

    def _fold(self, project: str, after: int, upto: int, total: int) -> None:
        for page in pages(self._connection, project, after, upto):
            for position, line in page:
                after += 1
                try:
                    if position != after:
                        raise Damaged("event-missing", "It is missing.")
                    self._views.fold(parse(line))
                except DeedbookError as error:
                    raise Damaged(
                        error.code,
                        f"event {project}/{after}: {error.detail} Its views cannot be rebuilt; "
                        "restore the database from a backup, and run deedbook doctor --verify.",
                        members={"project": project, "position": after},
                    ) from error
            self._done += len(page)
            self._progress(self._done, total)
        if after != upto:
            raise Damaged(
                "event-missing",
                f"event {project}/{after + 1}: it is missing, the log has {upto} events. "
                "Restore the database from a backup, and run deedbook doctor --verify.",
                members={"project": project, "position": after + 1},
            )


def pages(
    connection: psycopg.Connection, project: str, after: int, upto: int
) -> Iterator[list[tuple[int, bytes]]]:
    """Pages of (position, line) with `after` < position ≤ `upto`, in order, until one is empty.

    Each is a range of positions: without statistics, a limit would be planned as a sort of the rest.
    """
    while after < upto:
        last = min(after + PAGE_EVENTS, upto)
        page = (
            connection.cursor(binary=True)
            .execute(
                """
                SELECT position, line FROM event
                WHERE project_id = %s AND position BETWEEN %s AND %s ORDER BY position
                """,
                (project, after + 1, last),
            )
            .fetchall()
        )
        if not page:
            return
        yield page
        after = last


def total_events(connection: psycopg.Connection, project: str | None) -> int:
    """How many events there are to do."""
    row = connection.execute(
        """
        SELECT coalesce(sum(size), 0)::int8 FROM project_log
        WHERE project_id = %(project)s OR %(project)s::text IS NULL
        """,
        {"project": project},
    ).fetchone()
    assert row is not None
    return int(row[0])


def size_of(connection: psycopg.Connection, project: str) -> int:
    """A log's size now; 0 for one that is not there, whose rows are all too many."""
    row = connection.execute(
        "SELECT size FROM project_log WHERE project_id = %s", (project,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def projects_of(
    connection: psycopg.Connection,
    project: str | None,
    tables: Sequence[str] = ("project_log", *VIEWS.values(), LATEST),
) -> Iterator[str]:
    """The projects that have rows in any of the tables, in order; or the one that is named.

    Raises:
        NotFound: `project-not-found`.
    """
    if project is not None:
        there = sql.SQL("SELECT {}").format(
            sql.SQL(" OR ").join(
                sql.SQL("EXISTS (SELECT FROM {} WHERE project_id = %(project)s)").format(
                    sql.Identifier(name)
                )
                for name in tables
            )
        )
        row = connection.execute(there, {"project": project}).fetchone()
        if row is None or not row[0]:
            raise NotFound("project-not-found", f"There is no project {project[:40]!r}.")
        yield project
        return
    # The next one of each table by its key, so that many rows of one cost nothing.
    following = sql.SQL("SELECT least({})").format(
        sql.SQL(", ").join(
            sql.SQL("(SELECT min(project_id) FROM {} WHERE project_id > %(after)s)").format(
                sql.Identifier(name)
            )
            for name in tables
        )
    )
    after = ""
    while True:
        row = connection.execute(following, {"after": after}).fetchone()
        assert row is not None
        if row[0] is None:
            return
        after = row[0]
        yield after
