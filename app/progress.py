"""How far long work has come: one line on standard error, on a terminal only."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

REDRAW_SECONDS = 0.1
WIDTH = 24
KIBIBYTE = 1024


class Progress:
    """A bar that is redrawn in place, and wiped away at the end.

    Call it with what is done and the whole (None while that is not known yet). Where standard error
    is no terminal, or with `hidden`, nothing is written.

    Args:
        label: What is being done, as a word or two.
        in_bytes: Whether the numbers are bytes.
    """

    def __init__(
        self,
        label: str,
        *,
        in_bytes: bool = False,
        hidden: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self._label = label
        self._in_bytes = in_bytes
        self._stream = stream or sys.stderr
        self._shown = not hidden and self._stream.isatty()
        self._drawn_at = 0.0
        self._length = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._length:
            self._stream.write("\r" + " " * self._length + "\r")
            self._stream.flush()

    def __call__(self, done: int, total: int | None = None) -> None:
        """Show how much is done."""
        if not self._shown:
            return
        now = time.monotonic()
        if done != total and now - self._drawn_at < REDRAW_SECONDS:
            return
        self._drawn_at = now
        line = self.line(done, total)
        self._stream.write("\r" + line.ljust(self._length))
        self._stream.flush()
        self._length = max(self._length, len(line))

    def line(self, done: int, total: int | None) -> str:
        """The text of the bar."""
        if not total:
            return f"{self._label}  {self._amount(done)}"
        filled = WIDTH * min(done, total) // total
        bar = "#" * filled + "-" * (WIDTH - filled)
        percent = 100 * min(done, total) // total
        return (
            f"{self._label}  [{bar}] {percent:3d}%  {self._amount(done)} of {self._amount(total)}"
        )

    def _amount(self, number: int) -> str:
        return readable_size(number) if self._in_bytes else f"{number:,}"


def readable_size(size_bytes: int) -> str:
    """A size for people, such as `3.4 MiB`."""
    if size_bytes < KIBIBYTE:
        return f"{size_bytes} B"
    size = size_bytes / KIBIBYTE
    for unit in ("KiB", "MiB", "GiB"):
        if size < KIBIBYTE:
            return f"{size:.1f} {unit}"
        size /= KIBIBYTE
    return f"{size:.1f} TiB"
