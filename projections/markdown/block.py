"""One top-level block as HTML, once it is settled: what it shows, and which labels it looked for in vain."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from typing import Any

import msgspec
from markdown_it.rules_core import StateCore, text_join
from markdown_it.token import Token

from projections.markdown.citation_links import cited, link_citations
from projections.markdown.headings import Heading, heading_text
from projections.markdown.healing import HEALING_PARSER
from projections.markdown.parser import PARSER
from projections.markdown.sanitise import sanitise


class SettledBlock(msgspec.Struct, frozen=True):
    """What a block came to.

    Attributes:
        html: Sanitised.
        headings: In it, also those within quotations and lists.
        citations: The keys that it cites, in order.
        missing: Labels of links that no definition has explained so far.
    """

    html: str
    headings: tuple[Heading, ...] = ()
    citations: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()


class Lookups:
    """Link definitions that remember what was asked for and is not there."""

    def __init__(self, references: Mapping[str, Any]) -> None:
        self._references = references
        self.missing: set[str] = set()

    def get(self, label: str, default: object = None) -> object:
        """What a label means."""
        found = self._references.get(label)
        if found is None:
            self.missing.add(label)
            return default
        return found


def settled(
    tokens: Sequence[Token],
    references: Mapping[str, Any],
    heading_ids: Sequence[str],
    *,
    known: Collection[str] | None,
    marked: bool,
) -> SettledBlock:
    """Render a block that stays as it is.

    Args:
        tokens: As `parse_blocks` gives them; they are changed.
        references: All definitions so far.
        heading_ids: One for each heading in it.
        known: The citations that there are; None when that is not known.
        marked: Whether code is highlighted.
    """
    lookups = Lookups(references)
    inline(tokens, {"references": lookups, "known": known})
    ids = iter(heading_ids)
    headings: list[Heading] = []
    keys: list[str] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrs["id"] = next(ids)
            text = heading_text(tokens[index + 1])
            headings.append(Heading(int(token.tag[1]), text, str(token.attrs["id"])))
        elif token.type == "inline":
            keys.extend(cited(token.children or []))
    html = to_html(tokens, settled=True, marked=marked)
    return SettledBlock(html, tuple(headings), tuple(keys), frozenset(lookups.missing))


def inline(tokens: Sequence[Token], env: Mapping[str, Any], tail: Token | None = None) -> None:
    """Parse what is inline in a block.

    Args:
        tokens: Of the block.
        env: With `references` and `known`.
        tail: The token that is still being written, if there is one among them.
    """
    for token in tokens:
        if token.type != "inline":
            continue
        parser = HEALING_PARSER if token is tail else PARSER
        children: list[Token] = []
        parser.inline.parse(token.content, parser, {**env, "tail": token.content}, children)
        link_citations(children, env["known"])
        token.children = children
    state = StateCore("", PARSER, {})
    state.tokens = list(tokens)
    text_join(state)


def to_html(tokens: Sequence[Token], *, settled: bool, marked: bool = False) -> str:
    """Tokens of a block, whose inline parts are parsed, as sanitised HTML."""
    env = {"settled": settled, "highlight": marked}
    return sanitise(PARSER.renderer.render(tokens, PARSER.options, env))


def as_written(text: str) -> str:
    """A block that is too long to be parsed, as HTML: its characters."""
    return f'<pre class="too-long">\n{escape(text, quote=False)}</pre>\n'
