"""Looks after a hosted index day by day: nobody else would notice what went wrong with it."""

from adapters.commit_signal import CommitSignal
from adapters.search.remote_fault import RemoteFault
from adapters.search.search_state import SearchState
from adapters.search.upstash_index import UpstashIndex
from app.follower import Follower
from app.search.hosted_index import HostedIndex
from app.search.meter import Meter
from app.search.upkeep import reconcile
from domain.errors import Malformed, Unavailable

LEASE_SECONDS = 3_600.0
"""A project that somebody compares is left to them for so long; one that could not be compared waits as long."""
LOOK_SECONDS = 3_600.0
AWAY_SECONDS = 300.0


class HostedFollower(Follower):
    """Compares once a day what the index holds with what it should hold, and has the difference mended.

    What is filled with another model's vectors it has filled anew, of all projects when it starts, and then of
    each when that is compared: another process may run with another model. Of several processes one compares.

    Args:
        state: What the index should hold.
        index: Holds it.
        hosted: The same, as the service has it.
        meter: Counts what was amiss.
        signal: Ends it.
    """

    name = "hosted-index"
    between_seconds = 1.0
    when_away = "the database is away: the hosted index is looked after later"
    when_broken = "the hosted index could not be looked after"

    def __init__(
        self,
        state: SearchState,
        index: HostedIndex,
        hosted: UpstashIndex,
        meter: Meter,
        signal: CommitSignal,
    ) -> None:
        super().__init__(signal)
        self._state = state
        self._index = index
        self._hosted = hosted
        self._meter = meter
        self._renewed = False

    def look(self) -> float | None:
        """Do what is due."""
        try:
            if not self._renewed:
                self._renew(None)
                self._renewed = True
            while not self._stopping.is_set():
                project = self._state.claim_reconcile(LEASE_SECONDS)
                if project is None:
                    return LOOK_SECONDS
                self._renew(project)
                found = reconcile(self._state, self._index, project)
                self._meter.reconciled(found)
                if found.missing or found.stale:
                    self._logger.warning(
                        "the hosted index lacked %d sources of %s and had %d too many: they are mended",
                        found.missing, project, found.stale,
                    )  # fmt: skip
        except (RemoteFault, Unavailable, Malformed) as error:
            self._logger.warning("the hosted index is looked after later: %s", error)
            return AWAY_SECONDS
        return LOOK_SECONDS

    def _renew(self, project: str | None) -> None:
        model = self._hosted.filled_by()
        count = self._state.fill_anew(model, project)
        if count:
            self._logger.warning(
                "%d sources in the hosted index have vectors of another model than %r: they are indexed anew",
                count,
                model,
            )
