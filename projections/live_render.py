"""A text shown while it is being written: what a renderer gives, block by block.

A text is a list of top-level blocks, counted from 0. All but the last are settled as a rule; what a later
piece of text changes of an earlier block is sent again under its index. Applying everything that a
renderer gives, in order, leaves the same blocks as `snapshot`, and the same for the same text however it
was cut into pieces.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Block(msgspec.Struct, frozen=True):
    """A block as it is now: new, or in place of the one with the same index.

    Attributes:
        index: Its number, from 0. A new one follows on the last.
        html: Safe as it is: nothing in it comes from the text without having been escaped or sanitised.
        open: Whether text that follows may still change it.
    """

    index: int
    html: str
    open: bool


class Truncate(msgspec.Struct, frozen=True):
    """Only the first `count` blocks are left."""

    count: int


Change = Block | Truncate


class Renderer(Protocol):
    """Renders one text, piece by piece; the work is linear in the text, whatever the pieces."""

    def append(self, text: str) -> Sequence[Change]:
        """What a further piece of text changes."""

    def finish(self) -> Sequence[Change]:
        """What changes because no text follows: no block is open any more. Called once, at the end."""

    def snapshot(self) -> Sequence[Block]:
        """All blocks as they are now."""
