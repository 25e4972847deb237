"""Whether the exports that were laid out are as they were kept: record, files and layout."""

import hashlib
from collections.abc import Iterator

import msgspec
import psycopg

from adapters.doctor_contents import TOGETHER_BYTES, Measured, measure
from adapters.examined import Finding, rows_in_order
from domain.digest import format_digest
from projections.bundle import Source
from projections.manifest import MANIFEST_PATH
from projections.zip_layout import MAX_16, MAX_32, central_record, end_records, local_header

PAGE_FILES = 500


class _Export(msgspec.Struct, frozen=True):
    project: str
    position: int
    scope: str
    format_version: int
    folder: str
    entries: int
    zip_size_bytes: int
    manifest_sha256: bytes
    layout_id: bytes

    @property
    def key(self) -> dict[str, object]:
        """Its primary key, for statements."""
        return {
            "project": self.project,
            "position": self.position,
            "scope": self.scope,
            "format_version": self.format_version,
        }

    @property
    def name(self) -> str:
        """Its primary key, for people."""
        return f"{self.project}/{self.position}/{self.scope}/{self.format_version}"


class _File(msgspec.Struct, frozen=True):
    ordinal: int
    path: str
    size_bytes: int
    crc32: int
    sha256: bytes
    source: int
    zip_offset: int
    kept_bytes: int | None
    blob_size_bytes: int | None
    blob_crc32: int | None


def examine_exports(connection: psycopg.Connection, project: str) -> Iterator[Finding]:
    """Each record, and the files that are kept with it; they are a cache and may all be gone."""
    rows = connection.execute(
        """
        SELECT project_id, position, scope, format_version, folder, entries, zip_size_bytes,
          manifest_sha256, layout_id FROM export
        WHERE project_id = %s ORDER BY position, scope, format_version
        """,
        (project,),
    )
    for row in rows.fetchall():
        yield from _Examination(connection, _Export(*row)).run()
    orphans = connection.execute(
        """
        SELECT DISTINCT position, scope, format_version FROM export_file f WHERE project_id = %s
          AND NOT EXISTS (SELECT FROM export e WHERE e.project_id = f.project_id
            AND e.position = f.position AND e.scope = f.scope
            AND e.format_version = f.format_version)
        """,
        (project,),
    )
    for position, scope, version in orphans:
        yield Finding(
            f"export {project}/{position}/{scope}/{version}", "Its files are kept, it is not."
        )


def _possible(file: _File) -> bool:
    """Whether its numbers fit into the headers of a ZIP."""
    return (
        len(file.path.encode()) <= MAX_16
        and 0 <= file.crc32 <= MAX_32
        and file.size_bytes >= 0
        and file.zip_offset >= 0
    )


class _Examination:
    def __init__(self, connection: psycopg.Connection, export: _Export) -> None:
        self._connection = connection
        self._export = export

    def run(self) -> Iterator[Finding]:
        export = self._export
        place = f"export {export.name}"
        layout = hashlib.sha256()
        count = offset = 0
        manifest: bytes | None = None
        for file in self._files():
            if not _possible(file):
                yield Finding(
                    f"export_file {export.name}/{file.ordinal}",
                    "A path, size, CRC-32 or offset like this cannot be in a ZIP.",
                )
                return
            yield from self._file(file, count, offset)
            layout.update(file.sha256)
            offset += len(local_header(file.path, file.size_bytes, file.crc32)) + file.size_bytes
            count += 1
            if file.path == f"{export.folder}/{MANIFEST_PATH}":
                manifest = file.sha256
        if not count:
            return
        directory_bytes = 0
        for file in self._files():
            record = central_record(file.path, file.size_bytes, file.crc32, file.zip_offset)
            layout.update(record)
            directory_bytes += len(record)
        end = end_records(count, directory_bytes, offset)
        layout.update(end)
        facts = (
            ("entries", export.entries, count),
            ("zip_size_bytes", export.zip_size_bytes, offset + directory_bytes + len(end)),
            ("manifest_sha256", export.manifest_sha256.hex(), manifest and manifest.hex()),
            ("layout_id", export.layout_id.hex(), layout.hexdigest()),
        )
        for column, kept, found in facts:
            if kept != found:
                yield Finding(
                    f"{place} ({column})", f"It is {kept}, the files that are kept give {found}."
                )

    def _files(self) -> Iterator[_File]:
        after = -1
        while True:
            page = rows_in_order(
                self._connection,
                """
                SELECT f.ordinal, f.path, f.size_bytes, f.crc32, f.sha256, f.source, f.zip_offset,
                  octet_length(f.content), b.size_bytes, b.crc32
                FROM export_file f LEFT JOIN blob b
                  ON f.source = 0 AND b.project_id = f.project_id AND b.sha256 = f.sha256
                WHERE f.project_id = %(project)s AND f.position = %(position)s
                  AND f.scope = %(scope)s AND f.format_version = %(format_version)s
                  AND f.ordinal > %(after)s
                ORDER BY f.ordinal LIMIT %(limit)s
                """,
                {**self._export.key, "after": after, "limit": PAGE_FILES},
            )
            if not page:
                return
            files = [_File(*row) for row in page]
            yield from files
            after = files[-1].ordinal

    def _file(self, file: _File, ordinal: int, offset: int) -> Iterator[Finding]:
        place = f"export_file {self._export.name}/{file.ordinal}"
        facts: list[tuple[str, object, object]] = [
            ("ordinal", file.ordinal, ordinal),
            ("path", file.path.partition("/")[0], self._export.folder),
            ("zip_offset", file.zip_offset, offset),
        ]
        if file.source == Source.KEPT:
            measured = self._content(file)
            facts += [
                ("sha256", format_digest(file.sha256), format_digest(measured.sha256)),
                ("size_bytes", file.size_bytes, measured.size_bytes),
                ("crc32", file.crc32, measured.crc32),
            ]
        elif file.kept_bytes is not None:
            facts.append(("content", f"{file.kept_bytes} bytes", "none"))
        if file.blob_size_bytes is not None:
            facts += [
                ("size_bytes", file.size_bytes, file.blob_size_bytes),
                ("crc32", file.crc32, file.blob_crc32),
            ]
        for column, kept, found in facts:
            if kept != found:
                yield Finding(f"{place} ({column})", f"It is {kept}, and must be {found}.")

    def _content(self, file: _File) -> Measured:
        def piece(offset: int) -> bytes:
            found = (
                self._connection.cursor(binary=True)
                .execute(
                    """
                    SELECT substring(content FROM %(start)s::int4 FOR %(size)s::int4)
                    FROM export_file WHERE project_id = %(project)s AND position = %(position)s
                      AND scope = %(scope)s AND format_version = %(format_version)s
                      AND ordinal = %(ordinal)s
                    """,
                    {
                        **self._export.key,
                        "ordinal": file.ordinal,
                        "start": offset + 1,
                        "size": TOGETHER_BYTES,
                    },
                )
                .fetchone()
            )
            return b"" if found is None or found[0] is None else bytes(found[0])

        return measure(piece, file.kept_bytes or 0)
