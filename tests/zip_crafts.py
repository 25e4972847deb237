"""Archives that lie, each made from one good export: what a reader of exports must refuse.

`crafted` gives them by name, with the number of the step that stops each.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from projections.zip_layout import central_record, local_header
from tests.export_samples import files_of, sample_log

LOCAL = ("needed", "flags", "method", "time", "date", "crc32", "packed", "size")
CENTRAL = (
    *("made_by", "needed", "flags", "method", "time", "date", "crc32", "packed", "size"),
    *("disk", "internal", "external", "offset"),
)
MAX_16, MAX_32 = 0xFFFF, 0xFFFFFFFF


@dataclass(frozen=True)
class Part:
    """One entry, and what is wrong with it."""

    name: bytes
    body: bytes
    local: Mapping[str, int] = field(default_factory=dict)
    central: Mapping[str, int] = field(default_factory=dict)
    local_name: bytes | None = None
    local_extra: bytes = b""
    central_extra: bytes = b""
    comment: bytes = b""
    behind: bytes = b""


def parts_of(files: Mapping[str, bytes]) -> list[Part]:
    """The entries of a good export."""
    return [Part(path.encode(), files[path]) for path in sorted(files)]


def build(parts: Sequence[Part], *, moved: int = 0, **end: int) -> bytes:
    """An archive, good but for what its parts say and for the numbers given for its end record."""
    bodies, records = b"", b""
    for part in parts:
        facts = {
            "made_by": 0x032D,
            "needed": 20,
            "flags": 0x0800,
            "method": 0,
            "time": 0x6020,
            "date": 0x21,
            "crc32": zlib.crc32(part.body),
            "packed": len(part.body),
            "size": len(part.body),
            "disk": 0,
            "internal": 0,
            "external": 0o100644 << 16,
            "offset": len(bodies) + moved,
        }
        local, central = facts | dict(part.local), facts | dict(part.central)
        name = part.name if part.local_name is None else part.local_name
        bodies += struct.pack(
            "<4s5H3I2H", b"PK\3\4", *(local[one] for one in LOCAL), len(name), len(part.local_extra)
        )
        bodies += name + part.local_extra + part.body + part.behind
        numbers = [central[one] for one in CENTRAL]
        lengths = (len(part.name), len(part.central_extra), len(part.comment))
        records += struct.pack("<4s6H3I5H2I", b"PK\1\2", *numbers[:9], *lengths, *numbers[9:])
        records += part.name + part.central_extra + part.comment
    facts = {"count": len(parts), "size": len(records), "offset": len(bodies) + moved}
    facts["here"] = len(parts)
    return bodies + records + end_of(**(facts | end))


def end_of(count: int, size: int, offset: int, **other: int) -> bytes:
    """An end record."""
    facts = {"disk": 0, "directory_disk": 0, "here": count, "count": count}
    facts |= {"size": size, "offset": offset, "comment": 0} | other
    return struct.pack("<4s4H2IH", b"PK\5\6", *facts.values())


def end64_of(count: int, size: int, offset: int, *, locator: int | None = None) -> bytes:
    """A ZIP64 end record and its locator."""
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0x032D, 45, 0, 0, count, count, size, offset)
    place = offset + size if locator is None else locator
    return record + struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)


class Crafts:
    """The crafted archives, one method a family."""

    def __init__(self) -> None:
        log = sample_log()
        self.parts = parts_of(files_of(log.lines, log.blobs))
        self.good = build(self.parts)
        self.offset = int.from_bytes(self.good[-6:-2], "little")
        self.size = int.from_bytes(self.good[-10:-6], "little")
        self.count = len(self.parts)

    def changed(self, at: int = 3, **changes: object) -> bytes:
        """The archive with one part changed."""
        part = replace(self.parts[at], **changes)  # type: ignore[arg-type]  # fields of Part
        return build([*self.parts[:at], part, *self.parts[at + 1 :]])

    def named(self, name: bytes) -> bytes:
        """The archive with one more entry, in its place by the order of bytes."""
        parts = sorted([*self.parts, Part(name, b"x")], key=lambda one: one.name)
        return build(parts)

    def all(self) -> Iterator[tuple[str, bytes, int]]:
        """Name, bytes and step of each."""
        yield from self.around()
        yield from self.zip64()
        yield from self.counts()
        yield from self.headers()
        yield from self.entries()
        yield from self.names()

    def around(self) -> Iterator[tuple[str, bytes, int]]:
        """Bytes before, behind and between."""
        good, stub = self.good, b"#!/bin/sh\nexit 0\n"
        directory = good[self.offset : -22]
        yield "bytes before", stub + good, 4
        yield "bytes before, offsets mended", stub + build(self.parts, moved=len(stub)), 7
        yield "one byte behind", good + b"\0", 2
        yield "cut by one byte", good[:-1], 2
        yield "cut in half", good[: len(good) // 2], 2
        yield "nothing at all", b"", 2
        yield "a comment", build(self.parts, comment=5) + b"hello", 2
        inner = end_of(self.count, self.size, self.offset)
        yield "an end record in the comment", build(self.parts, comment=22) + inner, 4
        grown = end_of(self.count, self.size + 22, self.offset)
        yield "the same, its numbers mended", build(self.parts, comment=22) + grown, 5
        yield "two archives", good + good, 4
        yield "two archives, mended", good + build(self.parts, moved=len(good)), 7
        yield "a gap between entries", self.changed(behind=b"gap"), 7
        yield "an archive between entries", self.changed(behind=good), 7
        yield "a gap before the directory", self.changed(self.count - 1, behind=b"gap"), 7
        gap = good[:-22] + b"gap" + good[-22:]
        yield "a gap behind the directory", gap, 4
        twice = good[: self.offset] + directory + directory
        yield "two directories", twice + end_of(self.count, self.size, self.offset), 4

    def zip64(self) -> Iterator[tuple[str, bytes, int]]:
        """ZIP64 where it is not needed, or says something else."""
        rest, count, size, offset = self.good[:-22], self.count, self.size, self.offset
        sentinels = end_of(MAX_16, MAX_32, MAX_32)
        yield "a ZIP64 end without need", rest + end64_of(count, size, offset) + sentinels, 7
        yield "sentinels without a ZIP64 end", rest + sentinels, 3
        yield "sentinels and nothing else", sentinels, 3
        unasked = end64_of(count, size, offset) + self.good[-22:]
        yield "a ZIP64 end that nobody asks for", rest + unasked, 4
        lie = end64_of(count - 1, size, offset) + self.good[-22:]
        yield "a ZIP64 end with another count", rest + lie, 4
        lie = end64_of(count + 1, size, offset) + sentinels
        yield "a ZIP64 end that counts too many", rest + lie, 5
        lie = end64_of(2**40, 2**40, offset) + sentinels
        yield "a ZIP64 end that counts the stars", rest + lie, 4
        lie = end64_of(count, size, offset, locator=0) + sentinels
        yield "a locator that points elsewhere", rest + lie, 7
        one = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, MAX_16, MAX_16, size, offset, 0)
        yield "one sentinel only", rest + end64_of(count, size, offset) + one, 7
        body = self.parts[3].body
        sizes = struct.pack("<2H2Q", 1, 16, len(body), len(body))
        yield "a ZIP64 extra without need", self.changed(central_extra=sizes), 7
        claimed = {"size": MAX_32, "packed": MAX_32, "needed": 45}
        yield (
            "a ZIP64 extra for a small size",
            self.changed(central=claimed, local=claimed, central_extra=sizes, local_extra=sizes),
            7,
        )
        short = struct.pack("<2HQ", 1, 8, len(body))
        yield "a ZIP64 extra too short", self.changed(central=claimed, central_extra=short), 5
        long = struct.pack("<2H3Q", 1, 24, len(body), len(body), 0)
        yield "a ZIP64 extra too long", self.changed(central=claimed, central_extra=long), 7
        huge = struct.pack("<2H2Q", 1, 16, 2**63, 2**63)
        yield (
            "a ZIP64 extra of eight exbibytes",
            self.changed(central=claimed, central_extra=huge),
            5,
        )

    def counts(self) -> Iterator[tuple[str, bytes, int]]:
        """An end record whose numbers are false."""
        parts, count, size = self.parts, self.count, self.size
        yield "a count too high", build(parts, count=count + 1, here=count + 1), 5
        yield "a count too low", build(parts, count=count - 1, here=count - 1), 5
        yield "a count of none", build(parts, count=0, here=0), 5
        yield "a count beyond all limits", build(parts, count=MAX_16 - 1, here=MAX_16 - 1), 4
        yield "two counts", build(parts, here=count - 1), 7
        yield "a directory too short", build(parts, size=size - 46), 4
        yield "a directory too long", build(parts, size=size + 46, offset=self.offset - 46), 5
        yield "a directory elsewhere", build(parts, offset=self.offset - 1), 4
        yield "another disk", build(parts, disk=1), 7
        yield "a directory on another disk", build(parts, directory_disk=1), 7

    def headers(self) -> Iterator[tuple[str, bytes, int]]:
        """Local and central headers that differ, or agree on what is not allowed."""
        size = len(self.parts[3].body)
        other = {"needed": 45, "flags": 0, "method": 8, "time": 0, "date": 0, "crc32": 1}
        other |= {"packed": 1, "size": size + 1}
        for name, value in other.items():
            yield f"local {name} differs", self.changed(local={name: value}), 7
        other |= {"made_by": 0x0314, "disk": 1, "internal": 1, "external": 0, "offset": 0}
        for name, value in other.items():
            step = 5 if name in {"method", "packed", "size"} else 7
            yield f"central {name} differs", self.changed(central={name: value}), step
        both: dict[str, dict[str, int]] = {
            "a name not marked as UTF-8": {"flags": 0},
            "encryption": {"flags": 0x0801},
            "strong encryption": {"flags": 0x0841},
            "a masked directory": {"flags": 0x2800},
            "the present time": {"time": 0x7000, "date": 0x5B00},
            "version 2.0 of somebody else": {"needed": 10},
        }
        for name, values in both.items():
            yield name, self.changed(local=values, central=values), 7
        for method in (1, 8, 12, 14, 93, 95, 97, 98, 99):
            values = {"method": method}
            yield f"method {method}", self.changed(local=values, central=values), 5
        for what, mode in (("link", 0o120777), ("folder", 0o040755), ("setuid", 0o104755)):
            attributes = {"external": mode << 16}
            yield f"the attributes of a {what}", self.changed(central=attributes), 7
        yield "another local name", self.changed(local_name=self.parts[3].name[:-1] + b"x"), 7
        yield "a shorter local name", self.changed(local_name=self.parts[3].name[:-1]), 7
        yield "an entry's comment", self.changed(comment=b"hello"), 5
        path = struct.pack("<2HBI", 0x7075, 9, 1, zlib.crc32(self.parts[3].name)) + b"evil"
        for what, extra in (("Unicode path", path), ("time", b"UT\x05\x00\x01" + bytes(4))):
            yield f"a {what} extra", self.changed(central_extra=extra, local_extra=extra), 7
            yield f"a central {what} extra", self.changed(central_extra=extra), 7
            yield f"a local {what} extra", self.changed(local_extra=extra), 7
        body = self.parts[3].body
        descriptor = struct.pack("<4s3I", b"PK\7\x08", zlib.crc32(body), size, size)
        later, zeros = {"flags": 0x0808}, {"flags": 0x0808, "crc32": 0, "packed": 0, "size": 0}
        yield "a data descriptor", self.changed(local=zeros, central=later, behind=descriptor), 7
        bare = {"flags": 0x0800, "crc32": 0, "packed": 0, "size": 0}
        yield "a zeroed local header", self.changed(local=bare), 7

    def entries(self) -> Iterator[tuple[str, bytes, int]]:
        """Entries twice, out of order, over one another, or larger than the file."""
        parts = self.parts
        yield "an entry twice", build([*parts[:4], *parts[3:]]), 6
        other = replace(parts[3], body=b"other")
        yield "a name twice", build([*parts[:4], other, *parts[4:]]), 6
        yield "two entries swapped", build([*parts[:3], parts[4], parts[3], *parts[5:]]), 6
        yield "the reverse order", build(parts[::-1]), 6
        packed = zlib.compressobj(9, zlib.DEFLATED, -15)
        small = packed.compress(bytes(10_000_000)) + packed.flush()
        bomb = {"method": 8, "size": 10_000_000, "crc32": zlib.crc32(bytes(10_000_000))}
        yield "a bomb", self.changed(body=small, local=bomb, central=bomb), 5
        stored = {"size": 10_000_000, "packed": 10_000_000}
        yield "a bomb that says stored", self.changed(local=stored, central=stored), 5
        first = {"offset": 0}
        yield "two entries on one body", self.changed(4, central=first), 7
        yield "an entry within another", self.nested(), 7
        for at in (0, self.count - 1):
            longer = {"size": len(parts[at].body) + 1, "packed": len(parts[at].body) + 1}
            yield f"entry {at} longer by a byte", self.changed(at, local=longer, central=longer), 7

    def nested(self) -> bytes:
        """The fourth entry's body holds the fifth, header and all."""
        parts, inside = self.parts, self.parts[4]
        inner = local_header(inside.name.decode(), len(inside.body), zlib.crc32(inside.body))
        wide = replace(parts[3], body=parts[3].body + inner + inside.body)
        raw = build([*parts[:3], wide, *parts[5:]])
        begin = raw.index(inner)
        record = central_record(
            inside.name.decode(), len(inside.body), zlib.crc32(inside.body), begin
        )
        offset = int.from_bytes(raw[-6:-2], "little")
        cut = offset + sum(46 + len(one.name) for one in parts[:4])
        directory = raw[offset:cut] + record + raw[cut:-22]
        return raw[:offset] + directory + end_of(self.count, len(directory), offset)

    def names(self) -> Iterator[tuple[str, bytes, int]]:
        """Names that lead elsewhere, look like another, or do not belong into an export."""
        top = b"alpha-16/"
        for name in (
            b"",
            b"../evil",
            b"/etc/passwd",
            b"C:/evil",
            b"c:evil",
            b"//host/share/evil",
            b"~/evil",
            b"alpha-16",
            b"alpha-17/bagit.txt",
            b"beta-16/bagit.txt",
            b"Alpha-16/bagit.txt",
            *(
                top + inside
                for inside in (
                    b"",
                    b"../evil",
                    b"../../evil",
                    b"data/../../evil",
                    b"data/./events.jsonl",
                    b"data//events.jsonl",
                    b"data/..",
                    b"data\\..\\..\\evil",
                    b"data/%2e%2e/evil",
                    b"data/=2e=2e/evil",
                    b"data/\xc0\xae\xc0\xae/evil",
                    b"data/\xef\xbc\x8e\xef\xbc\x8e/evil",
                    b"data/",
                    b"data/artifacts/",
                    b"data/artifacts/PRD/main.v2.md/evil",
                    b"data/evil",
                    b"data/README.MD",
                    b"data/readme.md",
                    b"DATA/README.md",
                    b"data/artifacts/con/x.v1.md",
                    b"data/artifacts/CON/x.v1.md",
                    b"data/artifacts/PRD/con.v1.md",
                    b"data/artifacts/PRD/aux.txt.v1.md",
                    b"data/artifacts/PRD/x.v1.md:stream",
                    b"data/artifacts/PRD/x.v1.md.",
                    b"data/artifacts/PRD/x.v1.md ",
                    b"data/artifacts/PRD/x.v01.md",
                    b"data/artifacts/PRD/x.v0.md",
                    b"data/artifacts/PRD/x.v1.exe",
                    b"data/artifacts/PRD/README.v1.md",
                    b"data/artifacts/PRD/x=2F.v1.md",
                    b"data/artifacts/PRD/x=61.v1.md",
                    b"data/artifacts/PRD/..v1.md",
                    b"data/artifacts/PRD/caf\xc3\xa9.v1.md",
                    b"data/artifacts/PRD/cafe\xcc\x81.v1.md",
                    b"data/artifacts/PRD/a\xe2\x80\xaeb.v1.md",
                    b"data/artifacts/PRD/a\x1b[31m.v1.md",
                    b"data/artifacts/PRD/a\nb.v1.md",
                    b"data/artifacts/PRD/a\x00b.v1.md",
                    b"data/artifacts/PRD/" + b"x" * 200 + b".v1.md",
                    b"data/runs/Run/bundle.json",
                    b"data/runs/nul/bundle.json",
                    b"data/runs/r1/other.v1.json",
                    b"data/runs/r1/plan.json",
                    b"data/citations/PRD/x.v1.md",
                )
            ),
        ):
            yield f"the name {name.decode('latin-1')!a}", self.named(name), 6
