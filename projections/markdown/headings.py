"""The headings of a document, and the ids by which a link can lead to them."""

import re
from collections.abc import Sequence

import msgspec
from markdown_it.token import Token

MAX_SLUG_CHARACTERS = 60
_TARGETS = re.compile(r"\]\([^()\s]*(?:\s[^()]*)?\)|\]\[[^\[\]]*\]")
_OTHER = re.compile(r"[\W_]+")


class Heading(msgspec.Struct, frozen=True):
    """A heading.

    Attributes:
        level: 1 to 6.
        text: As it is read.
        id: Of its element.
    """

    level: int
    text: str
    id: str


class HeadingIds:
    """Gives ids to the headings of one document, in their order.

    An id is made of the heading's source: what its links lead to, which may be defined later, changes nothing.
    All begin with `h-`, so that none is the name of a member of the page's `document`.
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def of(self, tokens: Sequence[Token]) -> list[str]:
        """The ids for the headings among a block's tokens."""
        return [
            self._next(tokens[index + 1].content)
            for index, token in enumerate(tokens)
            if token.type == "heading_open"
        ]

    def _next(self, source: str) -> str:
        words = _OTHER.sub("-", _TARGETS.sub("", source).lower()).strip("-")
        slug = words[:MAX_SLUG_CHARACTERS].rstrip("-") or "section"
        number = self._last.get(slug, 0) + 1
        while number > 1 and f"{slug}-{number}" in self._last:
            number += 1
        self._last[slug] = number
        one = slug if number == 1 else f"{slug}-{number}"
        self._last.setdefault(one, 1)
        return f"h-{one}"


def heading_text(inline: Token) -> str:
    """What is read of a heading whose inline part is parsed."""
    parts: list[str] = []
    for token in inline.children or []:
        if token.type in {"text", "code_inline", "math_inline", "math_inline_double"}:
            parts.append(token.content)
        elif token.type == "softbreak":
            parts.append(" ")
        elif token.type == "image":
            parts.append(heading_text(token))
    return "".join(parts)
