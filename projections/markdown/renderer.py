"""Markdown rendered while it is written: the same blocks in the end, however the text was cut into pieces.

What is settled is decided on complete lines: every top-level block but the last, since only the last one can still
change. So the work is that of reading the last block again at each step, and linear in the text. A link's definition
that comes late settles anew the blocks that asked for it, and only those.
"""

from bisect import bisect_left
from collections import ChainMap
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any

import msgspec
from markdown_it.token import Token

from projections.live_render import Block, Change, Truncate
from projections.markdown.block import SettledBlock, as_written, settled
from projections.markdown.front_matter import Entries, card, entries_of, length_of
from projections.markdown.headings import Heading, HeadingIds
from projections.markdown.line_ends import LineEnds
from projections.markdown.open_text import shown
from projections.markdown.parser import parse_blocks, sources
from projections.markdown.sanitise import sanitise

MAX_BLOCK_CHARACTERS = 32_768
"""A block longer than this is shown as it is written, in pieces of about that length."""
MAX_TEXT_CHARACTERS = 2 * 1024 * 1024
"""What comes after as many is shown as it is written."""
MAX_MARKED_CHARACTERS = 262_144
"""Code in blocks that begin after as many is not highlighted."""


class _Missing(msgspec.Struct, frozen=True):
    """What is needed in order to settle a block anew: it looked for labels that nothing defines yet."""

    source: str
    heading_ids: Sequence[str]
    marked: bool


class MarkdownRenderer:
    """Renders one text, piece by piece.

    Args:
        known: The keys of the citations that there are: others are marked as unresolved. None when that is
            not known.
    """

    def __init__(self, known: Collection[str] | None = None) -> None:
        self._known = known
        self._line_ends = LineEnds()
        self._text = ""
        self._offset = 0
        self._looked = 0
        self._begun = False
        self._front: Entries = ()
        self._settled: list[SettledBlock] = []
        self._open: list[str] = []
        self._references: dict[str, Any] = {}
        self._missing: dict[int, _Missing] = {}
        self._asked: dict[str, set[int]] = {}
        self._heading_ids = HeadingIds()

    @property
    def front_matter(self) -> Entries:
        """Keys and values of the front matter, if it has such."""
        return self._front

    @property
    def headings(self) -> tuple[Heading, ...]:
        """Those that are settled."""
        return tuple(one for block in self._settled for one in block.headings)

    @property
    def citations(self) -> tuple[str, ...]:
        """The keys that settled blocks cite, each once, in order."""
        return tuple(dict.fromkeys(key for block in self._settled for key in block.citations))

    def append(self, text: str) -> Sequence[Change]:
        """What a further piece of text changes."""
        added = self._line_ends.take(text)
        if not added:
            return ()
        self._text += added
        return self._step(ended=False)

    def finish(self) -> Sequence[Change]:
        """What changes because no text follows."""
        self._text += self._line_ends.end()
        return self._step(ended=True)

    def snapshot(self) -> Sequence[Block]:
        """All blocks as they are now."""
        return [
            *(Block(index, one.html, open=False) for index, one in enumerate(self._settled)),
            *(
                Block(index, html, open=True)
                for index, html in enumerate(self._open, len(self._settled))
            ),
        ]

    def _step(self, *, ended: bool) -> list[Change]:
        before, were = self._open, len(self._settled)
        changed = sorted(self._settle(ended=ended))
        self._open = self._shown()
        count = len(self._settled)
        changes: list[Change] = [
            Block(index, self._settled[index].html, open=False) for index in changed
        ]
        for index, html in enumerate(self._open, count):
            place = index - were
            if place >= len(before) or before[place] != html:
                changes.append(Block(index, html, open=True))
        if count + len(self._open) < were + len(before):
            changes.append(Truncate(count + len(self._open)))
        return changes

    def _settle(self, *, ended: bool) -> set[int]:
        """Settle what no further text can change; the indices of all blocks that are new or changed."""
        changed: set[int] = set()
        if not self._begun:
            length = length_of(self._text, ended=ended)
            if length is None:
                return changed
            self._begun = True
            if length:
                changed |= self._settle_front(length)
        while self._text:
            window, due = self._window(ended=ended)
            if not due and len(window) <= self._looked:
                break
            if self._offset >= MAX_TEXT_CHARACTERS:
                changed |= self._settle_as_written(len(window))
                continue
            blocks = parse_blocks(window, ChainMap({}, self._references))
            if not blocks and due:
                self._pass(len(window))
            elif due and len(blocks) == 1 and len(window) >= MAX_BLOCK_CHARACTERS:
                changed |= self._settle_as_written(len(window))
            else:
                last = ended and len(window) == len(self._text) < MAX_BLOCK_CHARACTERS
                all_of_them = last or (due and len(blocks) == 1)
                count = len(blocks) if all_of_them else max(len(blocks) - 1, 0)
                changed |= self._settle_blocks(blocks, sources(window, blocks), count)
            if not due:
                self._looked = len(self._text[: self._text.rfind("\n") + 1])
                break
        return changed

    def _window(self, *, ended: bool) -> tuple[str, bool]:
        """The text from here on that decides; whether some of it is due to be settled, whatever follows.

        It ends where a line does. Where a block would get too long it goes on to the end of the line in which that
        happens, in order to see whether another block begins there.
        """
        text = self._text
        if self._offset >= MAX_TEXT_CHARACTERS:
            due = ended or len(text) >= MAX_BLOCK_CHARACTERS
            return (text[:MAX_BLOCK_CHARACTERS], True) if due else ("", False)
        if len(text) >= MAX_BLOCK_CHARACTERS:
            limit = 2 * MAX_BLOCK_CHARACTERS
            end = text.find("\n", MAX_BLOCK_CHARACTERS - 1, limit) + 1
            if end:
                return text[:end], True
            if len(text) > limit:  # a line that is too long: what is before it, or a part of it
                return text[: text.rfind("\n", 0, limit) + 1 or MAX_BLOCK_CHARACTERS], True
        return (text, True) if ended else (text[: text.rfind("\n") + 1], False)

    def _settle_blocks(
        self, blocks: Sequence[Sequence[Token]], texts: Sequence[str], count: int
    ) -> set[int]:
        """Settle the first of some blocks, and anew those that asked for what they define.

        Those that begin where the text is too long already are left.
        """
        first = len(self._settled)
        starts = [self._offset, *(self._offset + at for at in accumulate(map(len, texts)))]
        count = min(count, bisect_left(starts, MAX_TEXT_CHARACTERS))
        changed = self._define(blocks[:count])
        for tokens, text, start in zip(blocks[:count], texts, starts, strict=False):
            how = _Missing(text, self._heading_ids.of(tokens), start < MAX_MARKED_CHARACTERS)
            self._settled.append(self._rendered(tokens, how))
            self._remember(len(self._settled) - 1, how)
        self._pass(starts[count] - self._offset)
        return changed | set(range(first, len(self._settled)))

    def _define(self, blocks: Sequence[Sequence[Token]]) -> set[int]:
        """Take the definitions of links; the blocks that were settled anew."""
        found: set[int] = set()
        for token in (token for tokens in blocks for token in tokens if token.type == "definition"):
            label = token.meta["id"]
            if label not in self._references:
                self._references[label] = {"href": token.meta["url"], "title": token.meta["title"]}
                found |= self._asked.pop(label, set())
        for index in found:
            again = self._missing.pop(index)
            tokens = [one for block in parse_blocks(again.source, {}) for one in block]
            self._settled[index] = self._rendered(tokens, again)
            self._remember(index, again)
        return found

    def _rendered(self, tokens: Sequence[Token], how: _Missing) -> SettledBlock:
        return settled(
            tokens, self._references, how.heading_ids, known=self._known, marked=how.marked
        )

    def _remember(self, index: int, how: _Missing) -> None:
        missing = self._settled[index].missing
        if missing:
            self._missing[index] = how
        for label in missing:
            self._asked.setdefault(label, set()).add(index)

    def _settle_front(self, length: int) -> set[int]:
        front = self._text[:length]
        self._front = entries_of(front) or ()
        self._settled.append(SettledBlock(sanitise(card(front))))
        self._pass(length)
        return {0}

    def _settle_as_written(self, length: int) -> set[int]:
        self._settled.append(SettledBlock(as_written(self._text[:length])))
        self._pass(length)
        return {len(self._settled) - 1}

    def _pass(self, length: int) -> None:
        self._text = self._text[length:]
        self._offset += length
        self._looked = 0

    def _shown(self) -> list[str]:
        """The blocks that are not settled, as they are now."""
        if not self._text:
            return []
        if not self._begun:
            front = self._text[: self._text.rfind("\n") + 1]
            return [sanitise(card(front))] if entries_of(front) else []
        if self._offset >= MAX_TEXT_CHARACTERS or len(self._text) >= MAX_BLOCK_CHARACTERS:
            return [as_written(self._text)]
        return shown(self._text, ChainMap({}, self._references), self._known)
