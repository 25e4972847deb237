"""Contents on their way into the ledger: stored before the append that names them, without locks.

The table is unlogged: a crash of the database empties it and the upload is repeated. Uploads that
nothing has named after a day are swept away by the next one.

A content for the store outside is sent there first, under an address that is written down before, as
loose (migration 0004). It becomes a blob's with the append. If that never comes, because a process
died in between or an answer was lost, the object stays loose and a later upload deletes it.
"""

import hashlib
import zlib
from typing import LiteralString

import msgspec
from psycopg_pool import ConnectionPool

from adapters.loose_objects import KEPT, sweep
from adapters.outside_contents import NOTHING_OUTSIDE, Kept, OutsideContents
from adapters.postgres_erasures import refuse_erased
from domain.errors import Gone, TooLarge
from domain.log import MAX_BLOB_BYTES


class Held(msgspec.Struct, frozen=True):
    """Content that the ledger has, in a blob or still staged."""

    size_bytes: int
    crc32: int
    staged: bool


class PostgresUploads:
    """Stages contents, and says which contents are there."""

    def __init__(self, pool: ConnectionPool, outside: OutsideContents = NOTHING_OUTSIDE) -> None:
        self._pool = pool
        self._outside = outside

    def stage(self, project: str, content: bytes) -> bytes:
        """Keep content until an append names it; answers its SHA-256.

        One that is an event's already, and lies outside, is looked through and replaced if it is not
        whole any more: that is how a lost or altered object is healed.

        Raises:
            TooLarge: `body-too-large`.
            Gone: `content-erased`: it cannot come back.
            Unavailable: `blob-store-unavailable`.
        """
        if len(content) > MAX_BLOB_BYTES:
            raise TooLarge(
                "body-too-large",
                f"The content has {len(content)} bytes, the limit is {MAX_BLOB_BYTES}.",
            )
        sha256 = hashlib.sha256(content).digest()
        self._refuse_erased(project, sha256)
        address = self._address(project, sha256, "blob")
        if address is not None:
            if not self._outside.whole(Kept(address, sha256, len(content))):
                self._replace(project, sha256, content, address)
        elif self._outside.takes(len(content)):
            self._stage_outside(project, sha256, content)
        else:
            self._insert(project, sha256, content, None)
        try:
            # Erased while it was on its way: whoever erases looks for it once more after the commit,
            # and this looks after its own, so that one of the two finds it.
            self._refuse_erased(project, sha256)
        except Gone:
            self._drop(project, sha256)
            raise
        sweep(self._pool, self._outside)
        return sha256

    def goes_outside(self, size_bytes: int, *, original: bool) -> bool:
        """Whether such a content lies in the store outside, if all is well."""
        return self._outside.takes(size_bytes) or (original and self._outside.there)

    def send_out(self, project: str, sha256: bytes) -> None:
        """Move a staged content to the store outside, if there is one: an original belongs there.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """
        if not self._outside.there:
            return
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT content FROM upload WHERE project_id = %s AND sha256 = %s",
                    (project, sha256),
                )
                .fetchone()
            )
        if row is None or row[0] is None:
            return
        address = self._send(project, sha256, row[0])
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE upload SET content = NULL, address = %s, uploaded_at = now()
                WHERE project_id = %s AND sha256 = %s AND address IS NULL
                """,
                (address, project, sha256),
            )

    def read(self, project: str, sha256: bytes) -> bytes | None:
        """A content that is staged, or kept already; None when there is neither.

        Raises:
            NotFound: `content-missing`, when it lies outside and is gone there.
            Damaged: `content-damaged`, likewise.
            Unavailable: `blob-store-unavailable`.
        """
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT content, address, size_bytes FROM upload
                    WHERE project_id = %(project)s AND sha256 = %(sha256)s
                    UNION ALL
                    SELECT content, address, size_bytes FROM blob
                    WHERE project_id = %(project)s AND sha256 = %(sha256)s
                    LIMIT 1
                    """,
                    {"project": project, "sha256": sha256},
                )
                .fetchone()
            )
        if row is None:
            return None
        content, address, size_bytes = row
        if address is not None:
            return self._outside.read(Kept(address, sha256, size_bytes))
        return bytes(content)

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

    def _address(self, project: str, sha256: bytes, table: LiteralString) -> str | None:
        """Where a content lies, when that is outside."""
        with self._pool.connection() as connection:
            row = connection.execute(
                f"SELECT address FROM {table} WHERE project_id = %s AND sha256 = %s",
                (project, sha256),
            ).fetchone()
        return None if row is None else row[0]

    def _stage_outside(self, project: str, sha256: bytes, content: bytes) -> None:
        address = self._address(project, sha256, "upload")
        if address is None or not self._outside.whole(Kept(address, sha256, len(content))):
            address = self._send(project, sha256, content)
        self._insert(project, sha256, content, address)

    def _send(self, project: str, sha256: bytes, content: bytes) -> str:
        """Put content outside; its address is on record before the object can be there."""
        address = self._outside.new_address(project, sha256)
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO loose_object (project_id, address) VALUES (%s, %s)", (project, address)
            )
        self._outside.store.put(address, content)
        return address

    def _insert(self, project: str, sha256: bytes, content: bytes, address: str | None) -> None:
        with self._pool.connection() as connection:
            connection.execute(
                """
                DELETE FROM upload u WHERE project_id = %s
                  AND (uploaded_at < now() - %s::interval OR EXISTS (SELECT FROM erasure e
                    WHERE e.project_id = u.project_id AND e.sha256 = u.sha256))
                """,
                (project, KEPT),
            )
            connection.execute(
                """
                INSERT INTO upload (project_id, sha256, size_bytes, crc32, content, address)
                VALUES (%s, %s, %s, %s, %b, %s)
                ON CONFLICT (project_id, sha256) DO UPDATE SET uploaded_at = now(),
                  content = CASE WHEN upload.address IS NULL AND excluded.address IS NULL
                    THEN upload.content ELSE excluded.content END,
                  address = excluded.address
                """,
                (
                    project,
                    sha256,
                    len(content),
                    zlib.crc32(content),
                    content if address is None else None,
                    address,
                ),
            )

    def _replace(self, project: str, sha256: bytes, content: bytes, lost: str) -> None:
        """Give an event's content a new place; the events stay, they name only its digest."""
        address = self._send(project, sha256, content) if self._outside.there else None
        with self._pool.connection() as connection:
            # The lock of whoever erases, who would not see the row that takes the other one's place.
            connection.execute(
                "SELECT FROM project_log WHERE project_id = %s FOR UPDATE", (project,)
            )
            found = connection.execute(
                "DELETE FROM blob WHERE project_id = %s AND sha256 = %s AND address = %s",
                (project, sha256, lost),
            )
            if found.rowcount:  # else it was erased, or somebody else was faster
                connection.execute(
                    """
                    INSERT INTO blob (project_id, sha256, size_bytes, crc32, content, address)
                    VALUES (%s, %s, %s, %s, %b, %s)
                    """,
                    (
                        project,
                        sha256,
                        len(content),
                        zlib.crc32(content),
                        content if address is None else None,
                        address,
                    ),
                )

    def _refuse_erased(self, project: str, sha256: bytes) -> None:
        with self._pool.connection() as connection:
            refuse_erased(connection, project, sha256)

    def _drop(self, project: str, sha256: bytes) -> None:
        """Take a staged content back; its object outside stays loose, and is swept."""
        with self._pool.connection() as connection:
            connection.execute(
                "DELETE FROM upload WHERE project_id = %s AND sha256 = %s", (project, sha256)
            )
