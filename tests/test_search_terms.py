"""What counts as a term, what it weighs, and what a hostile text may cost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.search.terms import (
    identifiers,
    query_counts,
    query_terms,
    term_id,
    weight,
    weights,
)


def ids(*terms: str) -> list[int]:
    return [term_id(term) for term in terms]


def test_a_terms_number_is_the_published_one() -> None:
    assert term_id("ir-005") == 1972645198
    assert term_id("retri") == 2093981


@given(st.text())
def test_a_terms_number_fits_a_signed_column(term: str) -> None:
    assert 0 <= term_id(term) < 2**31


@pytest.mark.parametrize(
    ("count", "length", "expected"), [(1, 32, 1.0), (2, 64, 1.0731707), (3, 10, 1.8429319)]
)
def test_a_weight_is_bm25s(count: int, length: int, expected: float) -> None:
    assert math.isclose(weight(count, length), expected, abs_tol=5e-8)


def test_a_text_is_as_long_as_its_terms() -> None:
    found = weights("retry the retries of IR-005")
    assert found[term_id("retri")] == weight(2, 5)
    assert found == {
        term_id("retri"): weight(2, 5),
        **dict.fromkeys(ids("ir-005", "ir", "005"), weight(1, 5)),
    }


def test_a_term_counts_as_often_as_it_is_asked_for() -> None:
    counts = query_counts("Logs, and the log of an index")
    assert list(counts.items()) == [(term_id("log"), 2), (term_id("index"), 1)]
    assert query_counts("the") == {}


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("IR-005", "ir-005 ir 005"),
        ("IR 005", "ir 005"),
        ("snake_case", "snake_case snake case"),
        ("PostgresEventLog", "postgreseventlog postgr event log"),
        ("src/app/main.py", "src/app/main.py src app main py"),
        ("v1.2.3", "v1.2.3 v1 2 3"),
        ("retry the indexes", "retri index"),
        ("HTTPServer", "httpserver http server"),
        ("ERC20Token", "erc20token erc20 token"),
        ("HTTP Server SHA256", "http server sha256"),
        ("the client\u2019s queue", "client queue"),
        ("--force... (really)", "forc realli"),
        ("a..b__c", "b c"),
        ("\ufb01ne \uff29\uff32-005", "fine ir-005 ir 005"),
        ("na\u00efve", "na\u00efv"),
        ("nai\u0308ve", "na\u00efv"),
        ("\u6771\u4eac tower", "\u6771\u4eac tower"),
    ],
)
def test_a_text_is_split_as_described(text: str, terms: str) -> None:
    assert query_terms(text) == ids(*terms.split())


def test_a_commit_is_found_by_its_short_form() -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    terms = query_terms(commit)
    assert terms == ids(commit, commit[:7], commit[:8], commit[:12])
    for size in (7, 8, 12):
        assert query_terms(commit[:size].upper())[0] in terms


def test_a_short_form_itself_counts_once() -> None:
    assert weights("0123456789ab")[term_id("0123456789ab")] == weight(1, 3)


def test_hexadecimal_digits_are_never_split_or_stemmed() -> None:
    assert query_terms("abCD1ed") == ids("abcd1ed")
    assert query_terms("0xB5801a7D3983") == ids(
        "0xb5801a7d3983", "0xb5801", "0xb5801a", "0xb5801a7d39"
    )
    assert query_terms("defaced") == ids("defac")


def test_a_query_keeps_its_order_and_names_each_term_once() -> None:
    assert query_terms("Index the log, then index logs") == ids("index", "log")
    assert query_terms("to be or what") == []


def test_a_joined_word_that_is_too_long_gives_only_its_parts() -> None:
    assert query_terms("/".join(["ab"] * 21 + ["c"])) == ids(
        "/".join(["ab"] * 21 + ["c"]), "ab", "c"
    )
    assert query_terms("/".join(["ab"] * 21 + ["cd"])) == ids("ab", "cd")
    assert query_terms("x" * 128) == ids("x" * 128)
    assert query_terms("x" * 129) == query_terms("x" * 129 + "/a") == []


@pytest.mark.parametrize(
    "text",
    [
        "a" * 300_000,
        "a/" * 150_000,
        "word.part-" * 30_000,
        "a" + "\u0301\u0316" * 150_000,
        "aB" * 150_000,
        "0f" * 150_000,
        "." * 300_000,
        "\ufdfa" * 30_000,
        "\ud800 lone \x00",
    ],
)
def test_a_hostile_text_gives_few_terms(text: str) -> None:
    """In quadratic time none of these would end within the test's limit."""
    assert len(weights(text)) < 10


@given(st.text())
def test_any_text_has_terms_of_finite_weight(text: str) -> None:
    found = weights(text)
    assert set(found) == set(query_terms(text))
    assert all(0 < one < 2.2 for one in found.values())


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("EIP-2718", ["eip-2718"]),
        ("IR 005", ["ir-005"]),
        ("eip 20?", ["eip-20"]),
        ("src/app/main.py, v1.2.3", ["src/app/main.py", "v1.2.3"]),
        ("ADR-1 adr-1", ["adr-1"]),
        ("#123", ["123"]),
        ("\uff29\uff32\uff0d005", ["ir-005"]),
        ("see EIP-2718", None),
        ("retry 3 times", None),
        ("the", None),
        ("- --", None),
        ("", None),
    ],
)
def test_only_a_query_of_nothing_else_names_identifiers(
    query: str, expected: list[str] | None
) -> None:
    assert identifiers(query) == expected
