"""The parser: CommonMark without raw HTML, with tables, strikethrough, task lists, mathematics and citations.

Addresses in the text do not become links by themselves: recognising them is too slow on hostile input.
"""

from collections.abc import MutableMapping, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from projections.markdown.citation_links import citation
from projections.markdown.formulas import add_formulas
from projections.markdown.html_output import HtmlOutput


def make_parser() -> MarkdownIt:
    """A parser of its own, to be changed."""
    parser = MarkdownIt(
        "commonmark",
        {"html": False, "inline_definitions": True, "tasklists": True},
        renderer_cls=HtmlOutput,
    )
    parser.enable(["table", "strikethrough"])
    add_formulas(parser)
    parser.inline.ruler.before("link", "citation", citation)
    return parser


def prepared(parser: MarkdownIt) -> MarkdownIt:
    """A parser that is not changed any more, ready to be used by several threads: its rules are compiled now."""
    for ruler in (parser.core.ruler, parser.block.ruler, parser.inline.ruler, parser.inline.ruler2):
        ruler.getRules("")
    return parser


PARSER = prepared(make_parser())


def parse_blocks(
    text: str, references: MutableMapping[str, Any], parser: MarkdownIt = PARSER
) -> list[list[Token]]:
    """The top-level blocks of a text, each with all its tokens; what is inline in them is not parsed yet.

    Args:
        text: With LF as line end.
        references: What labels of links mean; definitions in the text are added.
        parser: Another one, for tests.
    """
    tokens: list[Token] = []
    parser.block.parse(text, parser, {"references": references}, tokens)
    blocks: list[list[Token]] = []
    begins = True
    for token in tokens:
        if begins:
            blocks.append([])
        blocks[-1].append(token)
        begins = token.level == 0 and token.nesting <= 0
    return blocks


def sources(text: str, blocks: Sequence[Sequence[Token]]) -> list[str]:
    """The text of each block; blank lines belong to the block before them, the first ones to the first."""
    starts = [block[0].map[0] if block[0].map else 0 for block in blocks[1:]]
    places = _line_starts(text, starts)
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def _line_starts(text: str, wanted: Sequence[int]) -> list[int]:
    """Where lines begin; their numbers ascend."""
    places: list[int] = []
    at = line = 0
    for number in wanted:
        while line < number:
            at = text.index("\n", at) + 1
            line += 1
        places.append(at)
    return places
