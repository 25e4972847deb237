"""What a check counted, as a bar: how wide each part is, and the same in words."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from domain.verification import Counts

WIDTH = 1_000
"""Of a whole bar."""
LEAST = 15
"""Of a part that is there at all: one failure among ten thousand is to be seen."""

Part = Literal["good", "bad", "warn", "rest"]
NAMES = ("passed", "failed", "errors", "skipped", "flaky", "warnings", "notes", "suppressed")
_OF_RESULT: Mapping[str, Part] = {"PASSED": "good", "WARNED": "warn", "FAILED": "bad"}


class Segment(msgspec.Struct, frozen=True):
    """A part of the bar, of `WIDTH`."""

    part: Part
    start: int
    width: int


class Bar(msgspec.Struct, frozen=True):
    """The parts from left to right, failures first, and what was counted in words."""

    segments: tuple[Segment, ...]
    text: str


def check_bar(counts: Counts, result: str) -> Bar:
    """The bar of a check. Where nothing was counted, the result alone fills it."""
    numbers = {name: getattr(counts, name) or 0 for name in NAMES}
    amounts: dict[Part, int] = {
        "bad": numbers["failed"] + numbers["errors"],
        "warn": numbers["flaky"] + numbers["warnings"],
        "good": max(0, numbers["passed"] - numbers["flaky"]),
        "rest": numbers["skipped"] + numbers["notes"],
    }
    words = ", ".join(
        f"{number:,} {name.removesuffix('s') if number == 1 else name}"
        for name, number in numbers.items()
        if number
    )
    if not any(amounts.values()):
        amounts = {_OF_RESULT.get(result, "rest"): 1}
    return Bar(_segments(amounts), words or ("nothing found" if counts.errors == 0 else ""))


def _segments(amounts: Mapping[Part, int]) -> tuple[Segment, ...]:
    there = {part: amount for part, amount in amounts.items() if amount}
    total = sum(there.values())
    widths = {part: max(LEAST, WIDTH * amount // total) for part, amount in there.items()}
    widest = max(widths, key=lambda part: widths[part])
    widths[widest] += WIDTH - sum(widths.values())
    found, start = [], 0
    for part, width in widths.items():
        found.append(Segment(part, start, width))
        start += width
    return tuple(found)
