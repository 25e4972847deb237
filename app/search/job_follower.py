"""Sends a job for every source that is to be indexed, after the commit, and again while it is not done."""

import hashlib

import msgspec

from adapters.commit_signal import CommitSignal
from adapters.qstash_queue import QStashQueue
from adapters.search.search_state import DueSource, SearchState
from app.follower import Follower
from domain.errors import Unavailable

JOBS_AT_ONCE = 100
AGAIN_SECONDS = 900.0
"""A source whose job was sent is left to it for so long: longer than QStash takes a second one for the same."""
AWAY_SECONDS = 30.0


class JobFollower(Follower):
    """Sends jobs.

    Args:
        states: What each backend's index should hold.
        queue: Delivers jobs.
        signal: Wakes it.
    """

    name = "jobs"
    between_seconds = 0.1
    when_away = "the database is away: jobs for the search index are sent later"
    when_broken = "jobs for the search index could not be sent"

    def __init__(
        self, states: tuple[SearchState, ...], queue: QStashQueue, signal: CommitSignal
    ) -> None:
        super().__init__(signal)
        self._states = states
        self._queue = queue

    def look(self) -> float | None:
        """Send what is due."""
        for state in self._states:
            state.note_all()
        waits = [wait for state in self._states if (wait := self._send(state)) is not None]
        return min(waits, default=None)

    def _send(self, state: SearchState) -> float | None:
        due = state.announce(JOBS_AT_ONCE, AGAIN_SECONDS)
        for place, job in enumerate(due):
            if self._stopping.is_set():
                state.due_in(due[place:], 0.0)
                break
            try:
                self._queue.send(msgspec.to_builtins(job), deduplication=_name(job))
            except Unavailable as error:
                self._logger.warning("%s They are sent later.", error.detail)
                state.due_in(due[place:], AWAY_SECONDS)
                break
        return state.next_due()


def _name(job: DueSource) -> str:
    return hashlib.sha256(msgspec.json.encode(job)).hexdigest()
