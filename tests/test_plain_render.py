"""Plain text shown while it is written: the same blocks however it comes, and nothing of it is markup."""

from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.live_render import Block, Change, Truncate
from projections.plain_render import MAX_BLOCK_CHARACTERS, PlainRenderer

TEXTS = st.text(alphabet="ab \t\r\n<&", max_size=80)


def applied(changes: list[Change], blocks: list[Block] | None = None) -> list[Block]:
    shown = [] if blocks is None else blocks
    for change in changes:
        if isinstance(change, Truncate):
            del shown[change.count :]
        else:
            shown[change.index : change.index + 1] = [change]
    return shown


def text_of(blocks: list[Block]) -> str:
    return "".join(
        unescape(one.html.removeprefix("<pre>\n").removesuffix("</pre>")) for one in blocks
    )


@given(st.lists(TEXTS, max_size=8))
def test_the_blocks_are_the_text_and_the_same_however_it_is_cut(pieces: list[str]) -> None:
    piecewise, at_once = PlainRenderer(), PlainRenderer()
    shown: list[Block] = []
    for index, piece in enumerate(pieces):
        applied(list(piecewise.append(piece)), shown)
        assert shown == list(piecewise.snapshot())
        assert text_of(shown) == "".join(pieces[: index + 1])
        assert [one.index for one in shown] == list(range(len(shown)))
    applied(list(piecewise.finish()), shown)
    whole = applied([*at_once.append("".join(pieces)), *at_once.finish()])
    assert shown == whole == list(piecewise.snapshot())
    assert not any(one.open for one in shown)


@pytest.mark.parametrize("pieces", [5, 7, MAX_BLOCK_CHARACTERS, 10**6])
def test_a_paragraph_without_an_end_is_cut_at_the_same_places(pieces: int) -> None:
    text = "x\n" * MAX_BLOCK_CHARACTERS + "y" * (MAX_BLOCK_CHARACTERS + 1)
    renderer = PlainRenderer()
    shown: list[Block] = []
    for at in range(0, len(text), pieces):
        applied(list(renderer.append(text[at : at + pieces])), shown)
    applied(list(renderer.finish()), shown)
    assert text_of(shown) == text
    assert [len(text_of([one])) for one in shown] == [MAX_BLOCK_CHARACTERS] * 3 + [1]


def test_paragraphs_are_blocks_and_only_the_last_is_open() -> None:
    renderer = PlainRenderer()
    renderer.append("\n\nOne\nmore\n \n\nTwo <b>\n")
    assert list(renderer.snapshot()) == [
        Block(0, "<pre>\n\n\nOne\nmore\n \n\n</pre>", open=False),
        Block(1, "<pre>\nTwo &lt;b&gt;\n</pre>", open=True),
    ]
    assert list(renderer.append("")) == []


def test_the_work_is_linear_in_the_text() -> None:
    """Characters rendered for each character of input, at one size and at four times that."""

    def work(paragraphs: int) -> float:
        renderer = PlainRenderer()
        text = ("word " * 40 + "\n\n") * paragraphs
        rendered = sum(
            len(change.html)
            for at in range(0, len(text), 20)
            for change in renderer.append(text[at : at + 20])
            if isinstance(change, Block)
        )
        return rendered / len(text)

    assert abs(work(400) / work(100) - 1) < 0.05
