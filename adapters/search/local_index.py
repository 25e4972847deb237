"""The index in Postgres: chunks and postings, and vectors where pgvector is. A source is replaced in one transaction.

So it is there exactly once, whatever happens to who writes it: either with the state that says so, or not at all.
"""

from collections.abc import Iterator, Sequence

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_connect import reading
from adapters.search.search_state import Claim, finish, lock_projects
from projections.search.indexed import IndexedChunk, IndexedSource
from projections.search.terms import term_id, weights

NAME_PREFIX = "name:"
"""Before a name of a source, as a term that stands in its first chunk alone: no word has a colon."""
MAX_NAMES = 64
EMBEDDING_SECONDS = 600
"""A source that somebody embeds is left to them for so long."""


class Unembedded(msgspec.Struct, frozen=True):
    """A source whose chunks have no vectors of the running model: their ids and texts."""

    project: str
    source: str
    indexed: int
    chunks: tuple[tuple[int, str], ...]


class LocalIndex:
    """Writes the index."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def replace(self, claim: Claim, found: IndexedSource) -> bool:
        """Index a source as it was claimed; answers False when another process has it now."""
        with self._pool.connection() as connection:
            forget(connection, claim.project, [claim.source])
            _insert(connection, claim, found)
            done = finish(connection, "local", claim, len(found.chunks), cut=found.cut, model=None)
            if not done:
                connection.rollback()
            return done

    def drop_vectors_of_others(self, model: str) -> None:
        """Have chunks embedded anew whose vectors are of another model."""
        with self._pool.connection() as connection:
            lock_projects(connection, "local", None)
            connection.execute(
                "UPDATE search_state SET model = NULL WHERE backend = 'local' AND model <> %s",
                (model,),
            )

    def without_vectors(self, limit: int) -> list[Unembedded]:
        """Sources to be embedded, the newest first; for some time nobody else is given them."""
        return self._without_vectors(
            """
            SELECT ctid FROM search_state
            WHERE backend = 'local' AND state = 'synced' AND model IS NULL AND chunks > 0
              AND due_at <= now()
            ORDER BY project_id, indexed DESC LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            """,
            {"limit": limit},
        )

    def without_vectors_of(self, project: str, source: str) -> list[Unembedded]:
        """One source, if it is to be embedded."""
        return self._without_vectors(
            """
            SELECT ctid FROM search_state
            WHERE project_id = %(project)s AND backend = 'local' AND source = %(source)s
              AND state = 'synced' AND model IS NULL AND chunks > 0
            FOR UPDATE SKIP LOCKED
            """,
            {"project": project, "source": source},
        )

    def add_vectors(self, of: Unembedded, model: str, vectors: Sequence[Sequence[float]]) -> bool:
        """Add a source's vectors, unless it was indexed anew meanwhile."""
        with self._pool.connection() as connection:
            row = connection.execute(
                """
                SELECT FROM search_state WHERE project_id = %s AND backend = 'local' AND source = %s
                  AND state = 'synced' AND indexed = %s AND model IS NULL FOR UPDATE
                """,
                (of.project, of.source, of.indexed),
            ).fetchone()
            if row is None:
                return False
            ids = [chunk for chunk, _ in of.chunks]
            connection.execute(
                "DELETE FROM search_embedding WHERE project_id = %s AND chunk_id = ANY(%s)",
                (of.project, ids),
            )
            connection.execute(
                """
                INSERT INTO search_embedding (project_id, chunk_id, model, embedding)
                SELECT %s, c, %s, v::halfvec FROM unnest(%s::bigint[], %s::text[]) AS u (c, v)
                """,
                (of.project, model, ids, [vector_text(one) for one in vectors]),
            )
            connection.execute(
                """
                UPDATE search_state SET model = %s
                WHERE project_id = %s AND backend = 'local' AND source = %s
                """,
                (model, of.project, of.source),
            )
        return True

    def _without_vectors(self, which: str, values: dict[str, object]) -> list[Unembedded]:
        with self._pool.connection() as connection:
            rows = connection.execute(
                f"""
                WITH s AS (
                  UPDATE search_state SET due_at = now() + make_interval(secs => %(seconds)s)
                  WHERE ctid = ANY(ARRAY({which})) RETURNING project_id, source, indexed)
                SELECT s.project_id, s.source, s.indexed, array_agg(c.chunk_id ORDER BY c.ordinal),
                  array_agg(array_to_string(c.heading, ' > ') || E'\\n' || c.body ORDER BY c.ordinal)
                FROM s JOIN search_chunk c ON c.project_id = s.project_id AND c.source = s.source
                GROUP BY s.project_id, s.source, s.indexed
                """.encode(),
                {**values, "seconds": EMBEDDING_SECONDS},
            ).fetchall()
        return [
            Unembedded(project, source, indexed, tuple(zip(ids, texts, strict=True)))
            for project, source, indexed, ids, texts in rows
        ]

    def drop(self, project: str, sources: Sequence[str]) -> None:
        """Have nothing of these sources any more."""
        with self._pool.connection() as connection:
            forget(connection, project, sources)

    def inventory(self, project: str) -> Iterator[tuple[str, int, int]]:
        """What the index holds: each source, the position it was indexed at, and how many chunks."""
        with reading(self._pool) as connection:
            yield from connection.execute(
                """
                SELECT source, max(position), count(*) FROM search_chunk WHERE project_id = %s
                GROUP BY source ORDER BY source
                """,
                (project,),
            ).fetchall()


def forget(connection: psycopg.Connection, project: str, sources: Sequence[str]) -> None:
    """In a transaction: what the index holds of these sources is gone. Their state stays."""
    connection.execute("SELECT search_forget(%s, %s)", (project, list(sources)))


def vector_text(vector: Sequence[float]) -> str:
    """A vector as pgvector reads it."""
    return f"[{','.join(map(str, vector))}]"


def name_term(name: str) -> int:
    """The term of a name, whatever its case."""
    return term_id(NAME_PREFIX + name.casefold())


def _terms(chunk: IndexedChunk, names: Sequence[str]) -> dict[int, float]:
    """The terms of a chunk with their weights, and those of names; a name that meets a word's number wins."""
    named = list(dict.fromkeys(map(name_term, names)))[:MAX_NAMES]
    return weights(chunk.text) | {term: 1 / (1 + place) for place, term in enumerate(named)}


def _insert(connection: psycopg.Connection, claim: Claim, found: IndexedSource) -> None:
    if not found.chunks:
        return
    chunks = found.chunks
    ids = [
        int(chunk)
        for (chunk,) in connection.execute(
            """
            INSERT INTO search_chunk (project_id, source, ordinal, position, version, kind, heading,
              body, first, stop)
            SELECT %(project)s, %(source)s, o, %(position)s, %(version)s, k,
              ARRAY(SELECT jsonb_array_elements_text(h)), b, f, s
            FROM unnest(%(ordinals)s::int[], %(kinds)s::text[], %(headings)s::jsonb[],
              %(bodies)s::text[], %(firsts)s::int[], %(stops)s::int[]) AS u (o, k, h, b, f, s)
            ORDER BY o RETURNING chunk_id
            """,
            {
                "project": claim.project,
                "source": claim.source,
                "position": claim.wanted,
                "version": found.version,
                "ordinals": list(range(len(chunks))),
                "kinds": [one.kind for one in chunks],
                "headings": [msgspec.json.encode(one.heading).decode() for one in chunks],
                "bodies": [one.body for one in chunks],
                "firsts": [one.first for one in chunks],
                "stops": [one.stop for one in chunks],
            },
        )
    ]
    postings = [
        (term, chunk, weight)
        for chunk, one in zip(ids, chunks, strict=True)
        for term, weight in _terms(one, found.names if chunk == ids[0] else ()).items()
    ]
    connection.execute(
        """
        INSERT INTO search_posting (project_id, term, chunk_id, weight)
        SELECT %s, * FROM unnest(%s::int[], %s::bigint[], %s::real[])
        """,
        (claim.project, *map(list, zip(*postings, strict=True))),
    )
