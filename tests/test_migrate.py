"""Migrations: applied once, in order, whole or not at all; and what the schema forbids."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters import migrate as subject
from adapters.migrate import migrate, migrations, pending
from adapters.postgres_connect import connect
from adapters.service_login import LOGIN, service_login
from domain.errors import Conflict, Malformed, Unavailable
from tests.log_samples import Opened, creation, open_log

LEDGER_WIDE = {
    "ledger",
    "log_key",
    "schema_migration",
    "seal_key",
    "search_job",
    "token",
    "token_exchange",
    "trusted_issuer",
    "used_identity",
    "web_session",
    "sign_in_link",
}


@pytest.fixture
def empty_url(postgres_server: str) -> Iterator[str]:
    """A database without any table."""
    name = "test_empty_" + hashlib.sha256(str(id(object())).encode()).hexdigest()[:8]
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield make_conninfo(postgres_server, dbname=name)
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    with open_log(database_url) as opened:
        opened.log.create(creation("alpha"))
        yield opened


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations that a test may change, with ours in it."""
    for one in migrations():
        (tmp_path / f"{one.name}.sql").write_text(one.text)
    monkeypatch.setattr(subject, "FOLDER", tmp_path)
    return tmp_path


def test_an_empty_database_gets_every_migration_once(empty_url: str) -> None:
    names = [one.name for one in migrations()]

    assert pending(empty_url) == names
    assert migrate(empty_url) == names
    assert pending(empty_url) == []
    assert migrate(empty_url) == []


def test_only_what_is_new_is_applied(empty_url: str, folder: Path) -> None:
    migrate(empty_url)
    number = len(migrations()) + 1
    (folder / f"{number:04}_more.sql").write_text("CREATE TABLE more (x int);")

    assert migrate(empty_url) == [f"{number:04}_more"]


def test_a_changed_migration_is_refused(empty_url: str, folder: Path) -> None:
    migrate(empty_url)
    file = folder / f"{migrations()[0].name}.sql"
    file.write_text(file.read_text() + "-- changed\n")

    for use in (migrate, pending):
        with pytest.raises(Conflict) as caught:
            use(empty_url)
        assert caught.value.code == "migration-changed"


def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(
    empty_url: str, folder: Path
) -> None:
    file = folder / f"{len(migrations()) + 1:04}_broken.sql"
    file.write_text("CREATE TABLE half (x int); SELECT 1/0;")

    with pytest.raises(psycopg.DataError):
        migrate(empty_url)
    with psycopg.connect(empty_url) as connection:
        assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)
        assert connection.execute("SELECT to_regclass('event') IS NULL").fetchone() == (False,)
    file.write_text("CREATE TABLE half (x int);")
    assert migrate(empty_url) == [file.stem]


def test_two_that_migrate_at_once_apply_everything_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(migrate, [empty_url] * 4))

    assert sorted(len(one) for one in applied) == [0, 0, 0, len(migrations())]


def test_a_database_of_a_newer_release_is_left_alone(empty_url: str) -> None:
    migrate(empty_url)
    with psycopg.connect(empty_url) as connection:
        connection.execute("INSERT INTO schema_migration VALUES (9999, 'later', '')")

    assert migrate(empty_url) == []


def test_every_primary_and_unique_key_holds_the_project(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        keys = connection.execute(
            """
            SELECT c.relname, i.indexrelid::regclass::text, a.attname
            FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
            WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
            """
        ).fetchall()
        tables = connection.execute(
            "SELECT relname FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()

    assert {table for table, _, first in keys if first != "project_id"} == LEDGER_WIDE
    assert {table for (table,) in tables} == {table for table, _, _ in keys}


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET actor = 'x'",
        "DELETE FROM event",
        "TRUNCATE event",
        "TRUNCATE event CASCADE",
    ],
)
@pytest.mark.parametrize("who", ["service", "owner", "replica"])
def test_nobody_changes_an_event(opened: Opened, who: str, statement: str) -> None:
    with psycopg.connect(opened.url) as connection:
        if who == "service":
            connection.execute("SET ROLE deedbook_service")
        if who == "replica":
            connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)

    assert opened.log.head("alpha").size == 1


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE event",
        "ALTER TABLE event DISABLE TRIGGER refuse_row",
        "CREATE TABLE own (x int)",
        "DELETE FROM project_log",
        "DELETE FROM idempotency",
        "UPDATE artifact_version SET title = 'x'",
        "UPDATE blob SET content = ''",
        "UPDATE schema_migration SET name = 'x'",
        "SET session_replication_role = replica",
    ],
)
def test_the_service_may_do_no_more_than_it_needs(opened: Opened, statement: str) -> None:
    with psycopg.connect(opened.url) as connection:
        connection.execute("SET ROLE deedbook_service")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_connection_of_the_service_takes_the_restricted_role(database_url: str) -> None:
    with connect(database_url) as connection:
        row = connection.execute(
            "SELECT current_user, current_setting('statement_timeout'), current_setting('timezone')"
        ).fetchone()

    assert row == ("deedbook_service", "2min", "UTC")


def test_a_pooled_connection_keeps_the_settings_of_its_role(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(
            f"ALTER DATABASE {admin.info.dbname} SET idle_in_transaction_session_timeout = '7s'"
        )

    with connect(database_url, pooled=True) as connection:
        row = connection.execute("SHOW idle_in_transaction_session_timeout").fetchone()

    assert row == ("7s",)


def test_a_database_that_is_away_is_said() -> None:
    for use in (migrate, pending):
        with pytest.raises(Unavailable, match="cannot be reached") as caught:
            use("postgresql://ada:s3cret@127.0.0.1:1/deedbook")
        assert caught.value.code == "database-unavailable"
        assert "s3cret" not in caught.value.detail
        assert "\n" not in caught.value.detail


@pytest.mark.parametrize("url", ["postgress//ada:s3cret@host/deedbook", "password=s3cret nonsense"])
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    with pytest.raises(Malformed) as caught:
        migrate(url)
    assert "s3cret" not in caught.value.detail
    assert "postgresql://user:password@host:5432/database" in caught.value.detail


def test_commands_that_come_at_once_agree_on_one_login(database_url: str) -> None:
    with ThreadPoolExecutor(8) as threads:
        urls = set(threads.map(service_login, [database_url] * 8))

    assert len(urls) == 1
    with connect(urls.pop()) as connection:
        row = connection.execute("SELECT session_user, current_user").fetchone()
    assert row == (LOGIN, "deedbook_service")
