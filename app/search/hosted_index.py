"""Keeps a hosted index: at least once, and so that doing it twice does no harm."""

from collections.abc import Iterator, Sequence

from adapters.search.remote_chunk import RemoteChunk
from adapters.search.remote_fault import RemoteFault
from adapters.search.search_state import Claim, SearchState
from adapters.search.upstash_index import UpstashIndex
from domain.errors import Unavailable
from projections.search.indexed import IndexedSource
from projections.search.terms import weights


class HostedIndex:
    """Brings sources into a hosted index.

    Args:
        state: What it should hold.
        hosted: The index.
    """

    def __init__(self, state: SearchState, hosted: UpstashIndex) -> None:
        self._state = state
        self._hosted = hosted

    def replace(self, claim: Claim, found: IndexedSource) -> bool:
        """Have the source as it was claimed, and nothing older of it.

        Raises:
            RemoteFault: It may be there, or partly; bringing it again mends that.
        """
        if not found.chunks:
            self._hosted.remove(claim.project, claim.source)
        else:
            chunks = [
                RemoteChunk(one.kind, one.heading, one.text, weights(one.text))
                for one in found.chunks
            ]
            if not self._hosted.replace(claim.project, claim.source, claim.wanted, chunks):
                self._state.put_off(claim, AGAIN_SECONDS, "the index holds a newer version of it")
                return False
        return self._state.synced(
            claim, len(found.chunks), cut=found.cut, model=self._hosted.filled_by()
        )

    def inventory(self, project: str) -> Iterator[tuple[str, int, int]]:
        """What it holds of a project.

        Raises:
            Unavailable: `search-unavailable`.
        """
        try:
            yield from self._hosted.inventory(project)
        except RemoteFault as fault:
            raise away(fault) from fault

    def drop(self, project: str, sources: Sequence[str]) -> None:
        """Have nothing of these sources any more.

        Raises:
            Unavailable: `search-unavailable`.
        """
        try:
            for source in sources:
                self._hosted.remove(project, source)
        except RemoteFault as fault:
            raise away(fault) from fault


AGAIN_SECONDS = 60.0
"""Until then whoever wrote the newer version will have said so."""


def away(fault: RemoteFault) -> Unavailable:
    """What somebody is told who asked for something that only the hosted index can do."""
    return Unavailable("search-unavailable", f"The hosted index cannot be used: {fault}.")
