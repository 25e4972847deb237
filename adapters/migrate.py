"""The schema: numbered SQL files, applied once each, in order, in a transaction of their own.

A merged migration is never edited: its SHA-256 is kept, and a changed one is refused.
"""

import hashlib
import re
from pathlib import Path

import msgspec
import psycopg
from psycopg import sql

from adapters.postgres_connect import connect_once
from adapters.search.vector_tables import prepare_vectors
from domain.errors import Conflict, Forbidden

FOLDER = Path(__file__).parent / "migrations"
LOCK_SECONDS = 60
_LOCK_KEY = 0x6465656462  # any number that nobody else locks
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One file: its number, its name and its text."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> bytes:
        """What the ledger keeps of it."""
        return hashlib.sha256(self.text.encode()).digest()


def migrations() -> list[Migration]:
    """All migrations, in order."""
    found = []
    for file in sorted(FOLDER.glob("*.sql")):
        named = _NAME.fullmatch(file.name)
        assert named is not None, file.name
        found.append(Migration(int(named[1]), file.stem, file.read_text("utf-8")))
    assert [one.version for one in found] == list(range(1, len(found) + 1))
    return found


def pending(url: str) -> list[str]:
    """The names of the migrations that a database still lacks.

    Raises:
        Conflict: `migration-changed`.
        Unavailable: `database-unavailable`.
    """
    with connect_once(url) as connection:
        return [one.name for one in pending_in(connection)]


def migrate(url: str) -> list[str]:
    """Apply what is missing; answers the names of what was applied. Also what pgvector makes possible.

    When something is, it needs a direct connection (no transaction pooler) of a role that may create
    tables and roles.

    Raises:
        Conflict: `migration-changed`.
        Forbidden: `database-rights-missing`.
        Unavailable: `database-unavailable`.
    """
    try:
        applied = _migrate(url)
        prepare_vectors(url)
    except psycopg.errors.InsufficientPrivilege as error:
        raise Forbidden(
            "database-rights-missing",
            f"This database login may not migrate ({error.diag.message_primary}): set "
            "DEEDBOOK_ADMIN_DATABASE_URL to one that owns the database and may make roles.",
        ) from None
    return applied


def _migrate(url: str) -> list[str]:
    applied: list[str] = []
    with connect_once(url) as connection:
        if not pending_in(connection):  # which a login without further rights, or a pooler, can ask
            return applied
        connection.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_SECONDS}s",))
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        try:
            connection.execute(
                """
                CREATE TABLE IF NOT EXISTS schema_migration (
                  version int PRIMARY KEY,
                  name text NOT NULL,
                  sha256 bytea NOT NULL,
                  applied_at timestamptz NOT NULL DEFAULT now()
                )
                """
            )
            for one in pending_in(connection):
                with connection.transaction():
                    connection.execute(sql.SQL(one.text))
                    connection.execute(
                        "INSERT INTO schema_migration (version, name, sha256) VALUES (%s, %s, %s)",
                        (one.version, one.name, one.sha256),
                    )
                    connection.execute("GRANT SELECT ON schema_migration TO deedbook_service")
                applied.append(one.name)
        finally:
            connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK_KEY,))
    return applied


def pending_in(connection: psycopg.Connection) -> list[Migration]:
    """The migrations that the database of a connection still lacks; see `pending`."""
    exists = connection.execute("SELECT to_regclass('schema_migration') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return migrations()
    rows = connection.execute("SELECT version, sha256 FROM schema_migration").fetchall()
    known = {int(version): bytes(sha256) for version, sha256 in rows}
    for one in migrations():
        if known.get(one.version, one.sha256) != one.sha256:
            raise Conflict(
                "migration-changed",
                f"The migration {one.name} was applied with another text: "
                "use the release that made this database, or a newer one.",
            )
    return [one for one in migrations() if one.version not in known]
