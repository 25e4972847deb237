"""Puts search together: the indexes that there are, who keeps them, and who answers from them."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache, partial

import msgspec
from psycopg_pool import ConnectionPool

from adapters.commit_signal import CommitSignal
from adapters.postgres_blobs import PostgresBlobs
from adapters.postgres_connect import reading
from adapters.postgres_views import PostgresViews
from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.local_index import LocalIndex
from adapters.search.local_search import LocalSearch
from adapters.search.search_state import SearchState
from adapters.search.upstash_index import UpstashIndex
from adapters.search.vector_tables import Vectors, look_for_vectors
from app.search.breaker import Breaker
from app.search.embedding import Embedding
from app.search.hosted_backend import HostedBackend
from app.search.hosted_follower import HostedFollower
from app.search.hosted_index import HostedIndex
from app.search.indexing import Indexing
from app.search.local_backend import LocalBackend
from app.search.meter import Meter
from app.search.searching import Searches
from app.search.sources import Sources
from app.search.upkeep import Holding, Upkeep
from domain.log import EventLog

OpenEmbedder = Callable[[], Embedder | EmbedderMissing]


class Chances(msgspec.Struct, frozen=True):
    """What search needs of the world: a random number from 0 to 1, the time, and seconds that only grow."""

    chance: Callable[[], float]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]


class OpenedSearch(msgspec.Struct, frozen=True):
    """Search, open: who answers, who indexes, and what adds vectors, when that is first needed.

    Attributes:
        look_after: Makes who looks after the hosted index; None: there is none.
    """

    searches: Searches
    indexings: tuple[Indexing, ...]
    embedding: Callable[[], Embedding | None]
    look_after: Callable[[CommitSignal], HostedFollower] | None


def open_search(
    pool: ConnectionPool,
    sources: tuple[EventLog, PostgresViews, PostgresBlobs],
    *,
    embedder: OpenEmbedder,
    hosted: UpstashIndex | None,
    falls_back: bool,
    chances: Chances,
) -> OpenedSearch:
    """Search over the index in Postgres, and over a hosted one if there is one.

    Args:
        pool: Of the service.
        sources: The log, views and blobs of the ledger.
        embedder: Opens the model, or says why there is none; called when it is first needed.
        hosted: An index elsewhere, which is asked first.
        falls_back: Whether Postgres answers while that is away.
        chances: Of the world.
    """
    meter, read = Meter(), Sources(*sources)
    state, index = SearchState(pool, "local"), LocalIndex(pool)
    search = LocalSearch(pool)

    @lru_cache(maxsize=1)
    def vectors() -> Vectors:
        with reading(pool) as connection:
            return look_for_vectors(connection)

    @lru_cache(maxsize=1)
    def embedding() -> Embedding | None:
        found = embedder() if vectors().there else None
        if found is None or isinstance(found, EmbedderMissing):
            return None
        return Embedding(index, found, meter.embedding)

    def indexing(of: SearchState, into: LocalIndex | HostedIndex) -> Indexing:
        return Indexing(
            of, into, read, chance=chances.chance, clock=chances.clock, failed=meter.failed
        )

    local = LocalBackend(state, search, embedder, vectors)
    indexings = [indexing(state, index)]
    held: list[tuple[SearchState, Holding]] = [(state, index)]
    backend = look_after = None
    if hosted is not None:
        there = SearchState(pool, "upstash")
        hosted_index = HostedIndex(there, hosted)
        brings = indexing(there, hosted_index)
        indexings.append(brings)
        held.append((there, hosted_index))
        backend = HostedBackend(
            there,
            hosted,
            search,
            breaker=Breaker(chances.monotonic),
            shut_out=lambda: brings.shut_out,
            failed=meter.failed,
        )
        look_after = partial(HostedFollower, there, hosted_index, hosted, meter)
    return OpenedSearch(
        Searches(local, backend, falls_back=falls_back, upkeep=Upkeep(held), meter=meter),
        tuple(indexings),
        embedding,
        look_after,
    )
