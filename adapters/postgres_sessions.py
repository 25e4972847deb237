"""Sessions of browsers in Postgres, and the links that begin one: hashed at rest, revocable at once.

A session has the rights of the token with which it was begun, and ends with that token. A link is good
once, for ten minutes.
"""

import base64
import hashlib
import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from adapters.postgres_tokens import TOKEN_COLUMNS, Token, read_token
from domain.errors import NotFound, Unauthenticated
from domain.times import format_time

SESSION_DAYS = 7
LINK_MINUTES = 10
SECRET_BYTES = 32
MAX_BROWSER_CHARACTERS = 200
MAX_SESSIONS = 100
"""Of one token; the oldest ends when there is another."""
SEEN_EVERY = timedelta(minutes=1)

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")


class WebSession(msgspec.Struct, frozen=True):
    """What is known of a session; never its secret."""

    id: str
    browser: str
    begun_at: str
    seen_at: str
    expires_at: str


class PostgresSessions:
    """Begins, finds, lists and ends sessions.

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

    def make_link(self, token: Token) -> tuple[str, str]:
        """The secret of a link that signs in once with a token's rights, and when it expires."""
        secret = self._secret()
        now = self._now()
        expires = now + timedelta(minutes=LINK_MINUTES)
        with self._pool.connection() as connection:
            connection.execute("DELETE FROM sign_in_link WHERE expires_at <= %s", (now,))
            connection.execute(
                "INSERT INTO sign_in_link (secret_sha256, token_id, expires_at) VALUES (%s, %s, %s)",
                (_sha256(secret), token.id, expires),
            )
        return secret, format_time(expires)

    def link_token(self, secret: str) -> Token:
        """Whose rights a link gives; it stays good.

        Raises:
            Unauthenticated: `sign-in-link-invalid`.
        """
        now = self._now()
        with self._pool.connection() as connection:
            return _link(connection, secret, now)

    def use_link(self, secret: str, browser: str) -> str:
        """Begin a session by a link, which is then used up; answers the session's secret.

        Raises:
            Unauthenticated: `sign-in-link-invalid`.
        """
        now = self._now()
        with self._pool.connection() as connection:
            token = _link(connection, secret, now)
            used = connection.execute(
                "DELETE FROM sign_in_link WHERE secret_sha256 = %s", (_sha256(secret),)
            )
            if used.rowcount == 0:  # somebody was faster
                raise _no_link()
            return self._begin(connection, token, browser, now)

    def begin(self, token: Token, browser: str) -> str:
        """Begin a session with a token's rights; answers its secret, which is not kept."""
        with self._pool.connection() as connection:
            return self._begin(connection, token, browser, self._now())

    def find(self, secret: str) -> tuple[WebSession, Token]:
        """The session of a secret and the token whose rights it has, if both are good now.

        Raises:
            Unauthenticated: `session-ended`.
        """
        if _SECRET.fullmatch(secret) is None:
            raise _ended()
        now = self._now()
        with self._pool.connection() as connection:
            row = connection.execute(
                f"""
                SELECT session_id, browser, begun_at, seen_at, s.expires_at, {TOKEN_COLUMNS}
                FROM web_session s JOIN token USING (token_id)
                WHERE secret_sha256 = %(secret)s AND ended_at IS NULL AND s.expires_at > %(now)s
                  AND token.revoked_at IS NULL
                  AND (token.expires_at IS NULL OR token.expires_at > %(now)s)
                """,
                {"secret": _sha256(secret), "now": now},
            ).fetchone()
            if row is None:
                raise _ended()
            if row[3] < now - SEEN_EVERY:
                connection.execute(
                    "UPDATE web_session SET seen_at = %s WHERE session_id = %s", (now, row[0])
                )
        return _session(row), read_token(row[5:])

    def list(self, token: Token) -> list[WebSession]:
        """The sessions of a token that are good now, the one seen last first."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT session_id, browser, begun_at, seen_at, expires_at FROM web_session
                WHERE token_id = %s AND ended_at IS NULL AND expires_at > %s
                ORDER BY seen_at DESC, session_id LIMIT %s
                """,
                (token.id, self._now(), MAX_SESSIONS),
            ).fetchall()
        return [_session(row) for row in rows]

    def end(self, token: Token, session_id: str) -> None:
        """End a session of a token now; ending it again changes nothing.

        Raises:
            NotFound: `session-not-found`.
        """
        with self._pool.connection() as connection:
            found = connection.execute(
                """
                UPDATE web_session SET ended_at = coalesce(ended_at, %s)
                WHERE session_id::text = %s AND token_id = %s
                """,
                (self._now(), session_id, token.id),
            )
        if found.rowcount == 0:
            raise NotFound("session-not-found", "There is no such session of yours.")

    def _begin(
        self, connection: Connection[TupleRow], token: Token, browser: str, now: datetime
    ) -> str:
        secret = self._secret()
        # Each token keeps its newest ones; all that is over goes.
        connection.execute(
            """
            DELETE FROM web_session WHERE expires_at <= %(now)s OR session_id IN (
              SELECT session_id FROM web_session WHERE token_id = %(token)s
              ORDER BY ended_at IS NULL DESC, seen_at DESC, session_id OFFSET %(others)s)
            """,
            {"now": now, "token": token.id, "others": MAX_SESSIONS - 1},
        )
        connection.execute(
            """
            INSERT INTO web_session
              (session_id, secret_sha256, token_id, browser, begun_at, expires_at, seen_at)
            VALUES (%(id)s, %(secret)s, %(token)s, %(browser)s, %(now)s, %(expires)s, %(now)s)
            """,
            {
                "id": uuid.UUID(bytes=self._random_bytes(16), version=4),
                "secret": _sha256(secret),
                "token": token.id,
                "browser": _printable(browser),
                "now": now,
                "expires": now + timedelta(days=SESSION_DAYS),
            },
        )
        return secret

    def _secret(self) -> str:
        raw = self._random_bytes(SECRET_BYTES)
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _link(connection: Connection[TupleRow], secret: str, now: datetime) -> Token:
    if _SECRET.fullmatch(secret) is None:
        raise _no_link()
    row = connection.execute(
        f"""
        SELECT {TOKEN_COLUMNS} FROM sign_in_link l JOIN token USING (token_id)
        WHERE secret_sha256 = %(secret)s AND l.expires_at > %(now)s AND token.revoked_at IS NULL
          AND (token.expires_at IS NULL OR token.expires_at > %(now)s)
        """,
        {"secret": _sha256(secret), "now": now},
    ).fetchone()
    if row is None:
        raise _no_link()
    return read_token(row)


def _printable(browser: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in browser[:MAX_BROWSER_CHARACTERS])


def _session(row: TupleRow) -> WebSession:
    session_id, browser, begun, seen, expires = row[:5]
    return WebSession(
        str(session_id), browser, format_time(begun), format_time(seen), format_time(expires)
    )


def _sha256(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("ascii")).digest()


def _ended() -> Unauthenticated:
    return Unauthenticated("session-ended", "This session has ended: sign in again.")


def _no_link() -> Unauthenticated:
    return Unauthenticated(
        "sign-in-link-invalid",
        f"This link is used up, or older than {LINK_MINUTES} minutes: ask for a new one with "
        "`deedbook sign-in-link`.",
    )
