"""Differences by words: what is marked is what changed, and the rows are still the two texts."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.diff import compare
from projections import word_diff
from projections.word_diff import Fold, Row, rows

TEXTS = st.lists(
    st.sampled_from(["the ", "quick ", "fox", ", ", "\n", "\n\n", "über ", "a\tb ", "0", "\r\n"]),
    max_size=40,
).map("".join)


def told(old: str, new: str) -> list[str]:
    """The rows as they are read: changed parts in brackets."""
    found = []
    for row in rows(compare(old, new), len(old.splitlines())):
        if isinstance(row, Fold):
            found.append(f"… {row.lines}")
        else:
            parts = (f"[{one.text}]" if one.changed else one.text for one in row.parts)
            found.append(row.mark + "".join(parts))
    return found


def shown(old: str, new: str, *, context: int = 10_000) -> list[Row]:
    found = list(rows(compare(old, new, context=context), old.count("\n") + 1))
    return [row for row in found if isinstance(row, Row)]


def test_only_the_words_that_changed_are_marked() -> None:
    assert told("The quick brown fox\n", "The quick red fox, twice\n") == [
        "-The quick [brown] fox",
        "+The quick [red] fox[, twice]",
    ]


def test_a_paragraph_that_was_broken_anew_has_no_changed_word() -> None:
    assert told("one two three four\nfive six\n", "one two\nthree four five six\n") == [
        "-one two three four",
        "-five six",
        "+one two",
        "+three four five six",
    ]


def test_what_has_little_in_common_is_marked_as_a_whole() -> None:
    """Two sentences share blanks and a point, and an `a` somewhere: marks between them tell nothing."""
    assert told("We deploy on a Friday.\n", "Nothing else holds in a storm.\n") == [
        "-[We deploy on a Friday.]",
        "+[Nothing else holds in a storm.]",
    ]


def test_blanks_between_two_changed_words_are_part_of_the_change() -> None:
    assert told("Keep it all, red green here\n", "Keep it all, blue black here\n") == [
        "-Keep it all, [red green] here",
        "+Keep it all, [blue black] here",
    ]


def test_lines_that_only_came_or_went_are_marked_as_a_whole() -> None:
    assert told("a\nb\n", "a\n\nnew\nb\n") == [" a", "+[]", "+[new]", " b"]
    assert told("", "one\n") == ["+[one]"]
    assert told("one\n", "") == ["-[one]"]


def test_unchanged_lines_are_folded_and_counted() -> None:
    lines = [f"line {number}" for number in range(1, 41)]
    changed = lines.copy()
    changed[9], changed[29] = "line ten", "line thirty"
    found = list(rows(compare("\n".join(lines) + "\n", "\n".join(changed) + "\n"), 40))
    assert [(at, one.lines) for at, one in enumerate(found) if isinstance(one, Fold)] == [
        (0, 6),
        (9, 13),
        (18, 7),
    ]


def test_a_single_line_at_the_end_is_folded_too() -> None:
    assert told("a\nb\nc\nd\ne\n", "A\nb\nc\nd\ne\n")[-1] == "… 1"
    assert told("a\nb\nc\nd\n", "A\nb\nc\nd\n")[-1] == " d"


def test_equal_texts_have_no_rows() -> None:
    assert list(rows(compare("same\n", "same\n"), 1)) == []


def test_a_missing_end_of_line_is_told() -> None:
    [before, after] = shown("same\n", "same")
    assert (before.newline, after.newline) == (True, False)
    assert not before.whole


@given(TEXTS, TEXTS)
def test_the_rows_are_the_two_texts_with_their_lines_numbered(old: str, new: str) -> None:
    found = shown(old, new)
    if old == new:
        assert found == []
        return
    for text, number in ((old, "old"), (new, "new")):
        side = [row for row in found if getattr(row, number) is not None]
        assert [getattr(row, number) for row in side] == list(range(1, len(side) + 1))
        written = ("".join(one.text for one in row.parts) + "\n" * row.newline for row in side)
        assert "".join(written) == text


@given(TEXTS, TEXTS)
def test_what_is_not_marked_stands_on_both_sides(old: str, new: str) -> None:
    """But for blanks and ends of lines, which count as the same."""
    stayed = {"-": "", "+": ""}
    for row in shown(old, new):
        if row.mark != " ":
            stayed[row.mark] += "".join(one.text for one in row.parts if not one.changed) + "\n"
    assert stayed["-"].split() == stayed["+"].split()


def test_what_is_too_long_is_marked_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = "the same words again and red\n", "the same words again and blue\n"
    assert not shown(old, new)[0].whole
    monkeypatch.setattr(word_diff, "MAX_WORD_CHARACTERS", 20)
    assert all(row.whole for row in shown(old, new))


def test_what_is_looked_at_by_words_has_a_limit_for_all_lines_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = "the same words and red\n\nstays\n\nother words that are red\n"
    new = old.replace("red", "blue")
    for context in (0, 3):  # in two hunks, and in one
        found = shown(old, new, context=context)
        assert [row.whole for row in found if row.mark != " "] == [False] * 4
    monkeypatch.setattr(word_diff, "MAX_COMPARED_CHARACTERS", 60)
    for context in (0, 3):
        found = shown(old, new, context=context)
        assert [row.whole for row in found if row.mark != " "] == [False] * 2 + [True] * 2


def test_words_that_were_shuffled_are_given_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"word{number}" for number in range(60)]
    shuffled = words.copy()
    random.Random(7).shuffle(shuffled)
    monkeypatch.setattr(word_diff, "MAX_WORD_EDITS", 10)
    assert all(row.whole for row in shown(" ".join(words) + "\n", " ".join(shuffled) + "\n"))
