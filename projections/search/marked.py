"""A snippet in pieces: what fits the query, and what stands between."""

from collections.abc import Sequence

import msgspec


class Piece(msgspec.Struct, frozen=True):
    """A part of a snippet; whether it fits the query."""

    text: str
    fits: bool


def pieces(text: str, marks: Sequence[tuple[int, int]]) -> tuple[Piece, ...]:
    """The whole text in order; a mark that reaches into the one before, or out of the text, is cut."""
    found = []
    done = 0
    for first, stop in sorted(marks):
        start, end = max(first, done), min(stop, len(text))
        if start < end:
            found += [Piece(text[done:start], fits=False), Piece(text[start:end], fits=True)]
            done = end
    found.append(Piece(text[done:], fits=False))
    return tuple(one for one in found if one.text)
