"""Reads an export's ZIP that may lie: it accepts the one encoding of a set of files and nothing else.

So it never chooses between two readings. All reads are at explicit offsets of one descriptor; nothing
is searched for, nothing is inflated and nothing is extracted. Each refusal names the step, and where
it applies the entry's number and the offset.
"""

import os
import re
import stat
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from domain.errors import Damaged, DeedbookError, Malformed, TooLarge
from projections.zip_layout import (
    CENTRAL_BYTES,
    END64_BYTES,
    END_BYTES,
    MAX_16,
    MAX_32,
    central_record,
    end_records,
    local_bytes,
    local_header,
)

MAX_ZIP_BYTES = 64 * 2**30
MAX_ENTRIES = 1_000_000
MAX_DIRECTORY_BYTES = 256 * 2**20
MAX_NAME_BYTES = 240
CHUNK_BYTES = 2**20

_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._+=/-]*")
_CENTRAL = struct.Struct("<10xH4xIII2H12xI")  # method, crc, two sizes, two lengths, offset


class ZipEntry(msgspec.Struct, frozen=True, gc=False):
    """One file: its path with the top folder, its size, its CRC-32 and where its bytes begin."""

    path: str
    size_bytes: int
    crc32: int
    begin: int


class ZipArchive:
    """An archive whose container was found to be canonical; its bodies are for the caller to check.

    Attributes:
        entries: In order of path.
        tail: What stands behind the last body: the directory and the end records.
    """

    def __init__(self, descriptor: int, entries: Sequence[ZipEntry], tail: bytes) -> None:
        self._descriptor = descriptor
        self.entries = entries
        self.tail = tail

    def chunks(self, entry: ZipEntry) -> Iterator[bytes]:
        """A body in pieces of at most 1 MiB, as it is: whoever reads it compares CRC-32 and digest.

        Raises:
            Damaged: `archive-truncated`.
        """
        at, stop = entry.begin, entry.begin + entry.size_bytes
        while at < stop:
            chunk = os.pread(self._descriptor, min(CHUNK_BYTES, stop - at), at)
            if not chunk:
                raise _truncated(at)
            yield chunk
            at += len(chunk)


@contextmanager
def open_archive(
    file: Path, check_name: Callable[[str], None], *, max_bytes: int = MAX_ZIP_BYTES
) -> Iterator[ZipArchive]:
    """Open an archive and check its container.

    Args:
        file: A regular file; links are not followed.
        max_bytes: Larger files are refused.
        check_name: The grammar of names; raises for one that does not belong.

    Raises:
        Malformed: `archive-unreadable`: no regular file.
        TooLarge: `archive-too-large`.
        Damaged: `archive-…`, with `step`, `entry` and `offset`.
    """
    descriptor = _open(file)
    try:
        size_bytes = os.fstat(descriptor).st_size
        if size_bytes > max_bytes:
            raise TooLarge(
                "archive-too-large", f"The file has {size_bytes} bytes, the limit is {max_bytes}."
            )
        yield _Container(descriptor, size_bytes, check_name).archive()
    finally:
        os.close(descriptor)


def shown(name: bytes) -> str:
    """A name for a message: terminals obey control bytes, so these are escaped, and it is cut."""
    return ascii(name[:80].decode("latin-1"))[1:-1]


def _open(file: Path) -> int:
    """Step 1: a regular file, no links followed, opened once."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise Malformed(
            "archive-unreadable", f"{file} cannot be read as a file: {error.strerror}."
        ) from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Malformed("archive-unreadable", f"{file} is not a regular file.")
    return descriptor


class _Container:
    """Steps 2 to 7."""

    def __init__(self, descriptor: int, size_bytes: int, check_name: Callable[[str], None]) -> None:
        self._descriptor = descriptor
        self._size = size_bytes
        self._check_name = check_name

    def archive(self) -> ZipArchive:
        count, directory_bytes, directory_offset, end = self._end()
        directory = self._read(directory_offset, directory_bytes)
        entries = self._walk(directory, count)
        self._lay_out_again(entries, directory, directory_offset, end)
        return ZipArchive(self._descriptor, entries, directory + end)

    def _end(self) -> tuple[int, int, int, bytes]:
        """Steps 2 to 4: the end records stand at the end, and nobody searches for them."""
        if self._size < END_BYTES:
            raise _refused(2, "archive-end", "The file is too short for a ZIP.", 0)
        at = self._size - END_BYTES
        end = self._read(at, END_BYTES)
        signature, _, _, _, count, directory_bytes, directory_offset, comment = struct.unpack(
            "<4s4H2IH", end
        )
        if signature != b"PK\x05\x06" or comment != 0:
            raise _refused(
                2,
                "archive-end",
                "The file does not end with a ZIP's end record: bytes were appended or cut.",
                at,
            )
        if count == MAX_16 or MAX_32 in {directory_bytes, directory_offset}:
            if at < END64_BYTES:
                raise _refused(3, "archive-zip64", "The ZIP64 end records are missing.", at)
            at -= END64_BYTES
            end64 = self._read(at, END64_BYTES)
            signature64, _, _, _, _, _, _, count, directory_bytes, directory_offset = struct.unpack(
                "<4sQ2H2I4Q", end64[:56]
            )
            if signature64 != b"PK\x06\x06" or end64[56:60] != b"PK\x06\x07":
                raise _refused(
                    3, "archive-zip64", "The ZIP64 end records are not where they must be.", at
                )
            end = end64 + end
        if (
            count > MAX_ENTRIES
            or directory_bytes > MAX_DIRECTORY_BYTES
            or directory_bytes < CENTRAL_BYTES * count
            or directory_offset + directory_bytes != at
        ):
            raise _refused(
                4, "archive-directory", "The end record's numbers do not fit this file.", at
            )
        return count, directory_bytes, directory_offset, end

    def _walk(self, directory: bytes, count: int) -> list[ZipEntry]:
        """Steps 5 and 6: exactly so many records; of each only name, size and CRC are taken."""
        entries: list[ZipEntry] = []
        at = body = 0
        last = b""
        top = b""
        for number in range(1, count + 1):
            if at + CENTRAL_BYTES > len(directory) or directory[at : at + 4] != b"PK\x01\x02":
                raise _refused(5, "archive-directory", "A directory record is missing.", at, number)
            method, crc32, packed, size, name_bytes, extra_bytes, _ = _CENTRAL.unpack_from(
                directory, at
            )
            name = directory[at + CENTRAL_BYTES : at + CENTRAL_BYTES + name_bytes]
            extra = (
                directory[at + CENTRAL_BYTES + name_bytes :][:extra_bytes] if extra_bytes else b""
            )
            if method != 0:
                raise _refused(
                    5, "archive-method", "An entry is compressed or encrypted.", at, number
                )
            if size == MAX_32 and len(extra) >= 20:
                size = packed = int.from_bytes(extra[4:12], "little")
            if packed != size:
                raise _refused(5, "archive-directory", "An entry has two sizes.", at, number)
            path = self._path(name, last, top, at, number)
            top = top or name.partition(b"/")[0]
            body += local_bytes(len(name), size)
            entries.append(ZipEntry(path, size, crc32, body))
            body += size
            if body > self._size:
                raise _refused(
                    5,
                    "archive-overlap",
                    "The entries are larger than the file: a bomb, or cut.",
                    at,
                    number,
                )
            at += CENTRAL_BYTES + name_bytes + extra_bytes
            last = name
        if at != len(directory):
            raise _refused(5, "archive-directory", "The directory is longer than its records.", at)
        return entries

    def _path(self, name: bytes, last: bytes, top: bytes, at: int, number: int) -> str:
        if len(name) > MAX_NAME_BYTES or _NAME.fullmatch(name) is None:
            raise _refused(6, "archive-name", f"The name {shown(name)} is not allowed.", at, number)
        if name == last:
            raise _refused(6, "archive-name", f"The name {shown(name)} occurs twice.", at, number)
        if name < last:
            raise _refused(
                6, "archive-name", f"The name {shown(name)} is out of order.", at, number
            )
        if top and name.partition(b"/")[0] != top:
            raise _refused(6, "archive-name", "There is more than one top folder.", at, number)
        path = name.decode("ascii")
        try:
            self._check_name(path)
        except DeedbookError as error:
            raise _refused(
                6,
                "archive-name",
                f"The name {shown(name)} does not belong here: {error.detail}",
                at,
                number,
            ) from None
        return path

    def _lay_out_again(
        self, entries: Sequence[ZipEntry], directory: bytes, directory_offset: int, end: bytes
    ) -> None:
        """Step 7: the only encoding of these names, sizes and CRCs equals the bytes that are there."""
        at = offset = 0
        for number, entry in enumerate(entries, start=1):
            header = local_header(entry.path, entry.size_bytes, entry.crc32)
            if self._read(offset, len(header)) != header:
                raise _refused(
                    7,
                    "archive-header",
                    f"The header of {entry.path} is not as it must be.",
                    offset,
                    number,
                )
            record = central_record(entry.path, entry.size_bytes, entry.crc32, offset)
            if directory[at : at + len(record)] != record:
                raise _refused(
                    7,
                    "archive-directory",
                    f"The directory record of {entry.path} is not as it must be.",
                    directory_offset + at,
                    number,
                )
            at += len(record)
            offset = entry.begin + entry.size_bytes
        if at != len(directory) or offset != directory_offset:
            raise _refused(
                7, "archive-gap", "There are bytes before, between or behind the entries.", offset
            )
        if end != end_records(len(entries), len(directory), directory_offset):
            raise _refused(
                7, "archive-end", "The end records are not as they must be.", self._size - len(end)
            )

    def _read(self, at: int, count: int) -> bytes:
        found = os.pread(self._descriptor, count, at)
        while len(found) < count:
            more = os.pread(self._descriptor, count - len(found), at + len(found))
            if not more:
                raise _truncated(at + len(found))
            found += more
        return found


def _truncated(offset: int) -> Damaged:
    return _refused(1, "archive-truncated", "The file became shorter while it was read.", offset)


def _refused(step: int, code: str, sentence: str, offset: int, entry: int = 0) -> Damaged:
    members: dict[str, int | str] = {"step": step, "offset": offset}
    place = f"step {step}, offset {offset}"
    if entry:
        members["entry"] = entry
        place = f"step {step}, entry {entry}, offset {offset}"
    return Damaged(code, f"{sentence} ({place})", members=members)
