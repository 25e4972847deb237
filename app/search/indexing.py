"""Brings sources into an index, one at a time: the follower does it, and a job that names one.

A source that cannot be read or written is tried again, later each time; what is wrong with it, and not with
the way to it, is given up after three tries, and counted until somebody asks for another. Who is not let in
at all stops, and looks again after some minutes.
"""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from adapters.postgres_connect import UNREACHABLE
from adapters.search.remote_fault import RemoteFault
from adapters.search.search_state import Claim, SearchState
from app.search.sources import Sources
from domain.errors import DeedbookError, Unavailable
from projections.search.indexed import IndexedSource

TRIES = 3
RETRY_SECONDS = (0.5, 300.0)
"""The first wait at most, and the longest; each is twice the one before, and then a random part of it."""

SHUT_OUT_SECONDS = 300.0
"""An index that does not know our token is left alone for so long."""

_logger = logging.getLogger("deedbook.search")


class Index(Protocol):
    """Where sources are brought."""

    def replace(self, claim: Claim, found: IndexedSource) -> bool:
        """Have the source as it was claimed, and nothing else of it; False: it is another's now."""


class Indexing:
    """Brings sources into one backend's index.

    Args:
        state: What the index should hold.
        index: What it holds.
        sources: Where their texts are.
        chance: Gives a number from 0 to 1, so that those who failed together come back apart.
        clock: Gives the time.
        failed: Is told the kind of what an index answered instead.
    """

    def __init__(
        self,
        state: SearchState,
        index: Index,
        sources: Sources,
        *,
        chance: Callable[[], float],
        clock: Callable[[], datetime],
        failed: Callable[[str, str], None],
    ) -> None:
        self.state = state
        self.shut_out = False
        self._clock = clock
        self._failed = failed
        self._index = index
        self._sources = sources
        self._chance = chance

    def bring(self, claim: Claim) -> bool:
        """Index one source; answers whether it is there as it was claimed.

        Raises:
            psycopg.OperationalError: The database is away; the lease runs out.
        """
        try:
            found = self._sources.read(claim.project, claim.source, claim.wanted)
            done = self._index.replace(claim, found)
        except UNREACHABLE:
            raise
        except RemoteFault as fault:
            self._failed(self.state.backend, fault.kind)
            self._refused(claim, fault)
        except Unavailable as error:
            self.state.put_off(claim, self.wait(claim.attempts), error.detail)
        except DeedbookError as error:
            self._fail(claim, f"{error.detail} ({error.code})")
        except Exception as error:
            _logger.exception("%s of %s could not be indexed", claim.source, claim.project)
            self._fail(claim, f"{type(error).__name__}: {error}")
        else:
            self.shut_out = False
            return done
        return False

    def _refused(self, claim: Claim, fault: RemoteFault) -> None:
        if fault.kind == "unauthorized":
            if not self.shut_out:
                _logger.error(
                    "the hosted index does not let us in, and is not kept up to date: %s", fault
                )
            self.shut_out = True
            self.state.put_off(claim, SHUT_OUT_SECONDS, str(fault))
        elif fault.passing:
            wait = fault.wait_seconds(self._clock())
            self.state.put_off(
                claim, self.wait(claim.attempts) if wait is None else wait, str(fault)
            )
        else:
            self._fail(claim, str(fault))

    def wait(self, attempts: int) -> float:
        """In how many seconds a source is tried again that failed so often."""
        longest: float = min(RETRY_SECONDS[0] * 2.0 ** min(attempts, 20), RETRY_SECONDS[1])
        return longest * self._chance()

    def _fail(self, claim: Claim, problem: str) -> None:
        if claim.attempts >= TRIES:
            self.state.give_up(claim, problem)
        else:
            self.state.put_off(claim, self.wait(claim.attempts), problem)
