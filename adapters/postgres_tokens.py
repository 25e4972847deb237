"""API tokens in Postgres: hashed at rest, shown once, limited to scopes and projects.

A token is `dbk_`, 30 characters of base 62 from the system's randomness, and 6 that are their CRC-32:
scanners for leaked secrets can recognise one offline. Only its SHA-256 is kept; with 178 random bits
a slow hash would add nothing.
"""

import hashlib
import re
import uuid
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from domain.errors import Forbidden, Invalid, NotFound, Unauthenticated
from domain.names import check_project
from domain.times import format_time

SCOPES = ("events:append", "events:read", "artifacts:write", "exports:create", "admin")
"""What a token may do. `admin` includes the others, and alone opens projects and makes tokens."""

PREFIX = "dbk_"
RANDOM_CHARACTERS = 30
CHECK_CHARACTERS = 6
MAX_NAME_CHARACTERS = 100
MAX_PROJECTS = 1_000
MAX_DAYS = 3_650
MAX_PAGE = 1_000
LAST_USED_EVERY = "1 minute"

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SPELLING = re.compile(rf"{PREFIX}([0-9A-Za-z]{{{RANDOM_CHARACTERS}}})([0-9A-Za-z]{{6}})")
TOKEN_COLUMNS = """token.token_id, name, last_four, scopes, projects, created_at, token.expires_at,
  revoked_at, last_used_at, identity"""  # noqa: S105 -- column names
"""What `read_token` reads."""


class Token(msgspec.Struct, frozen=True):
    """What is known of a token; never the secret.

    Attributes:
        projects: None when it is for every one.
        identity: As whom its bearer is recorded, when a job's identity token was exchanged for it.
    """

    id: str
    name: str
    last_four: str
    scopes: tuple[str, ...]
    projects: tuple[str, ...] | None
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None
    identity: str | None = None

    @property
    def actor(self) -> str:
        """As whom its bearer is recorded."""
        return self.identity or f"token:{self.name}"

    def check_scope(self, scope: str) -> None:
        """Refuse what the token was not made for.

        Raises:
            Forbidden: `insufficient-scope`.
        """
        if scope not in self.scopes and "admin" not in self.scopes:
            raise Forbidden(
                "insufficient-scope", f"This needs a token with the scope {scope}; this one has "
                f"{', '.join(self.scopes) or 'none'}.",
                members={"scope": scope},
            )  # fmt: skip

    def check_project(self, project: str) -> None:
        """Refuse a project that the token is not for.

        Raises:
            Forbidden: `project-forbidden`.
        """
        if self.projects is not None and project not in self.projects:
            raise Forbidden("project-forbidden", f"This token is not for the project {project}.")


class PostgresTokens:
    """Makes, finds, lists and revokes tokens.

    Args:
        random_bytes: Gives that many random bytes.
        now: The clock.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        random_bytes: Callable[[int], bytes],
        now: Callable[[], datetime],
    ) -> None:
        self._pool = pool
        self._random_bytes = random_bytes
        self._now = now

    def create(
        self,
        name: str,
        *,
        scopes: Sequence[str],
        projects: Sequence[str] | None = None,
        days: int | None = None,
    ) -> tuple[str, Token]:
        """Make a token; answers the secret, which is not kept, and what is.

        Raises:
            Invalid: `validation-failed`, with a pointer.
        """
        _check(name, scopes, projects, days)
        secret = make_secret(self._random_bytes)
        now = self._now()
        with self._pool.connection() as connection:
            made = insert_token(
                connection,
                secret,
                token_id=uuid.UUID(bytes=self._random_bytes(16), version=4),
                name=name,
                scopes=scopes,
                projects=projects,
                created_at=now,
                expires_at=None if days is None else now + timedelta(days=days),
            )
        return secret, made

    def find(self, secret: str) -> Token:
        """The token that a caller presents, if it is good now.

        Raises:
            Unauthenticated: `unauthenticated`, `token-expired`.
        """
        if not is_secret(secret):
            raise _unknown()
        now = self._now()
        with self._pool.connection() as connection:
            row = connection.execute(
                f"SELECT {TOKEN_COLUMNS} FROM token WHERE token_sha256 = %s", (_sha256(secret),)
            ).fetchone()
            if row is not None and row[7] is None and (row[6] is None or row[6] > now):
                connection.execute(
                    """
                    UPDATE token SET last_used_at = %(now)s WHERE token_id = %(id)s
                      AND (last_used_at IS NULL
                        OR last_used_at < %(now)s::timestamptz - %(every)s::interval)
                    """,
                    {"now": now, "id": row[0], "every": LAST_USED_EVERY},
                )
        if row is None or row[7] is not None:
            raise _unknown()
        if row[6] is not None and row[6] <= now:
            raise Unauthenticated("token-expired", "This token has expired: make a new one.")
        return read_token(row)

    def list(self, *, after: str = "", limit: int = MAX_PAGE) -> list[Token]:
        """The tokens after an id, in the order of ids."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                f"""
                SELECT {TOKEN_COLUMNS} FROM token WHERE token_id::text > %s
                ORDER BY token_id::text LIMIT %s
                """,
                (after, min(limit, MAX_PAGE)),
            ).fetchall()
        return [read_token(row) for row in rows]

    def revoke(self, token_id: str) -> None:
        """End a token now; ending it again changes nothing.

        Raises:
            NotFound: `token-not-found`.
        """
        with self._pool.connection() as connection:
            found = connection.execute(
                """
                UPDATE token SET revoked_at = coalesce(revoked_at, %s)
                WHERE token_id::text = %s
                """,
                (self._now(), token_id),
            )
        if found.rowcount == 0:
            raise NotFound("token-not-found", f"There is no token {token_id[:40]!r}.")


def insert_token(
    connection: Connection[TupleRow],
    secret: str,
    *,
    token_id: uuid.UUID,
    name: str,
    scopes: Sequence[str],
    projects: Sequence[str] | None,
    created_at: datetime,
    expires_at: datetime | None,
    identity: str | None = None,
) -> Token:
    """Keep a new token, by the digest of its secret, in the transaction at hand."""
    row = connection.execute(
        f"""
        INSERT INTO token (token_id, token_sha256, name, last_four, scopes, projects,
          created_at, expires_at, identity)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING {TOKEN_COLUMNS}
        """,
        (
            token_id,
            _sha256(secret),
            name,
            secret[-4:],
            sorted(set(scopes), key=SCOPES.index),
            None if projects is None else sorted(set(projects)),
            created_at,
            expires_at,
            identity,
        ),
    ).fetchone()
    assert row is not None
    return read_token(row)


def make_secret(random_bytes: Callable[[int], bytes]) -> str:
    """A new secret."""
    # Each character is below 62 of 64 values by rejection, hence uniform.
    body = ""
    while len(body) < RANDOM_CHARACTERS:
        body += "".join(_ALPHABET[b & 63] for b in random_bytes(RANDOM_CHARACTERS) if b & 63 < 62)
    body = body[:RANDOM_CHARACTERS]
    return PREFIX + body + _check_characters(body)


def is_secret(text: str) -> bool:
    """Whether a text is spelled like a secret, its check characters included."""
    found = _SPELLING.fullmatch(text)
    return found is not None and _check_characters(found[1]) == found[2]


def _check_characters(body: str) -> str:
    value = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECK_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _unknown() -> Unauthenticated:
    return Unauthenticated("unauthenticated", "This token is not known here, or was revoked.")


def _check(
    name: str, scopes: Sequence[str], projects: Sequence[str] | None, days: int | None
) -> None:
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or not name.isprintable():
        raise Invalid(
            "validation-failed",
            f"A token's name has 1 to {MAX_NAME_CHARACTERS} printable characters.",
            pointer="/name",
        )
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise Invalid(
            "validation-failed", f"Scopes are one or more of {', '.join(SCOPES)}.",
            pointer="/scopes",
        )  # fmt: skip
    if projects is not None:
        if not 1 <= len(projects) <= MAX_PROJECTS:
            raise Invalid(
                "validation-failed",
                f"Name 1 to {MAX_PROJECTS} projects, or leave projects away to mean all.",
                pointer="/projects",
            )
        for place, project in enumerate(projects):
            try:
                check_project(project)
            except Invalid as error:
                error.pointer = f"/projects/{place}"
                raise
    if days is not None and not 1 <= days <= MAX_DAYS:
        raise Invalid(
            "validation-failed", f"A token lives for 1 to {MAX_DAYS} days.",
            pointer="/expires_in_days",
        )  # fmt: skip


def read_token(row: TupleRow) -> Token:
    """A token of its row."""
    token_id, name, last_four, scopes, projects, created, expires, revoked, used, identity = row
    return Token(
        str(token_id),
        name,
        last_four,
        tuple(scopes),
        None if projects is None else tuple(projects),
        format_time(created),
        None if expires is None else format_time(expires),
        None if revoked is None else format_time(revoked),
        None if used is None else format_time(used),
        identity,
    )
