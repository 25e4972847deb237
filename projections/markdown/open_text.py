"""The text that is not settled yet, as it is shown: healed at its end, without what may turn out to be a marker."""

import re
from collections.abc import Collection, MutableMapping, Sequence
from typing import Any

from markdown_it.rules_block.table import escapedSplit
from markdown_it.token import Token

from projections.markdown.block import inline, to_html
from projections.markdown.parser import parse_blocks

_PREFIX = r"[ \t>]*"
_HELD = re.compile(
    _PREFIX
    + r"(?:[-+*=_#>~` \t]*"
    + r"|[|: \t-]*"
    + r"|\d{1,9}[.)]?[ \t]*"
    + r"|(?:[-+*]|\d{1,9}[.)])[ \t]+\[[ xX]?\]?[ \t]*"
    + r"|`{3,}[^`]*|~{3,}.*"
    + r"|\${1,2}"
    + r"|\[[^\[\]]*\]:.*"
    + r")"
)
"""A last line without its end that is not shown: it may become a rule, an item, a heading's underline, a fence, a
formula, the row below a table's head, or a link's definition."""
_CLOSING = re.compile(_PREFIX + r"(?:`*|~*)[ \t]*")
_ROW = re.compile(r" {0,3}\|")
_CELL_ENDED = re.compile(r"\n\Z|(?<!\\)\|[ \t]*\Z")
_ENDED = {
    "heading_open": re.compile(r"\n\Z"),
    "td_open": _CELL_ENDED,
    "th_open": _CELL_ENDED,
}
"""What ends the text of an element, by its token; a paragraph goes on in the next line."""


def shown(
    text: str, references: MutableMapping[str, Any], known: Collection[str] | None
) -> list[str]:
    """The blocks of the text, as sanitised HTML.

    Args:
        text: From the start of a block on.
        references: What labels of links mean; definitions in the text are added.
        known: The citations that there are; None when that is not known.
    """
    text, blocks = _without_markers(text, references)
    lines = text.count("\n") + (not text.endswith("\n"))
    if _is_head_row(text, blocks, lines):
        blocks = parse_blocks(_with_row_below(text), references)
    tail = _tail(blocks, lines, text)
    env = {"references": references, "known": known}
    for block in blocks:
        inline(block, env, tail)
    return [to_html(block, settled=False) for block in blocks]


def _without_markers(
    text: str, references: MutableMapping[str, Any]
) -> tuple[str, list[list[Token]]]:
    """What is shown of a text, and its blocks."""
    complete, _, last = text.rpartition("\n")
    complete = text[: len(text) - len(last)]
    held = bool(last) and _HELD.fullmatch(last) is not None
    if held:
        blocks = parse_blocks(text, {})
        if not _is_in_code(blocks, complete.count("\n")) or _CLOSING.fullmatch(last):
            text = complete
    return text, parse_blocks(text, references)


def _is_in_code(blocks: Sequence[Sequence[Token]], line: int) -> bool:
    """Whether a line is within a fence that begins above it."""
    leaf = next((one for one in reversed(blocks[-1]) if one.nesting == 0), None) if blocks else None
    return (
        leaf is not None
        and leaf.type == "fence"
        and leaf.map is not None
        and leaf.map[0] < line < leaf.map[1]
    )


def _is_head_row(text: str, blocks: Sequence[Sequence[Token]], lines: int) -> bool:
    """Whether the last line can become the head of a table, by what follows."""
    if not blocks or blocks[-1][0].type != "paragraph_open":
        return False
    where = blocks[-1][0].map
    last = text.removesuffix("\n").rpartition("\n")[2]
    return where is not None and where[1] == lines and _ROW.match(last) is not None


def _with_row_below(text: str) -> str:
    cells = escapedSplit(text.removesuffix("\n").rpartition("\n")[2].strip())[1:]
    if len(cells) > 1 and not cells[-1]:
        cells.pop()
    return f"{text.removesuffix(chr(10))}\n|{'-|' * len(cells)}\n"


def _tail(blocks: Sequence[Sequence[Token]], lines: int, text: str) -> Token | None:
    """The inline token that goes on with what is written next; None if there is none such."""
    block = blocks[-1] if blocks else ()
    for index in range(len(block) - 1, -1, -1):
        token = block[index]
        if token.type == "inline" and token.content:
            ended = _ENDED.get(block[index - 1].type)
            over = ended is not None and ended.search(text) is not None
            return None if over or token.map is None or token.map[1] != lines else token
    return None
