"""Text of any media type shown as it is: paragraphs of escaped characters, each a `<pre>`.

The text of all blocks together is the text itself, to the character.
"""

from collections.abc import Sequence
from html import escape

from projections.live_render import Block, Change

MAX_BLOCK_CHARACTERS = 4_096
"""A paragraph longer than this goes on in the next block, so that the work stays linear."""


class PlainRenderer:
    """Shows a text as it is."""

    def __init__(self) -> None:
        self._settled: list[Block] = []
        self._rest = ""

    def append(self, text: str) -> Sequence[Change]:
        """What a further piece of text changes."""
        if not text:
            return ()
        self._rest += text
        changed: list[Change] = []
        start = 0
        while (end := self._end_of_block(start)) is not None:
            changed.append(self._settle(self._rest[start:end]))
            start = end
        self._rest = self._rest[start:]
        changed.append(self._open_block(is_open=True))
        return changed

    def finish(self) -> Sequence[Change]:
        """What changes because no text follows."""
        if not self._rest:
            return ()
        self._settled.append(self._open_block(is_open=False))
        self._rest = ""
        return self._settled[-1:]

    def snapshot(self) -> Sequence[Block]:
        """All blocks as they are now."""
        return [*self._settled, *([self._open_block(is_open=True)] if self._rest else [])]

    def _end_of_block(self, start: int) -> int | None:
        """Where the block that begins at `start` is over for sure; None while that is not known.

        That is before the first line with text in it that follows on an empty one.
        """
        limit = min(start + MAX_BLOCK_CHARACTERS, len(self._rest))
        text_seen = empty_seen = False
        at = start
        while at < limit:
            line_end = self._rest.find("\n", at, limit)
            if self._rest[at : limit if line_end < 0 else line_end].strip(" \t\r"):
                if empty_seen:
                    return at
                text_seen = True
            elif line_end >= 0:
                empty_seen = text_seen
            at = limit if line_end < 0 else line_end + 1
        return limit if len(self._rest) > start + MAX_BLOCK_CHARACTERS else None

    def _settle(self, text: str) -> Block:
        self._settled.append(Block(len(self._settled), _pre(text), open=False))
        return self._settled[-1]

    def _open_block(self, *, is_open: bool) -> Block:
        return Block(len(self._settled), _pre(self._rest), open=is_open)


def _pre(text: str) -> str:
    # HTML drops a newline right after <pre>: this one, and none of the text's.
    return f"<pre>\n{escape(text)}</pre>"
