"""Has new checkpoints cosigned while nobody asks: in a thread of its own, behind whoever signs.

A witness that does not work is left alone for some time, for all logs, so that it holds up the others once
and not for each log.
"""

from collections.abc import Callable
from datetime import datetime

from adapters.commit_signal import CommitSignal
from app.follower import Follower
from app.witnesses import RETRY_SECONDS, WitnessRounds
from domain.errors import DeedbookError


class WitnessFollower(Follower):
    """Holds rounds for all logs.

    Args:
        rounds: What it holds.
        signal: Wakes it.
        now: The clock by which rounds are due.
        monotonic: Gives seconds, for waits.
    """

    name = "witnesses"
    between_seconds = 2.0  # what is new is not signed before
    when_away = "the database is away: witnesses are asked later"
    when_broken = "witnesses could not be asked"

    def __init__(
        self,
        rounds: WitnessRounds,
        signal: CommitSignal,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
    ) -> None:
        super().__init__(signal)
        self._rounds = rounds
        self._now = now
        self._monotonic = monotonic
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

    def _hold(self, project: str) -> None:
        began = self._monotonic()
        self._away = {vkey: until for vkey, until in self._away.items() if until > began}
        try:
            away = self._rounds.hold(project, list(self._away))
        except DeedbookError as error:
            self._logger.error("%s (%s)", error.detail, error.code)  # noqa: TRY400 - its sentence says it all
            return
        until = self._monotonic() + RETRY_SECONDS[0]
        self._away.update(dict.fromkeys(away, until))
