"""WordPiece: the numbers that the reference implementation gives, and bounded work."""

import pytest

from projections.search.wordpiece import MAX_CHARACTERS, MAX_TOKENS, tokens

SMALL = {
    piece: number
    for number, piece in enumerate(
        ["[UNK]", "[CLS]", "[SEP]", "un", "##aff", "##able", "able", ",", "$", "東", "京", "tower"]
    )
}


def test_a_word_is_cut_into_the_longest_pieces_there_are() -> None:
    assert tokens("unaffable", SMALL) == [1, 3, 4, 5, 2]
    assert tokens("Able, un", SMALL) == [1, 6, 7, 3, 2]


def test_case_and_accents_do_not_count() -> None:
    assert tokens("ÛN áble", SMALL) == [1, 3, 6, 2]


def test_punctuation_and_ideographs_stand_alone() -> None:
    assert tokens("un$able", SMALL) == [1, 3, 8, 6, 2]
    assert tokens("東京tower", SMALL) == [1, 9, 10, 11, 2]


def test_a_word_that_cannot_be_cut_is_unknown_as_a_whole() -> None:
    assert tokens("unxaffable able", SMALL) == [1, 0, 6, 2]
    assert tokens("un" * 60, SMALL) == [1, 0, 2]


def test_a_word_of_more_than_a_hundred_characters_is_unknown() -> None:
    hundred = "un" + "aff" * 2 + "able" * 23
    assert tokens(hundred, SMALL) == [1, 3, *[4] * 2, *[5] * 23, 2]
    assert tokens("un" + "aff" + "able" * 24, SMALL) == [1, 0, 2]


def test_control_characters_are_nothing_and_spaces_of_any_kind_separate() -> None:
    assert tokens("u\0n\u200b un\u00a0able\tun", SMALL) == [1, 3, 3, 6, 3, 2]


@pytest.mark.parametrize("text", ["", " ", "\n\u2003", "\u0301"])
def test_nothing_is_the_two_marks(text: str) -> None:
    assert tokens(text, SMALL) == [1, 2]


def test_a_long_text_is_cut_off() -> None:
    found = tokens("able " * 10_000, SMALL)
    assert len(found) == MAX_TOKENS
    assert found[-1] == 2
    assert tokens(" " * MAX_CHARACTERS + "able", SMALL) == [1, 2]
    assert tokens("able " * 10, SMALL, longest=4) == [1, 6, 6, 2]


def test_a_character_that_this_python_does_not_know_belongs_to_its_word() -> None:
    """Else the vectors of a text with a new emoji would change with the next Python."""
    assert tokens("un\U000e0fffaffable able", SMALL) == [1, 0, 6, 2]


def test_greek_is_lowered_letter_by_letter() -> None:
    greek = {**SMALL, "ο": 12, "##σ": 13, "##ς": 14}
    assert tokens("ΟΣ", greek) == [1, 12, 13, 2]
