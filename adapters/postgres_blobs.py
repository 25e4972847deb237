"""Contents, read back: whole with their digest checked, or in slices."""

import hashlib
import zlib
from collections.abc import Iterator

from psycopg_pool import ConnectionPool

from adapters.outside_contents import NOTHING_OUTSIDE, Kept, OutsideContents
from adapters.postgres_erasures import refuse_erased
from domain.errors import Damaged, NotFound

SLICE_BYTES = 1024 * 1024


class PostgresBlobs:
    """Reads blobs of a project by SHA-256, wherever they lie."""

    def __init__(self, pool: ConnectionPool, outside: OutsideContents = NOTHING_OUTSIDE) -> None:
        self._pool = pool
        self._outside = outside

    def size(self, project: str, sha256: bytes) -> int:
        """The size in bytes.

        Raises:
            NotFound: `blob-not-found`.
            Gone: `content-erased`.
        """
        return self._place(project, sha256)[0]

    def read(self, project: str, sha256: bytes) -> bytes:
        """The whole content, its digest and CRC-32 checked.

        Raises:
            Damaged: `content-damaged`.
            Gone: `content-erased`.
            NotFound: `blob-not-found`; `content-missing`, when it lies outside and is gone there.
            Unavailable: `blob-store-unavailable`.
        """
        size, address = self._place(project, sha256)
        if address is not None:
            return b"".join(self._outside_pieces(project, Kept(address, sha256, size), 0, size))
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT content, crc32 FROM blob WHERE project_id = %b AND sha256 = %b",
                    (project, sha256),
                )
                .fetchone()
            )
        if row is None or row[0] is None:  # erased, or uploaded anew, this very moment
            self._place(project, sha256)
            raise _not_here(sha256)
        content = bytes(row[0])
        if hashlib.sha256(content).digest() != sha256 or zlib.crc32(content) != row[1]:
            raise _damaged(sha256)
        return content

    def pieces(self, project: str, sha256: bytes, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`.

        The digest is checked when that is all, and always of a content that lies outside.

        Raises:
            Damaged: `content-damaged`, before the last piece.
            Gone: `content-erased`, also when that happens before the last piece.
            NotFound: `content-missing`, when it lies outside and is gone there.
            Unavailable: `blob-store-unavailable`.
        """
        size, address = self._place(project, sha256)
        if address is not None:
            yield from self._outside_pieces(project, Kept(address, sha256, size), start, stop)
        elif (start, stop) != (0, size):
            yield from self._slices(project, sha256, start, stop)
        elif size <= SLICE_BYTES:
            yield self.read(project, sha256)
        else:
            digest = hashlib.sha256()
            held = b""
            for piece in self._slices(project, sha256, 0, size):
                if held:
                    yield held
                digest.update(piece)
                held = piece
            if digest.digest() != sha256:
                raise _damaged(sha256)
            yield held

    def _place(self, project: str, sha256: bytes) -> tuple[int, str | None]:
        """Size and address; no address means that the bytes lie in the row."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT size_bytes, address FROM blob WHERE project_id = %s AND sha256 = %s",
                (project, sha256),
            ).fetchone()
            if row is not None:
                return int(row[0]), row[1]
            refuse_erased(connection, project, sha256)
        raise _not_here(sha256)

    def _outside_pieces(self, project: str, kept: Kept, start: int, stop: int) -> Iterator[bytes]:
        try:
            yield from self._outside.pieces(kept, start, stop)
        except NotFound:
            self._place(project, kept.sha256)  # it may have been erased this very moment
            raise

    def _slices(self, project: str, sha256: bytes, start: int, stop: int) -> Iterator[bytes]:
        """The bytes from `start` to before `stop`, a mebibyte at a time, unchecked."""
        while start < stop:
            length = min(SLICE_BYTES, stop - start)
            with self._pool.connection() as connection:
                row = (
                    connection.cursor(binary=True)
                    .execute(
                        """
                        SELECT substring(content FROM %b::int4 FOR %b::int4) FROM blob
                        WHERE project_id = %b AND sha256 = %b
                        """,
                        (start + 1, length, project, sha256),
                    )
                    .fetchone()
                )
            if row is None or row[0] is None or len(row[0]) != length:
                self._place(project, sha256)
                raise Damaged(
                    "content-damaged", f"The content sha256:{sha256.hex()} ended before its size."
                )
            yield bytes(row[0])
            start += length


def _not_here(sha256: bytes) -> NotFound:
    return NotFound("blob-not-found", f"There is no content sha256:{sha256.hex()} here.")


def _damaged(sha256: bytes) -> Damaged:
    return Damaged(
        "content-damaged",
        f"The stored bytes of sha256:{sha256.hex()} are not those that were recorded: "
        "restore the database from a backup, and run deedbook doctor --verify.",
    )
