r"""The difference of two texts as rows for a person: lines with their numbers, and in them the words that changed.

Lines come from `domain.diff`. Lines that were deleted and the added ones in their place are compared again, word by
word and across their ends, so that a paragraph that was only broken anew shows no change but that. Where little
stayed, words tell nothing and whole lines are marked. The work is bounded.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, pairwise

import msgspec

from domain.diff import Hunk, Line, Mark, TextDiff, kept

MAX_WORD_CHARACTERS = 2_000
"""On each side of lines that are compared by words; longer ones are marked as a whole."""
MAX_WORD_EDITS = 250
MAX_COMPARED_CHARACTERS = 100_000
"""By words, in one difference; further lines are marked as a whole."""
LEAST_KEPT = 0.25
"""Of the words' characters on the side that has more: below it lines are marked as a whole."""

_WORDS = re.compile(r"\w+|\s|[^\w\s]")


class Part(msgspec.Struct, frozen=True):
    """A part of a line: as it was, or changed."""

    text: str
    changed: bool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        old: Its number in the old text, from 1; None when it was added.
        new: Its number in the new text; None when it was deleted.
        parts: Together its text. A line that changed as a whole is one changed part, also an empty one.
        newline: Whether its text goes on behind it, as in `domain.diff.Line`.
    """

    mark: Mark
    old: int | None
    new: int | None
    parts: tuple[Part, ...]
    newline: bool = True

    @property
    def whole(self) -> bool:
        """Whether all of it changed."""
        return all(part.changed for part in self.parts)


class Fold(msgspec.Struct, frozen=True):
    """Lines that are left out, since they did not change."""

    lines: int


def rows(difference: TextDiff, old_lines: int) -> Iterator[Row | Fold]:
    """The rows of a difference, in order.

    Args:
        difference: As `domain.diff.compare` gives it.
        old_lines: How many lines the old text has.
    """
    room = MAX_COMPARED_CHARACTERS
    shown = 0
    for hunk in difference.hunks:
        first = hunk.old_start - 1 if hunk.old_lines else hunk.old_start
        if first > shown:
            yield Fold(first - shown)
        shown = first + hunk.old_lines
        for row, cost in _hunk_rows(hunk, room):
            room -= cost
            yield row
    if difference.hunks and old_lines > shown:
        yield Fold(old_lines - shown)


def _hunk_rows(hunk: Hunk, room: int) -> Iterator[tuple[Row, int]]:
    """Rows, each with the characters that were compared in order to make it."""
    old = hunk.old_start if hunk.old_lines else hunk.old_start + 1
    new = hunk.new_start if hunk.new_lines else hunk.new_start + 1
    for changed, group in groupby(hunk.lines, key=lambda line: line.mark != " "):
        lines = list(group)
        parts: Sequence[tuple[Part, ...]] = [(Part(line.text, changed),) for line in lines]
        cost = 0
        if changed:
            deleted = [line for line in lines if line.mark == "-"]
            added = [line for line in lines if line.mark == "+"]
            cost = _length(deleted) + _length(added)
            fits = max(_length(deleted), _length(added)) <= MAX_WORD_CHARACTERS
            if deleted and added and fits and cost <= room:
                parts = _words(deleted, added) or parts
            else:
                cost = 0
            room -= cost
        for line, of_line in zip(lines, parts, strict=True):
            row = Row(
                mark=line.mark,
                old=None if line.mark == "+" else old,
                new=None if line.mark == "-" else new,
                parts=of_line,
                newline=line.newline,
            )
            old += line.mark != "+"
            new += line.mark != "-"
            yield row, cost
            cost = 0


def _length(lines: Sequence[Line]) -> int:
    return sum(len(line.text) + 1 for line in lines)


def _words(deleted: Sequence[Line], added: Sequence[Line]) -> list[tuple[Part, ...]] | None:
    """The parts of each line, deleted ones first; None when too little stayed."""
    old, new = (_WORDS.findall(_joined(lines)) for lines in (deleted, added))
    pairs = kept(_alike(old), _alike(new), max_edits=MAX_WORD_EDITS)
    if pairs is None:
        return None
    pairs = _worth_keeping(pairs, old, new)
    stayed = _written(old[i] for i, _ in pairs)
    if stayed < LEAST_KEPT * max(_written(old), _written(new)) or not stayed:
        return None
    return [
        *_split(old, {i for i, _ in pairs}, len(deleted)),
        *_split(new, {j for _, j in pairs}, len(added)),
    ]


def _joined(lines: Sequence[Line]) -> str:
    return "\n".join(line.text for line in lines)


def _alike(words: Sequence[str]) -> list[str]:
    """The words, with a line's end as good as a blank: text that was only broken anew stays."""
    return [" " if word == "\n" else word for word in words]


def _written(words: "Sequence[str] | Iterator[str]") -> int:
    """How many characters of words are among these, and not of what is between words."""
    return sum(len(word) for word in words if _is_word(word))


def _is_word(word: str) -> bool:
    return word[0].isalnum() or word[0] == "_"


def _worth_keeping(
    pairs: Sequence[tuple[int, int]], old: Sequence[str], new: Sequence[str]
) -> list[tuple[int, int]]:
    """The pairs without blanks and points that stand alone between changes: those are nobody's anchor."""
    ends = [
        at
        for at, ((i, j), (after_i, after_j)) in enumerate(pairwise(pairs), start=1)
        if after_i != i + 1 or after_j != j + 1
    ]
    good: list[tuple[int, int]] = []
    for start, stop in pairwise([0, *ends, len(pairs)]):
        run = pairs[start:stop]
        outer = bool(run) and (run[0] == (0, 0) or run[-1] == (len(old) - 1, len(new) - 1))
        if outer or any(_is_word(old[i]) for i, _ in run):
            good += run
    return good


def _split(words: Sequence[str], stayed: set[int], lines: int) -> list[tuple[Part, ...]]:
    """The words as parts of their lines."""
    of_line = accumulate((word == "\n" for word in words), initial=0)
    found: list[list[Part]] = [[] for _ in range(lines)]
    marked = (
        (line, index not in stayed, word)
        for index, (line, word) in enumerate(zip(of_line, words, strict=False))
        if word != "\n"
    )
    for (line, changed), group in groupby(marked, key=lambda one: one[:2]):
        found[line].append(Part("".join(word for _, _, word in group), changed))
    return [tuple(parts) or (Part("", changed=True),) for parts in found]
