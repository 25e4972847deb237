"""The bytes of an export's ZIP, or of any range of them, from its kept layout.

Headers come from the rows, contents from blobs in groups, event lines and leaves as stored, and the
central directory from a second pass over the rows: memory is flat however large the export is.
"""

import hashlib
from collections.abc import Iterable, Iterator

from adapters.outside_contents import Kept
from adapters.postgres_exports import ExportRecord, FileRow, PostgresExports
from domain.digest import format_digest
from domain.errors import Damaged, DeedbookError, Gone, NotFound
from domain.events import parse
from projections.bundle import Source, read_scope, select
from projections.zip_layout import central_record, end_records, local_header

GROUP_BYTES = 1024 * 1024
GROUP_ROWS = 512
FIRST_GROUP_BYTES = 64 * 1024
"""The first bytes should not wait for a whole group."""
SLICE_BYTES = 1024 * 1024
DIRECTORY_ROWS = 2_048


def stream_zip(
    store: PostgresExports, record: ExportRecord, start: int, stop: int
) -> Iterator[bytes]:
    """The bytes `start` ≤ offset < `stop`.

    Raises:
        Damaged: `content-damaged` or `export-differs`; the answer ends short of its length.
        Gone: `content-erased`: erased while it is sent; likewise.
        NotFound: `content-missing`: gone from the store outside; likewise.
        Unavailable: `blob-store-unavailable`; likewise.
    """
    stop = min(stop, record.size_bytes)
    if not 0 <= start < stop:
        return
    if start == 0 and stop == record.size_bytes:
        yield from _whole(store, record)
    else:
        yield from _clip(_ZipBytes(store, record, stop).from_offset(start), start, stop)


def _whole(store: PostgresExports, record: ExportRecord) -> Iterator[bytes]:
    """All bytes; the last piece is held back until their digest is the one known before."""
    digest, size, held = hashlib.sha256(), 0, b""
    # Once the digest of the whole is known it vouches for each content too.
    parts = _ZipBytes(store, record, record.size_bytes, check=record.zip_sha256 is None)
    for _, piece in parts.from_offset(0):
        if held:
            yield held
        digest.update(piece)
        size += len(piece)
        held = piece
    found = digest.digest()
    if size != record.size_bytes or record.zip_sha256 not in {None, found}:
        raise Damaged(
            "export-differs",
            f"{record.file_name} came out as {format_digest(found)} with {size} bytes, "
            "not as it was before.",
        )
    store.settle(record, found)
    yield held


def _clip(pieces: Iterable[tuple[int, bytes]], start: int, stop: int) -> Iterator[bytes]:
    """The part within a range of pieces that come with their offsets, in order."""
    for offset, piece in pieces:
        end = offset + len(piece)
        if end <= start:
            continue
        if start <= offset and end <= stop:
            yield piece
        else:
            yield piece[max(start - offset, 0) : stop - offset]
        if end >= stop:
            return


class _ZipBytes:
    """Makes the pieces of a ZIP in order, each with its offset, from any offset on.

    Whoever takes them stops at the one that reaches `stop`.
    """

    def __init__(
        self, store: PostgresExports, record: ExportRecord, stop: int, *, check: bool = True
    ) -> None:
        self._store = store
        self._record = record
        self._stop = stop
        self._check = check

    def from_offset(self, start: int) -> Iterator[tuple[int, bytes]]:
        """The pieces from the one that holds `start`; earlier ones are left out where cheap."""
        store, record = self._store, self._record
        ordinal = store.row_at(record, start) if start else 0
        offset = -1
        limit = FIRST_GROUP_BYTES
        while ordinal < record.entries:
            rows = self._rows(ordinal, GROUP_ROWS)
            for group in _groups(rows, limit):
                for piece in self._group(group, start):
                    if piece[1]:
                        yield piece
                limit = GROUP_BYTES
            ordinal = rows[-1].ordinal + 1
            last = rows[-1]
            offset = last.zip_offset + len(_header(last)) + last.size_bytes
        yield from self._directory(offset)

    def _rows(self, first: int, count: int) -> list[FileRow]:
        """The layout's rows from an ordinal on; none may be missing among them."""
        rows = self._store.files(self._record, first, count)
        if not rows or rows[0].ordinal != first or rows[-1].ordinal != first + len(rows) - 1:
            raise Damaged(
                "export-differs", f"The layout of {self._record.folder} is gone; ask again."
            )
        return rows

    def _group(self, group: list[FileRow], start: int) -> Iterator[tuple[int, bytes]]:
        row = group[0]
        if len(group) == 1 and (row.size_bytes > GROUP_BYTES or row.source in _STREAMED):
            header = _header(row)
            body = row.zip_offset + len(header)
            yield row.zip_offset, header
            if start < body + row.size_bytes:
                yield from self._large(row, body, max(start - body, 0))
            return
        if start >= group[-1].zip_offset + len(_header(group[-1])) + group[-1].size_bytes:
            return
        contents = self._store.contents(self._record, row.ordinal, group[-1].ordinal)
        parts: list[bytes] = []
        for one, (content, address) in zip(group, contents, strict=True):
            if content is None and address is not None:
                kept = Kept(address, one.sha256, one.size_bytes)
                content = b"".join(self._outside_pieces(one, kept))  # noqa: PLW2901 - fetched here
            if content is None or len(content) != one.size_bytes:
                raise self._lost(one)
            if self._check and hashlib.sha256(content).digest() != one.sha256:
                raise _damaged(one)
            parts += (_header(one), content)
        yield row.zip_offset, b"".join(parts)

    def _large(self, row: FileRow, body: int, skip: int) -> Iterator[tuple[int, bytes]]:
        """A body in slices; one that can start later does so at a slice's border."""
        begin = skip - skip % SLICE_BYTES if row.source not in _STREAMED else 0
        pieces = self._streamed(row) if row.source in _STREAMED else self._slices(row, begin)
        digest = hashlib.sha256()
        at = begin
        for piece in pieces:
            if self._check:
                digest.update(piece)
            if at + len(piece) > row.size_bytes:
                raise _damaged(row)
            last = at + len(piece) == row.size_bytes
            # The check comes before the last piece, so that a wrong content is cut short.
            if last and self._check and begin == 0 and digest.digest() != row.sha256:
                raise _damaged(row)
            yield body + at, piece
            at += len(piece)
        if at != row.size_bytes:
            raise self._lost(row)

    def _lost(self, row: FileRow) -> DeedbookError:
        """Why a content is not there, or not whole: it was erased meanwhile, or there is damage."""
        if row.source is not Source.BLOB:
            return _damaged(row)
        position = self._store.erased_at(self._record.project, [row.sha256]).get(row.sha256)
        if position is None:
            return _damaged(row)
        return Gone(
            "content-erased",
            f"The content of {row.path} was erased at position {position}, while the export was "
            "sent; it is cut short. Take one at that position or a later one.",
            members={"position": position},
        )

    def _outside_pieces(
        self, row: FileRow, kept: Kept, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        try:
            yield from self._store.outside_pieces(kept, start, stop)
        except NotFound as missing:
            lost = self._lost(row)
            raise (lost if isinstance(lost, Gone) else missing) from None

    def _outside(self, row: FileRow, address: str, begin: int) -> Iterator[bytes]:
        """A content that lies outside, as far as it is wanted, and never its end before it is checked."""
        wanted = min(row.size_bytes, self._stop - row.zip_offset - len(_header(row)))
        kept = Kept(address, row.sha256, row.size_bytes)
        return self._outside_pieces(row, kept, begin, wanted)

    def _slices(self, row: FileRow, begin: int) -> Iterator[bytes]:
        if row.source is Source.BLOB:
            address = self._store.address(self._record.project, row.sha256)
            if address is not None:
                yield from self._outside(row, address, begin)
                return
        for at in range(begin, row.size_bytes, SLICE_BYTES):
            if row.source is Source.BLOB:
                piece = self._store.blob_slice(self._record.project, row.sha256, at, SLICE_BYTES)
            else:
                piece = self._store.kept_slice(self._record, row.ordinal, at, SLICE_BYTES)
            if not piece:
                return
            yield piece

    def _streamed(self, row: FileRow) -> Iterator[bytes]:
        record = self._record
        if row.source is Source.LEAVES:
            return self._store.leaf_bytes(record.project, record.position)
        return self._store.event_bytes(
            record.project, record.position, streams_of(self._store, record)
        )

    def _directory(self, offset: int) -> Iterator[tuple[int, bytes]]:
        record = self._record
        begin = offset
        for first in range(0, record.entries, DIRECTORY_ROWS):
            rows = self._rows(first, DIRECTORY_ROWS)
            piece = b"".join(
                central_record(row.path, row.size_bytes, row.crc32, row.zip_offset) for row in rows
            )
            yield offset, piece
            offset += len(piece)
        yield offset, end_records(record.entries, offset - begin, begin)


_STREAMED = (Source.EVENTS, Source.LEAVES)


def streams_of(store: PostgresExports, record: ExportRecord) -> list[str] | None:
    """The streams whose events are in an export; None for all of them."""
    scope = read_scope(record.scope)
    if scope.run is None:
        return None
    events = (
        parse(line).data
        for page in store.stream_lines(record.project, f"run/{scope.run}", record.position)
        for line in page
    )
    streams = select(scope, events).streams
    return None if streams is None else sorted(streams)


def _groups(rows: list[FileRow], limit: int) -> Iterator[list[FileRow]]:
    """Runs of rows to fetch at once: up to `limit` bytes first, then GROUP_BYTES; large ones alone."""
    group: list[FileRow] = []
    size = 0
    for row in rows:
        alone = row.size_bytes > GROUP_BYTES or row.source in _STREAMED
        if group and (alone or size + row.size_bytes > limit):
            yield group
            group, size, limit = [], 0, GROUP_BYTES
        if alone:
            yield [row]
            limit = GROUP_BYTES
            continue
        group.append(row)
        size += row.size_bytes
    if group:
        yield group


def _header(row: FileRow) -> bytes:
    return local_header(row.path, row.size_bytes, row.crc32)


def _damaged(row: FileRow) -> Damaged:
    return Damaged(
        "content-damaged",
        f"The content of {row.path} ({format_digest(row.sha256)}, {row.size_bytes} bytes) is gone "
        "or differs from its digest; the export is cut short. Run deedbook doctor.",
    )
