"""The characters of a text as its parser would have them, however the text is cut into pieces."""

import re

_LINE_END = re.compile(r"\r\n?")


class LineEnds:
    r"""Turns CR LF and CR into LF, and NUL into U+FFFD (CommonMark 0.31.2 §2.1, §2.3).

    A CR at the end of a piece waits: LF may follow in the next one.
    """

    def __init__(self) -> None:
        self._waiting = False

    def take(self, piece: str) -> str:
        """What a further piece adds."""
        text = "\r" + piece if self._waiting and piece else piece
        if piece:
            self._waiting = text.endswith("\r")
            text = text.removesuffix("\r")
        return _LINE_END.sub("\n", text).replace("\0", "\ufffd")

    def end(self) -> str:
        """What is left when no piece follows."""
        return "\n" if self._waiting else ""
