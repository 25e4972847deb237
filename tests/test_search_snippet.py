"""What is shown of a chunk: where it is cut, and what is marked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.search.snippet import MAX_CHARACTERS, MAX_WORD_CHARACTERS, Snippet, Snippets


def snippet(body: str, query: str) -> Snippet:
    return Snippets(query).of(body)


def marked(body: str, query: str) -> list[str]:
    found = snippet(body, query)
    return [found.text[start:stop] for start, stop in found.marks]


@pytest.mark.parametrize(
    ("body", "query", "words"),
    [
        ("Retrying is safe.", "retry", ["Retrying"]),
        ("See IR-005, or ir 005.", "IR-005", ["IR-005", "ir", "005"]),
        ("See IR-005.", "IR", ["IR"]),
        ("in src/app/main.py", "main.py", ["main", "py"]),
        ("in main.py", "main.py", ["main.py"]),
        ("the PostgresEventLog", "event", ["PostgresEventLog"]),
        ("(the client\u2019s)", "the client", ["client\u2019s"]),
        ("at 0123456789abcdef", "0123456", ["0123456789abcdef"]),
        ("nai\u0308ve", "na\u00efve", ["na\u00efve"]),
        ("nothing here", "retry", []),
        ("nothing here", "the", []),
        ("", "retry", []),
    ],
)
def test_words_are_marked_that_mean_the_same(body: str, query: str, words: list[str]) -> None:
    assert marked(body, query) == words


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert snippet("  A line.\n\n\tAnother  one.\n", "x").text == "A line. Another one."


def test_the_part_is_shown_that_holds_most_of_the_query() -> None:
    body = "retry. " + "filler " * 100 + "the retry of an upload waits. " + "filler " * 100
    found = snippet(body, "retry upload")
    assert "the retry of an upload waits." in found.text
    assert [found.text[a:b] for a, b in found.marks] == ["retry", "upload"]
    assert found.text.startswith("\u2026filler ")
    assert found.text.endswith(" filler\u2026")
    before = found.text.index("the retry")
    assert MAX_CHARACTERS // 4 < before < MAX_CHARACTERS // 2 + 10


def test_without_any_word_of_the_query_the_start_is_shown() -> None:
    text = snippet("One two. " + "filler " * 100, "meaning").text
    assert text.startswith("One two. filler")
    assert text.endswith("filler\u2026")


def test_a_match_at_the_very_end_is_shown_with_what_comes_before() -> None:
    text = snippet("filler " * 100 + "retry", "retry").text
    assert text.endswith(" filler retry")
    assert len(text) > MAX_CHARACTERS - 10


def test_of_a_word_without_spaces_only_the_start_is_shown() -> None:
    found = snippet("x" * 50 + "/retry/" + "y" * 5_000 + "/retry", "retry")
    assert len(found.text) == MAX_WORD_CHARACTERS
    assert [found.text[a:b] for a, b in found.marks] == ["retry"]


def test_a_text_that_is_too_long_is_not_all_looked_at() -> None:
    found = snippet("filler " * 20_000 + "retry", "retry")
    assert found.marks == ()
    assert found.text.endswith("\u2026")


WORDS = st.sampled_from(["retry", "Retrying", "a", "src/retry.py", "x" * 90, "\n", "\u00e9", "."])
TEXTS = st.one_of(st.text(), st.lists(WORDS, max_size=200).map(" ".join))


@given(TEXTS, st.one_of(st.text(max_size=20), st.just("retry py")))
def test_any_snippet_is_short_and_its_marks_lie_in_it_in_order(body: str, query: str) -> None:
    found = snippet(body, query)
    assert len(found.text) <= MAX_CHARACTERS + 2
    edges = [edge for mark in found.marks for edge in mark]
    assert edges == sorted(edges)
    assert all(0 <= start < stop <= len(found.text) for start, stop in found.marks)
    if "retry" in body and query == "retry py" and len(body) < 10_000:
        assert found.marks or "x" * 60 in body
