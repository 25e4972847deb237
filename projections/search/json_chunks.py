"""JSON in spans: one for each field at the top, with its path; a larger field is opened in turn."""

import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from projections.search.cutting import MAX_CHARACTERS, Span, cut

MAX_DEPTH = 8
"""Levels that are opened. What lies deeper is cut like any other text, so time stays linear."""
MAX_NAME_CHARACTERS = 200

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}:,]|[^\s"\[\]{}:,]++')
_ESCAPE = re.compile(
    r'\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|["\\/bfnrt])'
)
_PLAIN = {'"': '"', "\\": "\\", "/": "/", "b": " ", "f": "\n", "n": "\n", "r": "\n", "t": "\t"}


def is_json(media_type: str, text: str) -> bool:
    """Whether the text is JSON and is said to be."""
    if media_type != "application/json" and not media_type.endswith("+json"):
        return False
    try:
        msgspec.json.decode(text.encode(), type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True


def json_spans(text: str, title: str) -> Iterator[Span]:
    """The spans of a JSON text; the marks around fields are in none.

    Args:
        text: Well-formed JSON.
        title: The paths start with it, if it is not empty.
    """
    heading = (title,) if title else ()
    start = len(text) - len(text.lstrip())
    yield from _value(text, heading, _Member("", start, start, len(text)), 0)


class _Member(NamedTuple):
    """A field of an object, or an element of an array, which has no name."""

    name: str
    start: int
    value: int
    """Where its value starts; behind `start` if it has a name."""
    stop: int


def _value(text: str, heading: tuple[str, ...], whole: _Member, depth: int) -> Iterator[Span]:
    if text[whole.value : whole.value + 1] not in {"{", "["} or depth == MAX_DEPTH:
        for part in cut(text, whole.start, whole.stop):
            yield _span(text, heading, *part)
        return
    alone = depth == 0 and text[whole.value] == "{"
    held: list[_Member] = []
    for member in _members(text, whole.value):
        large = member.stop - member.start > MAX_CHARACTERS
        if held and (alone or large or member.stop - held[0].start > MAX_CHARACTERS):
            yield _together(text, heading, held)
            held = []
        if large:
            yield from _value(text, _below(heading, member), member, depth + 1)
        else:
            held.append(member)
    if held:
        yield _together(text, heading, held)


def _members(text: str, start: int) -> Iterator[_Member]:
    """What an object or array holds, in order.

    Args:
        text: Well-formed JSON.
        start: Of its opening bracket.
    """
    depth = 0
    name = ""
    first = value = None
    last = start
    for token in _TOKEN.finditer(text, start):
        mark = token[0]
        if depth == 1 and mark in {",", "]", "}"}:
            if first is not None:
                yield _Member(name, first, value if value is not None else first, last)
            name, first, value = "", None, None
        elif depth == 1 and mark == ":":
            name = _readable(text[first or start : last][1:-1])
            value = -1
        elif depth:
            first = token.start() if first is None else first
            value = token.start() if value == -1 else value
        depth += (mark in {"{", "["}) - (mark in {"}", "]"})
        last = token.end()
        if depth == 0:
            return


def _together(text: str, heading: tuple[str, ...], members: list[_Member]) -> Span:
    path = _below(heading, members[0]) if len(members) == 1 else heading
    return _span(text, path, members[0].start, members[-1].stop)


def _below(heading: tuple[str, ...], member: _Member) -> tuple[str, ...]:
    name = member.name[:MAX_NAME_CHARACTERS].replace("\0", "\ufffd")
    return (*heading, name) if name else heading


def _span(text: str, heading: tuple[str, ...], start: int, stop: int) -> Span:
    return Span(heading, start, stop, body=_readable(text[start:stop]))


def _readable(text: str) -> str:
    """A piece of JSON with the escapes in its strings resolved."""
    return _ESCAPE.sub(_resolved, text) if "\\" in text else text


def _resolved(escape: re.Match[str]) -> str:
    digits = escape[0].replace("\\u", "")
    if not escape[0].startswith("\\u"):
        return _PLAIN[escape[0][1]]
    if len(digits) == 8:
        high, low = int(digits[:4], 16), int(digits[4:], 16)
        return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
    code = int(digits, 16)
    return "\ufffd" if 0xD800 <= code < 0xE000 else chr(code)
