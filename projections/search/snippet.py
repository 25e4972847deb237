"""What is shown of a chunk: the part that fits the query best, and where in it the query's words are."""

import re
import unicodedata
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec

from projections.search.terms import places, query_terms

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


def snippet(body: str, query: str) -> Snippet:
    """The part that holds the most of the query's terms, or the start if it holds none.

    Args:
        body: Of a chunk; what is longer than `MAX_BODY_CHARACTERS` is not looked at.
        query: As it was asked.
    """
    text = body[:MAX_BODY_CHARACTERS]
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    words = _words(text, query_terms(query))
    first, behind = _window(words)
    shown = _CUT if first else ""
    marks = []
    for word in words[first:behind]:
        shown += " " if shown and shown != _CUT else ""
        marks += [(len(shown) + start, len(shown) + stop) for start, stop in word.marks]
        shown += word.text
    more = behind < len(words) or len(body) > MAX_BODY_CHARACTERS
    return Snippet(shown + _CUT if more else shown, tuple(marks))


class _Word(NamedTuple):
    text: str
    marks: Sequence[tuple[int, int]]
    terms: AbstractSet[int]


_NO_TERMS: frozenset[int] = frozenset()


def _words(text: str, terms: list[int]) -> list[_Word]:
    """What stands between blank space, with the places in it that fit."""
    found = []
    ahead = iter([*places(text, terms), (len(text), len(text), _NO_TERMS)])
    start, stop, met = next(ahead)
    for one in _WORD.finditer(text):
        said, begins, ends = one[0], one.start(), one.end()
        word = _Word(said, (), _NO_TERMS)
        if start < ends:
            marks: list[tuple[int, int]] = []
            seen: set[int] = set()
            while start < ends:
                if stop - begins < MAX_WORD_CHARACTERS:
                    marks.append((start - begins, stop - begins))
                    seen.update(met)
                start, stop, met = next(ahead)
            word = _Word(said, marks, seen)
        if len(said) > MAX_WORD_CHARACTERS:
            word = word._replace(text=said[: MAX_WORD_CHARACTERS - 1] + _CUT)
        found.append(word)
    return found


def _window(words: Sequence[_Word]) -> tuple[int, int]:
    """The first word that is shown, and the one behind the last."""
    best, first, behind = (0, 0), 0, 0
    here: dict[int, int] = {}
    begin = size = total = 0
    for index, word in enumerate(words):
        size += len(word.text) + 1
        for term in word.terms:
            here[term] = here.get(term, 0) + 1
        total += len(word.terms)
        while size > MAX_CHARACTERS:
            size -= len(words[begin].text) + 1
            for term in words[begin].terms:
                here[term] -= 1
                if not here[term]:
                    del here[term]
            total -= len(words[begin].terms)
            begin += 1
        # A word without a term makes nothing better.
        if word.terms and (worth := (len(here), total)) > best:
            best, first, behind = worth, begin, index + 1
    while first < behind and not words[first].terms:
        first += 1
    return _widened(words, first, behind)


def _widened(words: Sequence[_Word], first: int, behind: int) -> tuple[int, int]:
    """As many words around as there is room for, no more before than half of it."""
    room = MAX_CHARACTERS - sum(len(word.text) + 1 for word in words[first:behind])
    half = room // 2
    while first and (need := len(words[first - 1].text) + 1) <= room - half:
        first, room = first - 1, room - need
    while behind < len(words) and (need := len(words[behind].text) + 1) <= room:
        behind, room = behind + 1, room - need
    while first and (need := len(words[first - 1].text) + 1) <= room:
        first, room = first - 1, room - need
    return first, behind
