"""The table of vectors, in databases that have pgvector: made when a ledger is migrated, and looked for again.

Without it a ledger searches by words, and says so; a database that gets pgvector later gets the table then.
"""

import msgspec
import psycopg

from adapters.postgres_connect import connect_once

DIMENSION = 384
LEAST_VERSION = (0, 7)
"""The first with `halfvec`."""
ITERATIVE_VERSION = (0, 8)
"""The first that goes on looking in its graph when a filter takes away what it found."""
NOT_OFFERED = "this Postgres offers no pgvector: install its package on the database server"


class Vectors(msgspec.Struct, frozen=True):
    """Whether a database keeps vectors, and whether a graph of many can be searched; else what to do."""

    there: bool
    graph: bool = False
    reason: str = ""


def prepare_vectors(url: str) -> Vectors:
    """Make the table where pgvector can be had; as the owner, and again without harm.

    Raises:
        Unavailable: `database-unavailable`.
    """
    with connect_once(url) as connection:
        found = look_for_vectors(connection)
        if found.there:
            return found
        row = connection.execute(
            "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
        ).fetchone()
        if row is None:
            return Vectors(there=False, reason=NOT_OFFERED)
        try:
            with connection.transaction():
                _make(connection)
        except psycopg.errors.DatabaseError as error:
            return Vectors(
                there=False,
                reason=f"pgvector is there and cannot be used ({error.diag.message_primary}): as an "
                "administrator of the database, run CREATE EXTENSION vector, then deedbook migrate",
            )
        return look_for_vectors(connection)


def look_for_vectors(connection: psycopg.Connection) -> Vectors:
    """What there is now."""
    row = connection.execute(
        """
        SELECT to_regclass('search_embedding') IS NOT NULL,
          (SELECT extversion FROM pg_extension WHERE extname = 'vector')
        """
    ).fetchone()
    assert row is not None
    there, version = row
    if version is None:
        return Vectors(there=False, reason="pgvector is not set up: run deedbook migrate")
    number = tuple(int(part) for part in version.split(".")[:2])
    if number < LEAST_VERSION:
        return Vectors(there=False, reason=f"pgvector {version} is too old: 0.7 or newer is needed")
    if not there:
        return Vectors(there=False, reason="the table of vectors is missing: run deedbook migrate")
    return Vectors(there=True, graph=number >= ITERATIVE_VERSION)


def _make(connection: psycopg.Connection) -> None:
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    connection.execute(
        f"""
        CREATE TABLE IF NOT EXISTS search_embedding (
          project_id text COLLATE "C" NOT NULL,
          chunk_id bigint NOT NULL,
          model text COLLATE "C" NOT NULL,
          embedding halfvec({DIMENSION}) NOT NULL,
          PRIMARY KEY (project_id, chunk_id)
        )
        """.encode()
    )
    connection.execute(
        """
        CREATE INDEX IF NOT EXISTS search_embedding_graph ON search_embedding
        USING hnsw (embedding halfvec_cosine_ops)
        """
    )
    connection.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE ON search_embedding TO deedbook_service"
    )
