"""Markdown in spans: whole blocks, by the line ranges that the CommonMark parser gives them.

Only blocks are parsed, no inline text but that of headings. A table is a paragraph here, and so is
the definition of a link's target: neither changes where a text may be cut.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

from domain.documents import MAX_FRONT_MATTER_LINES, front_matter
from projections.search.cutting import MAX_CHARACTERS, Span, cut, pack, trimmed

MAX_HEADING_CHARACTERS = 200
SLICE_CHARACTERS = 200_000
"""Are parsed at a time, since a parser keeps some 500 bytes for each block."""

_NEWLINE = re.compile(r"\r\n?|\n")
_SPACED = ("softbreak", "hardbreak")


def markdown_spans(text: str, title: str) -> Iterator[Span]:
    """The spans of a Markdown text, each with its heading path.

    Args:
        text: All of it; its front matter is left out.
        title: The path starts with it, if it is not empty. A first heading that the title says
            already is not repeated.
    """
    return pack(_pieces(text, title))


class _Block(NamedTuple):
    start: int
    stop: int
    level: int
    content: str
    inner: tuple[int, ...]
    """Where blocks within it begin."""


def _pieces(text: str, title: str) -> Iterator[Span]:
    path = [""] * 6
    for block in _blocks(text, _after_front_matter(text)):
        if block.level:
            path[block.level - 1 :] = [block.content] + [""] * (6 - block.level)
        said = path[1:] if path[0].casefold() in title.casefold() else path
        heading = tuple(one for one in (title, *said) if one)
        whole = block.stop - block.start <= MAX_CHARACTERS
        edges = (block.start, block.stop) if whole else (block.start, *block.inner, block.stop)
        for start, stop in pairwise(edges):
            for part in trimmed(text, start, stop) if whole else cut(text, start, stop):
                yield Span(heading, *part, block.level)


def _blocks(text: str, start: int) -> Iterator[_Block]:
    """The blocks at the top of the document's tree, in order."""
    parser = MarkdownIt("commonmark").disable(["reference"])
    parser.core.ruler.enableOnly(["normalize", "block"])
    inline = MarkdownIt("commonmark")
    while start < len(text):
        end = start + SLICE_CHARACTERS
        if end < len(text):
            behind_line = text.rfind("\n", start, end) + 1
            end = behind_line if behind_line > start else end  # a line may be longer than a slice
        last = end >= len(text)
        part = text[start:end]
        lines = [start, *(start + found.end() for found in _NEWLINE.finditer(part)), end]
        found = list(_top(parser.parse(part), lines, inline))
        # The last block of a slice may go on behind it: it is parsed again, from its start.
        if not last and len(found) > 1:
            end = found.pop().start
        yield from found
        start = end


def _top(tokens: list[Token], lines: list[int], inline: MarkdownIt) -> Iterator[_Block]:
    starts = [one.map[0] for one in tokens if one.map and one.nesting >= 0]
    for index, token in enumerate(tokens):
        if token.level or token.nesting < 0 or token.map is None:
            continue
        first, behind = token.map
        level, content = 0, ""
        if token.type == "heading_open":
            level = int(token.tag[1:])
            content = _plain(inline, tokens[index + 1].content)
        within = range(bisect_left(starts, first + 1), bisect_left(starts, behind))
        yield _Block(
            lines[first],
            lines[min(behind, len(lines) - 1)],
            level,
            content,
            tuple(dict.fromkeys(lines[starts[one]] for one in within)),
        )


def _plain(inline: MarkdownIt, content: str) -> str:
    """A heading without its markup, on one line."""
    shown = [
        " " if token.type in _SPACED else token.content
        for token in inline.parseInline(content[:MAX_HEADING_CHARACTERS])[0].children or ()
    ]
    return " ".join("".join(shown).replace("\0", "\ufffd").split())


def _after_front_matter(text: str) -> int:
    """Where the text begins: behind the line that closes the front matter, if there is any."""
    start = 1 if text.startswith("\ufeff") else 0
    if not front_matter(text):
        return start
    at = start
    for number, found in enumerate(_NEWLINE.finditer(text, start), start=1):
        if number > MAX_FRONT_MATTER_LINES:
            break
        if number > 1 and text[at : found.start()].rstrip() in {"---", "..."}:
            return found.end()
        at = found.end()
    return len(text) if text[at:].rstrip() in {"---", "..."} else start
