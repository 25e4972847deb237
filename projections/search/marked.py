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
        start = max(first, done)
        if start < stop:
            found += [Piece(text[done:start], fits=False), Piece(text[start:stop], fits=True)]
            done = stop
    found.append(Piece(text[done:], fits=False))
    return tuple(one for one in found if one.text)
