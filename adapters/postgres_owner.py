"""Connections of the migrations' owner, for the work that replays or examines a whole ledger."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo

from domain.errors import Unavailable

CONNECT_SECONDS = 15
STATEMENT_SECONDS = 3_600
"""A comparison reads a project's views whole; a lost server shows by the keepalives."""
LOCK_SECONDS = 60

_NETWORK: dict[str, str | int] = {
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "deedbook",
}


@contextmanager
def open_owner(url: str) -> Iterator[psycopg.Connection]:
    """A direct connection in autocommit mode: each statement sees what is committed by then.

    Raises:
        Unavailable: `database-unavailable`: it cannot be reached, or broke off meanwhile.
    """
    try:
        with psycopg.connect(
            make_conninfo(url, **_NETWORK), autocommit=True, prepare_threshold=None
        ) as connection:
            connection.execute(
                """
                SELECT set_config('timezone', 'UTC', false), set_config('work_mem', '64MB', false),
                  set_config('temp_buffers', '64MB', false),
                  set_config('statement_timeout', %s, false), set_config('lock_timeout', %s, false),
                  set_config('client_min_messages', 'error', false)
                """,
                (f"{STATEMENT_SECONDS}s", f"{LOCK_SECONDS}s"),
            )
            yield connection
    except psycopg.OperationalError as error:
        raise Unavailable(
            "database-unavailable",
            f"Postgres cannot be reached, or broke off ({type(error).__name__}).",
        ) from error
