"""Has new checkpoints cosigned while nobody asks: in a thread of its own, behind whoever signs.

Commits wake it; a poll that backs off finds what was signed meanwhile. A witness that does not work is left
alone for some time, for all logs, so that it holds up the others once and not for each log.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Self

from adapters.commit_signal import CommitSignal
from adapters.postgres_connect import UNREACHABLE
from app.witnesses import RETRY_SECONDS, WitnessRounds
from domain.errors import DeedbookError

BETWEEN_LOOKS_SECONDS = 2.0
"""A busy ledger is looked at no more often than this: what is new is not signed before."""
POLL_SECONDS = (2.0, 600.0)
"""Without a wake-up: the first wait and the longest. After a commit, signing comes first."""

_logger = logging.getLogger("deedbook.witnesses")


class WitnessFollower:
    """Holds rounds for all logs in a thread; use as a context manager.

    Args:
        rounds: What it holds.
        signal: Wakes it.
        now: The clock by which rounds are due.
        monotonic: Gives seconds, for waits.
    """

    def __init__(
        self,
        rounds: WitnessRounds,
        signal: CommitSignal,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._rounds = rounds
        self._signal = signal
        self._now = now
        self._monotonic = monotonic
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witnesses", daemon=True)
        self._away: dict[str, float] = {}

    def look(self) -> float | None:
        """Hold the rounds that are due; answers in how many seconds more will be, None: unknown."""
        waits: list[float] = []
        for one in self._rounds.due():
            if self._stopping.is_set():
                break
            wait = (one.due_at - self._now()).total_seconds()
            if wait > 0:
                waits.append(wait)
                continue
            self._hold(one.project)
        return min(waits, default=None)

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

    def _hold(self, project: str) -> None:
        began = self._monotonic()
        self._away = {vkey: until for vkey, until in self._away.items() if until > began}
        try:
            away = self._rounds.hold(project, list(self._away))
        except DeedbookError as error:
            _logger.error("%s (%s)", error.detail, error.code)  # noqa: TRY400 - its sentence says it all
            return
        until = self._monotonic() + RETRY_SECONDS[0]
        self._away.update(dict.fromkeys(away, until))

    def _run(self) -> None:
        poll = POLL_SECONDS[0]
        while not self._stopping.is_set():
            try:
                wait = self.look()
            except UNREACHABLE:
                _logger.warning("the database is away: witnesses are asked later")
                wait = None
            except Exception:
                _logger.exception("witnesses could not be asked")
                wait = None
            self._stopping.wait(BETWEEN_LOOKS_SECONDS)
            if self._woken.wait(poll if wait is None else min(wait, poll)):
                self._woken.clear()
                poll = POLL_SECONDS[0]
            elif wait is None:
                poll = min(2 * poll, POLL_SECONDS[1])
