"""Signs checkpoints while nobody asks: after 256 new leaves, or 2 s after the first unsigned one.

Commits wake it; a poll that backs off makes it right where a hint was lost. Several processes may do so
at once: who holds a project's Tracking signs, and the others pass it by.
"""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from adapters.commit_signal import CommitSignal
from adapters.postgres_connect import UNREACHABLE
from app.checkpoints import Checkpoints
from domain.errors import DeedbookError

UNSIGNED_LEAVES = 256
UNSIGNED_SECONDS = 2.0
BETWEEN_LOOKS_SECONDS = 0.25
"""A busy ledger is looked at no more often than this."""
POLL_SECONDS = (2.0, 600.0)
"""Without a wake-up: the first wait and the longest, so that an idle database can sleep."""
REFUSED_SECONDS = 60.0
"""A log that cannot be signed is tried again, and complained about, so often."""

_logger = logging.getLogger("deedbook.checkpoints")


class CheckpointFollower:
    """Follows all projects in a thread; use as a context manager."""

    def __init__(
        self, checkpoints: Checkpoints, signal: CommitSignal, monotonic: Callable[[], float]
    ) -> None:
        self._checkpoints = checkpoints
        self._signal = signal
        self._monotonic = monotonic
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._due: dict[str, float] = {}

    def look(self) -> float | None:
        """Sign what is due; answers in how many seconds more will be, None when all is signed."""
        now = self._monotonic()
        behind = self._checkpoints.behind()
        names = {one.project for one in behind}
        self._due = {name: due for name, due in self._due.items() if name in names}
        waits: list[float] = []
        for one in behind:
            if self._stopping.is_set():
                break
            known = one.project in self._due
            due = self._due.setdefault(one.project, now + UNSIGNED_SECONDS)
            refused = known and due - now > UNSIGNED_SECONDS
            if now >= due or (one.size - one.signed_size >= UNSIGNED_LEAVES and not refused):
                due = self._sign(one.project, now)
            if due > now:
                waits.append(due - now)
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

    def _sign(self, project: str, now: float) -> float:
        """Sign one log; answers when it is due again, `now` when that was all."""
        try:
            if self._checkpoints.sign_now(project):
                self._due.pop(project, None)
                return now
            self._due[project] = now + UNSIGNED_SECONDS  # another process is at it
        except DeedbookError as error:
            _logger.error("%s (%s)", error.detail, error.code)  # noqa: TRY400 - its sentence says it all
            self._due[project] = now + REFUSED_SECONDS
        return self._due[project]

    def _run(self) -> None:
        poll = POLL_SECONDS[0]
        while not self._stopping.is_set():
            try:
                wait = self.look()
            except UNREACHABLE:
                _logger.warning("the database is away: checkpoints are signed later")
                wait = None
            except Exception:
                _logger.exception("checkpoints could not be signed")
                wait = None
            self._stopping.wait(BETWEEN_LOOKS_SECONDS)
            if self._woken.wait(poll if wait is None else min(wait, poll)):
                self._woken.clear()
                poll = POLL_SECONDS[0]
            elif wait is None:
                poll = min(2 * poll, POLL_SECONDS[1])
