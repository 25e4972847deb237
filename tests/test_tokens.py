"""Tokens: a secret that is shown once and kept nowhere, limits that hold, and an end that is one."""

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from adapters.postgres_connect import open_pool
from adapters.postgres_tokens import (
    SCOPES,
    PostgresTokens,
    Token,
    is_secret,
    make_secret,
)
from domain.errors import Forbidden, Invalid, NotFound, Unauthenticated

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)


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
def tokens(database_url: str, clock: Clock) -> Iterator[PostgresTokens]:
    with open_pool(database_url, max_size=2) as pool:
        yield PostgresTokens(pool, random_bytes=Drawn(), now=clock)


def rows(url: str) -> str:
    with psycopg.connect(url) as connection:
        return str(connection.execute("SELECT t::text FROM token t").fetchall())


def test_a_secret_can_be_recognised_without_asking() -> None:
    secret = make_secret(Drawn())
    assert secret.startswith("dbk_")
    assert len(secret) == 4 + 30 + 6
    assert secret.isascii()
    assert is_secret(secret)
    for place in range(len(secret)):
        other = "0" if secret[place] != "0" else "1"
        assert not is_secret(secret[:place] + other + secret[place + 1 :])
    assert not is_secret(secret + "\n")
    assert not is_secret("")


def test_the_check_characters_are_the_crc_in_base_62() -> None:
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    body, check = make_secret(Drawn())[4:34], make_secret(Drawn())[34:]
    value = 0
    for character in check:
        value = value * 62 + alphabet.index(character)
    assert value == zlib.crc32(body.encode())


def test_every_character_is_as_likely_as_another() -> None:
    """Bytes that name no character are drawn again, so none is folded onto another."""
    given = iter([bytes([62, 63, 126, 255]) * 20, bytes(range(61, 61 + 64))])
    assert (
        make_secret(lambda _: next(given))[4:34]
        == "z" + ("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[:29])
    )


def test_a_token_is_found_by_its_secret(tokens: PostgresTokens) -> None:
    secret, made = tokens.create(
        "ci", scopes=["exports:create", "events:read", "events:read"], projects=["b", "a", "b"]
    )
    assert made == Token(
        id=made.id,
        name="ci",
        last_four=secret[-4:],
        scopes=("events:read", "exports:create"),
        projects=("a", "b"),
        created_at="2026-02-01T12:00:00.000000Z",
        expires_at=None,
        revoked_at=None,
        last_used_at=None,
    )
    assert tokens.find(secret) == made
    assert made.actor == "token:ci"


def test_the_secret_is_in_no_column(tokens: PostgresTokens, database_url: str) -> None:
    secret, _ = tokens.create("ci", scopes=["admin"])
    tokens.find(secret)
    kept = rows(database_url)
    digest = hashlib.sha256(secret.encode()).hexdigest()
    assert digest in kept
    assert secret not in kept
    assert secret[4:34] not in kept
    assert secret.encode().hex() not in kept
    assert secret not in str(tokens.list())


@pytest.mark.parametrize(
    "presented",
    ["", "dbk_", "dbk_" + "0" * 36, "x" * 10_000, "dbk_é" + "0" * 35, "dbk_\0" + "0" * 35],
)
def test_what_is_no_secret_is_not_even_looked_up(tokens: PostgresTokens, presented: str) -> None:
    with pytest.raises(Unauthenticated) as caught:
        tokens.find(presented)
    assert caught.value.code == "unauthenticated"
    assert presented not in caught.value.detail or not presented


def test_a_secret_of_another_ledger_is_unknown(tokens: PostgresTokens) -> None:
    tokens.create("ci", scopes=["admin"])
    with pytest.raises(Unauthenticated) as caught:
        tokens.find(make_secret(lambda count: bytes(range(count))))
    assert caught.value.code == "unauthenticated"


def test_a_token_expires_at_its_time(tokens: PostgresTokens, clock: Clock) -> None:
    secret, made = tokens.create("ci", scopes=["admin"], days=2)
    assert made.expires_at == "2026-02-03T12:00:00.000000Z"
    clock.now = NOW + timedelta(days=2) - timedelta(microseconds=1)
    assert tokens.find(secret).id == made.id
    clock.now = NOW + timedelta(days=2)
    with pytest.raises(Unauthenticated) as caught:
        tokens.find(secret)
    assert caught.value.code == "token-expired"


def test_a_revoked_token_is_ended_for_ever(tokens: PostgresTokens, clock: Clock) -> None:
    secret, made = tokens.create("ci", scopes=["admin"], days=1)
    other, _ = tokens.create("other", scopes=["admin"])
    tokens.revoke(made.id)
    with pytest.raises(Unauthenticated) as caught:
        tokens.find(secret)
    assert caught.value.code == "unauthenticated"
    assert tokens.find(other).name == "other"
    clock.now = NOW + timedelta(days=9)
    tokens.revoke(made.id)
    [listed] = [one for one in tokens.list() if one.id == made.id]
    assert listed.revoked_at == "2026-02-01T12:00:00.000000Z"
    assert listed.last_used_at is None
    with pytest.raises(Unauthenticated, match="revoked"):
        tokens.find(secret)


@pytest.mark.parametrize("token_id", ["", "none", "00000000-0000-4000-8000-000000000000"])
def test_revoking_what_is_not_there_is_said(tokens: PostgresTokens, token_id: str) -> None:
    with pytest.raises(NotFound) as caught:
        tokens.revoke(token_id)
    assert caught.value.code == "token-not-found"


def test_the_last_use_is_noted_once_a_minute(
    tokens: PostgresTokens, clock: Clock, database_url: str
) -> None:
    secret, _ = tokens.create("ci", scopes=["admin"])
    seen = []
    for seconds in (10, 50, 69, 70.5, 71):
        clock.now = NOW + timedelta(seconds=seconds)
        tokens.find(secret)
        seen.append(tokens.list()[0].last_used_at)
    first, second = "2026-02-01T12:00:10.000000Z", "2026-02-01T12:01:10.500000Z"
    assert seen == [first, first, first, second, second]


def test_tokens_are_listed_in_pages(tokens: PostgresTokens) -> None:
    made = {tokens.create(f"t{n}", scopes=["admin"])[1].id for n in range(5)}
    found: list[str] = []
    while page := tokens.list(after=found[-1] if found else "", limit=2):
        assert len(page) <= 2
        found += [one.id for one in page]
    assert found == sorted(made)
    assert len(tokens.list(limit=10_000)) == 5


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        ("name", "", "/name"),
        ("name", "x" * 101, "/name"),
        ("name", "a\nb", "/name"),
        ("name", "a\0b", "/name"),
        ("scopes", [], "/scopes"),
        ("scopes", ["events:read", "root"], "/scopes"),
        ("projects", [], "/projects"),
        ("projects", ["p"] * 1_001, "/projects"),
        ("projects", ["p", "No Slug"], "/projects/1"),
        ("days", 0, "/expires_in_days"),
        ("days", 3_651, "/expires_in_days"),
    ],
)
def test_a_token_that_cannot_be_is_refused_and_not_made(
    tokens: PostgresTokens, database_url: str, member: str, value: object, pointer: str
) -> None:
    asked: dict[str, object] = {
        "name": "ci",
        "scopes": ["admin"],
        "projects": None,
        "days": None,
        member: value,
    }
    name = asked.pop("name")
    assert isinstance(name, str)
    with pytest.raises(Invalid) as caught:
        tokens.create(name, **asked)  # type: ignore[arg-type]  # values that must be refused
    assert (caught.value.code, caught.value.pointer) == ("validation-failed", pointer)
    assert rows(database_url) == "[]"


def token(*scopes: str, projects: tuple[str, ...] | None = None) -> Token:
    return Token("id", "ci", "1234", scopes, projects, "", None, None, None)


def test_a_scope_allows_itself_and_admin_allows_all() -> None:
    for scope in SCOPES:
        token(scope).check_scope(scope)
        token("admin").check_scope(scope)
        others = tuple(one for one in SCOPES if one not in {scope, "admin"})
        with pytest.raises(Forbidden) as caught:
            token(*others).check_scope(scope)
        assert caught.value.code == "insufficient-scope"
        assert caught.value.members == {"scope": scope}
    with pytest.raises(Forbidden, match="has none"):
        token().check_scope("events:read")


def test_a_token_is_for_its_projects_also_an_admins() -> None:
    token("events:read").check_project("any")
    token("admin", projects=("a",)).check_project("a")
    with pytest.raises(Forbidden) as caught:
        token("admin", projects=("a",)).check_project("b")
    assert caught.value.code == "project-forbidden"
