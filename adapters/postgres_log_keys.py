"""The public keys of a ledger's checkpoints, as its database knows them: so all its processes agree."""

from psycopg_pool import ConnectionPool

from adapters.postgres_connect import connect_once
from domain.errors import NotFound

MAX_ORIGINS = 10_000


def current_key(pool: ConnectionPool) -> bytes | None:
    """The key that signs now; None before the first start."""
    with pool.connection() as connection:
        row = (
            connection.cursor(binary=True)
            .execute("SELECT ed25519 FROM log_key ORDER BY ordinal DESC LIMIT 1")
            .fetchone()
        )
    return None if row is None else bytes(row[0])


def register_key(pool: ConnectionPool, public_key: bytes) -> bytes:
    """Make it the ledger's first key, unless there is one; answers the key that signs now."""
    with pool.connection() as connection:
        connection.execute(
            "INSERT INTO log_key (ordinal, ed25519) VALUES (1, %s) ON CONFLICT DO NOTHING",
            (public_key,),
        )
    current = current_key(pool)
    assert current is not None
    return current


def origins_and_keys(url: str, project: str | None) -> tuple[list[str], list[bytes]]:
    """The names under which logs are signed, of one project or of all, and the keys, oldest first.

    Raises:
        NotFound: `project-not-found`.
        Unavailable: `database-unavailable`.
    """
    with connect_once(url) as connection:
        origins = connection.execute(
            """
            SELECT origin FROM project_log
            WHERE project_id = %(project)s OR %(project)s::text IS NULL ORDER BY project_id LIMIT %(limit)s
            """,
            {"project": project, "limit": MAX_ORIGINS},
        ).fetchall()
        keys = connection.execute("SELECT ed25519 FROM log_key ORDER BY ordinal").fetchall()
    if project is not None and not origins:
        raise NotFound("project-not-found", f"There is no project {project[:40]!r}.")
    return [origin for (origin,) in origins], [bytes(key) for (key,) in keys]
