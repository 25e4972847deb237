"""Connections to Postgres: timeouts, keepalives, and no more rights than the service needs."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from domain.errors import Malformed, Unavailable

CONNECT_SECONDS = 15  # a sleeping serverless Postgres wakes in less
POOL_WAIT_SECONDS = 10.0
STATEMENT_SECONDS = 120
IDLE_IN_TRANSACTION_SECONDS = 60
SERVICE_ROLE = "deedbook_service"
UNREACHABLE: tuple[type[Exception], ...] = (psycopg.OperationalError, PoolTimeout, PoolClosed)
"""What a read raises when the database is away."""

_NETWORK: dict[str, str | int] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "deedbook",
}


def connect_once(url: str) -> psycopg.Connection:
    """A plain connection of the operator, in autocommit: for migrations and for looking around.

    Raises:
        Malformed: `invalid-parameter`, when the URL cannot be read; it is never repeated.
        Unavailable: `database-unavailable`, with what Postgres said.
    """
    try:
        conninfo = make_conninfo(url, **_NETWORK)
    except psycopg.ProgrammingError:
        raise Malformed(
            "invalid-parameter",
            "The database URL cannot be read: write postgresql://user:password@host:5432/database.",
        ) from None
    try:
        return psycopg.connect(conninfo, autocommit=True, prepare_threshold=None)
    except psycopg.OperationalError as error:
        said = " ".join(str(error).split())
        raise Unavailable("database-unavailable", f"Postgres cannot be reached: {said}") from None


def connect(url: str, *, autocommit: bool = False, pooled: bool = False) -> psycopg.Connection:
    """A connection of the service.

    Through a transaction pooler nothing may be set for a session, and nothing prepared: there the
    login itself is restricted, and its timeouts belong to the role (docs/operations.md).
    """
    connection = psycopg.connect(
        make_conninfo(url, **_NETWORK),
        autocommit=True,
        prepare_threshold=None if pooled else 5,
    )
    try:
        if not pooled:
            _restrict(connection)
        connection.autocommit = autocommit
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def open_pool(url: str, *, max_size: int, pooled: bool = False) -> Iterator[ConnectionPool]:
    """A pool for reads."""

    def configure(connection: psycopg.Connection) -> None:
        if not pooled:
            connection.autocommit = True
            _restrict(connection)
            connection.autocommit = False

    pool = ConnectionPool(
        make_conninfo(url, **_NETWORK),
        kwargs={"prepare_threshold": None if pooled else 5},
        configure=configure,
        min_size=1,
        max_size=max_size,
        timeout=POOL_WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        open=False,
    )
    pool.open()
    try:
        pool.wait(POOL_WAIT_SECONDS)
    except PoolTimeout:
        pool.close()
        raise Unavailable("database-unavailable", "Postgres cannot be reached.") from None
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def reading(pool: ConnectionPool) -> Iterator[psycopg.Connection]:
    """A connection for statements that need no common transaction: BEGIN and COMMIT are round trips."""
    with pool.connection() as connection:
        connection.autocommit = True  # said to the driver alone
        try:
            yield connection
        finally:
            if not connection.closed:
                connection.autocommit = False


def _restrict(connection: psycopg.Connection) -> None:
    """Take on the restricted role where the login may, and bound every statement."""
    connection.execute(
        """
        SELECT set_config('role', %(role)s, false)
        WHERE current_user <> %(role)s
          AND EXISTS (SELECT FROM pg_roles WHERE rolname = %(role)s)
          AND pg_has_role(current_user, (SELECT oid FROM pg_roles WHERE rolname = %(role)s), 'MEMBER')
        """,
        {"role": SERVICE_ROLE},
    )
    connection.execute(
        """
        SELECT set_config('statement_timeout', %s, false),
               set_config('idle_in_transaction_session_timeout', %s, false),
               set_config('default_transaction_isolation', 'read committed', false),
               set_config('timezone', 'UTC', false)
        """,
        (f"{STATEMENT_SECONDS}s", f"{IDLE_IN_TRANSACTION_SECONDS}s"),
    )
