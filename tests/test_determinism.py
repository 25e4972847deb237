"""The same position gives the same bytes for ever: whoever asks, wherever, and however often."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from adapters.migrate import migrate
from app.bundle_import import import_bundle
from app.ledger import Ledger
from app.offline.verify import verify_file
from domain.digest import digest_of
from domain.errors import NotFound
from tests.ledger_samples import another_database, make_project, open_ledger, write_export

ROOT = Path(__file__).parent.parent
GOLDEN = Path(__file__).parent / "golden" / "ledger-alpha.json"
SCOPES = ("project", "run:r1")
OTHER_PYTHONS = [
    one for one in os.environ.get("DEEDBOOK_TEST_PYTHONS", "").split(os.pathsep) if one
]
PROCESS_SECONDS = 120


class Project(NamedTuple):
    """A project in a database, and its exports as they came out first."""

    url: str
    position: int
    files: Mapping[str, Path]

    def sha256(self, scope: str = "project") -> str:
        return hashlib.sha256(self.files[scope].read_bytes()).hexdigest()


def ignore(_done: int, _total: int | None) -> None:
    """No bar."""


@pytest.fixture(scope="module")
def project(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("exports")
    with another_database(postgres_server, template_database) as url:
        with open_ledger(url) as ledger:
            position = make_project(ledger, url)
            files = {}
            for scope in SCOPES:
                files[scope] = folder / f"{scope.replace(':', '-')}.zip"
                write_export(ledger, files[scope], position, scope)
        yield Project(url, position, files)


@pytest.fixture
def ledger(project: Project) -> Iterator[Ledger]:
    """The same database after a restart, without its layouts."""
    forget(project.url, "export_file", "export")
    with open_ledger(project.url, first_id=1_000) as opened:
        yield opened


def forget(url: str, *tables: str) -> None:
    with psycopg.connect(url) as connection:
        for table in tables:
            connection.execute(f"DELETE FROM {table}".encode())


def exported_elsewhere(
    project: Project,
    file: Path,
    *,
    scope: str = "project",
    python: str = sys.executable,
    umask: int = -1,
    **variables: str,
) -> bytes:
    """The export as another process makes it."""
    command = [python, "-m", "tests.export_once", project.url, str(file), str(project.position)]
    subprocess.run(
        [*command, scope],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        umask=umask,
        check=True,
        capture_output=True,
        timeout=PROCESS_SECONDS,
    )
    return file.read_bytes()


def test_a_small_projects_export_is_the_one_expected(project: Project) -> None:
    with zipfile.ZipFile(project.files["project"]) as opened:
        found = {
            one.filename: {"size_bytes": one.file_size, "digest": digest_of(opened.read(one))}
            for one in opened.infolist()
        }
        assert list(found) == sorted(found, key=str.encode)
    found["(zip)"] = {
        "size_bytes": project.files["project"].stat().st_size,
        "digest": f"sha256:{project.sha256()}",
    }
    text = msgspec.json.format(msgspec.json.encode(found, order="sorted")).decode() + "\n"
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_it_holds_the_latest_versions_their_citations_and_no_erased_content(
    project: Project,
) -> None:
    with zipfile.ZipFile(project.files["project"]) as opened:
        inside = [name.partition("/data/")[2] for name in opened.namelist()]
        manifest = msgspec.json.decode(opened.read(f"alpha-{project.position}/data/manifest.json"))
    assert [name for name in inside if "/PRD/" in name] == [
        "artifacts/PRD/main.v2.md",
        "citations/PRD/main.v2.json",
    ]
    assert not [name for name in inside if "secret" in name]
    assert [(one["key"], one["erased_at"]) for one in manifest["erased"]] == [
        ("secret", project.position)
    ]


@pytest.mark.parametrize("scope", SCOPES)
def test_a_restarted_ledger_gives_the_same_bytes(
    project: Project, ledger: Ledger, scope: str, tmp_path: Path
) -> None:
    for name in ("laid out anew", "laid out before"):
        sha256 = write_export(ledger, tmp_path / "again.zip", project.position, scope)
        assert sha256 == project.sha256(scope), name


def test_a_dropped_layout_cache_is_made_again_the_same(
    project: Project, ledger: Ledger, tmp_path: Path
) -> None:
    record = ledger.exports.layout("alpha", project.position)
    forget(project.url, "export_file")
    again = ledger.exports.layout("alpha", project.position)
    assert again.etag == record.etag
    sha256 = write_export(ledger, tmp_path / "again.zip", project.position)
    assert sha256 == project.sha256()


def test_the_clock_of_the_world_is_not_in_it(project: Project, tmp_path: Path) -> None:
    os.utime(project.files["project"], (0, 0))
    assert exported_elsewhere(project, tmp_path / "a.zip", TZ="Pacific/Kiritimati") == (
        project.files["project"].read_bytes()
    )
    later = exported_elsewhere(project, tmp_path / "b.zip", SOURCE_DATE_EPOCH="1700000000")
    assert later == project.files["project"].read_bytes()


def _danish(folder: Path) -> str:
    """Where a locale that sorts `aa` last is, compiled here from the system's sources."""
    if shutil.which("localedef") is None:
        pytest.skip("localedef is not here")
    made = folder / "da_DK.UTF-8"
    subprocess.run(
        ["localedef", "--no-archive", "-i", "da_DK", "-f", "UTF-8", str(made)],
        capture_output=True,
        check=False,
        timeout=PROCESS_SECONDS,
    )
    if not (made / "LC_COLLATE").exists():
        pytest.skip("the sources of the locale da_DK are not installed")
    return str(folder)


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "da_DK.UTF-8"])
def test_no_locale_changes_it(project: Project, locale: str, tmp_path: Path) -> None:
    compiled = _danish(tmp_path) if locale.startswith("da") else ""
    raw = exported_elsewhere(
        project, tmp_path / "a.zip", LC_ALL=locale, LANG=locale, LOCPATH=compiled
    )
    assert raw == project.files["project"].read_bytes()


@pytest.mark.parametrize("umask", [0o077, 0o000])
def test_no_umask_changes_it(project: Project, umask: int, tmp_path: Path) -> None:
    raw = exported_elsewhere(project, tmp_path / "a.zip", umask=umask)
    assert raw == project.files["project"].read_bytes()


@pytest.mark.parametrize("seed", ["0", "1", "12345"])
def test_no_hash_seed_changes_it(project: Project, seed: str, tmp_path: Path) -> None:
    for scope in SCOPES:
        raw = exported_elsewhere(project, tmp_path / "a.zip", scope=scope, PYTHONHASHSEED=seed)
        assert raw == project.files[scope].read_bytes()


def _importable(python: str, modules: str) -> bool:
    done = subprocess.run(
        [python, "-c", f"import sys, {modules}; assert sys.version_info >= (3, 11)"],
        capture_output=True,
        check=False,
        timeout=PROCESS_SECONDS,
    )
    return done.returncode == 0


@pytest.mark.parametrize("python", OTHER_PYTHONS or [""])
def test_other_pythons_export_the_same_and_verify_it(
    project: Project, python: str, tmp_path: Path
) -> None:
    if not python:
        pytest.skip("DEEDBOOK_TEST_PYTHONS names no other Python")
    if not _importable(python, "click, msgspec"):
        pytest.skip(f"{python} is too old, or has no click and msgspec")
    done = subprocess.run(
        [python, "-m", "app", "verify", "--json", str(project.files["project"])],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=PROCESS_SECONDS,
    )
    assert msgspec.json.decode(done.stdout)["zip_sha256"] == project.sha256()
    if not _importable(python, "psycopg_pool, eventsourcing"):
        pytest.skip(f"{python} verified it, and has no psycopg and eventsourcing to export with")
    raw = exported_elsewhere(project, tmp_path / "a.zip", python=python)
    assert raw == project.files["project"].read_bytes()


def test_a_second_ledger_into_which_it_was_imported_exports_the_same(
    project: Project, postgres_server: str, template_database: str, tmp_path: Path
) -> None:
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(url, host="elsewhere.example") as second,
    ):
        import_bundle(second, project.files["project"], progress=ignore)
        for scope in SCOPES:
            if scope == "run:r1":  # names a version that is not the latest
                second.stage_blob("alpha", b"# Alpha\n\nFirst.\n")
            sha256 = write_export(second, tmp_path / "again.zip", project.position, scope)
            assert sha256 == project.sha256(scope)


def test_a_database_that_sorts_as_the_danes_do_exports_the_same(
    project: Project, postgres_server: str, tmp_path: Path
) -> None:
    name = f"danish_{os.getpid()}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        try:
            connection.execute(
                f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' "
                "LOCALE_PROVIDER icu ICU_LOCALE 'da' LOCALE 'C'".encode()
            )
        except psycopg.Error as error:
            pytest.skip(f"this Postgres has no ICU: {error}")
    url = make_conninfo(postgres_server, dbname=name)
    try:
        migrate(url)
        with open_ledger(url) as danish:
            import_bundle(danish, project.files["project"], progress=ignore)
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT 'aa' > 'z'").fetchone()
            assert row == (True,)
            sha256 = write_export(danish, tmp_path / "again.zip", project.position)
            assert sha256 == project.sha256()
    finally:
        with psycopg.connect(postgres_server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.mark.parametrize("content", [b"# aa\n", b"ok\n"])
def test_a_missing_content_fails_the_export_and_says_how_to_repair_it(
    content: bytes, database_url: str, tmp_path: Path
) -> None:
    with open_ledger(database_url) as ledger:
        position = make_project(ledger, database_url)
        whole = write_export(ledger, tmp_path / "whole.zip", position)
        forget(database_url, "export_file", "export")
        with psycopg.connect(database_url) as connection:
            gone = connection.execute(
                "DELETE FROM blob WHERE sha256 = %s", (hashlib.sha256(content).digest(),)
            )
            assert gone.rowcount == 1
        with pytest.raises(NotFound) as caught:
            ledger.exports.layout("alpha", position)
        assert caught.value.code == "content-missing"
        assert caught.value.members["digest"] == digest_of(content)
        assert "Upload the same bytes again" in caught.value.detail
        with psycopg.connect(database_url) as connection:
            assert connection.execute("SELECT FROM export").rowcount == 0
        ledger.stage_blob("alpha", content)
        assert write_export(ledger, tmp_path / "repaired.zip", position) == whole


def test_an_event_more_changes_no_earlier_export(database_url: str, tmp_path: Path) -> None:
    with open_ledger(database_url) as ledger:
        position = make_project(ledger, database_url)
        before = [
            write_export(ledger, tmp_path / "before.zip", position, scope) for scope in SCOPES
        ]
        ledger.write_artifact("alpha", "PRD", "main", b"# Third\n", actor="user:ada")
        forget(database_url, "export_file", "export")
        after = [write_export(ledger, tmp_path / "after.zip", position, scope) for scope in SCOPES]
        assert after == before
        assert write_export(ledger, tmp_path / "later.zip", position + 1) != before[0]


@pytest.mark.parametrize("scope", SCOPES)
def test_it_verifies(project: Project, scope: str) -> None:
    report = verify_file(project.files[scope], progress=ignore)
    assert report.sound, report.checks
    assert report.zip_sha256 == project.sha256(scope)
