"""Citations in a text: `[@id]`, and links to `citation:n`, become links to the list of citations.

A citation prints its own short key and no running number, so that none is ever renumbered.
"""

import re
from collections.abc import Collection

from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

MAX_KEY_CHARACTERS = 64
_KEY = rf"[A-Za-z0-9][A-Za-z0-9_.:-]{{0,{MAX_KEY_CHARACTERS - 1}}}"
_CITATION = re.compile(rf"\[@({_KEY})\](?!\()")
_TARGET = re.compile(rf"citation:(\d{{1,{MAX_KEY_CHARACTERS}}})", re.ASCII | re.IGNORECASE)
OPENING = re.compile(rf"\[@[A-Za-z0-9_.:-]{{0,{MAX_KEY_CHARACTERS}}}$")
"""A citation that is not yet all there, at the end of a text."""


def citation(state: StateInline, silent: bool) -> bool:
    """The inline rule for `[@id]`; `[@scope/name](address)` stays a link."""
    if not state.src.startswith("[@", state.pos):
        return False
    found = _CITATION.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent:
        state.push("link_open", "a", 1).attrs = _link(found[1], state.env.get("known"))
        state.push("text", "", 0).content = f"[{found[1]}]"
        state.push("link_close", "a", -1)
    state.pos = found.end()
    return True


def link_citations(tokens: list[Token], known: Collection[str] | None) -> None:
    """Point the links to `citation:n` to the list; one without a text prints its number.

    Args:
        tokens: The inline ones.
        known: The keys that there are; None when that is not known.
    """
    for index, token in enumerate(tokens):
        if token.type != "link_open":
            continue
        found = _TARGET.fullmatch(str(token.attrs.get("href", "")))
        if found is None:
            continue
        token.attrs = _link(found[1], known)
        if token.info == "auto":
            tokens[index + 1].content = f"[{found[1]}]"
        elif tokens[index + 1].type == "link_close":
            tokens[index + 1 : index + 1] = [Token("text", "", 0, content=f"[{found[1]}]")]


def cited(tokens: list[Token]) -> list[str]:
    """The keys that the links among some inline tokens cite, in order."""
    return [
        str(token.attrs["data-cite"])
        for token in tokens
        if token.type == "link_open" and "data-cite" in token.attrs
    ]


def _link(key: str, known: Collection[str] | None) -> dict[str, str | int | float]:
    link: dict[str, str | int | float] = {
        "class": "cite",
        "data-cite": key,
        "href": f"#c-{key}",
    }
    if known is not None and key not in known:
        link["data-unresolved"] = "true"
    return link
