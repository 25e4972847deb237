"""Asking the index in Postgres: BM25 over the postings and distances of vectors, fused in one statement.

Each ranked list has 100 chunks; reciprocal rank fusion (Cormack, Clarke and Büttcher 2009, K = 60, ranks from 0)
makes one of them, which knows nothing of scores. What is found is shown only if it is the newest that there is
of its source, so an index that lags can hide something new, and never shows what is old or erased.
"""

from collections.abc import Sequence

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool

from adapters.search.local_index import vector_text
from domain.search import DEPTH

K = 60
EXACT_CHUNKS = 10_000
"""Up to so many chunks, all distances are looked at: that is exact, and no slower than the graph."""
GRAPH_WIDTH = 100


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the index.

    Attributes:
        projects: That the caller may read.
        terms: Of the query; none: it is not searched by words.
        names: Terms of the names that the query consists of, if it consists of names alone.
        vector: Of the query; None: it is not searched by meaning.
        model: Whose vector it is.
        kinds: Of chunks; none: all.
        limit: Chunks in the answer.
    """

    projects: Sequence[str]
    terms: Sequence[int] = ()
    names: Sequence[int] = ()
    vector: Sequence[float] | None = None
    model: str = ""
    kinds: Sequence[str] = ()
    limit: int = 2 * DEPTH


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A chunk that was found, the best first."""

    project: str
    source: str
    ordinal: int
    position: int
    version: int
    kind: str
    heading: list[str]
    body: str
    first: int
    stop: int


_LEXICAL = """
  q AS (SELECT unnest(%(terms)s::int[]) AS term),
  p AS MATERIALIZED (SELECT p.term, p.project_id, p.chunk_id, p.weight
    FROM q JOIN search_posting p ON p.project_id = ANY(%(projects)s) AND p.term = q.term),
  i AS (SELECT term, ln((greatest(%(chunks)s, count(*)) - count(*) + 0.5) / (count(*) + 0.5) + 1) AS idf FROM p GROUP BY term),
  lexical AS (
    SELECT project_id, chunk_id, row_number() OVER (ORDER BY score DESC, chunk_id) - 1 AS rank FROM (
      SELECT p.project_id, p.chunk_id, sum(p.weight * i.idf) AS score FROM p JOIN i USING (term)
      GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT %(depth)s) s)
"""
_NO_LEXICAL = (
    "lexical AS (SELECT ''::text AS project_id, 0::bigint AS chunk_id, 0::bigint AS rank LIMIT 0)"
)
_NAMED = """
  named AS (
    SELECT project_id, chunk_id, row_number() OVER (ORDER BY score DESC, chunk_id) - 1 AS rank FROM (
      SELECT project_id, chunk_id, sum(weight) AS score FROM search_posting
      WHERE project_id = ANY(%(projects)s) AND term = ANY(%(names)s)
      GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT %(depth)s) s)
"""
_NO_NAMED = (
    "named AS (SELECT ''::text AS project_id, 0::bigint AS chunk_id, 0::bigint AS rank LIMIT 0)"
)
_DENSE = """
  dense AS (
    SELECT project_id, chunk_id, row_number() OVER (ORDER BY distance, chunk_id) - 1 AS rank FROM (
      SELECT project_id, chunk_id, {distance} AS distance FROM search_embedding
      WHERE project_id = ANY(%(projects)s) AND model = %(model)s
      ORDER BY {order} LIMIT %(depth)s) s)
"""
_EXACT = _DENSE.format(
    # Added to, the distance is no order that the graph's index could give.
    distance="(embedding <=> %(vector)s::halfvec) + 0",
    order="3, 2",
)
_GRAPH = _DENSE.format(
    distance="embedding <=> %(vector)s::halfvec", order="embedding <=> %(vector)s::halfvec"
)
_NO_DENSE = (
    "dense AS (SELECT ''::text AS project_id, 0::bigint AS chunk_id, 0::bigint AS rank LIMIT 0)"
)
_FUSED = """
  fused AS (
    SELECT project_id, chunk_id, sum(1.0::float8 / (%(k)s + rank)) AS score FROM (
      SELECT * FROM lexical UNION ALL SELECT * FROM dense UNION ALL SELECT * FROM named) l
    GROUP BY 1, 2)
  SELECT c.project_id AS project, c.source, c.ordinal, c.position, c.version, c.kind, c.heading, c.body,
    c.first, c.stop
  FROM fused f JOIN search_chunk c USING (project_id, chunk_id)
  WHERE (%(kinds)s::text[] = '{}' OR c.kind = ANY(%(kinds)s))
    AND NOT EXISTS (SELECT FROM event e WHERE e.project_id = c.project_id AND e.stream = c.source
      AND e.version > c.version)
    AND NOT EXISTS (SELECT FROM erasure e WHERE e.project_id = c.project_id AND e.artifact = c.source
      AND e.position > c.position)
  ORDER BY f.score DESC, f.chunk_id LIMIT %(limit)s
"""


class LocalSearch:
    """Answers questions."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def find(self, question: Question) -> list[Found]:
        """The chunks that fit best, the best first."""
        with self._pool.connection() as connection:
            chunks = _chunks(connection, question.projects)
            dense = _NO_DENSE
            if question.vector is not None:
                dense = _EXACT if chunks <= EXACT_CHUNKS else _GRAPH
                if dense is _GRAPH:
                    _widen(connection)
            statement = "WITH " + ",".join(
                (
                    _LEXICAL if question.terms else _NO_LEXICAL,
                    dense,
                    _NAMED if question.names else _NO_NAMED,
                    _FUSED,
                )
            )
            return (
                connection.cursor(row_factory=class_row(Found))
                .execute(statement.encode(), _values(question, chunks))
                .fetchall()
            )

    def current(self, project: str, ids: Sequence[tuple[str, int]]) -> list[Found]:
        """Chunks by source and ordinal, in the order given, as far as they are the newest there are."""
        with self._pool.connection() as connection:
            return (
                connection.cursor(row_factory=class_row(Found))
                .execute(
                    b"""
                    WITH lexical AS (
                      SELECT c.project_id, c.chunk_id, i.place - 1 AS rank
                      FROM unnest(%(sources)s::text[], %(ordinals)s::int[])
                        WITH ORDINALITY AS i (source, ordinal, place)
                      JOIN search_chunk c ON c.project_id = %(project)s AND c.source = i.source
                        AND c.ordinal = i.ordinal),
                    """
                    + f"{_NO_DENSE},{_NO_NAMED},{_FUSED}".encode(),
                    {
                        "project": project,
                        "sources": [source for source, _ in ids],
                        "ordinals": [ordinal for _, ordinal in ids],
                        "k": K,
                        "kinds": [],
                        "limit": len(ids),
                    },
                )
                .fetchall()
            )


def _chunks(connection: psycopg.Connection, projects: Sequence[str]) -> int:
    row = connection.execute(
        """
        SELECT coalesce(sum(chunks), 0)::bigint FROM search_project
        WHERE backend = 'local' AND project_id = ANY(%s)
        """,
        (list(projects),),
    ).fetchone()
    assert row is not None
    return int(row[0])


def _widen(connection: psycopg.Connection) -> None:
    """Look on in the graph until enough of what is found passes the filter (pgvector 0.8)."""
    connection.execute(
        """
        SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true),
          set_config('hnsw.ef_search', %s, true)
        """,
        (str(GRAPH_WIDTH),),
    )


def _values(question: Question, chunks: int) -> dict[str, object]:
    return {
        "projects": list(question.projects),
        "terms": list(question.terms),
        "names": list(question.names),
        "vector": None if question.vector is None else vector_text(question.vector),
        "model": question.model,
        "kinds": list(question.kinds),
        "chunks": float(chunks),
        "depth": DEPTH,
        "k": K,
        "limit": question.limit,
    }
