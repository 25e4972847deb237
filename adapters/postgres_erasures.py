"""What was erased in a project, by digest: the view `erasure`, and the exports that held it."""

from collections.abc import Sequence
from contextlib import suppress

import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from adapters.loose_objects import discard
from adapters.outside_contents import NOTHING_OUTSIDE, OutsideContents
from domain.digest import format_digest
from domain.errors import Gone


def erased_at(
    connection: psycopg.Connection[TupleRow], project: str, digests: Sequence[bytes]
) -> dict[bytes, int]:
    """The position that first records the erasure of each of these contents."""
    rows = connection.cursor(binary=True).execute(
        """
        SELECT sha256, min(position) FROM erasure
        WHERE project_id = %s AND sha256 = ANY(%s) GROUP BY sha256
        """,
        (project, list(digests)),
    )
    return {row[0]: row[1] for row in rows}


def refuse_erased(connection: psycopg.Connection[TupleRow], project: str, sha256: bytes) -> None:
    """Let no content pass that was erased.

    Raises:
        Gone: `content-erased`, with its position.
    """
    position = erased_at(connection, project, [sha256]).get(sha256)
    if position is not None:
        raise Gone(
            "content-erased",
            f"The content {format_digest(sha256)} was erased at position {position}.",
            members={"position": position},
        )


class PostgresErasures:
    """Erasures as they are recorded."""

    def __init__(self, pool: ConnectionPool, outside: OutsideContents = NOTHING_OUTSIDE) -> None:
        self._pool = pool
        self._outside = outside

    def erased_at(self, project: str, digests: Sequence[bytes]) -> dict[bytes, int]:
        """The position that first records the erasure of each of these contents."""
        with self._pool.connection() as connection:
            return erased_at(connection, project, digests)

    def forget(self, project: str, digests: Sequence[bytes]) -> None:
        """Take what was erased out of the search index, where it is not shown any more in any case.

        Not in the append's transaction, so that no append waits for an index. When this process ends before,
        or somebody else is at the same rows, whoever indexes next does it.
        """
        with suppress(psycopg.OperationalError), self._pool.connection() as connection:
            connection.execute(
                """
                SELECT search_forget(%(project)s, ARRAY(SELECT DISTINCT artifact FROM erasure
                  WHERE project_id = %(project)s AND sha256 = ANY(%(digests)s)))
                """,
                {"project": project, "digests": list(digests)},
            )

    def positions(self, project: str, digests: Sequence[bytes], limit: int) -> list[int]:
        """The positions of the events that record an erasure of these contents, in order."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT position FROM erasure WHERE project_id = %s AND sha256 = ANY(%s)
                ORDER BY position LIMIT %s
                """,
                (project, list(digests), limit),
            ).fetchall()
        return [int(position) for (position,) in rows]

    def exports_with(self, project: str, digests: Sequence[bytes], limit: int) -> list[str]:
        """The names of exports that were laid out with any of these contents, oldest first."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT folder FROM export e WHERE project_id = %(project)s AND EXISTS (
                  SELECT FROM export_file f
                  WHERE f.project_id = e.project_id AND f.position = e.position
                    AND f.scope = e.scope AND f.format_version = e.format_version
                    AND f.source = 0 AND f.sha256 = ANY(%(digests)s))
                ORDER BY position, scope LIMIT %(limit)s
                """,
                {"project": project, "digests": list(digests), "limit": limit},
            ).fetchall()
        return [f"{folder}.zip" for (folder,) in rows]

    def discard(self, project: str, digests: Sequence[bytes]) -> int:
        """Make sure that erased contents are gone, staged and outside as well.

        Returns:
            How many objects outside could not be deleted now; a later upload does it.
        """
        return discard(self._pool, self._outside, project, digests)
