"""Markdown rendered piece by piece: the same in the end however it came, with work that is linear in the text."""

import codecs
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from projections.live_render import Block
from projections.markdown import renderer as limits
from projections.markdown.parser import PARSER
from projections.markdown.renderer import MAX_BLOCK_CHARACTERS, MarkdownRenderer
from projections.markdown.whole import render_markdown
from tests.markdown_samples import (
    DOCUMENTS,
    EXAMPLES,
    applied,
    at_once,
    html_of,
    in_pieces,
    without_ids,
)

FRAGMENTS = [
    "a", "b c", " ", "  ", "    ", "\n", "\n\n", "\r\n", "\r", "\0", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "é", "日本", "😀", "*", "**",
    "_", "~~", "`", "```", "~~~", "[", "]", "(", ")", "[a]", "[a]: /u\n", "[b]: <u> 'x'\n", "[a][b]", "![", "<http://x>", "&amp;", "\\",
    "#", "# a\n", "- ", "1. ", "> ", "- [x] ", "|", "| a | b |\n", "|--|:-:|\n", "---\n", "---", "k: v\n", "===\n", "$", "$$", "$$\n", "$a$",
    "\\begin{align}\n", "\\end{align}\n", "[@a]", "citation:1", "[x](citation:2)", "<script>", "\t",
]  # fmt: skip


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.sampled_from(FRAGMENTS), max_size=25).map("".join),
    st.randoms(use_true_random=False),
)
def test_the_same_text_is_the_same_in_the_end_however_it_was_cut(text: str, random: Random) -> None:
    renderer = MarkdownRenderer()
    shown: list[Block] = []
    for piece in decoded(text.encode(), random):
        applied(renderer.append(piece), shown)
        assert shown == list(renderer.snapshot())
        assert [one.index for one in shown] == list(range(len(shown)))
    applied(renderer.finish(), shown)
    assert shown == list(renderer.snapshot())
    assert not any(one.open for one in shown)
    whole = render_markdown(text)
    assert html_of(shown) == whole.html
    assert renderer.headings == whole.headings
    assert renderer.citations == whole.citations
    assert renderer.front_matter == whole.front_matter


def decoded(raw: bytes, random: Random) -> Iterator[str]:
    """Pieces of bytes, also within characters, decoded as they come."""
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    at = 0
    while at < len(raw):
        size = random.choice((1, 1, 2, 3, 7, 20))
        yield decoder.decode(raw[at : at + size])
        at += size


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_documents_are_the_same_in_the_end_with_any_line_ends(name: str, end: str) -> None:
    text = DOCUMENTS[name]
    whole = render_markdown(text)
    renderer = MarkdownRenderer()
    for piece in decoded(text.replace("\n", end).encode(), Random(name + end)):
        renderer.append(piece)
    renderer.finish()
    assert html_of(renderer.snapshot()) == whole.html


def test_cut_into_blocks_documents_are_what_they_are_at_once() -> None:
    for name in ("decision_record", "threat_notes", "runbook"):  # without front matter and formulas
        text = DOCUMENTS[name].replace("[@", "[")
        assert without_ids(render_markdown(text).html) == at_once(text)


@pytest.mark.parametrize("seed", range(4))
def test_limits_are_reached_at_the_same_places_however_the_text_was_cut(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BLOCK_CHARACTERS", 60)
    monkeypatch.setattr(limits, "MAX_TEXT_CHARACTERS", 500)
    monkeypatch.setattr(limits, "MAX_MARKED_CHARACTERS", 100)
    random = Random(seed)
    for _ in range(100):
        some = [random.choice(EXAMPLES)[0] for _ in range(random.randint(1, 12))]
        text = random.choice(["", "\n", "x" * 130]).join(some)
        renderer = MarkdownRenderer()
        for piece in in_pieces(text, random, (1, 3, 20, 90)):
            renderer.append(piece)
        renderer.finish()
        assert html_of(renderer.snapshot()) == render_markdown(text).html, text


def test_a_block_that_is_too_long_is_shown_as_it_is_written_and_the_rest_is_not() -> None:
    line = "Some **words** in a line.\n"
    long = line * (MAX_BLOCK_CHARACTERS // len(line) + 2)
    html = render_markdown(f"# Before\n\n{long}\n## After\n\n{line}").html
    assert html.startswith('<h1 id="h-before">Before</h1>\n<pre class="too-long">\nSome **words**')
    assert html.endswith(
        '<h2 id="h-after">After</h2>\n<p>Some <strong>words</strong> in a line.</p>\n'
    )
    line_alone = render_markdown("x" * 5 * MAX_BLOCK_CHARACTERS).html
    assert line_alone.count('<pre class="too-long">\nx') == 4
    assert line_alone.count("x") == 5 * MAX_BLOCK_CHARACTERS


def test_what_comes_after_the_longest_text_is_shown_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert limits.MAX_TEXT_CHARACTERS == 2 * 1024 * 1024
    monkeypatch.setattr(limits, "MAX_TEXT_CHARACTERS", 15 * 100)
    text = "word **bold**\n\n" * 10_000
    html = render_markdown(text).html
    assert html.count("<strong>") == 100
    assert 9_890 < html.count("**bold**") <= 9_900  # some are cut in two


def test_a_definition_that_comes_late_changes_those_who_asked_for_it_and_nobody_else() -> None:
    renderer = MarkdownRenderer()
    shown: list[Block] = []
    for text in ("One [a].\n\n", "Two.\n\n", "# [A][] and [b]\n\n", "Three.\n\n"):
        applied(renderer.append(text), shown)
    changes = [*renderer.append("[a]: /here\n\nFour.\n\n")]
    applied(changes, shown)
    assert [one.index for one in changes if isinstance(one, Block) and not one.open][:2] == [0, 2]
    assert "/here" in shown[0].html
    assert shown[2].html == (
        '<h1 id="h-a-and-b"><a href="/here" rel="noopener noreferrer nofollow">A</a> and [b]</h1>\n'
    )
    again = [*renderer.append("[a]: /there\n\nFive.\n\n")]
    assert not any(isinstance(one, Block) and one.index < 4 for one in again)


def test_definitions_within_a_quotation_and_unfinished_ones_hold_from_the_time_they_are_whole() -> (
    None
):
    renderer = MarkdownRenderer()
    shown: list[Block] = []
    applied(renderer.append("[a]\n\nb\n\n> [a]: /whole"), shown)
    assert shown[0].html == "<p>[a]</p>\n"
    applied(renderer.append("-address\n\nEnd\n"), shown)
    applied(renderer.finish(), shown)
    assert 'href="/whole-address"' in shown[0].html


def test_the_work_is_linear_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters parsed for each character of the text, in pieces of 20."""
    text = DOCUMENTS["runbook"] + DOCUMENTS["decision_record"]
    one, four = work(text, monkeypatch), work(text * 4, monkeypatch)
    assert abs(four / one - 1) < 0.2
    assert one < 20


def work(text: str, monkeypatch: pytest.MonkeyPatch) -> float:
    parsed = 0
    parse = type(PARSER.block).parse

    def counting(self: Any, src: str, *others: Any) -> Any:
        nonlocal parsed
        parsed += len(src)
        return parse(self, src, *others)

    with monkeypatch.context() as patch:
        patch.setattr(type(PARSER.block), "parse", counting)
        renderer = MarkdownRenderer()
        for at in range(0, len(text), 20):
            renderer.append(text[at : at + 20])
        renderer.finish()
    return parsed / len(text)


def test_pieces_without_text_change_nothing() -> None:
    renderer = MarkdownRenderer()
    assert not renderer.append("")
    assert renderer.append("a")
    assert not renderer.append("")
    assert renderer.finish() == [Block(0, "<p>a</p>\n", open=False)]
    empty = MarkdownRenderer()
    assert not empty.finish()
    assert not empty.snapshot()


def test_a_carriage_return_waits_for_what_follows() -> None:
    renderer = MarkdownRenderer()
    renderer.append("a\r")
    renderer.append("\nb\r")
    renderer.finish()
    assert html_of(renderer.snapshot()) == render_markdown("a\nb\n").html == "<p>a\nb</p>\n"
