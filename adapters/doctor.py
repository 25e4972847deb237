"""Examines a whole ledger, row by row, and names the place of whatever is not as it must be.

What it cannot see: newest events that were cut off together with the frontier, or a log that was
written anew from the first event on, if the checkpoints of it are taken out too. Then everything fits
together; only a checkpoint, root, seal or export that has left the ledger contradicts it.
"""

from collections.abc import Iterable, Iterator

import psycopg

from adapters.doctor_checkpoints import examine_checkpoints, examine_nodes
from adapters.doctor_contents import Names, examine_blobs, examine_named, examine_unnamed
from adapters.doctor_exports import examine_exports
from adapters.doctor_log import Head, LogWalk, read_head
from adapters.doctor_places import examine_ranges, examine_tracking
from adapters.doctor_schema import (
    examine_keys,
    examine_migrations,
    examine_role,
    examine_schema,
)
from adapters.doctor_seals import examine_seals
from adapters.doctor_witnesses import examine_alarm, examine_cosignatures
from adapters.examined import Finding, Progress, guarded
from adapters.fresh_views import FreshViews
from adapters.outside_contents import NOTHING_OUTSIDE, OutsideContents
from adapters.postgres_owner import open_owner
from adapters.rebuild import projects_of, total_events
from domain.events import Recorded
from domain.seal import SEAL_LOG
from domain.times import EPOCH

__all__ = ["Finding", "examine", "examine_rows", "examine_tables"]


def examine(
    url: str,
    *,
    project: str | None,
    progress: Progress,
    outside: OutsideContents = NOTHING_OUTSIDE,
) -> Iterator[Finding]:
    """Everything that is wrong with the schema and with one project, or with all.

    Nothing is locked and nothing changed; what is appended meanwhile is not looked at. Needs the
    migrations' owner on a direct connection: it makes temporary tables, and a schema that it rolls
    back. Memory stays flat.

    Args:
        url: The owner's.
        project: None means all.
        progress: Called with the rows done and the rows to do.
        outside: Where contents lie that are not in the database.

    Raises:
        NotFound: `project-not-found`.
        Unavailable: `database-unavailable`.
    """
    with open_owner(url) as connection:
        yield from examine_tables(connection)
        yield from examine_rows(connection, project=project, progress=progress, outside=outside)


def examine_tables(connection: psycopg.Connection) -> Iterator[Finding]:
    """What is wrong with migrations, schema, grants and keys."""
    yield from guarded(connection, "schema_migration", examine_migrations(connection))
    yield from guarded(connection, "schema", examine_schema(connection))
    yield from guarded(connection, "role", examine_role(connection))
    yield from guarded(connection, "schema", examine_keys(connection))


def examine_rows(
    connection: psycopg.Connection,
    *,
    project: str | None,
    progress: Progress,
    outside: OutsideContents = NOTHING_OUTSIDE,
) -> Iterator[Finding]:
    """What is wrong with the rows of one project, or of all; in a transaction, as that sees them."""
    ledger = _Ledger(connection, progress, outside)
    yield from guarded(connection, "ledger", ledger.findings(project), limit=None)


class _Ledger:
    """The projects of a ledger, one after the other."""

    def __init__(
        self, connection: psycopg.Connection, progress: Progress, outside: OutsideContents
    ) -> None:
        self._connection = connection
        self._progress = progress
        self._outside = outside
        self._done = 0
        self._total = 0

    def findings(self, project: str | None) -> Iterator[Finding]:
        """All of one project, or of all."""
        self._views = FreshViews(self._connection)
        self._names = Names(self._connection)
        self._total = total_events(self._connection, project) + _blobs(self._connection, project)
        for name in projects_of(self._connection, project, _tables(self._connection)):
            head = read_head(self._connection, name)
            if head is None:
                yield Finding(
                    f"project_log {name}", "It is missing: there are rows of this project."
                )
                head = Head("", 0, b"", EPOCH)
            else:
                yield from self._check(name, "project_log", _origin(self._connection, name, head))
            yield from self._project(name, head)
        if project is None:
            yield from self._seals()
        self._progress(self._total, self._total)

    def _project(self, project: str, head: Head) -> Iterator[Finding]:
        connection = self._connection
        self._views.begin(project)
        self._names.begin()
        walk = LogWalk(connection, project, head, self._take)
        yield from self._check(
            project, "event", walk.events(self._progress, self._done, self._total)
        )
        self._done += head.size
        yield from self._check(project, "event", walk.outside())
        yield from self._check(project, "event", walk.streams())
        yield from self._check(project, "project_log", walk.head())
        self._views.finish()
        self._names.finish()
        yield from self._check(project, "view", self._differences(head.size))
        yield from self._check(
            project, "blob", examine_blobs(connection, project, self._read, self._outside)
        )
        imported = _imported(connection, project)
        yield from self._check(project, "blob", examine_named(connection, project, imported))
        yield from self._check(
            project, "blob", examine_unnamed(connection, project, self._names, head.size)
        )
        yield from self._check(project, "idempotency", examine_ranges(connection, project))
        yield from self._check(project, "tracking", examine_tracking(connection, project))
        yield from self._check(project, "export", examine_exports(connection, project))
        yield from self._check(project, "tree_node", examine_nodes(connection, project, head.size))
        yield from self._check(
            project,
            "checkpoint",
            examine_checkpoints(connection, project, head.origin, head.size),
        )
        yield from self._check(project, "cosignature", examine_cosignatures(connection, project))
        yield from self._check(project, "witness_alarm", examine_alarm(connection, project))

    def _seals(self) -> Iterator[Finding]:
        """The seal log, whose nodes and checkpoints lie among those of projects."""
        connection, log = self._connection, SEAL_LOG
        yield from self._check(log, "seal_log", examine_seals(connection))
        row = connection.execute("SELECT origin, size FROM seal_log").fetchone()
        if row is None:
            return
        origin, size = row
        yield from self._check(log, "tree_node", examine_nodes(connection, log, size))
        checkpoints = examine_checkpoints(connection, log, origin, size)
        yield from self._check(log, "checkpoint", checkpoints)
        yield from self._check(log, "cosignature", examine_cosignatures(connection, log))
        yield from self._check(log, "witness_alarm", examine_alarm(connection, log))

    def _check(self, project: str, table: str, findings: Iterable[Finding]) -> Iterator[Finding]:
        return guarded(self._connection, f"{table} {project}", findings)

    def _take(self, recorded: Recorded) -> None:
        self._views.fold(recorded)
        self._names.take(recorded)

    def _read(self, blobs: int) -> None:
        self._done += blobs
        self._progress(self._done, self._total)

    def _differences(self, upto: int) -> Iterator[Finding]:
        for compared in self._views.compare(upto):
            for one in compared.differences:
                yield Finding(one.place, _SENTENCES[one.what])


_SENTENCES = {
    "missing": "It is missing: the events give it. `deedbook rebuild --repair` puts it there.",
    "extra": "No event gives it. `deedbook rebuild --repair` takes it away.",
    "different": "The events give something else. `deedbook rebuild --repair` mends it.",
}


def _origin(connection: psycopg.Connection, project: str, head: Head) -> Iterator[Finding]:
    """A log has the origin of this ledger, or the one with which it was imported."""
    row = connection.execute(
        """
        SELECT coalesce((SELECT origin FROM imported_log WHERE project_id = %(project)s),
          (SELECT %(project)s || '.' || host FROM ledger))
        """,
        {"project": project},
    ).fetchone()
    assert row is not None
    if head.origin != row[0]:
        yield Finding(
            f"project_log {project} (origin)", f"It is {head.origin!r}, and must be {row[0]!r}."
        )


def _imported(connection: psycopg.Connection, project: str) -> int:
    row = connection.execute(
        "SELECT size FROM imported_log WHERE project_id = %s", (project,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def _tables(connection: psycopg.Connection) -> list[str]:
    """Every table that holds rows of projects."""
    rows = connection.execute(
        """
        SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relkind IN ('r', 'p') AND a.attname = 'project_id' AND NOT a.attisdropped
          AND c.relnamespace = (
            SELECT relnamespace FROM pg_class WHERE oid = to_regclass('project_log'))
        ORDER BY 1
        """
    )
    return [name for (name,) in rows]


def _blobs(connection: psycopg.Connection, project: str | None) -> int:
    row = connection.execute(
        "SELECT count(*) FROM blob WHERE project_id = %(project)s OR %(project)s::text IS NULL",
        {"project": project},
    ).fetchone()
    assert row is not None
    return int(row[0])
