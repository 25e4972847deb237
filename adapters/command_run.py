"""A command that is run and watched: its output passes through as it comes, and is kept in bounds.

Output and errors share one pipe, so they are kept in the order in which they were written. There is
no pseudo-terminal: a command sees that it writes into a pipe, as in every CI job.

An interrupt is passed on. At a terminal the command stands in the same process group, so Ctrl-C has
reached it already and it can ask its questions there; elsewhere it leads a group of its own, which gets
every signal that we get.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

import msgspec

from domain.errors import Invalid, NotFound

HEAD_BYTES = 1024 * 1024
TAIL_BYTES = 3 * 1024 * 1024
LAST_LINE_BYTES = 4096
"""The kept parts are cut at the end of a line, if one ends within so many bytes."""
PIECE_BYTES = 64 * 1024
POLL_SECONDS = 0.2
LINGER_SECONDS = 2.0
"""So long the output is read on after the command ended: what it left behind may hold the pipe."""
STOP_SECONDS = 10.0
TIMED_OUT = 124
"""The exit code of timeout(1)."""


class CommandRun(msgspec.Struct, frozen=True):
    """How a command ended, and what it wrote.

    Attributes:
        exit_code: Its own; 128 and the signal's number when one ended it, 124 after the time limit.
        output: The beginning and the end of it, with a note between, when `truncated`.
        interrupted: We were asked to stop while it ran.
    """

    exit_code: int
    duration_ms: int
    output: bytes
    truncated: bool
    interrupted: bool
    timed_out: bool


def run_command(
    command: Sequence[str], show: Callable[[bytes], object], *, limit_seconds: float
) -> CommandRun:
    """Run a command to its end.

    Args:
        command: The program and its arguments; no shell is involved.
        show: Is given the output, piece by piece, as it comes.
        limit_seconds: After so long it is stopped.

    Raises:
        NotFound: `command-not-found`.
        Invalid: `command-not-startable`.
    """
    at_terminal = _at_terminal()
    began = time.monotonic()
    process = _start(command, at_terminal=at_terminal)
    kept = KeptOutput()
    with process, _passing_on(process, at_terminal=at_terminal) as signals:
        timed_out = _read(process, kept, show, began + limit_seconds, at_terminal=at_terminal)
    code = process.returncode
    return CommandRun(
        exit_code=TIMED_OUT if timed_out else code if code >= 0 else 128 - code,
        duration_ms=int((time.monotonic() - began) * 1000),
        output=kept.joined(),
        truncated=kept.left_out > 0,
        interrupted=bool(signals),
        timed_out=timed_out,
    )


class KeptOutput:
    """The first and the last bytes of an output, in bounded memory."""

    def __init__(self, head_bytes: int = HEAD_BYTES, tail_bytes: int = TAIL_BYTES) -> None:
        self._head_bytes, self._tail_bytes = head_bytes, tail_bytes
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    def add(self, piece: bytes) -> None:
        """Take in the next bytes."""
        room = self._head_bytes - len(self._head)
        if room > 0:
            self._head += piece[:room]
            piece = piece[room:]
        if not piece:
            return
        self._tail.append(piece)
        self._tail_size += len(piece)
        while self._tail_size - len(self._tail[0]) >= self._tail_bytes:
            self._tail_size -= len(self._tail[0])
            self._dropped += len(self._tail.popleft())

    @property
    def left_out(self) -> int:
        """How many bytes are not kept, apart from those that a cut at a line's end costs."""
        return self._dropped + max(0, self._tail_size - self._tail_bytes)

    def joined(self) -> bytes:
        """What is kept, with a note where something is missing."""
        head, tail = bytes(self._head), b"".join(self._tail)
        if not self.left_out:
            return head + tail
        whole = len(head) + self._dropped + len(tail)
        tail = tail[-self._tail_bytes :]
        ended = head.rfind(b"\n", len(head) - LAST_LINE_BYTES) + 1
        head = head[: ended or len(head)]
        begun = tail.find(b"\n", 0, LAST_LINE_BYTES) + 1
        tail = tail[begun:]
        missing = whole - len(head) - len(tail)
        return head + f"\n[deedbook: {missing:,} bytes are left out here]\n\n".encode() + tail


def _start(command: Sequence[str], *, at_terminal: bool) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(  # noqa: S603 -- what the person typed, as a list
            list(command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            process_group=None if at_terminal else 0,
        )
    except FileNotFoundError:
        raise NotFound("command-not-found", f"There is no command {command[0]}.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise Invalid(
            "command-not-startable", f"{command[0]} cannot be started: {reason}."
        ) from None


def _read(
    process: "subprocess.Popen[bytes]",
    kept: KeptOutput,
    show: Callable[[bytes], object],
    deadline: float,
    *,
    at_terminal: bool,
) -> bool:
    """Pass the output on until the command has ended; answers whether time was up before."""
    assert process.stdout is not None
    timed_out = False
    ended_at: float | None = None
    with selectors.DefaultSelector() as ready:
        ready.register(process.stdout, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if ready.select(POLL_SECONDS):
                piece = os.read(process.stdout.fileno(), PIECE_BYTES)
                if not piece:
                    break
                kept.add(piece)
                show(piece)
            if ended_at is None and process.poll() is not None:
                ended_at = now
            if ended_at is not None and now - ended_at > LINGER_SECONDS:
                break
            if ended_at is None and now > deadline:
                _signal(process, signal.SIGKILL if timed_out else signal.SIGTERM, at_terminal)
                timed_out, deadline = True, now + STOP_SECONDS
    while process.poll() is None:
        now = time.monotonic()
        if now > deadline:
            _signal(process, signal.SIGKILL if timed_out else signal.SIGTERM, at_terminal)
            timed_out, deadline = True, now + STOP_SECONDS
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_SECONDS)
    return timed_out


@contextmanager
def _passing_on(process: "subprocess.Popen[bytes]", *, at_terminal: bool) -> Iterator[list[int]]:
    """Signals that mean the end go to the command; answers those that came."""
    came: list[int] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if not (at_terminal and number == signal.SIGINT):
            _signal(process, number, at_terminal)

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with contextlib.suppress(ValueError):  # not the main thread: then nobody signals us
            before[number] = signal.signal(number, pass_on)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _signal(process: "subprocess.Popen[bytes]", number: int, at_terminal: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if at_terminal:
            process.send_signal(number)
        else:
            os.killpg(process.pid, number)


def _at_terminal() -> bool:
    """Whether a person at a terminal reaches us, and so the command, with Ctrl-C."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(terminal)
