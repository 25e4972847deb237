"""The doctor: a sound ledger is sound, and whatever its owner tampers with is named by its place."""

import secrets
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.doctor import Finding, examine
from domain.events import EVENT_TYPES
from tests.examined_samples import (
    columns_of,
    fill,
    one_changed,
    tables_with_projects,
)
from tests.ledger_samples import another_database, open_ledger

EVIDENCE = (
    "project_log",
    "event",
    "blob",
    "project_view",
    "artifact_version",
    "artifact_latest",
    "citation",
    "run_change",
    "erasure",
)
OTHERS = {
    "upload",  # on its way, and checked when it becomes a blob
    "idempotency",
    "tracking",
    "imported_log",
    "export",
    "export_file",
}
"""Tables that hold no evidence: what can be checked of them has tests of its own."""


def found_in(url: str, project: str | None = None) -> list[Finding]:
    return list(examine(url, project=project, progress=lambda done, total=None: None))


def places(url: str, project: str | None = None) -> list[str]:
    return [finding.place for finding in found_in(url, project)]


@pytest.fixture(scope="module")
def shared_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """A filled database whose tests put back what they change."""
    with another_database(postgres_server, template_database) as url:
        with open_ledger(url) as ledger:
            fill(ledger, url)
        yield url


@pytest.fixture
def url(postgres_server: str, shared_url: str) -> Iterator[str]:
    """A copy of it, to be spoilt."""
    name = f"test_{secrets.token_hex(6)}"
    template = psycopg.conninfo.conninfo_to_dict(shared_url)["dbname"]
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_sample_has_every_kind_of_event(shared_url: str) -> None:
    with psycopg.connect(shared_url) as connection:
        kinds = connection.execute("SELECT DISTINCT type FROM event").fetchall()
    assert {kind for (kind,) in kinds} == set(EVENT_TYPES)


def test_a_sound_ledger_gives_no_finding(shared_url: str) -> None:
    assert found_in(shared_url) == []
    assert found_in(shared_url, "beta") == []


def test_every_table_of_projects_is_evidence_or_named_here(shared_url: str) -> None:
    assert tables_with_projects(shared_url) == set(EVIDENCE) | OTHERS


@pytest.mark.parametrize("table", EVIDENCE)
def test_a_change_of_any_column_is_found_at_its_place(shared_url: str, table: str) -> None:
    columns = columns_of(shared_url, table)
    assert columns
    unnoticed = []
    for column, kind in columns:
        with one_changed(shared_url, table, column, kind):
            found = places(shared_url)
        if not any(place.startswith(f"{table} ") for place in found):
            unnoticed.append((column, found))
    assert unnoticed == []
    assert found_in(shared_url) == []
