"""Signs checkpoints while nobody asks: after 256 new leaves, or 2 s after the first unsigned one.

Several processes may do so at once: who holds a project's Tracking signs, and the others pass it by.
"""

from collections.abc import Callable

from adapters.commit_signal import CommitSignal
from app.checkpoints import Checkpoints
from app.follower import Follower
from domain.errors import DeedbookError

UNSIGNED_LEAVES = 256
UNSIGNED_SECONDS = 2.0
REFUSED_SECONDS = 60.0
"""A log that cannot be signed is tried again, and complained about, so often."""


class CheckpointFollower(Follower):
    """Signs the checkpoints of all projects."""

    name = "checkpoints"
    between_seconds = 0.25
    when_away = "the database is away: checkpoints are signed later"
    when_broken = "checkpoints could not be signed"

    def __init__(
        self, checkpoints: Checkpoints, signal: CommitSignal, monotonic: Callable[[], float]
    ) -> None:
        super().__init__(signal)
        self._checkpoints = checkpoints
        self._monotonic = monotonic
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

    def _sign(self, project: str, now: float) -> float:
        """Sign one log; answers when it is due again, `now` when that was all."""
        try:
            if self._checkpoints.sign_now(project):
                self._due.pop(project, None)
                return now
            self._due[project] = now + UNSIGNED_SECONDS  # another process is at it
        except DeedbookError as error:
            self._logger.error("%s (%s)", error.detail, error.code)  # noqa: TRY400 - its sentence says it all
            self._due[project] = now + REFUSED_SECONDS
        return self._due[project]
