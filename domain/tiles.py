"""Tiles (C2SP tlog-tiles): a log's tree and entries, cut into pieces that never change.

A tile has up to 256 hashes side by side: at level 0 leaves, at level 1 the roots of full tiles of
level 0, and so on. A partial one has the first few of them; once it is full it stays as it is.
"""

import re
from collections.abc import Iterable

import msgspec

from domain.errors import Damaged, Malformed
from domain.merkle import HASH_BYTES

TILE_HASHES = 256
TILE_HEIGHT = 8
MAX_LEVEL = 7
"""A level more would begin at 2^64 leaves."""
MAX_ENTRY_BYTES = 65_535

_PATH = re.compile(r"([0-9]{1,2})/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([0-9]{1,3}))?")


class Tile(msgspec.Struct, frozen=True):
    """Where a tile stands: its level, its index there, and how many of its hashes are meant."""

    level: int
    index: int
    width: int = TILE_HASHES

    @property
    def full(self) -> bool:
        """Whether it has all its hashes."""
        return self.width == TILE_HASHES

    @property
    def first(self) -> int:
        """The index of its first hash, at its level."""
        return self.index * TILE_HASHES

    def size_needed(self) -> int:
        """The size of the smallest log that has it."""
        return (self.first + self.width) << (TILE_HEIGHT * self.level)


def format_tile(tile: Tile) -> str:
    """The path behind `tile/`: level, index in groups of three digits, and the width of a part."""
    return f"{tile.level}/{_format_rest(tile)}"


def format_entries(tile: Tile) -> str:
    """The same of an entry bundle, behind `tile/entries/`."""
    return _format_rest(tile)


def parse_tile(path: str) -> Tile:
    """A tile's coordinates; no spelling is taken that `format_tile` would not give.

    Raises:
        Malformed: `tile-malformed`.
    """
    found = _PATH.fullmatch(path)
    if found is not None:
        index = int(found[2].replace("x", "").replace("/", ""))
        width = TILE_HASHES if found[3] is None else int(found[3])
        tile = Tile(int(found[1]), index, width)
        if tile.level <= MAX_LEVEL and width and format_tile(tile) == path:
            return tile
    raise Malformed(
        "tile-malformed",
        "A tile is named like 0/000, 1/x001/234 or 0/000.p/17; entries have no level.",
    )


def parse_entries(path: str) -> Tile:
    """The coordinates of an entry bundle.

    Raises:
        Malformed: `tile-malformed`.
    """
    return parse_tile(f"0/{path}")


def tiles_of(size: int) -> Iterable[Tile]:
    """Every tile that the log of a size has, from the leaves up, partial ones last in their level."""
    level = 0
    while size >> (TILE_HEIGHT * level):
        hashes = size >> (TILE_HEIGHT * level)
        for index in range(hashes // TILE_HASHES):
            yield Tile(level, index)
        if hashes % TILE_HASHES:
            yield Tile(level, hashes // TILE_HASHES, hashes % TILE_HASHES)
        level += 1


def format_bundle(lines: Iterable[bytes]) -> bytes:
    """An entry bundle: each entry behind its length, 16 bits, big-endian."""
    return b"".join(len(line).to_bytes(2, "big") + line for line in lines)


def parse_bundle(raw: bytes) -> list[bytes]:
    """The entries of a bundle.

    Raises:
        Damaged: `tile-damaged`.
    """
    lines: list[bytes] = []
    at = 0
    while at < len(raw):
        stop = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if len(raw) < at + 2 or stop > len(raw) or len(lines) == TILE_HASHES:
            raise Damaged("tile-damaged", "This is not an entry bundle: it ends within an entry.")
        lines.append(raw[at + 2 : stop])
        at = stop
    return lines


def parse_hashes(raw: bytes, tile: Tile) -> list[bytes]:
    """The hashes of a tile.

    Raises:
        Damaged: `tile-damaged`.
    """
    if len(raw) != tile.width * HASH_BYTES:
        raise Damaged(
            "tile-damaged",
            f"The tile {format_tile(tile)} has {tile.width * HASH_BYTES} bytes, not {len(raw)}.",
        )
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]


def _format_rest(tile: Tile) -> str:
    digits = f"{tile.index:03d}"
    digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    index = "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
    part = "" if tile.full else f".p/{tile.width}"
    return index + part
