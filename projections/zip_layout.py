"""The one encoding of a set of files as a ZIP: STORED, fixed metadata, ZIP64 only where it must be.

Names, sizes and CRCs determine every header, every offset and the total, so an archive is laid out
without reading contents, and there is exactly one archive for a set of files. Field names are those of
PKWARE's APPNOTE 6.3 (4.3.7 local header, 4.3.12 central directory, 4.3.14 to 4.3.16 end records).
"""

import struct

MAX_16, MAX_32 = 0xFFFF, 0xFFFFFFFF
MADE_BY = 0x032D  # Unix, 4.5
NEEDED, NEEDED_ZIP64 = 20, 45
FLAGS = 0x0800  # names are UTF-8; no data descriptors
TIME, DATE = 0x6020, 0x0021  # 1980-01-01 12:01:00
ATTRIBUTES = 0o100644 << 16
LOCAL_BYTES, CENTRAL_BYTES, END_BYTES, END64_BYTES = 30, 46, 22, 76

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")


def local_header(path: str, size_bytes: int, crc32: int) -> bytes:
    """What stands before a file's bytes."""
    name = path.encode("utf-8")
    large = size_bytes >= MAX_32
    extra = struct.pack("<2H2Q", 1, 16, size_bytes, size_bytes) if large else b""
    shown = MAX_32 if large else size_bytes
    needed = NEEDED_ZIP64 if large else NEEDED
    fixed = _LOCAL.pack(
        b"PK\x03\x04", needed, FLAGS, 0, TIME, DATE, crc32, shown, shown, len(name), len(extra)
    )
    return fixed + name + extra


def local_bytes(path_bytes: int, size_bytes: int) -> int:
    """How long the header is for a path of so many bytes."""
    return LOCAL_BYTES + path_bytes + (20 if size_bytes >= MAX_32 else 0)


def central_record(path: str, size_bytes: int, crc32: int, offset: int) -> bytes:
    """A file's record in the central directory; `offset` is that of its local header."""
    name = path.encode("utf-8")
    extra = b""
    shown_size, shown_offset, needed = size_bytes, offset, NEEDED
    if size_bytes >= MAX_32:
        extra += struct.pack("<2Q", size_bytes, size_bytes)
        shown_size = MAX_32
    if offset >= MAX_32:
        extra += struct.pack("<Q", offset)
        shown_offset = MAX_32
    if extra:
        extra = struct.pack("<2H", 1, len(extra)) + extra
        needed = NEEDED_ZIP64
    fixed = _CENTRAL.pack(
        b"PK\x01\x02", MADE_BY, needed, FLAGS, 0, TIME, DATE, crc32, shown_size, shown_size,
        len(name), len(extra), 0, 0, 0, ATTRIBUTES, shown_offset,
    )  # fmt: skip
    return fixed + name + extra


def end_records(entries: int, directory_bytes: int, directory_offset: int) -> bytes:
    """What stands at the end, with the ZIP64 records where a number needs them."""
    zip64 = entries >= MAX_16 or directory_bytes >= MAX_32 or directory_offset >= MAX_32
    before = b""
    if zip64:
        before = _END64.pack(
            b"PK\x06\x06", 44, MADE_BY, NEEDED_ZIP64, 0, 0,
            entries, entries, directory_bytes, directory_offset,
        ) + _LOCATOR.pack(b"PK\x06\x07", 0, directory_offset + directory_bytes, 1)  # fmt: skip
    count = min(entries, MAX_16)
    return before + _END.pack(
        b"PK\x05\x06", 0, 0, count, count,
        min(directory_bytes, MAX_32), min(directory_offset, MAX_32), 0,
    )  # fmt: skip
