"""What is shown of a chunk: the part that fits the query best, and where in it the query's words are."""

import re
import unicodedata
from collections import deque
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

import msgspec

from projections.search.terms import Places, query_terms

MAX_CHARACTERS = 240
MAX_BODY_CHARACTERS = 20_000
MAX_WORD_CHARACTERS = 80
"""Of one word without a space; of a longer one, such as an address, the start is shown."""

_WORD = re.compile(r"\S+")
_CUT = "\u2026"


class Snippet(msgspec.Struct, frozen=True):
    """A part of a chunk's text.

    Attributes:
        text: On one line; an ellipsis stands where the chunk's text goes on.
        marks: First character, and that behind the last, of the words whose terms the query has.
    """

    text: str
    marks: tuple[tuple[int, int], ...]


class Snippets:
    """Makes the snippets of one query's hits.

    Args:
        query: As it was asked.
    """

    def __init__(self, query: str) -> None:
        self._places = Places(query_terms(query))

    def of(self, body: str) -> Snippet:
        """The part that holds the most of the query's terms, or the start if it holds none.

        Args:
            body: Of a chunk; what is longer than `MAX_BODY_CHARACTERS` is not looked at.
        """
        text = body[:MAX_BODY_CHARACTERS]
        if not text.isascii():
            text = unicodedata.normalize("NFC", text)
        words = [one.span() for one in _WORD.finditer(text)]
        marked = self._marked(text, words)
        # Of the words as they are shown, with a space before each.
        ends = [0, *accumulate(min(end - start, MAX_WORD_CHARACTERS) + 1 for start, end in words)]
        first, behind = _widened(ends, *_window(ends, marked))
        shown = _CUT if first else ""
        marks: list[tuple[int, int]] = []
        for index in range(first, behind):
            start, end = words[index]
            shown += " " if shown and shown != _CUT else ""
            if index in marked:
                at = len(shown) - start
                marks += [(at + one, at + other) for one, other in marked[index].places]
            if end - start > MAX_WORD_CHARACTERS:
                shown += text[start : start + MAX_WORD_CHARACTERS - 1] + _CUT
            else:
                shown += text[start:end]
        more = behind < len(words) or len(body) > MAX_BODY_CHARACTERS
        return Snippet(shown + _CUT if more else shown, tuple(marks))

    def _marked(self, text: str, words: Sequence[tuple[int, int]]) -> "dict[int, _Marked]":
        """The words, by number, in which there is something that fits."""
        found: dict[int, _Marked] = {}
        index = 0
        for start, stop, met in self._places.of(text):
            while words[index][1] <= start:
                index += 1
            if stop - words[index][0] < MAX_WORD_CHARACTERS:
                word = found.setdefault(index, _Marked([], set()))
                word.places.append((start, stop))
                word.terms.update(met)
        return found


class _Marked(NamedTuple):
    places: list[tuple[int, int]]
    terms: set[int]


def _window(ends: Sequence[int], marked: Mapping[int, _Marked]) -> tuple[int, int]:
    """The first word with a term that is shown, and the one behind the last."""
    best, first, behind = (0, 0), 0, 0
    here: dict[int, int] = {}
    held: deque[int] = deque()
    total = 0
    for index, word in marked.items():
        held.append(index)
        total += len(word.terms)
        for term in word.terms:
            here[term] = here.get(term, 0) + 1
        while ends[index + 1] - ends[held[0]] > MAX_CHARACTERS:
            gone = marked[held.popleft()].terms
            total -= len(gone)
            for term in gone:
                here[term] -= 1
                if not here[term]:
                    del here[term]
        if (worth := (len(here), total)) > best:
            best, first, behind = worth, held[0], index + 1
    return first, behind


def _widened(ends: Sequence[int], first: int, behind: int) -> tuple[int, int]:
    """As many words around as there is room for, no more before than half of it."""
    room = MAX_CHARACTERS - (ends[behind] - ends[first])
    half = room // 2
    while first and (need := ends[first] - ends[first - 1]) <= room - half:
        first, room = first - 1, room - need
    while behind < len(ends) - 1 and (need := ends[behind + 1] - ends[behind]) <= room:
        behind, room = behind + 1, room - need
    while first and (need := ends[first] - ends[first - 1]) <= room:
        first, room = first - 1, room - need
    return first, behind
