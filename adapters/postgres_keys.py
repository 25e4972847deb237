"""The public keys of a ledger, as its database knows them: so all its processes agree.

The first of each kind is registered at the first start. The others follow by changes of keys, which are
statements in the seal log; where each key is valid is told by these alone.
"""

from typing import Literal

import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_connect import connect_once
from domain.errors import Conflict, NotFound
from domain.key_change import changed, parse_key_change
from domain.seal import SEAL_LOG
from domain.trust import LogKey, SealKey, Trust

MAX_ORIGINS = 10_000
MAX_CHANGES = 1_000
KEY_LOCK = 0x_6465_6564_6B65_7973
"""Held shared by who signs a checkpoint, alone by who changes keys; others at other numbers."""

Role = Literal["log", "seal"]

_CURRENT = {
    "log": b"SELECT ed25519 FROM log_key ORDER BY ordinal DESC LIMIT 1",
    "seal": b"SELECT spki FROM seal_key ORDER BY ordinal DESC LIMIT 1",
}
_REGISTER = {
    "log": b"INSERT INTO log_key (ordinal, ed25519) VALUES (1, %s) ON CONFLICT DO NOTHING",
    "seal": b"INSERT INTO seal_key (ordinal, spki) VALUES (1, %s) ON CONFLICT DO NOTHING",
}

_ADD = {
    "log": b"INSERT INTO log_key SELECT max(ordinal) + 1, %s FROM log_key",
    "seal": b"INSERT INTO seal_key SELECT max(ordinal) + 1, %s FROM seal_key",
}


def current_key(pool: ConnectionPool, role: Role = "log") -> bytes | None:
    """The key that signs now; None before the first start."""
    with pool.connection() as connection:
        return read_current(connection, role)


def register_key(pool: ConnectionPool, public_key: bytes, role: Role = "log") -> bytes:
    """Make it the ledger's first key, unless there is one; answers the key that signs now."""
    with pool.connection() as connection:
        connection.execute(_REGISTER[role], (public_key,))
        current = read_current(connection, role)
    assert current is not None
    return current


def read_current(connection: psycopg.Connection, role: Role) -> bytes | None:
    """The key that signs now; None before the first start."""
    row = connection.cursor(binary=True).execute(_CURRENT[role]).fetchone()
    return None if row is None else bytes(row[0])


def hold_log_key(connection: psycopg.Connection, public_key: bytes) -> None:
    """See to it that this log key stays the current one until the transaction ends.

    Raises:
        Conflict: `signing-key-retired`.
    """
    connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (KEY_LOCK,))
    check_current(connection, "log", public_key)


def check_current(connection: psycopg.Connection, role: Role, public_key: bytes) -> None:
    """Refuse a key that another one has followed.

    Raises:
        Conflict: `signing-key-retired`.
    """
    if read_current(connection, role) != public_key:
        raise retired(role)


def retired(role: Role) -> Conflict:
    """The problem of a key that another one has followed."""
    return Conflict(
        "signing-key-retired",
        f"The {role} key of this process is not the ledger's any more: put the current one in its "
        "place and start the service anew.",
    )


def add_key(connection: psycopg.Connection, role: Role, public_key: bytes) -> None:
    """Make it the key that signs from now on."""
    connection.execute(_ADD[role], (public_key,))


def read_trust(connection: psycopg.Connection) -> Trust:
    """The keys and where each is valid: the first ones, and every change since.

    Raises:
        NotFound: `signing-key-absent`: no service has started on this database yet.
        Damaged: `statement-malformed`.
    """
    row = (
        connection.cursor(binary=True)
        .execute(
            """
            SELECT host, (SELECT ed25519 FROM log_key WHERE ordinal = 1),
              (SELECT spki FROM seal_key WHERE ordinal = 1) FROM ledger
            """
        )
        .fetchone()
    )
    if row is None or row[1] is None or row[2] is None:
        raise NotFound(
            "signing-key-absent",
            "This ledger has no keys yet: the first service that starts on it makes them.",
        )
    trust = Trust(row[0], (LogKey(bytes(row[1])),), (SealKey(bytes(row[2])),))
    changes = (
        connection.cursor(binary=True)
        .execute(
            """
            SELECT statement FROM seal_entry WHERE project_id = %b AND of_project IS NULL
            ORDER BY position LIMIT %b
            """,
            (SEAL_LOG, MAX_CHANGES),
        )
        .fetchall()
    )
    for (statement,) in changes:
        trust = changed(trust, parse_key_change(bytes(statement)))
    return trust


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
