"""What a check counted, as a bar: in proportion, and nothing that is there is too thin to be seen."""

import pytest

from domain.verification import Counts
from projections.check_bar import LEAST, WIDTH, check_bar


def widths(counts: Counts, result: str = "PASSED") -> dict[str, int]:
    bar = check_bar(counts, result)
    start = 0
    for segment in bar.segments:
        assert segment.start == start
        start += segment.width
    assert start == WIDTH
    return {segment.part: segment.width for segment in bar.segments}


def test_parts_stand_in_proportion_failures_first() -> None:
    found = widths(Counts(total=10, passed=5, failed=2, errors=1, skipped=2), "FAILED")
    assert list(found.items()) == [("bad", 300), ("good", 500), ("rest", 200)]


def test_flaky_tests_are_warned_of_and_not_counted_twice() -> None:
    assert widths(Counts(total=4, passed=4, flaky=1)) == {"warn": 250, "good": 750}


def test_one_among_very_many_can_be_seen() -> None:
    found = widths(Counts(passed=10**9, failed=1, skipped=1, flaky=1))
    assert found == {"bad": LEAST, "warn": LEAST, "good": WIDTH - 3 * LEAST, "rest": LEAST}


@pytest.mark.parametrize(
    ("result", "part"), [("PASSED", "good"), ("WARNED", "warn"), ("FAILED", "bad"), ("?", "rest")]
)
def test_where_nothing_was_counted_the_result_fills_the_bar(result: str, part: str) -> None:
    assert widths(Counts(), result) == {part: WIDTH}


def test_the_words_say_what_was_counted() -> None:
    counts = Counts(total=1_204, passed=1_201, failed=1, errors=2, suppressed=3)
    assert check_bar(counts, "FAILED").text == "1,201 passed, 1 failed, 2 errors, 3 suppressed"
    assert check_bar(Counts(errors=1, warnings=1, notes=1), "FAILED").text == (
        "1 error, 1 warning, 1 note"
    )
    assert check_bar(Counts(errors=0), "PASSED").text == "nothing found"
    assert check_bar(Counts(), "PASSED").text == ""
