"""Puts search together: the index that there is, who keeps it, and who answers from it."""

from collections.abc import Callable
from functools import lru_cache

import msgspec
from psycopg_pool import ConnectionPool

from adapters.postgres_blobs import PostgresBlobs
from adapters.postgres_connect import reading
from adapters.postgres_views import PostgresViews
from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.local_index import LocalIndex
from adapters.search.local_search import LocalSearch
from adapters.search.search_state import SearchState
from adapters.search.vector_tables import Vectors, look_for_vectors
from app.search.embedding import Embedding
from app.search.indexing import Indexing
from app.search.searching import Meaning, Searches
from app.search.sources import Sources
from domain.log import EventLog

OpenEmbedder = Callable[[], Embedder | EmbedderMissing]


class OpenedSearch(msgspec.Struct, frozen=True):
    """Search, open: who answers, who indexes, and what adds vectors, when that is first needed."""

    searches: Searches
    indexings: tuple[Indexing, ...]
    embedding: Callable[[], Embedding | None]


def open_search(
    pool: ConnectionPool,
    log: EventLog,
    views: PostgresViews,
    blobs: PostgresBlobs,
    *,
    embedder: OpenEmbedder,
    chance: Callable[[], float],
) -> OpenedSearch:
    """Search over the index in Postgres.

    Args:
        pool: Of the service.
        log: Of the ledger.
        views: Of the ledger.
        blobs: Of the ledger.
        embedder: Opens the model, or says why there is none; called once, when it is first needed.
        chance: Gives a number from 0 to 1, for waits.
    """
    state, index = SearchState(pool, "local"), LocalIndex(pool)
    once = lru_cache(maxsize=1)(embedder)

    @lru_cache(maxsize=1)
    def vectors() -> Vectors:
        with reading(pool) as connection:
            return look_for_vectors(connection)

    def embedding() -> Embedding | None:
        found = once() if vectors().there else None
        return None if found is None or isinstance(found, EmbedderMissing) else Embedding(index, found)

    return OpenedSearch(
        Searches(state, index, LocalSearch(pool), Meaning(embedder=once, vectors=vectors)),
        (Indexing(state, index, Sources(log, views, blobs), chance),),
        embedding,
    )
