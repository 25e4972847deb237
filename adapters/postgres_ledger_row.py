"""The one row about the ledger itself: its host name, fixed at the first start."""

from psycopg_pool import ConnectionPool


def fix_host(pool: ConnectionPool, host: str) -> str:
    """Keep the ledger's host name, or find the one that was kept before; answers it."""
    with pool.connection() as connection:
        connection.execute("INSERT INTO ledger (host) VALUES (%s) ON CONFLICT DO NOTHING", (host,))
        row = connection.execute("SELECT host FROM ledger").fetchone()
    assert row is not None
    return str(row[0])
