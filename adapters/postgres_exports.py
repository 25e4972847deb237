"""Exports in Postgres: the record of each for audit, its files as a cache, and the bytes to send.

Nothing holds a connection, transaction or snapshot while a slow client reads: each method takes a
connection, fetches a bounded group and gives it back. What an export reads never changes; only
erasing and damage can interfere, and both are noticed by length and digest.
"""

from collections.abc import Iterator, Sequence

import msgspec
from psycopg import Cursor
from psycopg_pool import ConnectionPool

from adapters.outside_contents import NOTHING_OUTSIDE, Kept, OutsideContents
from adapters.postgres_connect import reading
from adapters.postgres_erasures import erased_at
from domain.digest import format_digest
from domain.errors import Damaged, DeedbookError
from projections.bundle import Source
from projections.manifest import TREE_PATH

EVENTS_PAGE = 256
"""Positions a query; a line has at most 64 KiB, so a page has at most 16 MiB."""
LEAVES_PAGE = 16_384
FACTS_PAGE = 4_096


class ExportRecord(msgspec.Struct, frozen=True, kw_only=True):
    """An export that was laid out: all that its headers need.

    Attributes:
        entries: Files in the ZIP.
        layout_id: SHA-256 over contents' digests, central directory and end records; the ETag.
        zip_sha256: Of the whole file; None until it was read through once.
    """

    project: str
    position: int
    scope: str
    format_version: int
    folder: str
    entries: int
    size_bytes: int
    manifest_sha256: bytes
    layout_id: bytes
    zip_sha256: bytes | None

    @property
    def file_name(self) -> str:
        """The name to save it under."""
        return f"{self.folder}.zip"

    @property
    def etag(self) -> str:
        """The strong entity tag, with its quotes (RFC 9110 section 8.8.3)."""
        return f'"{self.layout_id.hex()}"'


class FileRow(msgspec.Struct, frozen=True):
    """A file of an export; `content` is there only while the layout is being kept."""

    ordinal: int
    path: str
    size_bytes: int
    crc32: int
    sha256: bytes
    source: Source
    zip_offset: int
    content: bytes | None = None


class BlobFacts(msgspec.Struct, frozen=True):
    """What the ledger knows of a content without reading it; an address when it lies outside."""

    size_bytes: int
    crc32: int
    address: str | None = None


class Absent(msgspec.Struct, frozen=True):
    """A content that an export needs and the ledger does not have."""

    path: str
    sha256: bytes
    size_bytes: int


class Outside(msgspec.Struct, frozen=True):
    """A content that an export needs and that lies outside."""

    path: str
    kept: Kept


class Whole(msgspec.Struct, frozen=True):
    """An export that was read through, with all its contents here: what a seal needs of it.

    Attributes:
        tree: The bytes of its `data/tree.json`.
        signed_root: Of the project's checkpoint of exactly this size; None if none was signed.
    """

    record: ExportRecord
    tree: bytes
    signed_root: bytes | None


_Key = tuple[str, int, str, int]


class PostgresExports:
    """Reads and keeps exports."""

    def __init__(self, pool: ConnectionPool, outside: OutsideContents = NOTHING_OUTSIDE) -> None:
        self._pool = pool
        self._outside = outside

    def find(
        self, project: str, position: int, scope: str, format_version: int
    ) -> ExportRecord | None:
        """The export, if it was laid out and its files are still kept."""
        with reading(self._pool) as connection:
            cursor = connection.cursor(binary=True)
            return _find(cursor, (project, position, scope, format_version))

    def whole(self, project: str, position: int, scope: str, format_version: int) -> Whole | None:
        """The export, if it was read through before and its contents are all in the database."""
        key = (project, position, scope, format_version)
        with reading(self._pool) as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT folder, entries, zip_size_bytes, manifest_sha256, layout_id, zip_sha256,
                      (SELECT content FROM export_file f WHERE f.project_id = e.project_id
                         AND f.position = e.position AND f.scope = e.scope
                         AND f.format_version = e.format_version AND path = folder || %b),
                      (SELECT root FROM checkpoint c
                       WHERE c.project_id = e.project_id AND c.size = e.position)
                    FROM export e WHERE project_id = %b AND position = %b AND scope = %b
                      AND format_version = %b AND zip_sha256 IS NOT NULL
                      AND NOT EXISTS (SELECT FROM export_file f WHERE f.project_id = e.project_id
                        AND f.position = e.position AND f.scope = e.scope
                        AND f.format_version = e.format_version AND f.source = 0
                        AND NOT EXISTS (SELECT FROM blob b
                          WHERE b.project_id = f.project_id AND b.sha256 = f.sha256
                            AND b.address IS NULL OFFSET 0))  -- each looked up, as below
                    """,
                    (f"/{TREE_PATH}", *key),
                )
                .fetchone()
            )
        if row is None or row[6] is None:
            return None
        return Whole(_record(key, row), bytes(row[6]), row[7])

    def absent(self, record: ExportRecord) -> list[Absent]:
        """The contents of a kept layout that the ledger does not have any more."""
        with reading(self._pool) as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT f.path, f.sha256, f.size_bytes FROM export_file f
                    WHERE f.project_id = %s AND f.position = %s AND f.scope = %s
                      AND f.format_version = %s AND f.source = 0
                      AND NOT EXISTS (SELECT FROM blob b
                        WHERE b.project_id = f.project_id AND b.sha256 = f.sha256
                        OFFSET 0)  -- each looked up: a join may read the project's for every file
                    ORDER BY f.ordinal
                    """,
                    _key(record),
                )
                .fetchall()
            )
        return [Absent(*row) for row in rows]

    def outside(self, record: ExportRecord) -> list[Outside]:
        """The contents of a kept layout that lie outside."""
        with reading(self._pool) as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT f.path, b.address, f.sha256, f.size_bytes
                    FROM export_file f CROSS JOIN LATERAL (SELECT address FROM blob b
                      WHERE b.project_id = f.project_id AND b.sha256 = f.sha256
                        AND b.address IS NOT NULL OFFSET 0) b  -- looked up, as above
                    WHERE f.project_id = %s AND f.position = %s AND f.scope = %s
                      AND f.format_version = %s AND f.source = 0
                    ORDER BY f.ordinal
                    """,
                    _key(record),
                )
                .fetchall()
            )
        return [Outside(path, Kept(*kept)) for path, *kept in rows]

    def lost(
        self, project: str, contents: Sequence[Outside]
    ) -> tuple[Outside, DeedbookError] | None:
        """The first of these contents that is not outside any more, and what is wrong with it.

        Raises:
            Unavailable: `blob-store-unavailable`.
        """
        wrong = self._outside.missing(project, [one.kept for one in contents])
        for one in contents:
            if one.kept.sha256 in wrong:
                return one, wrong[one.kept.sha256]
        return None

    def outside_pieces(
        self, kept: Kept, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        """The bytes `start` ≤ offset < `stop` of a content that lies outside, checked.

        Raises:
            NotFound: `content-missing`.
            Damaged: `content-damaged`.
            Unavailable: `blob-store-unavailable`.
        """
        return self._outside.pieces(kept, start, stop)

    def entries(
        self, project: str, upto: int, streams: Sequence[str] | None
    ) -> Iterator[list[tuple[int, bytes, bytes | None]]]:
        """Pages of (position, leaf, line) in order; the line is None outside `streams`."""
        wanted = None if streams is None else list(streams)
        for after in range(0, upto, EVENTS_PAGE):
            with self._pool.connection() as connection:
                page = (
                    connection.cursor(binary=True)
                    .execute(
                        """
                        SELECT position, leaf,
                          CASE WHEN %(streams)s::text[] IS NULL OR stream = ANY(%(streams)s)
                            THEN line END
                        FROM event
                        WHERE project_id = %(project)s
                          AND position > %(after)s AND position <= %(last)s
                        ORDER BY position
                        """,
                        {
                            "project": project,
                            "streams": wanted,
                            "after": after,
                            "last": min(after + EVENTS_PAGE, upto),
                        },
                    )
                    .fetchall()
                )
            yield page

    def stream_lines(self, project: str, stream: str, upto: int) -> Iterator[list[bytes]]:
        """Pages of one stream's lines up to a position."""
        version = 0
        while True:
            with self._pool.connection() as connection:
                rows = (
                    connection.cursor(binary=True)
                    .execute(
                        """
                        SELECT line FROM event
                        WHERE project_id = %s AND stream = %s AND version > %s AND position <= %s
                        ORDER BY version LIMIT %s
                        """,
                        (project, stream, version, upto, EVENTS_PAGE),
                    )
                    .fetchall()
                )
            if not rows:
                return
            version += len(rows)
            yield [row[0] for row in rows]

    def event_bytes(
        self, project: str, upto: int, streams: Sequence[str] | None
    ) -> Iterator[bytes]:
        """The lines in scope, each with its newline, joined by pages."""
        wanted = None if streams is None else list(streams)
        for after in range(0, upto, EVENTS_PAGE):
            with self._pool.connection() as connection:
                row = (
                    connection.cursor(binary=True)
                    .execute(
                        """
                        SELECT string_agg(line || '\\x0a'::bytea, ''::bytea ORDER BY position)
                        FROM event
                        WHERE project_id = %(project)s
                          AND position > %(after)s AND position <= %(last)s
                          AND (%(streams)s::text[] IS NULL OR stream = ANY(%(streams)s))
                        """,
                        {
                            "project": project,
                            "streams": wanted,
                            "after": after,
                            "last": min(after + EVENTS_PAGE, upto),
                        },
                    )
                    .fetchone()
                )
            if row is not None and row[0] is not None:
                yield row[0]

    def leaf_bytes(self, project: str, upto: int) -> Iterator[bytes]:
        """The leaf hashes in hex, each with its newline, joined by pages."""
        for after in range(0, upto, LEAVES_PAGE):
            with self._pool.connection() as connection:
                row = (
                    connection.cursor(binary=True)
                    .execute(
                        """
                        SELECT string_agg(encode(leaf, 'hex') || chr(10), '' ORDER BY position)
                        FROM event WHERE project_id = %s AND position > %s AND position <= %s
                        """,
                        (project, after, min(after + LEAVES_PAGE, upto)),
                    )
                    .fetchone()
                )
            if row is not None and row[0] is not None:
                yield str(row[0]).encode()

    def blob_facts(self, project: str, digests: Sequence[bytes]) -> dict[bytes, BlobFacts]:
        """Size and CRC-32 of contents; absent ones are left out."""
        facts: dict[bytes, BlobFacts] = {}
        for at in range(0, len(digests), FACTS_PAGE):
            with self._pool.connection() as connection:
                rows = connection.cursor(binary=True).execute(
                    """
                    SELECT sha256, size_bytes, crc32, address FROM blob
                    WHERE project_id = %s AND sha256 = ANY(%s)
                    """,
                    (project, list(digests[at : at + FACTS_PAGE])),
                )
                facts.update((row[0], BlobFacts(*row[1:])) for row in rows)
        return facts

    def restore(self, project: str, digests: Sequence[bytes]) -> dict[bytes, BlobFacts]:
        """Take uploads as the contents that are missing; answers those that are there now.

        The caller knows that events name these contents. An erased one never comes back.
        """
        with self._pool.connection() as connection:
            # The lock of an append: what is named under it is neither swept away nor erased meanwhile.
            connection.execute(
                """
                SELECT FROM project_log p WHERE project_id = %(project)s AND EXISTS (
                  SELECT FROM upload u WHERE u.project_id = p.project_id
                    AND u.sha256 = ANY(%(digests)s))
                FOR UPDATE
                """,
                {"project": project, "digests": list(digests)},
            )
            connection.execute(
                """
                INSERT INTO blob (project_id, sha256, size_bytes, crc32, content, address)
                SELECT u.project_id, u.sha256, u.size_bytes, u.crc32, u.content, u.address
                FROM upload u
                WHERE u.project_id = %(project)s AND u.sha256 = ANY(%(digests)s)
                  AND (u.address IS NOT NULL OR sha256(u.content) = u.sha256)
                  AND NOT EXISTS (SELECT FROM erasure e
                    WHERE e.project_id = u.project_id AND e.sha256 = u.sha256)
                ON CONFLICT DO NOTHING
                """,
                {"project": project, "digests": list(digests)},
            )
        return self.blob_facts(project, digests)

    def erased_at(self, project: str, digests: Sequence[bytes]) -> dict[bytes, int]:
        """The position that first records the erasure of each of these contents."""
        with self._pool.connection() as connection:
            return erased_at(connection, project, digests)

    def gaps(self, project: str, position: int) -> list[tuple[int, int]]:
        """Where the whole project cannot be exported, from erasing after `position`.

        Each pair (first, end): exports at first ≤ position < end would show a content, as the
        latest version of its artifact, whose erasure is recorded only at `end` or later.
        """
        with self._pool.connection() as connection:
            return (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT v.position,
                      least(e.position, coalesce(
                        (SELECT min(n.position) FROM artifact_version n
                         WHERE n.project_id = v.project_id AND n.kind = v.kind AND n.key = v.key
                           AND n.version = v.version + 1), e.position))
                    FROM artifact_version v JOIN (
                      SELECT sha256, min(position) AS position FROM erasure
                      WHERE project_id = %(project)s GROUP BY sha256
                      HAVING min(position) > %(position)s) e ON e.sha256 = v.sha256
                    WHERE v.project_id = %(project)s
                    """,
                    {"project": project, "position": position},
                )
                .fetchall()
            )

    def keep(self, record: ExportRecord, rows: Sequence[FileRow]) -> ExportRecord:
        """Store a layout, or find the same one that somebody else stored meanwhile.

        Raises:
            Damaged: `export-differs`: the layout is not the one that was made earlier.
        """
        key = _key(record)
        with self._pool.connection() as connection, connection.transaction():
            cursor = connection.cursor(binary=True)
            # A second maker waits here for the first one's commit, and then inserts nothing.
            cursor.execute(
                """
                INSERT INTO export (project_id, position, scope, format_version, folder, entries,
                  zip_size_bytes, manifest_sha256, layout_id)
                VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING
                """,
                (
                    *key,
                    record.folder,
                    record.entries,
                    record.size_bytes,
                    record.manifest_sha256,
                    record.layout_id,
                ),
            )
            cursor.execute(
                """
                SELECT layout_id, zip_sha256 FROM export WHERE project_id = %s AND position = %s
                  AND scope = %s AND format_version = %s FOR UPDATE
                """,
                key,
            )
            stored = cursor.fetchone()
            assert stored is not None
            if stored[0] != record.layout_id:
                raise Damaged(
                    "export-differs",
                    f"{record.folder} was laid out as {stored[0].hex()} before, now it is "
                    f"{record.layout_id.hex()}: the events or the code have changed.",
                )
            if not _has_files(cursor, key):
                _copy(cursor, key, rows)
        return msgspec.structs.replace(record, zip_sha256=stored[1])

    def settle(self, record: ExportRecord, zip_sha256: bytes) -> None:
        """Keep the ZIP's digest, found by the first whole pass.

        Raises:
            Damaged: `export-differs`: another digest was found before.
        """
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE export SET zip_sha256 = %s WHERE project_id = %s AND position = %s
                  AND scope = %s AND format_version = %s AND zip_sha256 IS NULL
                """,
                (zip_sha256, *_key(record)),
            )
        stored = self.find(*_key(record))
        if stored is not None and stored.zip_sha256 != zip_sha256:
            raise _differs(record, zip_sha256)

    def row_at(self, record: ExportRecord, offset: int) -> int:
        """The ordinal of the last file that begins at or before an offset of the ZIP."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT ordinal FROM export_file WHERE project_id = %s AND position = %s
                      AND scope = %s AND format_version = %s AND zip_offset <= %s
                    ORDER BY ordinal DESC LIMIT 1
                    """,
                    (*_key(record), offset),
                )
                .fetchone()
            )
        return int(row[0]) if row is not None else 0

    def files(self, record: ExportRecord, first: int, count: int) -> list[FileRow]:
        """The files from an ordinal on, without contents."""
        with self._pool.connection() as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT ordinal, path, size_bytes, crc32, sha256, source, zip_offset
                    FROM export_file WHERE project_id = %s AND position = %s AND scope = %s
                      AND format_version = %s AND ordinal >= %s ORDER BY ordinal LIMIT %s
                    """,
                    (*_key(record), first, count),
                )
                .fetchall()
            )
        return [
            FileRow(row[0], row[1], row[2], row[3], row[4], Source(row[5]), row[6]) for row in rows
        ]

    def contents(
        self, record: ExportRecord, first: int, last: int
    ) -> list[tuple[bytes | None, str | None]]:
        """The content or the address of the files with these ordinals; neither of what is not there."""
        with self._pool.connection() as connection:
            return (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT coalesce(f.content, b.content), b.address
                    FROM export_file f LEFT JOIN LATERAL (
                      SELECT content, address FROM blob b
                      WHERE f.source = 0 AND b.project_id = f.project_id AND b.sha256 = f.sha256
                      OFFSET 0) b ON true
                    WHERE f.project_id = %s AND f.position = %s AND f.scope = %s
                      AND f.format_version = %s AND f.ordinal BETWEEN %s AND %s
                    ORDER BY f.ordinal
                    """,
                    (*_key(record), first, last),
                )
                .fetchall()
            )

    def address(self, project: str, sha256: bytes) -> str | None:
        """Where a content lies, when that is outside."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    "SELECT address FROM blob WHERE project_id = %s AND sha256 = %s",
                    (project, sha256),
                )
                .fetchone()
            )
        return None if row is None else row[0]

    def blob_slice(self, project: str, sha256: bytes, start: int, size: int) -> bytes:
        """Some bytes of a large content; empty when it is not there."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT substring(content FROM %s::int FOR %s::int) FROM blob
                    WHERE project_id = %s AND sha256 = %s
                    """,
                    (start + 1, size, project, sha256),
                )
                .fetchone()
            )
        return b"" if row is None or row[0] is None else bytes(row[0])

    def kept_slice(self, record: ExportRecord, ordinal: int, start: int, size: int) -> bytes:
        """Some bytes of a large file that is kept beside its row."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT substring(content FROM %s::int FOR %s::int) FROM export_file
                    WHERE project_id = %s AND position = %s AND scope = %s
                      AND format_version = %s AND ordinal = %s
                    """,
                    (start + 1, size, *_key(record), ordinal),
                )
                .fetchone()
            )
        return b"" if row is None or row[0] is None else bytes(row[0])

    def kept_file(self, record: ExportRecord, path: str) -> bytes:
        """A whole small file that is kept beside its row, such as the manifest."""
        with self._pool.connection() as connection:
            row = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT content FROM export_file WHERE project_id = %s AND position = %s
                      AND scope = %s AND format_version = %s AND path = %s AND source = 1
                    """,
                    (*_key(record), f"{record.folder}/{path}"),
                )
                .fetchone()
            )
        if row is None:
            raise Damaged("export-differs", f"{record.folder} has no kept file {path}.")
        return bytes(row[0])


def _differs(record: ExportRecord, zip_sha256: bytes) -> Damaged:
    known = "another" if record.zip_sha256 is None else format_digest(record.zip_sha256)
    return Damaged(
        "export-differs",
        f"{record.file_name} is {format_digest(zip_sha256)} now, it was {known} before.",
    )


def _key(record: ExportRecord) -> _Key:
    return (record.project, record.position, record.scope, record.format_version)


def _find(cursor: Cursor[tuple[object, ...]], key: _Key) -> ExportRecord | None:
    row = cursor.execute(
        """
        SELECT folder, entries, zip_size_bytes, manifest_sha256, layout_id, zip_sha256
        FROM export e WHERE project_id = %s AND position = %s AND scope = %s
          AND format_version = %s AND EXISTS (SELECT FROM export_file f
            WHERE f.project_id = e.project_id AND f.position = e.position AND f.scope = e.scope
              AND f.format_version = e.format_version)
        """,
        key,
    ).fetchone()
    return None if row is None else _record(key, row)


def _record(key: _Key, row: Sequence[object]) -> ExportRecord:
    project, position, scope, format_version = key
    return msgspec.convert(
        {
            "project": project,
            "position": position,
            "scope": scope,
            "format_version": format_version,
            "folder": row[0],
            "entries": row[1],
            "size_bytes": row[2],
            "manifest_sha256": row[3],
            "layout_id": row[4],
            "zip_sha256": row[5],
        },
        ExportRecord,
    )


def _has_files(cursor: Cursor[tuple[object, ...]], key: _Key) -> bool:
    cursor.execute(
        """
        SELECT FROM export_file WHERE project_id = %s AND position = %s AND scope = %s
          AND format_version = %s LIMIT 1
        """,
        key,
    )
    return cursor.fetchone() is not None


def _copy(cursor: Cursor[tuple[object, ...]], key: _Key, rows: Sequence[FileRow]) -> None:
    with cursor.copy(
        """
        COPY export_file (project_id, position, scope, format_version, ordinal, path, size_bytes,
          crc32, sha256, source, content, zip_offset) FROM STDIN (FORMAT BINARY)
        """
    ) as copy:
        copy.set_types(
            "text int8 text int4 int8 text int8 int8 bytea int2 bytea int8".split()  # noqa: SIM905 - reads as the column list above
        )
        for row in rows:
            copy.write_row(
                (
                    *key,
                    row.ordinal,
                    row.path,
                    row.size_bytes,
                    row.crc32,
                    row.sha256,
                    int(row.source),
                    row.content,
                    row.zip_offset,
                )
            )
