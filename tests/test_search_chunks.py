"""Where texts are cut: nothing is lost, blocks stay whole, and every chunk says where it stands."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.search import markdown_chunks
from projections.search.chunks import MAX_CHUNKS, Chunk, Chunked, chunks
from projections.search.cutting import MAX_CHARACTERS
from projections.search.json_chunks import MAX_DEPTH

MARKDOWN, JSON, TEXT = "text/markdown", "application/json", "text/plain"
WORDS = "word " * 40


def squeezed(text: str) -> str:
    return "".join(text.split())


def bodies(found: Chunked) -> str:
    return squeezed("".join(one.body for one in found.chunks))


def markdown(text: str, title: str = "") -> list[tuple[tuple[str, ...], str]]:
    return [(one.heading, one.body) for one in chunks(text, MARKDOWN, title).chunks]


def test_a_chunk_has_the_way_to_it() -> None:
    text = "# Plan\n\nFirst.\n\n## Steps\n\n### One\n\nDo *it*.\n\n## `run` the [end](x)\n\nLast.\n"
    assert markdown(text) == [
        (("Plan",), "# Plan\n\nFirst."),
        (("Plan", "Steps", "One"), "## Steps\n\n### One\n\nDo *it*."),
        (("Plan", "run the end"), "## `run` the [end](x)\n\nLast."),
    ]


def test_the_way_starts_with_the_known_title() -> None:
    text = "# Use Postgres\n\nWhy.\n"
    assert markdown(text, "ADR-7: Use Postgres") == [(("ADR-7: Use Postgres",), text.strip())]
    assert markdown(text, "ADR-7") == [(("ADR-7", "Use Postgres"), text.strip())]


@pytest.mark.parametrize(
    ("text", "media_type", "title"),
    [
        ("# Stated\n\nx", MARKDOWN, "Stated"),
        ("---\ntitle: In front\n---\n# Stated\n", MARKDOWN, "In front"),
        ("x", MARKDOWN, "given"),
        ("# Stated\n", TEXT, "given"),
        ("# Stated\n", "Text/Markdown; charset=utf-8", "Stated"),
    ],
)
def test_the_title_is_what_the_text_states(text: str, media_type: str, title: str) -> None:
    assert chunks(text, media_type, "given").title == title


def test_front_matter_is_no_text() -> None:
    text = "---\ntitle: T\nstatus: Accepted\n---\n\nBody.\n"
    (found,) = chunks(text, MARKDOWN, "").chunks
    assert found == Chunk(0, ("T",), "Body.", text.index("Body"), text.index("Body") + 5)
    assert markdown("\ufeff---\r\na: b\r\n...\r\nBody.") == [((), "Body.")]
    assert markdown("---\na: b\n---") == []
    assert markdown("---\nno end: x\n\nBody.") == [((), "---\nno end: x\n\nBody.")]


def test_blocks_are_packed_while_they_fit() -> None:
    paragraph = WORDS.strip()
    found = chunks("\n\n".join([paragraph] * 13), MARKDOWN, "").chunks
    assert [one.body.count(paragraph) for one in found] == [5, 5, 3]


@pytest.mark.parametrize("mark", ["#", "##"])
def test_no_chunk_goes_across_a_large_heading(mark: str) -> None:
    assert [body for _, body in markdown(f"a\n\n{mark} H\n\nb\n\n### I\n\nc")] == [
        "a",
        f"{mark} H\n\nb\n\n### I\n\nc",
    ]


def test_headings_without_a_text_go_on_to_the_next_one() -> None:
    assert markdown("a\n\n## B\n\n### C\n\n## D\n\nd\n\n## E\n") == [
        ((), "a"),
        (("D",), "## B\n\n### C\n\n## D\n\nd"),
        (("E",), "## E"),
    ]


def test_a_heading_goes_with_what_follows_it() -> None:
    text = f"{WORDS * 4}\n\n{WORDS}\n\n### Small\n\n#### Smaller\n\n{WORDS * 2}\n"
    (_, first), (heading, second) = markdown(text)
    assert first.endswith("word")
    assert second.startswith("### Small\n\n#### Smaller\n\nword")
    assert heading == ("Small", "Smaller")


def test_a_heading_in_a_quote_or_a_fence_is_none() -> None:
    text = "# A\n\n> # B\n\n```\n# C\n```\n"
    assert markdown(text) == [(("A",), text.strip())]


@pytest.mark.parametrize(
    ("opening", "line", "closing"),
    [("```sh", "make all # word", "```"), ("| a | b |\n|---|---|", "| word | word |", "")],
)
def test_fences_and_tables_are_cut_only_if_they_alone_are_too_long(
    opening: str, line: str, closing: str
) -> None:
    fits = f"{opening}\n" + f"{line}\n" * 50 + closing
    found = markdown(f"{WORDS * 3}\n\n{fits}\n\n{WORDS}\n")
    assert [body for _, body in found][1].startswith(fits.strip())
    long = f"{opening}\n" + f"{line}\n" * 500 + closing
    pieces = [body for _, body in markdown(long)]
    assert len(pieces) == 1 + len(long) // MAX_CHARACTERS
    for piece in pieces:
        assert set(piece.splitlines()) <= {*opening.splitlines(), line, closing}


def test_a_long_list_is_cut_between_its_items() -> None:
    item = "- " + "word " * 4 + "\n  " + "more " * 20 + "\n"
    assert MAX_CHARACTERS % len(item) > item.index("\n")
    for _, body in markdown(item * 60):
        assert body.startswith("- word")
        assert body.endswith("more")


def test_a_line_that_is_too_long_is_cut_between_words_if_there_are_any() -> None:
    assert all(re.fullmatch(r"(word ?)+", body) for _, body in markdown("word " * 1_000))
    assert [len(body) for _, body in markdown("x" * 3_000)] == [1_200, 1_200, 600]


def test_a_text_longer_than_a_slice_is_cut_as_if_parsed_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "".join(f"## H{n}\n\n{WORDS}\n\n```\n# no {n}\n\n{WORDS}\n```\n\n" for n in range(30))
    whole = chunks(text, MARKDOWN, "T")
    for size in (500, 777, 1_000, 1_300):
        monkeypatch.setattr(markdown_chunks, "SLICE_CHARACTERS", size)
        assert chunks(text, MARKDOWN, "T") == whole


def test_a_line_longer_than_a_slice_is_cut_to_its_end_wherever_it_stands() -> None:
    for before in ("", "# Plan\n", "First.\n\n"):
        text = before + "word " * 50_000 + "end\n\nLast.\n"
        found = chunks(text, MARKDOWN, "")
        assert bodies(found) == squeezed(text)


def test_each_field_of_json_is_a_chunk() -> None:
    text = json.dumps({"state": "passed", "checks": {"lint": ["a", 1], 'q"': None}})
    assert [(one.heading, one.body) for one in chunks(text, JSON, "T").chunks] == [
        (("T", "state"), '"state": "passed"'),
        (("T", "checks"), '"checks": {"lint": ["a", 1], "q"": null}'),
    ]


def test_a_large_field_of_json_is_opened() -> None:
    text = json.dumps({"a": {"b": {"c": WORDS * 8}, "d": 1, "e": 2}, "f": [{"g": WORDS}] * 12})
    found = chunks(text, JSON, "").chunks
    assert [one.heading for one in found] == [
        *[("a", "b", "c")] * 2,
        ("a",),
        *[("f",)] * 3,
    ]
    assert found[2].body == '"d": 1, "e": 2'
    assert all(one.body.startswith('{"g"') for one in found[3:])


def test_json_is_opened_to_a_depth() -> None:
    text = '{"a":' * 50 + json.dumps(WORDS * 8) + "}" * 50
    found = chunks(text, JSON, "").chunks
    assert {one.heading for one in found} == {("a",) * MAX_DEPTH}
    deeper = "[" * 900 + json.dumps(WORDS * 8) + "]" * 900
    assert len(chunks(deeper, JSON, "").chunks) > 1


def test_what_json_escapes_is_read() -> None:
    text = r'{"a\u0062": "line\nRetry \"x\" \\n \u00e9 \ud83d\ude00 \u0000\tz"}'
    (found,) = chunks(text, "application/vnd.x+json", "").chunks
    assert found.heading == ("ab",)
    assert found.body == '"ab": "line\nRetry "x" \\n \u00e9 \U0001f600 \ufffd\tz"'


def test_a_pair_of_escapes_that_is_cut_leaves_no_half_of_a_character() -> None:
    for before in range(1_180, 1_200):
        found = chunks(json.dumps("x" * before + "\U0001f600"), JSON, "").chunks
        assert "".join(one.body for one in found).encode()


@pytest.mark.parametrize("text", ["{", '{"a": 1}}', "nope", "[" * 100_000, "\ud800", "NaN"])
def test_what_is_no_json_is_cut_like_any_text(text: str) -> None:
    assert chunks(text, JSON, "t") == chunks(text, TEXT, "t")


@pytest.mark.parametrize("text", ["[]", "{}", "", " \n"])
def test_nothing_has_no_chunks(text: str) -> None:
    assert chunks(text, JSON, "t") == Chunked("t", (), truncated=False)
    assert bodies(chunks(text, MARKDOWN, "t")) == squeezed(text)


def test_other_text_is_cut_at_paragraphs() -> None:
    paragraph = WORDS * 3 + "\n"
    found = chunks(f"\n\n{paragraph}\n  \n{paragraph}\r\n\r\n{paragraph}", TEXT, "").chunks
    assert [one.body for one in found] == [paragraph.strip()] * 3


def test_more_than_is_indexed_is_said() -> None:
    line = "x" * 700 + "\n\n"
    whole = chunks(line * MAX_CHUNKS, TEXT, "")
    assert (len(whole.chunks), whole.truncated) == (MAX_CHUNKS, False)
    for media_type in (TEXT, MARKDOWN):
        more = chunks(line * (MAX_CHUNKS + 1), media_type, "")
        assert (len(more.chunks), more.truncated) == (MAX_CHUNKS, True)
    assert chunks(" " * 3_000_000 + "x", TEXT, "").truncated
    assert not chunks("x" + " " * 3_000_000, TEXT, "").truncated
    assert chunks(json.dumps(["x" * 700] * 2_001), JSON, "").truncated


@pytest.mark.parametrize(
    "text",
    [
        "> " * 50_000,
        ("> " * 30 + "a\n") * 1_000,
        "- a\n" * 25_000,
        "# a\n" * 10_000,
        "[a]: b\n" * 10_000,
        "a|b\n-|-\n" + "|" * 100_000,
        "```\n" * 20_000,
        "*a **" * 20_000 + "\n===\n",
        "# " + "[" * 100_000,
        " " * 100_000 + "x",
        "\x00\x00",
        "\r" * 1_000 + "a\rb",
    ],
)
def test_hostile_markdown_is_cut_all_the_same(text: str) -> None:
    """In quadratic time most of these would not end within the test's limit."""
    found = chunks(text, MARKDOWN, "")
    assert found.truncated or bodies(found) == squeezed(text).replace("\0", "\ufffd")


BLOCKS = st.sampled_from(
    [
        *("# H", "## `I` ##", "### J", "K\n===", "L\n---", "* * *", "para graph", WORDS * 3),
        *(
            "```\n# x\n\ny\n```",
            "~~~",
            "> q\n> # h\nlazy",
            "- a\n\n  b\n- c",
            "1. a\n   - b",
            "\tcode",
        ),
        *(
            "| a | b |\n|---|---|\n| c | d |",
            "<div>\n\nx\n</div>",
            "[a]: b",
            "---\nt: x\n---",
            "\r",
        ),
        *("", " ", "x" * 1_300, "\ufeff", "\0", "\ud800", "\x0b", "\u2028"),
    ]
)
ENDS = st.sampled_from(["\n", "\n\n", "\r\n", "\r", " "])
DOCUMENTS = st.one_of(
    st.text(),
    st.lists(st.tuples(BLOCKS, ENDS), max_size=30).map(
        lambda made: "".join(block + end for block, end in made)
    ),
)


def check_chunks(text: str, found: Chunked) -> None:
    at = 0
    for ordinal, one in enumerate(found.chunks):
        assert one.ordinal == ordinal
        assert at <= one.start < one.stop <= len(text)
        assert one.body.strip()
        assert one.stop - one.start <= MAX_CHARACTERS
        at = one.stop


@settings(max_examples=150)
@given(DOCUMENTS, st.sampled_from([MARKDOWN, TEXT, JSON, "", ";"]), st.text(max_size=5))
def test_chunks_hold_all_of_any_text(text: str, media_type: str, title: str) -> None:
    found = chunks("x\n\n" + text, media_type, title)  # no front matter
    check_chunks("x\n\n" + text, found)
    assert bodies(found) == squeezed("x\n\n" + text).replace("\0", "\ufffd")
    check_chunks(text, chunks(text, media_type, title))


VALUES = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(), st.just(WORDS * 8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=30,
)


@settings(max_examples=100)
@given(VALUES, st.sampled_from([None, 1]))
def test_chunks_hold_all_of_any_json(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent)
    found = chunks(text, JSON, "T")
    check_chunks(text, found)
    kept = "".join(text[one.start : one.stop] for one in found.chunks)
    assert re.sub(r"[\s{}\[\],:]", "", kept) == re.sub(
        r"[\s{}\[\],:]", "", _without_names_of_opened(text, found)
    )


def _without_names_of_opened(text: str, found: Chunked) -> str:
    """The text without the names of opened fields, which stand in the heading paths instead."""
    at, left = 0, ""
    for one in [*found.chunks, None]:
        gap = text[at : one.start if one else len(text)]
        left += re.sub(r'"(?:[^"\\]|\\.)*"\s*:', "", gap)
        if one:
            left += text[one.start : one.stop]
            at = one.stop
    return left
