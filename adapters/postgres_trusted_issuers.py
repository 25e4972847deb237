"""Trusted issuers and exchanges in Postgres: entries, tokens made for jobs, and what was used already."""

import hashlib
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from adapters.postgres_tokens import MAX_PAGE, Token, insert_token, make_secret
from domain import canonical
from domain.errors import Conflict, Forbidden, NotFound, Unauthenticated, Unavailable
from domain.identity import Identity
from domain.times import format_time
from domain.trusted_issuer import SCOPES, Trust

MAX_ENTRIES = 1_000
EXCHANGES_A_MINUTE = 300
"""For one project; each leaves a row for good."""
KEEP_EXPIRED_HOURS = 24
"""An exchanged token is listed for so long after it has expired."""
CLEARED_AT_ONCE = 200

_COLUMNS = """trust_id, name, audience, claims, projects, scopes, lifetime_seconds, issuer,
  created_at, created_by, removed_at"""


class TrustedIssuer(Trust, frozen=True, kw_only=True):
    """An entry as it is kept; one that was removed lets nobody in any more."""

    id: str
    created_at: str
    created_by: str
    removed_at: str | None


class Removed(msgspec.Struct, frozen=True):
    """What the removal of an entry ended."""

    id: str
    ended_tokens: int


class TokenExchange(msgspec.Struct, frozen=True):
    """One exchange: the actor of its events, and the claims by which it was let in."""

    number: int
    token_id: str
    exchanged_at: str
    identity: str
    project: str
    trusted_issuers: tuple[str, ...]
    claims: msgspec.Raw


class PostgresTrustedIssuers:
    """Keeps the entries, and makes tokens for those whom they fit.

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

    def add(self, trust: Trust, *, actor: str) -> TrustedIssuer:
        """Keep an entry; from now on it lets in.

        Raises:
            Invalid: `validation-failed`, with a pointer.
            Conflict: `too-many-trusted-issuers`.
        """
        trust.check()
        with self._pool.connection() as connection:
            row = connection.execute(
                f"""
                INSERT INTO trusted_issuer (trust_id, name, audience, claims, projects, scopes,
                  lifetime_seconds, issuer, created_at, created_by)
                SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
                WHERE (SELECT count(*) FROM trusted_issuer WHERE removed_at IS NULL) < %s
                RETURNING {_COLUMNS}
                """,
                (
                    uuid.UUID(bytes=self._random_bytes(16), version=4),
                    trust.name,
                    trust.audience,
                    Jsonb(dict(trust.claims), dumps=canonical.write),
                    sorted(set(trust.projects)),
                    sorted(set(trust.scopes), key=SCOPES.index),
                    trust.lifetime_seconds,
                    trust.issuer,
                    self._now(),
                    actor,
                    MAX_ENTRIES,
                ),
            ).fetchone()
        if row is None:
            raise Conflict(
                "too-many-trusted-issuers", f"There are {MAX_ENTRIES} entries: remove some first."
            )
        return _entry(row)

    def read(self, trust_id: str) -> TrustedIssuer:
        """One entry.

        Raises:
            NotFound: `trusted-issuer-not-found`.
        """
        with self._pool.connection() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM trusted_issuer WHERE trust_id::text = %s", (trust_id,)
            ).fetchone()
        if row is None:
            raise _not_found(trust_id)
        return _entry(row)

    def remove(self, trust_id: str) -> Removed:
        """End an entry now, and the tokens that it has given out; again changes nothing.

        Raises:
            NotFound: `trusted-issuer-not-found`.
        """
        now = self._now()
        with self._pool.connection() as connection:
            # Waits for exchanges under way, which hold the row: their tokens are seen below.
            found = connection.execute(
                """
                UPDATE trusted_issuer SET removed_at = coalesce(removed_at, %s)
                WHERE trust_id::text = %s
                """,
                (now, trust_id),
            )
            if found.rowcount == 0:
                raise _not_found(trust_id)
            ended = connection.execute(
                """
                UPDATE token SET revoked_at = %(now)s
                FROM token_exchange WHERE token.token_id = token_exchange.token_id
                  AND token.identity IS NOT NULL AND token.expires_at > %(now)s
                  AND token.revoked_at IS NULL AND %(id)s::uuid = ANY (token_exchange.trust_ids)
                """,
                {"now": now, "id": trust_id},
            )
        return Removed(trust_id, ended.rowcount)

    def is_trusted(self, issuer: str) -> bool:
        """Whether any entry names the issuer: nobody else's keys are asked for."""
        with self._pool.connection() as connection:
            row = connection.execute(
                """
                SELECT EXISTS (SELECT FROM trusted_issuer WHERE issuer = %s AND removed_at IS NULL)
                """,
                (issuer,),
            ).fetchone()
        return row is not None and bool(row[0])

    def exchange(self, identity: Identity, project: str) -> tuple[str, Token]:
        """Make a token for a job whose identity holds; answers its secret, and what is kept.

        All entries that fit give their scopes; the shortest of their lifetimes holds.

        Raises:
            Forbidden: `identity-not-trusted`.
            Unauthenticated: `oidc-token-used`.
            Unavailable: `rate-limited`.
        """
        now = self._now()
        with self._pool.connection() as connection:
            entries = [
                entry
                for entry in _asked(connection, identity, project)
                if entry.fits(identity) and project in entry.projects
            ]
            if not entries:
                raise not_trusted()
            _use(connection, identity)
            self._clear(connection, now)
            _check_rate(connection, project, now)
            secret = make_secret(self._random_bytes)
            token = insert_token(
                connection,
                secret,
                token_id=uuid.UUID(bytes=self._random_bytes(16), version=4),
                name=entries[0].name,
                scopes=[scope for entry in entries for scope in entry.scopes],
                projects=[project],
                created_at=now,
                expires_at=now + timedelta(seconds=min(one.lifetime_seconds for one in entries)),
                identity=identity.actor,
            )
            connection.execute(
                """
                INSERT INTO token_exchange (token_id, exchanged_at, identity, project,
                  trust_ids, claims) VALUES (%s, %s, %s, %s, %s::uuid[], %s)
                """,
                (
                    token.id,
                    now,
                    token.identity,
                    project,
                    [entry.id for entry in entries],
                    canonical.write(identity.claims).decode(),
                ),
            )
        return secret, token

    def exchanges(self, *, before: int, limit: int = MAX_PAGE) -> list[TokenExchange]:
        """What was exchanged before a number, the newest first."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT ordinal, token_id, exchanged_at, identity, project, trust_ids, claims
                FROM token_exchange WHERE ordinal < %s ORDER BY ordinal DESC LIMIT %s
                """,
                (before, min(limit, MAX_PAGE)),
            ).fetchall()
        return [
            TokenExchange(
                number,
                str(token_id),
                format_time(at),
                identity,
                project,
                tuple(str(one) for one in trust_ids),
                msgspec.Raw(claims.encode()),
            )
            for number, token_id, at, identity, project, trust_ids, claims in rows
        ]

    def list(self, *, after: str = "", limit: int = MAX_PAGE) -> list[TrustedIssuer]:
        """The entries after an id, in the order of ids, removed ones included."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                f"""
                SELECT {_COLUMNS} FROM trusted_issuer WHERE trust_id::text > %s
                ORDER BY trust_id::text LIMIT %s
                """,
                (after, min(limit, MAX_PAGE)),
            ).fetchall()
        return [_entry(row) for row in rows]

    @staticmethod
    def _clear(connection: Connection[TupleRow], now: datetime) -> None:
        """Take away what has had its time; who is faster takes it, and nobody waits."""
        connection.execute(
            """
            DELETE FROM used_identity WHERE sha256 IN (
              SELECT sha256 FROM used_identity WHERE keep_until <= %s
              ORDER BY keep_until LIMIT %s FOR UPDATE SKIP LOCKED)
            """,
            (now, CLEARED_AT_ONCE),
        )
        connection.execute(
            """
            DELETE FROM token WHERE token_id IN (
              SELECT token_id FROM token WHERE identity IS NOT NULL AND expires_at <= %s
              ORDER BY expires_at LIMIT %s FOR UPDATE SKIP LOCKED)
            """,
            (now - timedelta(hours=KEEP_EXPIRED_HOURS), CLEARED_AT_ONCE),
        )


def not_trusted() -> Forbidden:
    """The refusal of everybody whom no entry fits; it does not say what would have."""
    return Forbidden(
        "identity-not-trusted",
        "No trusted issuer of this ledger fits this identity token and project: an administrator "
        "compares its claims, audience included, with `deedbook token trust list`.",
    )


def _asked(
    connection: Connection[TupleRow], identity: Identity, project: str
) -> list[TrustedIssuer]:
    """The entries that may fit, held until the token is made: none is removed meanwhile."""
    rows = connection.execute(
        f"""
        SELECT {_COLUMNS} FROM trusted_issuer
        WHERE issuer = %s AND audience = %s AND removed_at IS NULL AND %s = ANY (projects)
          AND claims <@ %s
        ORDER BY created_at, trust_id LIMIT %s FOR SHARE
        """,
        (
            identity.issuer,
            identity.audience,
            project,
            Jsonb(dict(identity.claims), dumps=canonical.write),
            MAX_ENTRIES,
        ),
    ).fetchall()
    return [_entry(row) for row in rows]


def _use(connection: Connection[TupleRow], identity: Identity) -> None:
    """Each token is good for one exchange, also of two that come at once."""
    number = hashlib.sha256(f"{identity.issuer}\0{identity.number}".encode()).digest()
    used = connection.execute(
        "INSERT INTO used_identity (sha256, keep_until) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        (number, identity.keep_until),
    )
    if used.rowcount == 0:
        raise Unauthenticated(
            "oidc-token-used", "This identity token was exchanged before: ask for a new one."
        )


def _check_rate(connection: Connection[TupleRow], project: str, now: datetime) -> None:
    row = connection.execute(
        "SELECT count(*) FROM token_exchange WHERE project = %s AND exchanged_at > %s",
        (project, now - timedelta(minutes=1)),
    ).fetchone()
    if row is not None and row[0] >= EXCHANGES_A_MINUTE:
        raise Unavailable(
            "rate-limited",
            f"{EXCHANGES_A_MINUTE} tokens were given out for {project} within a minute: wait one.",
        )


def _entry(row: TupleRow) -> TrustedIssuer:
    trust_id, name, audience, claims, projects, scopes, lifetime, issuer, at, by, removed = row
    return TrustedIssuer(
        id=str(trust_id),
        name=name,
        audience=audience,
        claims=claims,
        projects=tuple(projects),
        scopes=tuple(scopes),
        lifetime_seconds=lifetime,
        issuer=issuer,
        created_at=format_time(at),
        created_by=by,
        removed_at=None if removed is None else format_time(removed),
    )


def _not_found(trust_id: str) -> NotFound:
    return NotFound("trusted-issuer-not-found", f"There is no trusted issuer {trust_id[:40]!r}.")
