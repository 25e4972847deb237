r"""The difference of two texts by lines, as diff(1) writes it in its unified format.

Lines end at `\n` and nowhere else. The comparison is the greedy one of E. W. Myers, "An O(ND)
Difference Algorithm and Its Variations" (1986), on the lines that both texts have. Its work is
bounded: beyond the limits the part that differs is shown as one replacement, which is still true.
"""

from array import array
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

MAX_LINES = 5_000
MAX_EDITS = 1_000
CONTEXT_LINES = 3
MEDIA_TYPE = "text/x-diff"

Mark = Literal[" ", "+", "-"]


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line: kept, added or deleted; `newline` is False when its text ends without one."""

    mark: Mark
    text: str
    newline: bool = True


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """Changed lines that lie near each other; the starts are line numbers from 1.

    A side without lines starts at the line before, as in diff(1).
    """

    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    lines: tuple[Line, ...]


class TextDiff(msgspec.Struct, frozen=True, kw_only=True):
    """All hunks. `coarse`: the limits were met, so a part is shown as replaced as a whole."""

    lines_added: int
    lines_deleted: int
    coarse: bool
    hunks: tuple[Hunk, ...]


class _Span(msgspec.Struct, frozen=True):
    """Old lines `old` to `old_end` became new lines `new` to `new_end`."""

    old: int
    old_end: int
    new: int
    new_end: int


def compare(old: str, new: str, *, context: int = CONTEXT_LINES) -> TextDiff:
    """The difference from `old` to `new`, with `context` equal lines around each change."""
    before, after = _lines(old), _lines(new)
    spans, coarse = _changes(before, after)
    hunks = tuple(_hunk(before, after, group, context) for group in _groups(spans, context))
    return TextDiff(
        lines_added=sum(span.new_end - span.new for span in spans),
        lines_deleted=sum(span.old_end - span.old for span in spans),
        coarse=coarse,
        hunks=hunks,
    )


def unified(diff: TextDiff, old_name: str, new_name: str) -> str:
    """The text that patch(1) and `git apply` take; empty when nothing differs."""
    if not diff.hunks:
        return ""
    parts = [f"--- {_name(old_name)}\n+++ {_name(new_name)}\n"]
    for hunk in diff.hunks:
        old = _range(hunk.old_start, hunk.old_lines)
        parts.append(f"@@ -{old} +{_range(hunk.new_start, hunk.new_lines)} @@\n")
        for line in hunk.lines:
            parts.append(f"{line.mark}{line.text}\n")
            if not line.newline:
                parts.append("\\ No newline at end of file\n")
    return "".join(parts)


def kept(old: Sequence[str], new: Sequence[str], *, max_edits: int) -> list[tuple[int, int]] | None:
    """Which parts of `old` are in `new` as well, in order: pairs of indices, both ascending.

    As many as there can be. A part that only one side has cannot stay, so it is left out before the
    search.

    Args:
        old: Lines, or words.
        new: Likewise.
        max_edits: How many of the others may stand between them, which bounds the work to its square.

    Returns:
        None when there are more.
    """
    shared = set(old) & set(new)
    old_at = [index for index, part in enumerate(old) if part in shared]
    new_at = [index for index, part in enumerate(new) if part in shared]
    numbers = {part: number for number, part in enumerate(sorted(shared))}
    pairs = _common([numbers[old[i]] for i in old_at], [numbers[new[i]] for i in new_at], max_edits)
    return None if pairs is None else [(old_at[i], new_at[j]) for i, j in pairs]


def _lines(text: str) -> list[str]:
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _name(name: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in name)


def _range(start: int, count: int) -> str:
    return str(start) if count == 1 else f"{start},{count}"


def _hunk(
    before: Sequence[str], after: Sequence[str], group: Sequence[_Span], context: int
) -> Hunk:
    lead = min(context, group[0].old)
    old_at, new_at = group[0].old - lead, group[0].new - lead
    tail = min(context, len(before) - group[-1].old_end)
    lines: list[Line] = []
    at = old_at
    for span in group:
        lines += [_line(" ", text) for text in before[at : span.old]]
        lines += [_line("-", text) for text in before[span.old : span.old_end]]
        lines += [_line("+", text) for text in after[span.new : span.new_end]]
        at = span.old_end
    lines += [_line(" ", text) for text in before[at : at + tail]]
    old_lines = at + tail - old_at
    new_lines = group[-1].new_end + tail - new_at
    return Hunk(
        old_start=old_at + 1 if old_lines else old_at,
        old_lines=old_lines,
        new_start=new_at + 1 if new_lines else new_at,
        new_lines=new_lines,
        lines=tuple(lines),
    )


def _line(mark: Mark, text: str) -> Line:
    return Line(mark, text.removesuffix("\n"), text.endswith("\n"))


def _groups(spans: Sequence[_Span], context: int) -> Iterator[list[_Span]]:
    group: list[_Span] = []
    for span in spans:
        if group and span.old - group[-1].old_end > 2 * context:
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _changes(before: Sequence[str], after: Sequence[str]) -> tuple[list[_Span], bool]:
    """What differs, in order, and whether it is coarse."""
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    old_end, new_end = len(before) - tail, len(after) - tail
    if head == old_end and head == new_end:
        return [], False
    pairs: list[tuple[int, int]] | None = None
    if max(old_end, new_end) - head <= MAX_LINES:
        pairs = kept(before[head:old_end], after[head:new_end], max_edits=MAX_EDITS)
    spans: list[_Span] = []
    old_at = new_at = head
    for old, new in [
        *((head + old, head + new) for old, new in pairs or ()),
        (old_end, new_end),
    ]:
        if old > old_at or new > new_at:
            spans.append(_Span(old_at, old, new_at, new))
        old_at, new_at = old + 1, new + 1
    return spans, pairs is None


def _common(old: Sequence[int], new: Sequence[int], max_edits: int) -> list[tuple[int, int]] | None:
    """A longest common subsequence as index pairs, with at most `max_edits` edits around it."""
    reach = array("i", [0]) * (2 * max_edits + 3)  # reach[k]: furthest old index on diagonal k
    trace: list[array[int]] = []
    for edits in range(max_edits + 1):
        trace.append(_window(reach, edits))
        for k in range(-edits, edits + 1, 2):
            down = k == -edits or (k != edits and reach[k - 1] < reach[k + 1])
            x = reach[k + 1] if down else reach[k - 1] + 1
            y = x - k
            while x < len(old) and y < len(new) and old[x] == new[y]:
                x += 1
                y += 1
            reach[k] = x
            if x >= len(old) and y >= len(new):
                return _walked(trace, len(old), len(new))
    return None


def _window(reach: "array[int]", edits: int) -> "array[int]":
    """The diagonals -edits … edits, as they are before step `edits`."""
    return reach[-edits:] + reach[: edits + 1] if edits else reach[:1]


def _walked(trace: Sequence["array[int]"], x: int, y: int) -> list[tuple[int, int]]:
    """The equal pairs on the way back from the end."""
    pairs: list[tuple[int, int]] = []
    for edits in range(len(trace) - 1, 0, -1):
        window, k = trace[edits], x - y
        at = k + edits
        down = k == -edits or (k != edits and window[at - 1] < window[at + 1])
        from_x = window[at + 1] if down else window[at - 1]
        from_y = from_x - (k + 1 if down else k - 1)
        while x > from_x and y > from_y:
            x, y = x - 1, y - 1
            pairs.append((x, y))
        x, y = from_x, from_y
    while x > 0 and y > 0:
        x, y = x - 1, y - 1
        pairs.append((x, y))
    return pairs[::-1]
