"""The link destinations in a Markdown text, found without rendering it, in linear time.

A scanner and not a parser: it knows fences, indented code, code spans, comments, escapes, inline
links, autolinks and reference definitions of CommonMark 0.31, and passes over destinations with
escapes or parentheses in them. It never backtracks over the text, so hostile input costs what its
length costs.
"""

import re
from collections.abc import Iterator

_FENCE = re.compile(r"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(`{3,}(?=[^`]*$)|~{3,})")
_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$)")
_INDENTED = re.compile(r" {4}| {0,3}\t")
_COMMENT = re.compile(r" {0,3}<!--")
_TICKS = re.compile(r"`+")
_MARK = re.compile(r"[\\`<\[\]\n]")
_AUTOLINK = re.compile(r"<([A-Za-z][A-Za-z0-9+.-]{1,31}:[^\s<>]{0,2048})>")
_DESTINATION = r"(?:<([^<>\n\\]{0,2048})>|([^\s<>()\\]{1,2048}))"
_INLINE = re.compile(
    r"\(\s{0,99}" + _DESTINATION + r"(?:\s{1,99}(?:"
    r'"(?:[^"\\]|\\.){0,999}"|' + r"'(?:[^'\\]|\\.){0,999}'|" + r"\((?:[^()\\]|\\.){0,999}\)"
    r"))?\s{0,99}\)",
    re.DOTALL,
)
_DEFINITION = re.compile(
    r"[ \t>]{0,99}\[(?:[^\[\]\\]|\\.){1,999}\]:[ \t]{0,99}\n?[ \t]{0,99}"
    + _DESTINATION
    + r"(?=\s|$)",
    re.DOTALL,
)


def destinations(markdown: str) -> Iterator[tuple[str, int]]:
    """(destination, line number from 1) of each link, image, autolink and definition, in order."""
    for text, line in _prose(markdown):
        counted = 0
        for target, offset in _in_block(text):
            line += text.count("\n", counted, offset)  # noqa: PLW2901 - counts on, once
            counted = offset
            yield target, line


def _prose(markdown: str) -> Iterator[tuple[str, int]]:
    """Runs of lines that are neither blank nor code, with the number of their first line."""
    block: list[str] = []
    fence = ""
    in_comment = in_list = in_code = False
    afresh = True  # no paragraph goes on
    for number, line in enumerate(re.split(r"\r\n|\n|\r", markdown), 1):
        if in_comment:
            in_comment = "-->" not in line
            continue
        if fence:
            closing = line.lstrip(" \t>").rstrip(" \t")
            if len(closing) >= len(fence) and closing.strip(fence[0]) == "":
                fence = ""
            continue
        blank = not line.strip(" \t>")
        if afresh and not blank and not line.startswith((" ", "\t")):
            in_list = False
        in_list = in_list or _ITEM.match(line) is not None
        indented = _INDENTED.match(line) is not None and not in_list
        in_code = indented and (in_code or afresh) and not blank
        opened = None if indented else _FENCE.match(line)
        if blank or opened or in_code or (not indented and _COMMENT.match(line)):
            if block:
                yield "\n".join(block), number - len(block)
                block = []
            if opened:
                fence = opened[1]
            elif not blank and not in_code:
                in_comment = "-->" not in line[line.index("<!--") + 4 :]
        else:
            block.append(line)
        afresh = not block
    if block:
        yield "\n".join(block), number - len(block) + 1


def _in_block(text: str) -> Iterator[tuple[str, int]]:
    closers = _closers(text)
    depth = at = 0
    at_line_start = True
    comment_end = 0
    while True:
        if at_line_start and (definition := _DEFINITION.match(text, at)):
            yield definition[1] or definition[2] or "", definition.start()
            at = definition.end()
        at_line_start = False
        mark = _MARK.search(text, at)
        if mark is None:
            return
        at = mark.end()
        match mark[0]:
            case "\n":
                at_line_start = True
            case "\\":
                at += 1 if text[at : at + 1] != "\n" else 0
            case "`":
                at = closers.get(mark.start()) or _run_end(text, mark.start())
            case "<":
                if found := _AUTOLINK.match(text, mark.start()):
                    yield found[1], found.start()
                    at = found.end()
                elif text.startswith("!--", at) and comment_end >= 0:
                    comment_end = text.find("-->", at)
                    at = comment_end + 3 if comment_end >= 0 else at
            case "[":
                depth += 1
            case _:
                if depth and (found := _INLINE.match(text, at)):
                    yield found[1] or found[2] or "", at
                    at = found.end()
                depth = max(depth - 1, 0)


def _run_end(text: str, start: int) -> int:
    found = _TICKS.match(text, start)
    assert found is not None
    return found.end()


def _closers(text: str) -> dict[int, int]:
    """For each run of backticks the end of the code span that it opens, if one closes it."""
    following: dict[int, int] = {}
    closers: dict[int, int] = {}
    for run in reversed(list(_TICKS.finditer(text))):
        length = run.end() - run.start()
        if length in following:
            closers[run.start()] = following[length]
        following[length] = run.end()
    return closers
