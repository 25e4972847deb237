"""Cutting a text into spans of bounded length, and packing small ones together."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

MAX_CHARACTERS = 1_200
"""Of a chunk. Longer ones mix subjects, and a small language model reads no further."""


class Span(NamedTuple):
    """A part of a text, in characters.

    Attributes:
        heading: The way to it.
        start: Where it begins.
        stop: Where it ends.
        level: 1 to 6 if it is a heading itself, otherwise 0.
        body: What is shown instead of the text between the two; empty: that text.
    """

    heading: tuple[str, ...]
    start: int
    stop: int
    level: int = 0
    body: str = ""


def cut(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Parts of at most `MAX_CHARACTERS`, without the blank space around them.

    Cut at line ends; a longer line is cut at a space, and without one anywhere.
    """
    while stop - start > MAX_CHARACTERS:
        edge = start + MAX_CHARACTERS
        at = max(text.rfind("\n", start, edge), text.rfind("\r", start, edge)) + 1
        if not text[start:at].strip():
            at = text.rfind(" ", start + MAX_CHARACTERS // 2, edge) + 1 or edge
        yield from trimmed(text, start, at)
        start = at
    yield from trimmed(text, start, stop)


def trimmed(text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """The span without blank lines before it and blank space behind it; nothing if it is blank."""
    part = text[start:stop]
    kept = part.rstrip()
    if kept:
        blank = part[: len(part) - len(part.lstrip())]
        indent = max(blank.rfind("\n"), blank.rfind("\r")) + 1
        yield start + indent, start + len(kept)


def paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """The spans between blank lines."""
    begun = None
    at = 0
    for line in text.split("\n"):
        if line.strip():
            begun = at if begun is None else begun
        elif begun is not None:
            yield begun, at
            begun = None
        at += len(line) + 1
    if begun is not None:
        yield begun, len(text)


def pack(spans: Iterable[Span]) -> Iterator[Span]:
    """Neighbours together, as many as fit; no text with one across a heading of level 1 or 2.

    A heading stays with the text that follows it. What is packed has the heading path of what comes first
    in it, below headings that lead it.
    """
    held: list[Span] = []
    for span in spans:
        if held and (0 < span.level <= 2 or not _fit(held[0], span)):
            # Headings without a text go on to the next one: a chunk of a heading alone tells
            # nothing, and being so short it would come up first.
            kept = len(held)
            while kept and held[kept - 1].level and _fit(held[kept - 1], span):
                kept -= 1
            if kept:
                yield _joined(held[:kept])
            held = held[kept:]
        held.append(span)
    if held:
        yield _joined(held)


def _fit(first: Span, last: Span) -> bool:
    return last.stop - first.start <= MAX_CHARACTERS


def _joined(spans: list[Span]) -> Span:
    leading = next((one for one in spans if not one.level), spans[-1])
    return Span(leading.heading, spans[0].start, spans[-1].stop)
