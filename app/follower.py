"""A thread that looks at what commits left to do: whoever signs, asks witnesses or indexes is one.

Commits wake it; a poll that backs off makes it right where a hint was lost, and lets an idle database sleep.
"""

import logging
import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import ClassVar, Self

from adapters.commit_signal import CommitSignal
from adapters.postgres_connect import UNREACHABLE

POLL_SECONDS = (2.0, 600.0)
"""Without a wake-up: the first wait and the longest."""


class Follower(ABC):
    """Follows all projects in a thread; use as a context manager.

    Attributes:
        name: Of the thread, and of its logger below `deedbook`.
        between_seconds: A busy ledger is looked at no more often than this.
        when_away: What an operator reads when the database is away.
        when_broken: What an operator reads above a traceback.
    """

    name: ClassVar[str]
    between_seconds: ClassVar[float]
    when_away: ClassVar[str]
    when_broken: ClassVar[str]

    def __init__(self, signal: CommitSignal) -> None:
        self._signal = signal
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._logger = logging.getLogger(f"deedbook.{self.name}")

    @abstractmethod
    def look(self) -> float | None:
        """Do what is due; answers in how many seconds more will be, None when that is not known."""

    def wake(self) -> None:
        """Look soon."""
        self._woken.set()

    def __enter__(self) -> Self:
        self._end = self._signal.on_change(self._woken.set)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def _run(self) -> None:
        poll = POLL_SECONDS[0]
        while not self._stopping.is_set():
            try:
                wait = self.look()
            except UNREACHABLE:
                self._logger.warning(self.when_away)
                wait = None
            except Exception:
                self._logger.exception(self.when_broken)
                wait = None
            self._stopping.wait(self.between_seconds)
            if self._woken.wait(poll if wait is None else min(wait, poll)):
                self._woken.clear()
                poll = POLL_SECONDS[0]
            elif wait is None:
                poll = min(2 * poll, POLL_SECONDS[1])
