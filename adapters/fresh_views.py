"""The core views folded anew, in temporary tables beside those in use, and the two compared.

What is compared, and how, comes from the catalogue: a column that a migration adds is compared from
then on. One project at a time; memory stays flat, since rows go to the server as they are folded.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec
import psycopg
from psycopg import sql

from domain.errors import Damaged
from domain.events import Recorded
from projections.core_views import (
    ArtifactRow,
    CitationRow,
    ErasureRow,
    ProjectRow,
    RunRow,
    rows_of,
)

VIEWS: dict[type, str] = {
    ProjectRow: "project_view",
    ArtifactRow: "artifact_version",
    CitationRow: "citation",
    RunRow: "run_change",
    ErasureRow: "erasure",
}
LATEST = "artifact_latest"
"""No event's row of its own: the greatest version of each artifact."""

FLUSH_ROWS = 2_000
MAX_NAMED = 100
"""Differences named in each view of a project; more are counted."""


class Difference(msgspec.Struct, frozen=True):
    """A row in use that is not what the events say.

    Attributes:
        view: The table.
        key: Its primary key, joined by `/`.
        what: The row is missing, or extra, or other columns differ.
        columns: Which ones.
    """

    view: str
    key: str
    what: Literal["missing", "extra", "different"]
    columns: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """Where it is, for a person."""
        return f"{self.view} {self.key}" + (f" ({', '.join(self.columns)})" if self.columns else "")


class Compared(msgspec.Struct, frozen=True):
    """One view of one project: rows folded, and in what the one in use differs."""

    view: str
    rows: int
    different: int
    differences: tuple[Difference, ...]


class _Table(msgspec.Struct, frozen=True):
    """A view as the catalogue has it."""

    name: str
    columns: tuple[str, ...]
    types: tuple[int, ...]
    type_names: tuple[str, ...]
    key: tuple[str, ...]


class FreshViews:
    """Folds events of one project after the other, and compares.

    Args:
        connection: The owner's, direct and in autocommit mode: the tables live as long as it does.
    """

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._tables = {name: _table(connection, name) for name in (*VIEWS.values(), LATEST)}
        self._buffers: dict[type, list[tuple[object, ...]]] = {kind: [] for kind in VIEWS}
        self._counts = dict.fromkeys(VIEWS.values(), 0)
        self._project = ""
        for name in VIEWS.values():
            connection.execute(
                sql.SQL("CREATE TEMPORARY TABLE {} (LIKE {})").format(_fresh(name), _used(name))
            )

    def begin(self, project: str) -> None:
        """Start with a project, from nothing."""
        self._project = project
        for kind, name in VIEWS.items():
            self._buffers[kind].clear()
            if self._counts[name]:
                self._connection.execute(sql.SQL("TRUNCATE {}").format(_fresh(name)))
            self._counts[name] = 0

    def fold(self, recorded: Recorded) -> None:
        """Add what one event adds.

        Raises:
            Damaged: `event-malformed`, for an event in a stream in which it cannot be.
        """
        for row in rows_of(recorded):
            values = msgspec.structs.astuple(row)
            at = _TIMED.get(type(row))
            if at is not None:
                values = (*values[:at], _time(values[at]), *values[at + 1 :])
            buffer = self._buffers[type(row)]
            buffer.append((self._project, *values))
            if len(buffer) == FLUSH_ROWS:
                self._flush(type(row))

    def finish(self) -> None:
        """Let the server have everything, and know how much it is."""
        for kind, name in VIEWS.items():
            self._flush(kind)
            if self._counts[name] > FLUSH_ROWS:
                self._connection.execute(sql.SQL("ANALYZE {}").format(_fresh(name)))

    def compare(self, upto: int) -> Iterator[Compared]:
        """Each view, with the events up to a position folded; what was appended since is left out.

        A row that claims a position after the end of the log is an extra one.
        """
        for table in self._tables.values():
            differences = list(self._differences(table, upto))
            rows = self._counts.get(table.name)
            yield Compared(
                table.name,
                self._latest_count() if rows is None else rows,
                differences[0][0] if differences else 0,
                tuple(one for _, one in differences),
            )

    def replace(self, views: Iterable[str], upto: int) -> None:
        """Put the folded rows in the place of wrong ones; under the project's lock.

        Args:
            views: Those that differ.
            upto: The log's size, all of which is folded.
        """
        for name in views:
            table = self._tables[name]
            parts = _parts(table)
            values = {"project": self._project, "upto": upto}
            self._connection.execute(
                sql.SQL(
                    "DELETE FROM {used} u WHERE project_id = %(project)s "
                    "AND NOT EXISTS (SELECT FROM {fresh} f WHERE {same_key} AND NOT {differs})"
                ).format(**parts),
                values,
            )
            self._connection.execute(
                sql.SQL(
                    "INSERT INTO {used} ({columns}) SELECT {columns} FROM {fresh} f "
                    "WHERE NOT EXISTS (SELECT FROM {used} u WHERE {same_key})"
                ).format(**parts),
                values,
            )

    def _flush(self, kind: type) -> None:
        rows = self._buffers[kind]
        if not rows:
            return
        table = self._tables[VIEWS[kind]]
        names = kind.__struct_fields__  # type: ignore[attr-defined]  # a struct, see VIEWS
        types = dict(zip(table.columns, table.types, strict=True))
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            _fresh(table.name), _names(("project_id", *names))
        )
        with self._connection.cursor().copy(statement) as copy:
            copy.set_types([types["project_id"], *(types[name] for name in names)])
            for row in rows:
                copy.write_row(row)
        self._counts[table.name] += len(rows)
        rows.clear()

    def _latest_count(self) -> int:
        row = self._connection.execute(
            sql.SQL("SELECT count(*) FROM (SELECT FROM {} GROUP BY kind, key) g").format(
                _fresh(VIEWS[ArtifactRow])
            )
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _differences(self, table: _Table, upto: int) -> Iterator[tuple[int, Difference]]:
        statement = sql.SQL(
            """
            SELECT count(*) OVER (), {keys}, u.project_id IS NULL, f.project_id IS NULL,
              array_remove(ARRAY[{flags}], NULL)
            FROM (SELECT * FROM {used} WHERE project_id = %(project)s AND {settled}) u
            FULL JOIN {fresh} f ON {same_key}
            WHERE u.project_id IS NULL OR f.project_id IS NULL OR {differs}
            ORDER BY {order} LIMIT %(limit)s
            """
        ).format(
            keys=sql.SQL(" || '/' || ").join(
                sql.SQL("coalesce(u.{0}, f.{0})::text").format(sql.Identifier(name))
                for name in table.key
            ),
            order=sql.SQL(", ").join(
                sql.SQL("coalesce(u.{0}, f.{0})").format(sql.Identifier(name)) for name in table.key
            ),
            flags=sql.SQL(", ").join(
                sql.SQL("CASE WHEN u.{0} IS DISTINCT FROM f.{0} THEN {1} END").format(
                    sql.Identifier(name), sql.Literal(name)
                )
                for name in table.columns
            ),
            settled=_SETTLED if "position" in table.columns else sql.SQL("true"),
            **_parts(table),
        )
        values = {"project": self._project, "upto": upto, "limit": MAX_NAMED}
        for count, key, missing, extra, columns in self._connection.execute(statement, values):
            what: Literal["missing", "extra", "different"] = (
                "missing" if missing else "extra" if extra else "different"
            )
            named = tuple(columns) if what == "different" else ()
            yield count, Difference(table.name, key, what, named)


_TIMED: dict[type, int] = {
    kind: kind.__struct_fields__.index("time") for kind in (ArtifactRow, RunRow)
}

_SETTLED = sql.SQL(
    """
    (position <= %(upto)s OR position > coalesce(
      (SELECT size FROM project_log WHERE project_id = %(project)s), 0))
    """
)


def _parts(table: _Table) -> dict[str, sql.Composable]:
    """What the statements about a view are made of: names from the catalogue, no values."""
    return {
        "used": _used(table.name),
        "fresh": _latest(table) if table.name == LATEST else _fresh(table.name),
        "columns": _names(table.columns),
        "same_key": sql.SQL(" AND ").join(
            sql.SQL("u.{0} = f.{0}").format(sql.Identifier(name)) for name in table.key
        ),
        "differs": sql.SQL("({} IS DISTINCT FROM {})").format(
            _row("u", table.columns), _row("f", table.columns)
        ),
    }


def _latest(table: _Table) -> sql.Composable:
    """The greatest versions: of what was folded, and of what was appended since."""
    known = {"project_id": "%(project)s", "kind": "kind", "key": "key", "version": "version"}
    return sql.SQL(
        """
        (SELECT {columns} FROM (
          SELECT kind, key, max(version) AS version FROM (
            SELECT kind, key, version FROM {folded}
            UNION ALL
            SELECT kind, key, version FROM {used} WHERE project_id = %(project)s
              AND position > %(upto)s AND NOT {settled}) b
          GROUP BY kind, key) g)
        """
    ).format(
        columns=sql.SQL(", ").join(
            sql.SQL("{}::{} AS {}").format(
                sql.SQL(known.get(name, "NULL")), sql.SQL(type_name), sql.Identifier(name)
            )
            for name, type_name in zip(table.columns, table.type_names, strict=True)
        ),
        folded=_fresh(VIEWS[ArtifactRow]),
        used=_used(VIEWS[ArtifactRow]),
        settled=_SETTLED,
    )


def _table(connection: psycopg.Connection, name: str) -> _Table:
    columns = connection.execute(
        """
        SELECT attname, atttypid::int8, format_type(atttypid, atttypmod) FROM pg_attribute
        WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
        """,
        (name,),
    ).fetchall()
    key = connection.execute(
        """
        SELECT a.attname FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE i.indrelid = to_regclass(%s) AND i.indisprimary ORDER BY k.place
        """,
        (name,),
    ).fetchall()
    return _Table(
        name,
        tuple(one for one, _, _ in columns),
        tuple(one for _, one, _ in columns),
        tuple(one for _, _, one in columns),
        tuple(one for (one,) in key),
    )


def _time(text: object) -> datetime:
    """A time of an event; its spelling is what `domain.times` gives, or the line is no event."""
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        time = None
    if time is None or time.tzinfo is not UTC:
        raise Damaged("event-malformed", f"{str(text)[:40]!r} is not a time as events have it.")
    return time


def _fresh(name: str) -> sql.Identifier:
    return sql.Identifier("pg_temp", f"fresh_{name}")


def _used(name: str) -> sql.Identifier:
    return sql.Identifier(name)


def _names(columns: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)


def _row(alias: str, columns: Iterable[str]) -> sql.Composed:
    return sql.SQL("ROW({})").format(
        sql.SQL(", ").join(sql.Identifier(alias, name) for name in columns)
    )
