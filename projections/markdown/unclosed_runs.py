"""Delimiter runs of emphasis that have no end yet, at the end of a text that is being written.

A run at the very end, which may still grow, is not shown; every opener without a closer gets one, the innermost
first. What can open and close, and what matches what, is the parser's own rule.
"""

from dataclasses import replace

from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.balance_pairs import processDelimiters
from markdown_it.rules_inline.state_inline import Delimiter


def heal_delimiters(state: StateInline) -> None:
    """Close what is open on the level where the parser is now, which is the end of the text."""
    _drop_last_run(state)
    matched = _matched(state, state.delimiters)
    covered = -1
    openers: list[Delimiter] = []
    for index, one in enumerate(matched):
        if one.end < 0 and one.open and index > covered and not _is_lone(state.delimiters[index]):
            openers.append(one)
        covered = max(covered, one.end)
    for opener in reversed(openers):
        token = state.push("text", "", 0)
        token.content = chr(opener.marker) * (2 if opener.marker == ord("~") else 1)
        state.delimiters.append(
            Delimiter(
                opener.marker, opener.length, len(state.tokens) - 1, -1, open=False, close=True
            )
        )


def _drop_last_run(state: StateInline) -> None:
    """Leave out a run at the end, unless it closes all of what it closes: it may still grow."""
    delimiters = state.delimiters
    first = len(delimiters)
    token = len(state.tokens) - 1
    while (
        first > 0
        and delimiters[first - 1].token == token
        and delimiters[first - 1].marker == delimiters[-1].marker
    ):
        first -= 1
        token -= 1
    if first < len(delimiters) and not _closes_all(state, first):
        for one in delimiters[first:]:
            state.tokens[one.token].content = ""
        del delimiters[first:]


def _closes_all(state: StateInline, first: int) -> bool:
    """Whether all of the last run closes something, and no run is closed by it in part."""
    matched = _matched(state, state.delimiters)
    openers = {one.end: index for index, one in enumerate(matched) if one.end >= first}
    if len(openers) != len(matched) - first or any(index >= first for index in openers.values()):
        return False
    for index in openers.values():
        for step in (-1, 1):
            beside = index + step
            if (
                0 <= beside < first
                and matched[beside].marker == matched[index].marker
                and matched[beside].token == matched[index].token + step
                and matched[beside].end < 0
                and matched[beside].open
            ):
                return False
    return True


def _matched(state: StateInline, delimiters: list[Delimiter]) -> list[Delimiter]:
    """The same as the parser would pair them."""
    copies = [replace(one) for one in delimiters]
    processDelimiters(state, copies)
    return copies


def _is_lone(one: Delimiter) -> bool:
    """A single one within a word, as in `a*b`: more likely a sign than emphasis."""
    return one.length == 1 and one.open and one.close
