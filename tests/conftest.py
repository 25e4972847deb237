"""A real Postgres for the tests that ask for one: a migrated template, cloned for each test."""

import io
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.migrate import migrate
from domain.events import EventData, parse
from tests.run_commands import Contents, Recorded, Typed
from tests.serving import Served, serve
from tests.vercel_double import VercelDouble

TEMPLATE = "deedbook_template"


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server whose role may create databases: the one given, else an embedded one."""
    given = os.environ.get("DEEDBOOK_TEST_DATABASE_URL") or os.environ.get("DATABASE_URL")
    if given:
        yield given
        return
    with EmbeddedPostgres.open(tmp_path_factory.mktemp("postgres"), fast=True) as server:
        yield server.admin_url


@pytest.fixture(scope="session")
def template_database(postgres_server: str) -> Iterator[str]:
    """The name of a migrated database to which nobody is connected."""
    name = f"{TEMPLATE}_{secrets.token_hex(4)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    migrate(make_conninfo(postgres_server, dbname=name))
    yield name
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """The URL of a fresh, migrated database, as its owner."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def served(postgres_server: str, template_database: str) -> Iterator[Served]:
    """A ledger over HTTP that many tests share: each opens projects of its own."""
    name = f"served_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    with serve(make_conninfo(postgres_server, dbname=name)) as running:
        yield running
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def shared_double() -> Iterator[VercelDouble]:
    """A stand-in for Vercel Blob that runs for all tests."""
    with VercelDouble().running() as double:
        yield double


@pytest.fixture
def double(shared_double: VercelDouble) -> Iterator[VercelDouble]:
    """It, as good as new."""
    shared_double.reset()
    yield shared_double
    shared_double.released.set()


@pytest.fixture
def http(served: Served) -> Iterator[httpx2.Client]:
    """A client with an admin's token."""
    with served.client() as client:
        yield client


@pytest.fixture
def project(http: httpx2.Client) -> str:
    """The slug of a fresh project at position 1."""
    slug = f"p-{secrets.token_hex(6)}"
    made = http.post("/v1/projects", json={"slug": slug, "title": "A project"})
    assert made.status_code == 201, made.text
    return slug


@pytest.fixture
def command_line(
    served: Served, project: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands of this process speak to the shared ledger, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEDBOOK_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("DEEDBOOK_URL", served.url)
    monkeypatch.setenv("DEEDBOOK_TOKEN", served.token)
    monkeypatch.setenv("DEEDBOOK_PROJECT", project)
    for name in ("DEEDBOOK_RUN", "GITHUB_ACTIONS", "GITLAB_CI"):  # these tests may run in CI
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def typed(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Runs a command line; answers what it printed: results, or with a failure the complaint."""

    from app.cli.root import run

    def type_it(*words: str, given: bytes = b"", expected: int = 0) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        code = run(words)
        written = capfd.readouterr()
        assert code == expected, written.out + written.err
        return written.out if expected == 0 else written.err

    return type_it


@pytest.fixture
def recorded(served: Served, project: str) -> Recorded:
    """The data of a run's events, in order."""

    def read(run_id: str) -> list[EventData]:
        entries = served.ledger.log.stream(project, f"run/{run_id}", 0, 1_000, 10**9)
        return [parse(entry.line).data for entry in entries]

    return read


@pytest.fixture
def content(served: Served, project: str) -> Contents:
    """The bytes of a digest."""

    def read(digest: str) -> bytes:
        with served.client() as client:
            answer = client.get(f"/v1/projects/{project}/blobs/{digest}")
        assert answer.status_code == 200, answer.text
        return answer.content

    return read
