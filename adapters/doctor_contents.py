"""Whether a project's contents are whole: each is what its digest says, and each that is named is there."""

import hashlib
import zlib
from collections.abc import Callable, Iterator

import psycopg
from psycopg.rows import TupleRow

from adapters.examined import MAX_FINDINGS, Finding, rows_in_order
from adapters.fresh_views import VIEWS
from adapters.outside_contents import NOTHING_OUTSIDE, Kept, OutsideContents
from adapters.rebuild import pages, size_of
from domain.digest import format_digest, parse_digest
from domain.errors import DeedbookError
from domain.events import Recorded, contents_of, parse
from projections.core_views import ArtifactRow

PAGE_BLOBS = 500
TOGETHER_BYTES = 4 * 1024 * 1024
"""Contents fetched by one query, and the piece in which a larger one is read."""
FLUSH_NAMES = 2_000


class Measured:
    """SHA-256, CRC-32 and size of bytes that come in pieces."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.crc32 = 0
        self.size_bytes = 0

    def add(self, piece: bytes) -> None:
        """The next piece."""
        self._sha256.update(piece)
        self.crc32 = zlib.crc32(piece, self.crc32)
        self.size_bytes += len(piece)

    @property
    def sha256(self) -> bytes:
        """The digest of all pieces."""
        return self._sha256.digest()


def measure(read: Callable[[int], bytes], size_bytes: int) -> Measured:
    """Read a large value piece by piece; `read` is given an offset, and gives at most a piece."""
    measured = Measured()
    while measured.size_bytes < size_bytes:
        piece = read(measured.size_bytes)
        if not piece:
            break  # erased meanwhile
        measured.add(piece)
    return measured


class Names:
    """The contents that a project's events name, in a temporary table."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        self._buffer: list[tuple[bytes, int, int, bool]] = []
        self._filled = False
        connection.execute(
            """
            CREATE TEMPORARY TABLE named (sha256 bytea, size_bytes int8, position int8, original bool)
            """
        )

    def begin(self) -> None:
        """Start with a project, from nothing."""
        self._buffer.clear()
        if self._filled:
            self._connection.execute("TRUNCATE pg_temp.named")
        self._filled = False

    def take(self, recorded: Recorded) -> None:
        """Add what one event names.

        Raises:
            Invalid: A digest that is none.
        """
        original = getattr(recorded.data, "original", None)
        for content in contents_of(recorded.data):
            sha256 = parse_digest(content.digest)
            self._buffer.append(
                (sha256, content.size_bytes, recorded.position, content is original)
            )
        if len(self._buffer) >= FLUSH_NAMES:
            self._flush()

    def finish(self) -> None:
        """Let the server have everything, and know how much it is."""
        self._flush()
        if self._filled:
            self._connection.execute("ANALYZE pg_temp.named")

    def _flush(self) -> None:
        if not self._buffer:
            return
        self._filled = True
        with self._connection.cursor().copy(
            "COPY pg_temp.named (sha256, size_bytes, position, original) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["bytea", "int8", "int8", "bool"])
            for row in self._buffer:
                copy.write_row(row)
        self._buffer.clear()


def examine_blobs(
    connection: psycopg.Connection,
    project: str,
    progress: Callable[[int], None],
    outside: OutsideContents = NOTHING_OUTSIDE,
) -> Iterator[Finding]:
    """Each content against its size, CRC-32 and SHA-256; `progress` is told how many were read."""
    after = b""
    while True:
        page = rows_in_order(
            connection,
            """
            SELECT sha256, size_bytes, crc32, encoding, octet_length(content), address
            FROM blob
            WHERE project_id = %(project)s AND sha256 > %(after)s ORDER BY sha256 LIMIT %(limit)s
            """,
            {"project": project, "after": after, "limit": PAGE_BLOBS},
        )
        if not page:
            return
        for row in page:
            if row[5] is not None:
                yield from _lying_outside(project, row, outside)
        for rows in _together([row for row in page if row[5] is None]):
            for row, measured in _measured(connection, project, rows):
                yield from _blob(project, row, measured)
        progress(len(page))
        after = page[-1][0]


def examine_named(connection: psycopg.Connection, project: str, imported: int) -> Iterator[Finding]:
    """What the events name is there, with the size they say, unless it was erased; what was is gone.

    Args:
        connection: The one with the `Names` and the `FreshViews`.
        project: Of both.
        imported: The size of the export that the log began with, 0 if it began here. An export does
            not carry the contents of versions that were not the latest, and originals only if asked.
    """
    values = {"project": project, "imported": imported, "limit": MAX_FINDINGS + 1}
    folded = f"pg_temp.fresh_{VIEWS[ArtifactRow]}"
    missing = connection.execute(
        f"""
        SELECT n.position, n.sha256 FROM pg_temp.named n
        WHERE NOT EXISTS (SELECT FROM blob b
            WHERE b.project_id = %(project)s AND b.sha256 = n.sha256)
          AND NOT EXISTS (SELECT FROM erasure e
            WHERE e.project_id = %(project)s AND e.sha256 = n.sha256)
          AND NOT (n.position <= %(imported)s AND n.original)
          AND NOT (n.position <= %(imported)s AND EXISTS (
            SELECT FROM {folded} v JOIN {folded} later
              ON later.kind = v.kind AND later.key = v.key AND later.version = v.version + 1
            WHERE v.position = n.position AND later.position <= %(imported)s))
        ORDER BY n.position LIMIT %(limit)s
        """.encode(),
        values,
    )
    for position, sha256 in missing:
        yield Finding(
            f"blob {project}/{format_digest(sha256)}",
            f"It is missing: the event at position {position} names it, and none erases it.",
        )
    unequal = connection.execute(
        """
        SELECT n.position, n.sha256, n.size_bytes, b.size_bytes FROM pg_temp.named n
        JOIN blob b ON b.project_id = %(project)s AND b.sha256 = n.sha256
        WHERE n.size_bytes <> b.size_bytes ORDER BY n.position LIMIT %(limit)s
        """,
        values,
    )
    for position, sha256, said, kept in unequal:
        yield Finding(
            f"blob {project}/{format_digest(sha256)} (size_bytes)",
            f"It has {kept} bytes, the event at position {position} says {said}.",
        )
    erased = connection.execute(
        """
        SELECT min(e.position), e.sha256 FROM erasure e JOIN blob b USING (project_id, sha256)
        WHERE e.project_id = %(project)s GROUP BY e.sha256 ORDER BY 1
        LIMIT %(limit)s
        """,
        values,
    )
    for position, sha256 in erased:
        yield Finding(
            f"blob {project}/{format_digest(sha256)}",
            f"It is there, although the event at position {position} says that it was erased.",
        )


def examine_unnamed(
    connection: psycopg.Connection, project: str, names: Names, upto: int
) -> Iterator[Finding]:
    """No content is there that no event names: nothing here makes one, so somebody else did."""
    unnamed = connection.execute(
        """
        SELECT sha256 FROM blob b WHERE project_id = %s
          AND NOT EXISTS (SELECT FROM pg_temp.named n WHERE n.sha256 = b.sha256)
        ORDER BY sha256 LIMIT %s
        """,
        (project, MAX_FINDINGS + 1),
    ).fetchall()
    if not unnamed:
        return
    # A content comes with its event, so one that came meanwhile is named by now.
    for page in pages(connection, project, upto, size_of(connection, project)):
        for _, line in page:
            names.take(parse(line))
    names.finish()
    still = connection.execute(
        """
        SELECT u FROM unnest(%s::bytea[]) u
        WHERE NOT EXISTS (SELECT FROM pg_temp.named n WHERE n.sha256 = u)
        """,
        ([sha256 for (sha256,) in unnamed],),
    )
    for (sha256,) in still:
        yield Finding(f"blob {project}/{format_digest(sha256)}", "No event names it.")


def _together(page: list[TupleRow]) -> Iterator[list[TupleRow]]:
    """Rows whose contents are fetched together; a large one is alone."""
    group: list[TupleRow] = []
    held = 0
    for row in page:
        size = row[4]
        if group and held + size > TOGETHER_BYTES:
            yield group
            group, held = [], 0
        group.append(row)
        held += size
    if group:
        yield group


def _lying_outside(project: str, row: TupleRow, outside: OutsideContents) -> Iterator[Finding]:
    """A content in the store outside, read whole."""
    measured = Measured()
    try:
        for piece in outside.pieces(Kept(row[5], row[0], row[1])):
            measured.add(piece)
    except DeedbookError as error:
        yield Finding(f"blob {project}/{format_digest(row[0])} (address)", error.detail)
        return
    yield from _blob(project, row, measured)


def _measured(
    connection: psycopg.Connection, project: str, rows: list[TupleRow]
) -> Iterator[tuple[TupleRow, Measured]]:
    """Each row with what its content is; without those that were erased meanwhile."""
    cursor = connection.cursor(binary=True)
    first = rows[0][4]
    if first > TOGETHER_BYTES:

        def piece(offset: int) -> bytes:
            found = cursor.execute(
                """
                SELECT substring(content FROM %s::int4 FOR %s::int4) FROM blob
                WHERE project_id = %s AND sha256 = %s
                """,
                (offset + 1, TOGETHER_BYTES, project, rows[0][0]),
            ).fetchone()
            return b"" if found is None else bytes(found[0])

        measured = measure(piece, first)
        if measured.size_bytes == first:
            yield rows[0], measured
        return
    contents: dict[bytes, bytes] = dict(
        cursor.execute(
            "SELECT sha256, content FROM blob WHERE project_id = %s AND sha256 = ANY(%s)",
            (project, [row[0] for row in rows]),
        ).fetchall()
    )
    for row in rows:
        content = contents.get(row[0])
        if content is not None:
            measured = Measured()
            measured.add(content)
            yield row, measured


def _blob(project: str, row: TupleRow, measured: Measured) -> Iterator[Finding]:
    sha256, size_bytes, crc32, encoding = row[:4]
    place = f"blob {project}/sha256:{sha256.hex()}"
    if measured.sha256 != sha256:
        yield Finding(
            f"{place} (sha256, content)",
            f"The content has the digest {format_digest(measured.sha256)}.",
        )
    if measured.size_bytes != size_bytes:
        yield Finding(
            f"{place} (size_bytes)", f"It says {size_bytes}, there are {measured.size_bytes} bytes."
        )
    if measured.crc32 != crc32:
        yield Finding(f"{place} (crc32)", f"It says {crc32}, the content has {measured.crc32}.")
    if encoding != 0:
        yield Finding(f"{place} (encoding)", f"The encoding {encoding} is unknown.")
