"""One-dimensional Postgres arrays in binary form, packed in one go.

psycopg looks at the type of each element of each list; an append passes some forty lists, so here the
caller names the type once. The layout is that of array_recv in PostgreSQL's arrayfuncs.c: dimensions,
whether there are nulls, the element's type, length, lower bound, then each element after its length.
"""

import struct
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

_HEADER = struct.Struct("!iiIii")
_EMPTY = struct.Struct("!iiI")
_LENGTH = struct.Struct("!i").pack
_NULL = _LENGTH(-1)
_BIGINT = struct.Struct("!iq").pack
_INT = struct.Struct("!ii").pack
_UUID_LENGTH = _LENGTH(16)
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Packed:
    """An array ready to be sent; the subclass names its type."""

    __slots__ = ("raw",)
    element_oid = 0

    def __init__(self, parts: Iterable[bytes], count: int, *, nulls: bool = False) -> None:
        if count:
            header = _HEADER.pack(1, int(nulls), self.element_oid, count, 1)
            self.raw = header + b"".join(parts)
        else:
            self.raw = _EMPTY.pack(0, 0, self.element_oid)


class Texts(Packed):
    """text[], with nulls."""

    element_oid = 25

    def __init__(self, values: Sequence[str | None]) -> None:
        parts = []
        nulls = False
        for value in values:
            if value is None:
                nulls = True
                parts.append(_NULL)
            else:
                raw = value.encode()
                parts.append(_LENGTH(len(raw)))
                parts.append(raw)
        super().__init__(parts, len(values), nulls=nulls)


class Byteas(Packed):
    """bytea[]."""

    element_oid = 17

    def __init__(self, values: Sequence[bytes]) -> None:
        super().__init__(
            [part for value in values for part in (_LENGTH(len(value)), value)], len(values)
        )


class Bigints(Packed):
    """bigint[]."""

    element_oid = 20

    def __init__(self, values: Sequence[int]) -> None:
        super().__init__([_BIGINT(8, value) for value in values], len(values))


class Ints(Packed):
    """int[]."""

    element_oid = 23

    def __init__(self, values: Sequence[int]) -> None:
        super().__init__([_INT(4, value) for value in values], len(values))


class Uuids(Packed):
    """uuid[], from their text."""

    element_oid = 2950

    def __init__(self, values: Sequence[str]) -> None:
        super().__init__(
            [_UUID_LENGTH + bytes.fromhex(value.replace("-", "")) for value in values], len(values)
        )


class Times(Packed):
    """timestamptz[]: microseconds since the year 2000."""

    element_oid = 1184

    def __init__(self, values: Sequence[datetime]) -> None:
        super().__init__(
            [_BIGINT(8, (value - _EPOCH) // _MICROSECOND) for value in values], len(values)
        )


class _PackedDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Packed) -> Buffer:
        return obj.raw


def _dumper(array_oid: int) -> type[_PackedDumper]:
    return type("_Dumper", (_PackedDumper,), {"oid": array_oid})


_DUMPERS = {
    Texts: _dumper(1009),
    Byteas: _dumper(1001),
    Bigints: _dumper(1016),
    Ints: _dumper(1007),
    Uuids: _dumper(2951),
    Times: _dumper(1185),
}


def accept_packed(connection: psycopg.Connection) -> None:
    """Let statements on this connection take packed arrays."""
    for kind, dumper in _DUMPERS.items():
        connection.adapters.register_dumper(kind, dumper)
