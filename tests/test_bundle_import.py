"""A project is opened from an export: the same log, the same bytes, or nothing at all."""

import os
import secrets
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.zip_reader import ZipArchive, ZipEntry
from app.bundle_import import import_bundle
from app.ledger import Ledger
from domain import canonical
from domain.digest import digest_of
from domain.errors import Conflict, DeedbookError, Invalid, Malformed, NotFound, TooLarge
from domain.events import ArtifactWritten, StoredLine, encode_line, read_line
from tests.export_samples import MemoryLog, files_of, mended, zip_of
from tests.ledger_samples import make_project, open_ledger, write_export
from tests.log_samples import tables_of


def ignore(done: int, total: int | None) -> None:
    assert total is not None
    assert 0 < done <= total


class Two:
    """A ledger with a project, its export, and a second, empty ledger."""

    def __init__(self, first: Ledger, second: Ledger, urls: Sequence[str], file: Path) -> None:
        self.first = first
        self.second = second
        self.urls = urls
        self.file = file
        self.position = make_project(first, urls[0])
        self.sha256 = write_export(first, file, self.position)

    def nothing_recorded(self) -> bool:
        """Whether the second ledger is as empty as before."""
        rows = tables_of(self.urls[1], "alpha")
        return not any(rows.values())


@pytest.fixture
def other_database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    yield make_conninfo(postgres_server, dbname=name)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def two(database_url: str, other_database_url: str, tmp_path: Path) -> Iterator[Two]:
    with (
        open_ledger(database_url) as first,
        open_ledger(other_database_url, host="elsewhere.example") as second,
    ):
        yield Two(first, second, (database_url, other_database_url), tmp_path / "alpha.zip")


def test_the_imported_project_has_the_same_root_the_same_rows_and_the_same_export(
    two: Two, tmp_path: Path
) -> None:
    calls: list[tuple[int, int | None]] = []
    imported = import_bundle(
        two.second, two.file, progress=lambda done, total: calls.append((done, total))
    )
    assert calls[-1][0] <= (calls[-1][1] or 0)
    head, copied = two.first.log.head("alpha"), two.second.log.head("alpha")
    assert copied == head
    assert (imported.project, imported.position, imported.events) == ("alpha", head.size, head.size)
    tree = two.first.exports.layout("alpha", two.position)
    assert imported.root in two.first.exports.tree(tree)
    before, after = (tables_of(url, "alpha") for url in two.urls)
    held = {str(row) for row in before.pop("blob")}
    assert {str(row) for row in after.pop("blob")} < held
    assert after == before
    assert write_export(two.second, tmp_path / "again.zip", two.position) == two.sha256
    assert (tmp_path / "again.zip").read_bytes() == two.file.read_bytes()
