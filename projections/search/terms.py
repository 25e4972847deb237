"""The terms of a text: what the lexical half of search counts, the same for documents and queries.

A word is letters and digits, joined inside by `.`, `_`, `-`, `/` or an apostrophe. A joined word is
a term itself and gives its parts as well, so that `IR-005` meets both `ir-005` and `IR 005`. A part
in camelCase gives its humps. Words of prose are reduced to their stems by Snowball's English
algorithm (https://snowballstem.org/algorithms/english/stemmer.html); other languages are found by
their words as written.

Time and memory grow with the text's length and no faster, whatever it holds.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator
from functools import lru_cache
from hashlib import blake2b
from itertools import pairwise

from snowballstemmer.english_stemmer import EnglishStemmer

LONGEST_JOINED = 64
"""Characters of a joined word that is a term itself; of a longer one only the parts are."""
LONGEST_STEMMED = 64
"""Characters of a part that is stemmed and looked at for humps."""
LONGEST_PART = 128
"""Characters of a part that is a term at all: the hexadecimal digits of a SHA-512 digest."""

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 32
"""BM25's constants. With a fixed average length a weight is final: nothing is computed again as a
project grows. `docs/search-quality.md` says what each choice brings."""

_FREQUENT = """
a an the this that these those such some any each every all both few more most other own same
i me my we us our you your he him his she her it its they them their theirs who whom whose which what
am is are was were be been being has have had having do does did doing will would shall should can
could may might must
and or but nor if then than so as because while until unless although though whether when where why how
of in on at by for with about against between into through during before after above below to from up
down out off over under again further once here there too very just also
s t ll re ve
"""
STOP_WORDS = frozenset(_FREQUENT.split())
"""The function words of English, and what an apostrophe leaves of some: they tell nothing apart."""

_PIECE = re.compile(r"\S{1,256}|\s+")
_RUN = re.compile(r"[\w.\-/']+")
_LONGEST_RUN = 512
_JOINED = re.compile(r"[^\W_]+(?:[._\-/'][^\W_]+)*")
_JOINED_IN_TEXT = re.compile(r"[^\W_]+(?:[._\-/'\u2019\u02bc\u2010][^\W_]+){0,31}")
_PART = re.compile(r"[^\W_]+")
_HEX = re.compile(r"(?=[a-f]*[0-9])(?:0x)?[0-9a-f]{7,}")
_SHORT_SHAS = (7, 8, 12)
_JOINS = str.maketrans({"\u2019": "'", "\u02bc": "'", "\u2010": "-"})
_AROUND = ".,;:!?()[]{}<>\"'`#"
_NUMBERED = re.compile(r"([A-Za-z]{2,12}) (\d+)")


def term_id(term: str) -> int:
    """The number that stands for a term: 31 bits of its BLAKE2b digest (RFC 7693).

    Two of 100,000 terms share a number about twice, which is harmless. A lone surrogate counts as
    a question mark.
    """
    digest = blake2b(term.encode("utf-8", "replace"), digest_size=4).digest()
    return int.from_bytes(digest, "big") & 0x7FFFFFFF


def weights(text: str) -> dict[int, float]:
    """The BM25 weight of each term of a text, by the term's number, without the IDF.

    The length that BM25 asks for is the number of terms, each as often as it stands there.
    """
    counts = Counter(_numbers(text))
    length = counts.total()
    return {term: weight(count, length) for term, count in counts.items()}


def weight(count: int, length: int) -> float:
    """BM25's weight of a term that stands `count` times in a text of `length` terms.

    Robertson and Zaragoza, The Probabilistic Relevance Framework (2009), section 3.5.
    """
    return count * (K1 + 1) / (count + K1 * (1 - B + B * length / AVERAGE_LENGTH))


def query_counts(text: str) -> dict[int, int]:
    """How often each term stands in a query, in order of appearance; empty if all are stop words.

    A term counts in the score as often as it was asked for: of a long question, what it says twice
    is what it is about.
    """
    return dict(Counter(_numbers(text)))


def query_terms(text: str) -> list[int]:
    """The distinct terms of a query, in order of appearance."""
    return list(query_counts(text))


def identifiers(query: str) -> list[str] | None:
    """The identifiers in lower case if the whole query is identifiers, otherwise None.

    An identifier holds a digit or is joined by one of `.`, `_`, `-` and `/`. A name and a number
    are one as well when they are all there is: `IR 005` asks for `ir-005`.
    """
    words = [word.strip(_AROUND) for word in _normal(query).split()]
    words = [word for word in words if word]
    if numbered := _NUMBERED.fullmatch(" ".join(words)):
        return ["-".join(numbered.groups()).lower()]
    if not words or not all(_is_identifier(word) for word in words):
        return None
    return list(dict.fromkeys(word.lower() for word in words))


class Places:
    """Finds where words of some terms stand in texts: those of one query, in each of its hits.

    A joined word is one place if it is a term itself, otherwise each of its parts is looked at. What was found
    of a word is remembered, since most words come again.
    """

    def __init__(self, terms: Collection[int]) -> None:
        self._wanted = frozenset(terms)
        self._known: dict[str, tuple[tuple[int, int, frozenset[int]], ...]] = {}

    def of(self, text: str) -> list[tuple[int, int, frozenset[int]]]:
        """From, to, and which terms; the text is in NFC, and short: a chunk's."""
        found = []
        known = self._known
        for run in _JOINED_IN_TEXT.finditer(text):
            word = run[0]
            within = known.get(word)
            if within is None:
                within = known[word] = tuple(self._within(word))
            if within:
                start = run.start()
                found += [(start + first, start + behind, met) for first, behind, met in within]
        return found

    def _within(self, run: str) -> Iterator[tuple[int, int, frozenset[int]]]:
        word = run if run.isascii() else run.translate(_JOINS)
        found = _word(word) if len(word) <= LONGEST_JOINED else ()
        if found and found[0] in self._wanted:
            yield 0, len(run), self._wanted.intersection(found)
            return
        if word.isalnum() and self._wanted.isdisjoint(found):
            return  # it is its only part
        for part in _PART.finditer(run):
            found = _word(part[0]) if len(part[0]) <= LONGEST_PART else ()
            if met := self._wanted.intersection(found):
                yield part.start(), part.end(), met


def _is_identifier(word: str) -> bool:
    return any(map(str.isalnum, word)) and any(one.isdigit() or one in "._-/" for one in word)


def _numbers(text: str) -> Iterator[int]:
    for run in _RUN.finditer(_normal(text)):
        if run.end() - run.start() > _LONGEST_RUN:
            for part in _PART.finditer(run[0]):
                yield from _part(part[0]) if len(part[0]) <= LONGEST_PART else ()
        else:
            for word in _JOINED.findall(run[0]):
                yield from _word(word) if len(word) <= LONGEST_JOINED else _parts(word)


def _normal(text: str) -> str:
    """The text in NFKC; in pieces, since sorting many marks on one letter takes quadratic time."""
    if text.isascii():
        return text
    pieces = (unicodedata.normalize("NFKC", piece) for piece in _PIECE.findall(text))
    return "".join(pieces).translate(_JOINS)


@lru_cache(maxsize=65_536)
def _word(word: str) -> tuple[int, ...]:
    """The terms of a word that is short enough to be remembered."""
    if word.isalnum():
        return tuple(_part(word))
    word = word.removesuffix("'s")
    itself = () if word.isalnum() else (term_id(word.lower()),)
    return (*itself, *_parts(word))


def _parts(word: str) -> Iterator[int]:
    for part in _PART.findall(word):
        yield from _part(part) if len(part) <= LONGEST_PART else ()


def _part(part: str) -> Iterator[int]:
    """The terms of letters and digits: itself or its stem, then short SHAs or humps."""
    lower = part.lower()
    if _HEX.fullmatch(lower):
        yield term_id(lower)
        if len(lower) >= _SHORT_SHAS[-1]:
            yield from (term_id(lower[:size]) for size in _SHORT_SHAS if size < len(lower))
    elif len(part) > LONGEST_STEMMED:
        yield term_id(lower)
    else:
        yield from _stem(lower)
        for hump in _humps(part):
            yield from _stem(hump.lower())


@lru_cache(maxsize=65_536)
def _stem(word: str) -> tuple[int, ...]:
    """The number of the word's stem, or nothing for a stop word."""
    if word in STOP_WORDS:
        return ()
    # A stemmer keeps its work in itself, so each call has its own: threads may meet here.
    return (term_id(EnglishStemmer().stemWord(word)),)


def _humps(part: str) -> tuple[str, ...]:
    """The humps of camelCase, such as `HTTP` and `Server`; none for a word of a single one."""
    if part.isupper() or part[1:] == part[1:].lower():
        return ()
    starts = [0]
    for index, (before, here) in enumerate(pairwise(part), start=1):
        following = part[index + 1 : index + 2]
        if here.isupper() and (not before.isupper() or following.islower()):
            starts.append(index)
    if len(starts) == 1:
        return ()
    return tuple(part[start:stop] for start, stop in pairwise([*starts, len(part)]))
