"""Asking the index in Postgres: BM25 over the postings and distances of vectors, fused in one statement.

Each ranked list has 100 chunks. The scores of each are brought to one scale by their distribution, mean and three
standard deviations (DBSF), and added up; a source counts by its best chunk and a part of the next two, and one
that is called what was asked for goes before all others (`docs/search-quality.md` has what each of that brings).
What is found is shown only if it is the newest that there is of its source, so an index that lags can hide
something new, and never shows what is old or erased.
"""

from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg_pool import ConnectionPool

from adapters.search.local_index import vector_text
from domain.search import DEPTH, MAX_ALSO

EXACT_CHUNKS = 10_000
"""Up to so many chunks all is looked at: that is exact, and no slower. Beyond, a graph leads to near vectors, and of the
query's terms the rare ones lead to chunks, which the frequent ones then only rank."""
RARE_POSTINGS = 10_000
"""The rarest terms are rare, as long as they stand in so many chunks together,"""
ENOUGH_POSTINGS = 2_000
"""and the next one too while those before it stand in fewer than these."""
LED_CHUNKS = 250
"""So many of what the rare terms lead to are ranked by all."""
GRAPH_WIDTH = 100
WORK_MEMORY = "32MB"
"""Enough to add up the scores of 300,000 chunks without files."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the index.

    Attributes:
        projects: That the caller may read.
        terms: Of the query, each with how often it stands there; none: it is not searched by words.
        names: Terms of the names that the query consists of, if it consists of names alone.
        vector: Of the query; None: it is not searched by meaning.
        model: Whose vector it is.
        kinds: Of chunks; none: all.
        limit: Sources in the answer.
    """

    projects: Sequence[str]
    terms: Mapping[int, int] = {}
    names: Sequence[int] = ()
    vector: Sequence[float] | None = None
    model: str = ""
    kinds: Sequence[str] = ()
    limit: int = 10


class GivenChunk(msgspec.Struct, frozen=True):
    """A chunk that another index has found, as it was indexed at a position, with that index's score."""

    source: str
    position: int
    ordinal: int
    score: float


class GivenChunks(msgspec.Struct, frozen=True, kw_only=True):
    """What another index has found of a project; names, kinds and limit as in a question."""

    project: str
    chunks: Sequence[GivenChunk]
    names: Sequence[int] = ()
    kinds: Sequence[str] = ()
    limit: int = 10


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
  q AS (SELECT * FROM unnest(%(terms)s::int[], %(times)s::int[]) AS q (term, times)),
  i AS MATERIALIZED (SELECT term, times * ln((greatest(%(chunks)s, n) - n + 0.5) / (n + 0.5) + 1) AS idf
    FROM q CROSS JOIN LATERAL (
      SELECT count(*) AS n FROM search_posting WHERE project_id {among} AND term = q.term) AS p),
  lexical AS (SELECT p.project_id, p.chunk_id, sum(p.weight * i.idf) AS score
    FROM i JOIN search_posting p ON p.project_id {among} AND p.term = i.term
    GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT %(depth)s),
"""
_LEXICAL_LARGE = """
  q AS (SELECT * FROM unnest(%(terms)s::int[], %(times)s::int[]) AS q (term, times)),
  n AS MATERIALIZED (SELECT term, times, n, sum(n) OVER w AS together
    FROM q CROSS JOIN LATERAL (
      SELECT count(*) AS n FROM search_posting WHERE project_id {among} AND term = q.term) AS p
    WINDOW w AS (ORDER BY n, term)),
  i AS MATERIALIZED (SELECT term,
      times * ln((greatest(%(chunks)s, n) - n + 0.5) / (n + 0.5) + 1) AS idf,
      together <= %(rare)s OR together - n < %(enough)s AS rare FROM n),
  led AS (SELECT p.project_id, p.chunk_id, sum(p.weight * i.idf) AS score
    FROM i JOIN search_posting p ON p.project_id {among} AND p.term = i.term
    WHERE i.rare GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT %(led)s),
  lexical AS (SELECT l.project_id, l.chunk_id, l.score + coalesce((SELECT sum(p.weight * i.idf)
      FROM i JOIN search_posting p
        ON p.project_id = l.project_id AND p.term = i.term AND p.chunk_id = l.chunk_id
      WHERE NOT i.rare), 0) AS score
    FROM led l ORDER BY 3 DESC, 2 LIMIT %(depth)s),
"""
_DENSE = """
  dense AS (SELECT project_id, chunk_id, 1 - ({distance}) AS score FROM search_embedding
    WHERE project_id {among} AND model = %(model)s
    ORDER BY {distance} {ties} LIMIT %(depth)s),
"""
# Added to, the distance is no order that the graph's index could give.
_EXACT = {"distance": "(embedding <=> %(vector)s::halfvec) + 0", "ties": ", chunk_id"}
_GRAPH = {"distance": "embedding <=> %(vector)s::halfvec", "ties": ""}
_NO_CHUNKS = "SELECT ''::text AS project_id, 0::bigint AS chunk_id, 0::float8 AS score LIMIT 0"
_NO_LEXICAL = f"lexical AS ({_NO_CHUNKS}),"
_NO_DENSE = f"dense AS ({_NO_CHUNKS}),"
_FUSED = """
  listed AS (SELECT 'lexical' AS list, * FROM lexical UNION ALL SELECT 'dense', * FROM dense),
  spread AS (SELECT project_id, chunk_id, score - avg(score) OVER w AS above, stddev_samp(score) OVER w AS sd
    FROM listed WINDOW w AS (PARTITION BY list)),
  fused AS (SELECT project_id, chunk_id,
      sum(CASE WHEN sd > 0 THEN above / (6 * sd) + 0.5 ELSE 0.5 END) AS score
    FROM spread GROUP BY 1, 2),
"""
_GIVEN = """
  fused AS (SELECT c.project_id, c.chunk_id, i.score
    FROM unnest(%(sources)s::text[], %(positions)s::bigint[], %(ordinals)s::int[], %(scores)s::float8[])
      AS i (source, position, ordinal, score)
    JOIN search_chunk c ON c.project_id {among} AND c.source = i.source
      AND c.position = i.position AND c.ordinal = i.ordinal),
"""
_SHOWN = """
  named AS (SELECT project_id, chunk_id, sum(weight) AS name FROM search_posting
    WHERE project_id {among} AND term = ANY(%(names)s)
    GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT %(depth)s),
  candidate AS (SELECT project_id, chunk_id, coalesce(name, 0) AS name, coalesce(score, 0) AS score
    FROM fused FULL JOIN named USING (project_id, chunk_id)),
  current AS (
    SELECT n.name, n.score, c.*, row_number() OVER (
        PARTITION BY c.project_id, c.source ORDER BY n.score DESC, n.chunk_id) AS nth
    FROM candidate n JOIN search_chunk c USING (project_id, chunk_id)
    WHERE (cardinality(%(kinds)s::text[]) = 0 OR c.kind = ANY(%(kinds)s))
      AND NOT EXISTS (SELECT FROM event e WHERE e.project_id = c.project_id AND e.stream = c.source
        AND e.version > c.version)
      AND NOT EXISTS (SELECT FROM erasure e WHERE e.project_id = c.project_id AND e.artifact = c.source
        AND e.position > c.position)),
  folded AS (
    SELECT *, max(name) OVER s AS source_name, sum(
        CASE nth WHEN 1 THEN score WHEN 2 THEN 0.3 * score WHEN 3 THEN 0.1 * score ELSE 0 END
      ) OVER s AS source_score
    FROM current WINDOW s AS (PARTITION BY project_id, source)),
  placed AS (
    SELECT *, dense_rank() OVER (
      ORDER BY source_name DESC, source_score DESC, project_id, source) AS place FROM folded)
  SELECT project_id AS project, source, ordinal, position, version, kind, heading, body, first, stop
  FROM placed WHERE place <= %(limit)s AND nth <= %(shown)s ORDER BY place, nth
"""
SHOWN_CHUNKS = 1 + MAX_ALSO


class LocalSearch:
    """Answers questions."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def find(self, question: Question) -> list[Found]:
        """The sources that fit best, the best first, each with its best chunks."""
        with self._pool.connection() as connection:
            chunks = _prepare(connection, question.projects)
            dense, looked = _NO_DENSE, _EXACT if chunks <= EXACT_CHUNKS else _GRAPH
            if question.vector is not None:
                dense = _DENSE
                if looked is _GRAPH:
                    _widen(connection)
            lexical = _NO_LEXICAL
            if question.terms:
                lexical = _LEXICAL if chunks <= EXACT_CHUNKS else _LEXICAL_LARGE
            statement = f"WITH {lexical}{dense}{_FUSED}{_SHOWN}".format(
                among=_among(question.projects), **looked
            )
            return _shown(connection, statement, _values(question, chunks))

    def current(self, given: GivenChunks) -> list[Found]:
        """The same of chunks that somebody else has found, as far as they are the newest that there are."""
        with self._pool.connection() as connection:
            return _shown(
                connection,
                f"WITH {_GIVEN}{_SHOWN}".format(among=_among([given.project])),
                {
                    "projects": [given.project],
                    "project": given.project,
                    "sources": [one.source for one in given.chunks],
                    "positions": [one.position for one in given.chunks],
                    "ordinals": [one.ordinal for one in given.chunks],
                    "scores": [one.score for one in given.chunks],
                    "names": list(given.names),
                    "kinds": list(given.kinds),
                    "depth": DEPTH,
                    "limit": given.limit,
                    "shown": SHOWN_CHUNKS,
                },
            )


def _shown(
    connection: psycopg.Connection, statement: str, values: dict[str, object]
) -> list[Found]:
    return (
        connection.cursor(row_factory=class_row(Found))
        .execute(statement.encode(), values)
        .fetchall()
    )


def _among(projects: Sequence[str]) -> str:
    """The condition on the project: of a single one, Postgres knows better how much there is."""
    return "= %(project)s" if len(projects) == 1 else "= ANY(%(projects)s)"


def _prepare(connection: psycopg.Connection, projects: Sequence[str]) -> int:
    """How many chunks there are; and the memory of the transaction at hand, to add up in."""
    row = connection.execute(
        """
        SELECT coalesce(sum(chunks), 0)::bigint, set_config('work_mem', %s, true)
        FROM search_project WHERE backend = 'local' AND project_id = ANY(%s)
        """,
        (WORK_MEMORY, list(projects)),
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
        "project": next(iter(question.projects), ""),
        "terms": list(question.terms),
        "times": list(question.terms.values()),
        "names": list(question.names),
        "vector": None if question.vector is None else vector_text(question.vector),
        "model": question.model,
        "kinds": list(question.kinds),
        "chunks": float(chunks),
        "rare": RARE_POSTINGS,
        "enough": ENOUGH_POSTINGS,
        "led": LED_CHUNKS,
        "depth": DEPTH,
        "limit": question.limit,
        "shown": SHOWN_CHUNKS,
    }
