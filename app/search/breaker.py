"""A circuit breaker: who fails again and again is left alone for a while, instead of made wait for."""

import threading
from collections.abc import Callable

FAILURES = 5
OPEN_SECONDS = 30.0


class Breaker:
    """Counts failures in a row.

    Args:
        monotonic: Gives seconds that only grow.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0

    @property
    def open(self) -> bool:
        """Whether nobody should try now. When the time is over, one may, and the others after success."""
        with self._lock:
            now = self._monotonic()
            if self._failures < FAILURES:
                return False
            if now < self._open_until:
                return True
            self._open_until = now + OPEN_SECONDS  # this caller tries, for all the others
            return False

    @property
    def failing(self) -> bool:
        """Whether the last attempts, as many as open it, all failed."""
        with self._lock:
            return self._failures >= FAILURES

    def succeeded(self) -> None:
        """It works (again)."""
        with self._lock:
            self._failures = 0

    def failed(self) -> None:
        """It did not work."""
        with self._lock:
            self._failures += 1
            if self._failures >= FAILURES:
                self._open_until = self._monotonic() + OPEN_SECONDS
