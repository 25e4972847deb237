"""The parser's inline rules for the end of a text that is still being written.

Each asks the parser's own rule first; only what that one does not take, and what text that follows could still
complete, is treated here: a link shows its text, an image, an entity, an address and an escape show nothing yet.
"""

import re
from collections.abc import Callable

from markdown_it.helpers import parseLinkLabel
from markdown_it.rules_inline import (
    StateInline,
    autolink,
    backtick,
    entity,
    escape,
    image,
    link,
    strikethrough,
)

from projections.markdown.citation_links import OPENING
from projections.markdown.formulas import inline_formula
from projections.markdown.unclosed_runs import heal_delimiters

Rule = Callable[[StateInline, bool], bool]

_TITLE = r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|\((?:[^()\\]|\\.)*\)?"
_TARGET = re.compile(
    rf"\(\s*(?:(?:<[^<>\n]*>?|[^\s<)]\S*)(?:\s+(?:{_TITLE})?)?)?\s*$"
    r"|\[[^\[\]]*$"
    r"|$",
    re.DOTALL,
)
"""Behind the `]` of a link's text: what can still become an address with a title, or a label."""
_ENTITY = re.compile(r"&(?:#?|#[xX]?[0-9a-fA-F]{1,7}|[A-Za-z][A-Za-z0-9]{0,31})$")
_ADDRESS = re.compile(
    r"<(?:[A-Za-z][A-Za-z0-9+.-]{1,31}:[^<>\x00-\x20]*"
    r"||h|ht|htt|http|https|m|ma|mai|mail|mailt|mailto)$"
)
_FORMULA = re.compile(r"\$(?:\$?(?:[^\s\d$][^\n$]{0,39})?)?$")
"""One that is short so far: a longer text behind a dollar is more likely none."""
_TICKS = re.compile(r"`+")


def at_end(state: StateInline) -> bool:
    """Whether what is parsed now goes to the end of the text that is being written."""
    return state.env.get("tail") is state.src and state.posMax == len(state.src)


def _rest_is(state: StateInline, pattern: re.Pattern[str]) -> bool:
    return pattern.match(state.src, state.pos) is not None


def _nothing_yet(original: Rule, pattern: re.Pattern[str]) -> Rule:
    """A rule that shows nothing of what may still be completed."""

    def rule(state: StateInline, silent: bool) -> bool:
        if original(state, silent):
            return True
        if silent or not at_end(state) or not _rest_is(state, pattern):
            return False
        state.pos = state.posMax
        return True

    return rule


def _code(state: StateInline, silent: bool) -> bool:
    """Code without its end goes to the end of the text."""
    start = state.pos
    found = _TICKS.match(state.src, start)
    if found is None:
        return False
    if silent or not at_end(state):
        return backtick(state, silent)
    tokens = len(state.tokens)
    pending = state.pending
    backtick(state, False)
    if len(state.tokens) > tokens:
        return True
    state.pending = pending
    code = state.src[found.end() : state.posMax].replace("\n", " ")
    code = code.rstrip("`") if len(code) - len(code.rstrip("`")) < len(found[0]) else code
    if code:
        state.push("code_inline", "code", 0).content = code
    state.pos = state.posMax
    return True


def _image(state: StateInline, silent: bool) -> bool:
    """An image shows nothing until it is all there."""
    if image(state, silent):
        return True
    start = state.pos
    if silent or not at_end(state) or state.src[start] != "!":
        return False
    if start + 1 == state.posMax:
        before = state.src[start - 1] if start else " "
        state.pos += before in " \n["  # and not the end of a sentence
        return state.pos > start
    if state.src[start + 1] != "[":
        return False
    end = parseLinkLabel(state, start + 1, False)
    if end >= 0 and _TARGET.match(state.src, end + 1) is None:
        return False
    state.pos = state.posMax
    return True


def _link(state: StateInline, silent: bool) -> bool:
    """A link shows its text; where it leads is not known yet."""
    start = state.pos
    if link(state, silent):
        return True
    state.pos = start
    if silent or not at_end(state) or state.src[start] != "[" or state.linkLevel > 0:
        return False
    if _rest_is(state, OPENING):
        state.pos = state.posMax
        return True
    end = parseLinkLabel(state, start, True)
    if end < 0:
        if _holds_link(state, start):
            return False
        end = state.posMax
    elif _TARGET.match(state.src, end + 1) is None:
        return False
    _push_link(state, start + 1, end)
    return True


def _push_link(state: StateInline, start: int, end: int) -> None:
    whole = state.posMax
    state.push("link_open", "a", 1).attrs = {"data-incomplete": "true"}
    state.pos, state.posMax = start, end
    state.linkLevel += 1
    state.md.inline.tokenize(state)
    state.linkLevel -= 1
    if end == whole:
        heal_delimiters(state)
    state.push("link_close", "a", -1)
    state.pos = state.posMax = whole


def _holds_link(state: StateInline, start: int) -> bool:
    """Whether there is a link within brackets that have no end: then they are none themselves."""
    state.pos = start + 1
    found = False
    while state.pos < state.posMax and not found:
        before = state.pos
        state.md.inline.skipToken(state)
        found = state.src[before] == "[" and state.pos > before + 1
    state.pos = start
    return found


RULES: dict[str, Rule] = {
    "math_inline": _nothing_yet(inline_formula, _FORMULA),
    "escape": _nothing_yet(escape, re.compile(r"\\$")),
    "backticks": _code,
    "strikethrough": _nothing_yet(strikethrough.tokenize, re.compile(r"~$")),
    "link": _link,
    "image": _image,
    "autolink": _nothing_yet(autolink, _ADDRESS),
    "entity": _nothing_yet(entity, _ENTITY),
}
"""By the names of the parser's own."""
