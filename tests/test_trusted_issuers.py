"""Entries and exchanges in Postgres: each token once, removal that ends, and rows that are cleared."""

import hashlib
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg_pool import ConnectionPool

from adapters import postgres_trusted_issuers
from adapters.postgres_connect import open_pool
from adapters.postgres_tokens import PostgresTokens
from adapters.postgres_trusted_issuers import PostgresTrustedIssuers, TrustedIssuer
from domain.errors import Conflict, Forbidden, NotFound, Unauthenticated, Unavailable
from domain.identity import GITHUB, Identity
from domain.trusted_issuer import Trust

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
TRUST = Trust(
    name="ci",
    audience="https://ledger.example",
    claims={"repository_id": "74"},
    projects=("alpha", "beta"),
    scopes=("events:read", "events:append"),
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class Drawn:
    """Bytes that are the same in every run, and never twice."""

    def __init__(self) -> None:
        self._numbers = itertools.count()

    def __call__(self, count: int) -> bytes:
        return hashlib.shake_256(str(next(self._numbers)).encode()).digest(count)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pool(database_url: str) -> Iterator[ConnectionPool]:
    with open_pool(database_url, max_size=2) as opened:
        yield opened


@pytest.fixture
def random_bytes() -> Drawn:
    return Drawn()


@pytest.fixture
def tokens(pool: ConnectionPool, clock: Clock, random_bytes: Drawn) -> PostgresTokens:
    return PostgresTokens(pool, random_bytes=random_bytes, now=clock)


@pytest.fixture
def trusted(pool: ConnectionPool, clock: Clock, random_bytes: Drawn) -> PostgresTrustedIssuers:
    return PostgresTrustedIssuers(pool, random_bytes=random_bytes, now=clock)


_numbers = itertools.count()


def identity(number: str | None = None, expires_at: datetime = NOW, **claims: object) -> Identity:
    name = number or f"jti-{next(_numbers)}"
    made = {
        "iss": GITHUB,
        "aud": TRUST.audience,
        "jti": name,
        "repository_id": "74",
        "ref": "refs/heads/main",
        "workflow_ref": "o/r/.github/workflows/x.yml@refs/heads/main",
        "run_id": "123",
        **claims,
    }
    return Identity(GITHUB, str(made["aud"]), name, expires_at, made)


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_an_entry_is_kept_as_it_was_given(trusted: PostgresTrustedIssuers) -> None:
    made = trusted.add(TRUST, actor="token:ada")
    assert made == TrustedIssuer(
        **msgspec.structs.asdict(TRUST) | {"scopes": ("events:append", "events:read")},
        id=made.id,
        created_at="2026-02-01T12:00:00.000000Z",
        created_by="token:ada",
        removed_at=None,
    )
    assert trusted.read(made.id) == made
    assert trusted.list() == [made]
    assert trusted.is_trusted(GITHUB)
    assert not trusted.is_trusted(f"{GITHUB}/x")


def test_a_token_made_for_a_job_is_listed_recorded_and_expires(
    trusted: PostgresTrustedIssuers, tokens: PostgresTokens, clock: Clock
) -> None:
    made = trusted.add(TRUST, actor="token:ada")
    secret, token = trusted.exchange(identity("one"), "beta")
    assert token.name == "ci"
    assert token.projects == ("beta",)
    assert token.scopes == ("events:append", "events:read")
    assert token.expires_at == "2026-02-01T12:15:00.000000Z"
    assert token.actor == "github:o/r/.github/workflows/x.yml@refs/heads/main run 123/1"
    assert tokens.list() == [token]
    assert tokens.find(secret) == token
    [kept] = trusted.exchanges(before=10**9)
    assert (kept.token_id, kept.identity, kept.project) == (token.id, token.actor, "beta")
    assert kept.trusted_issuers == (made.id,)
    assert msgspec.json.decode(kept.claims) == identity("one").claims
    clock.now += timedelta(minutes=15)
    with pytest.raises(Unauthenticated) as caught:
        tokens.find(secret)
    assert caught.value.code == "token-expired"


@pytest.mark.parametrize(
    ("claims", "project"),
    [
        ({}, "gamma"),
        ({"repository_id": "75"}, "alpha"),
        ({"repository_id": 74}, "alpha"),
        ({"aud": "https://other.example"}, "alpha"),
    ],
)
def test_whom_no_entry_fits_gets_nothing(
    trusted: PostgresTrustedIssuers,
    database_url: str,
    claims: Any,
    project: str,
) -> None:
    trusted.add(TRUST, actor="token:ada")
    with pytest.raises(Forbidden) as caught:
        trusted.exchange(identity(**claims), project)
    assert caught.value.code == "identity-not-trusted"
    for table in ("token", "token_exchange", "used_identity"):
        assert count(database_url, table) == 0


def test_entries_that_fit_add_up_and_the_shortest_time_holds(
    trusted: PostgresTrustedIssuers, clock: Clock
) -> None:
    first = trusted.add(
        msgspec.structs.replace(TRUST, name="all", scopes=("events:read",)), actor="token:ada"
    )
    clock.now += timedelta(seconds=1)
    second = trusted.add(
        msgspec.structs.replace(
            TRUST,
            claims={"repository_id": "74", "ref": "refs/heads/main"},
            scopes=("exports:create", "events:read"),
            lifetime_seconds=60,
        ),
        actor="token:ada",
    )
    _, token = trusted.exchange(identity(), "alpha")
    assert token.name == "all"
    assert token.scopes == ("events:read", "exports:create")
    assert token.expires_at == "2026-02-01T12:01:01.000000Z"
    assert trusted.exchanges(before=10**9)[0].trusted_issuers == (first.id, second.id)
    _, other = trusted.exchange(identity(ref="refs/heads/x"), "alpha")
    assert other.scopes == ("events:read",)


def test_an_identity_token_is_good_for_one_exchange(
    trusted: PostgresTrustedIssuers, database_url: str
) -> None:
    trusted.add(TRUST, actor="token:ada")
    trusted.exchange(identity("one"), "alpha")
    for project in ("alpha", "beta"):
        with pytest.raises(Unauthenticated) as caught:
            trusted.exchange(identity("one", ref="refs/heads/x"), project)
        assert caught.value.code == "oidc-token-used"
    assert count(database_url, "token") == 1


def test_what_was_used_is_remembered_until_its_time_refuses_it(
    trusted: PostgresTrustedIssuers, clock: Clock, database_url: str
) -> None:
    trusted.add(TRUST, actor="token:ada")
    trusted.exchange(identity("one", NOW + timedelta(minutes=5)), "alpha")
    clock.now = NOW + timedelta(minutes=5, seconds=59)
    trusted.exchange(identity("two", NOW + timedelta(hours=5)), "alpha")
    assert count(database_url, "used_identity") == 2
    clock.now += timedelta(seconds=1)
    trusted.exchange(identity("three", NOW + timedelta(hours=5)), "alpha")
    assert count(database_url, "used_identity") == 2


def test_expired_tokens_of_jobs_are_cleared_away_and_what_they_were_stays(
    trusted: PostgresTrustedIssuers, tokens: PostgresTokens, clock: Clock
) -> None:
    trusted.add(TRUST, actor="token:ada")
    tokens.create("by hand", scopes=["events:read"], days=1)
    _, first = trusted.exchange(identity(), "alpha")
    clock.now = NOW + timedelta(minutes=15, hours=24) - timedelta(seconds=1)
    _, second = trusted.exchange(identity(expires_at=clock.now), "alpha")
    assert {one.id for one in tokens.list()} >= {first.id, second.id}
    clock.now = NOW + timedelta(days=300)
    _, third = trusted.exchange(identity(expires_at=clock.now), "alpha")
    assert {one.name for one in tokens.list()} == {"by hand", "ci"}
    assert {one.id for one in tokens.list() if one.name == "ci"} == {third.id}
    assert [one.token_id for one in trusted.exchanges(before=10**9)] == [
        third.id,
        second.id,
        first.id,
    ]


def test_clearing_takes_a_bounded_number_at_once(
    trusted: PostgresTrustedIssuers,
    clock: Clock,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_trusted_issuers, "CLEARED_AT_ONCE", 2)
    trusted.add(TRUST, actor="token:ada")
    for _ in range(5):
        trusted.exchange(identity(), "alpha")
    clock.now += timedelta(days=2)
    trusted.exchange(identity(expires_at=clock.now), "alpha")
    assert count(database_url, "token") == 4
    assert count(database_url, "token_exchange") == 6


def test_a_removed_entry_lets_nobody_in_and_ends_what_it_gave(
    trusted: PostgresTrustedIssuers, tokens: PostgresTokens, clock: Clock
) -> None:
    entry = trusted.add(TRUST, actor="token:ada")
    other = trusted.add(
        msgspec.structs.replace(TRUST, claims={"repository_id": "75"}), actor="token:ada"
    )
    secret, _ = trusted.exchange(identity(), "alpha")
    elses, _ = trusted.exchange(identity(repository_id="75"), "alpha")
    byhand, _ = tokens.create("by hand", scopes=["events:read"])
    assert trusted.remove(entry.id).ended_tokens == 1
    assert trusted.remove(entry.id).ended_tokens == 0
    with pytest.raises(Unauthenticated):
        tokens.find(secret)
    assert tokens.find(elses).name == "ci"
    assert tokens.find(byhand).name == "by hand"
    with pytest.raises(Forbidden):
        trusted.exchange(identity(), "alpha")
    clock.now += timedelta(hours=1)
    assert trusted.remove(entry.id).ended_tokens == 0
    assert trusted.read(entry.id).removed_at == "2026-02-01T12:00:00.000000Z"
    assert trusted.is_trusted(GITHUB)
    trusted.remove(other.id)
    assert not trusted.is_trusted(GITHUB)


def test_an_entry_is_not_removed_under_an_exchange(
    trusted: PostgresTrustedIssuers, tokens: PostgresTokens, database_url: str
) -> None:
    """The removal waits for the exchange under way, and then ends its token too."""
    entry = trusted.add(TRUST, actor="token:ada")
    with psycopg.connect(database_url) as removing:
        removing.execute("SET lock_timeout = '50ms'")
        with psycopg.connect(database_url) as exchanging:
            postgres_trusted_issuers._asked(exchanging, identity(), "alpha")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                removing.execute(
                    "UPDATE trusted_issuer SET removed_at = now() WHERE trust_id = %s", (entry.id,)
                )
    assert trusted.remove(entry.id).ended_tokens == 0


@pytest.mark.parametrize("entry_id", ["", "none", "00000000-0000-4000-8000-000000000000"])
def test_an_entry_that_is_not_there_is_said(trusted: PostgresTrustedIssuers, entry_id: str) -> None:
    for act in (trusted.read, trusted.remove):
        with pytest.raises(NotFound) as caught:
            act(entry_id)
        assert caught.value.code == "trusted-issuer-not-found"


def test_entries_and_exchanges_have_their_limits(
    trusted: PostgresTrustedIssuers,
    clock: Clock,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_trusted_issuers, "MAX_ENTRIES", 2)
    monkeypatch.setattr(postgres_trusted_issuers, "EXCHANGES_A_MINUTE", 2)
    trusted.add(TRUST, actor="token:ada")
    second = trusted.add(TRUST, actor="token:ada")
    with pytest.raises(Conflict) as full:
        trusted.add(TRUST, actor="token:ada")
    assert full.value.code == "too-many-trusted-issuers"
    trusted.remove(second.id)
    trusted.add(TRUST, actor="token:ada")
    for project in ("alpha", "alpha", "beta"):
        trusted.exchange(identity(), project)
    refused = identity()
    with pytest.raises(Unavailable) as caught:
        trusted.exchange(refused, "alpha")
    assert caught.value.code == "rate-limited"
    assert count(database_url, "used_identity") == 3
    clock.now += timedelta(minutes=1)
    trusted.exchange(refused, "alpha")


def test_what_was_exchanged_cannot_be_changed(
    trusted: PostgresTrustedIssuers, database_url: str
) -> None:
    trusted.add(TRUST, actor="token:ada")
    trusted.exchange(identity(), "alpha")
    for statement in (
        "UPDATE token_exchange SET identity = 'x'",
        "DELETE FROM token_exchange",
        "TRUNCATE token_exchange",
    ):
        with (
            psycopg.connect(database_url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(statement.encode())
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SET ROLE deedbook_service")
        connection.execute("UPDATE trusted_issuer SET scopes = '{events:read}'")
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation),
    ):
        connection.execute("UPDATE trusted_issuer SET scopes = '{events:read,admin}'")


def test_exchanges_are_listed_in_pages(trusted: PostgresTrustedIssuers) -> None:
    trusted.add(TRUST, actor="token:ada")
    made = [trusted.exchange(identity(), "alpha")[1].id for _ in range(5)]
    found: list[str] = []
    before = 10**9
    while page := trusted.exchanges(before=before, limit=2):
        assert len(page) <= 2
        found += [one.token_id for one in page]
        before = page[-1].number
    assert found == made[::-1]
