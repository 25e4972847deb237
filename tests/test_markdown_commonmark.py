"""CommonMark, by its own examples: the parser as it is, ours, and documents that are cut into blocks."""

from random import Random

import pytest
from markdown_it import MarkdownIt

from projections.markdown.parser import make_parser
from projections.markdown.renderer import MarkdownRenderer
from projections.markdown.whole import render_markdown
from tests.markdown_samples import EXAMPLES, at_once, html_of, in_pieces, without_ids


def spelled(html: str) -> str:
    """The same HTML, where two spellings of it differ."""
    return html.replace("<blockquote></blockquote>", "<blockquote>\n</blockquote>").replace(
        "&#x27;", "'"
    )


def test_there_are_all_examples() -> None:
    assert [number for _, _, number in EXAMPLES] == list(range(1, 653))


def test_the_parser_as_it_is_agrees_with_all_of_them() -> None:
    parser = MarkdownIt("commonmark", {"html": True, "xhtmlOut": True})
    differing = [number for text, html, number in EXAMPLES if spelled(parser.render(text)) != html]
    assert differing == []


def test_our_additions_change_none_of_them_once_raw_html_is_allowed() -> None:
    parser = make_parser()
    parser.options["html"] = True
    # Of images the words are shown, which has a test of its own.
    parser.renderer.rules["image"] = MarkdownIt("commonmark").renderer.rules["image"]  # type: ignore[attr-defined]
    env = {"settled": True, "highlight": False}
    differing = [
        number for text, html, number in EXAMPLES if spelled(parser.render(text, {**env})) != html
    ]
    assert differing == []


def test_every_example_cut_anywhere_and_written_in_pieces_is_what_it_is_at_once() -> None:
    random = Random(652)
    for text, _, number in EXAMPLES:
        for end in {len(text), *(random.randint(0, len(text)) for _ in range(4))}:
            renderer = MarkdownRenderer()
            for piece in in_pieces(text[:end], random, (1, 2, 5, 20)):
                renderer.append(piece)
            renderer.finish()
            shown = without_ids(html_of(renderer.snapshot()))
            assert shown == at_once(text[:end]), (number, text[:end])


@pytest.mark.parametrize("seed", range(8))
def test_documents_of_several_examples_are_what_they_are_at_once(seed: int) -> None:
    random = Random(seed)
    for _ in range(200):
        some = [random.choice(EXAMPLES)[0] for _ in range(random.randint(2, 6))]
        text = random.choice(["", "\n"]).join(some)
        assert without_ids(render_markdown(text).html) == at_once(text), text
