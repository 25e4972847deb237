"""How a service ends: a signal becomes an exception, once, so that everything is closed in order."""

import signal
from collections.abc import Callable
from types import FrameType

_HANGUP = getattr(signal, "SIGHUP", None)  # absent on Windows
SIGNALS = (signal.SIGINT, signal.SIGTERM, *([_HANGUP] if _HANGUP else []))
"""Ctrl-C, a supervisor, and a terminal that was closed."""
SIGNAL_EXIT_CODE = 128
"""What shells add to the number of the signal that ended a program."""


class Told(BaseException):
    """A signal told this process to end. Not an error: nothing that catches errors shall catch it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def until_told(work: Callable[[], None]) -> int:
    """Run `work` until it ends or a signal ends it; answers the exit code: 0, or 128 + signal.

    Whatever `work` has open is closed on the way out. A second signal does not break that off: every
    step of it has its own time limit.
    """

    def tell(number: int, _frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, _closing)
        raise Told(number)

    before = {
        number: signal.getsignal(number)
        for number in SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN  # as under nohup
    }
    try:
        for number in before:
            signal.signal(number, tell if number != _HANGUP else _terminate)
        work()
    except Told as told:
        return SIGNAL_EXIT_CODE + told.number
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def _terminate(_number: int, _frame: FrameType | None) -> None:
    """Handled by whoever handles a supervisor's signal at the time."""
    signal.raise_signal(signal.SIGTERM)


def _closing(_number: int, _frame: FrameType | None) -> None:
    """The end is under way already."""
