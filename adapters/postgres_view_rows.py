"""Writes the rows of the core views: one statement for each table that has any, by binary arrays.

Runs inside the append transaction, in a pipeline, without fetching.
"""

from collections.abc import Iterable, Sequence

import psycopg

from domain.times import parse_time
from projections.core_views import (
    ArtifactRow,
    CitationRow,
    ErasureRow,
    ProjectRow,
    Row,
    RunRow,
)

_INSERTS = (
    (
        ProjectRow,
        """
        INSERT INTO project_view (project_id, position, title, description)
        SELECT * FROM unnest(%b::text[], %b::int8[], %b::text[], %b::text[])
        """,
    ),
    (
        ArtifactRow,
        """
        INSERT INTO artifact_version (project_id, kind, key, version, position, sha256, size_bytes,
          media_type, title, actor, time, citations)
        SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[], %b::int8[], %b::bytea[],
          %b::int8[], %b::text[], %b::text[], %b::text[], %b::timestamptz[], %b::int4[])
        """,
    ),
    (
        CitationRow,
        """
        INSERT INTO citation (project_id, kind, key, version, index, position, url, citation)
        SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[], %b::int4[], %b::int8[],
          %b::text[], %b::bytea[])
        """,
    ),
    (
        RunRow,
        """
        INSERT INTO run_change (project_id, run_id, position, version, phase, title, time)
        SELECT * FROM unnest(%b::text[], %b::text[], %b::int8[], %b::int8[], %b::text[], %b::text[],
          %b::timestamptz[])
        """,
    ),
    (
        ErasureRow,
        """
        INSERT INTO erasure (project_id, position, artifact, artifact_version, sha256)
        SELECT * FROM unnest(%b::text[], %b::int8[], %b::text[], %b::int8[], %b::bytea[])
        """,
    ),
)

_LATEST = """
INSERT INTO artifact_latest (project_id, kind, key, version)
SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[])
ON CONFLICT (project_id, kind, key) DO UPDATE SET version = excluded.version
WHERE artifact_latest.version < excluded.version
"""


def write_rows(cursor: psycopg.Cursor, rows: Iterable[tuple[str, Row]]) -> None:
    """Insert rows, each with its project."""
    by_type: dict[type, list[tuple[str, Row]]] = {}
    for project, row in rows:
        by_type.setdefault(type(row), []).append((project, row))
    for kind, statement in _INSERTS:
        if found := by_type.get(kind):
            cursor.execute(statement, columns_of(found))
            if kind is ArtifactRow:
                cursor.execute(_LATEST, _latest(found))


def columns_of(rows: Sequence[tuple[str, Row]]) -> list[list[object]]:
    """The rows as one list a column, the project first, times as times."""
    columns: list[list[object]] = [[project for project, _ in rows]]
    for name in rows[0][1].__struct_fields__:
        column: list[object] = [getattr(row, name) for _, row in rows]
        columns.append([parse_time(str(one)) for one in column] if name == "time" else column)
    return columns


def _latest(rows: Sequence[tuple[str, Row]]) -> list[list[object]]:
    """The greatest version of each artifact: one statement must not touch a row twice."""
    greatest: dict[tuple[str, str, str], int] = {}
    for project, row in rows:
        assert isinstance(row, ArtifactRow)
        name = (project, row.kind, row.key)
        greatest[name] = max(row.version, greatest.get(name, 0))
    ordered = sorted(greatest.items())  # in one order, so that two writers cannot lock crosswise
    return [
        [project for (project, _, _), _ in ordered],
        [kind for (_, kind, _), _ in ordered],
        [key for (_, _, key), _ in ordered],
        [version for _, version in ordered],
    ]
