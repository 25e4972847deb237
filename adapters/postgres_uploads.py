"""Contents on their way into the ledger: stored before the append that names them, without locks.

The table is unlogged: a crash of the database empties it and the upload is repeated. Uploads that
nothing has named after a day are swept away by the next one.
"""

import hashlib
import zlib

import msgspec
from psycopg_pool import ConnectionPool

from domain.errors import TooLarge
from domain.log import MAX_BLOB_BYTES

KEPT = "1 day"


class Held(msgspec.Struct, frozen=True):
    """Content that the ledger has, in a blob or still staged."""

    size_bytes: int
    crc32: int
    staged: bool


class PostgresUploads:
    """Stages contents, and says which contents are there."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def stage(self, project: str, content: bytes) -> bytes:
        """Keep content until an append names it; answers its SHA-256.

        Raises:
            TooLarge: `body-too-large`.
        """
        if len(content) > MAX_BLOB_BYTES:
            raise TooLarge(
                "body-too-large",
                f"The content has {len(content)} bytes, the limit is {MAX_BLOB_BYTES}.",
            )
        sha256 = hashlib.sha256(content).digest()
        with self._pool.connection() as connection:
            connection.execute(
                "DELETE FROM upload WHERE project_id = %s AND uploaded_at < now() - %s::interval",
                (project, KEPT),
            )
            connection.execute(
                """
                INSERT INTO upload (project_id, sha256, size_bytes, crc32, content)
                VALUES (%s, %s, %s, %s, %b)
                ON CONFLICT (project_id, sha256) DO UPDATE SET uploaded_at = now()
                """,
                (project, sha256, len(content), zlib.crc32(content), content),
            )
        return sha256

    def read(self, project: str, sha256: bytes) -> bytes | None:
        """A content that is staged, or kept already; None when there is neither."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT content FROM upload WHERE project_id = %(project)s AND sha256 = %(sha256)s
                    UNION ALL
                    SELECT content FROM blob WHERE project_id = %(project)s AND sha256 = %(sha256)s
                    LIMIT 1
                    """,
                    {"project": project, "sha256": sha256},
                )
                .fetchone()
            )
        return None if row is None else bytes(row[0])

    def held(self, project: str, digests: tuple[bytes, ...]) -> dict[bytes, Held]:
        """What is known of each of these contents; absent ones are left out."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT sha256, size_bytes, crc32, true FROM upload
                WHERE project_id = %(project)s AND sha256 = ANY(%(digests)s)
                UNION ALL
                SELECT sha256, size_bytes, crc32, false FROM blob
                WHERE project_id = %(project)s AND sha256 = ANY(%(digests)s)
                """,
                {"project": project, "digests": list(digests)},
            ).fetchall()
        # A blob that is there already wins over a staged copy of the same bytes.
        return {row[0]: Held(row[1], row[2], row[3]) for row in rows}
