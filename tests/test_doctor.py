"""The doctor: a sound ledger is sound, and whatever its owner tampers with is named by its place."""

import secrets
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters import doctor, doctor_contents, doctor_schema
from adapters.doctor import Finding, examine, examine_rows, examine_tables
from adapters.doctor_schema import examine_role
from adapters.examined import MAX_FINDINGS
from app.bundle_import import import_bundle
from app.cli import failure
from app.cli.root import run
from app.remote.connection import Connection, write_connection
from domain.digest import digest_of
from domain.errors import NotFound, Unavailable
from domain.events import EVENT_TYPES, StoredLine, encode_line
from tests.examined_samples import (
    change_one,
    columns_of,
    fill,
    key_of,
    tables_with_projects,
    tamper,
    tampering,
    undone,
)
from tests.ledger_samples import ERASED, another_database, open_ledger, running_clock, write_export
from tests.serving import Served

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
    "tree_node",
    "checkpoint",
)
SEALS = ("seal_log", "seal_entry")
"""Evidence of the ledger as a whole, under no project's name."""
OTHERS = {
    "loose_object",  # what it has is in no content row, and goes away
    "draft",  # no part of the log
    "draft_text",
    "upload",  # on its way, and checked when it becomes a blob
    "idempotency",
    "tracking",
    "imported_log",
    "export",
    "export_file",
    "cosignature",  # as many as witnesses give: one taken away leaves no gap
    "witness_state",  # how far others are, which they say again when they are asked
    "witness_round",
    "witness_alarm",  # what a witness said, of which nothing else here tells
    "witness_alarm_cleared",
    "search_project",  # the search index, which is made again from the log
    "search_state",
    "search_chunk",
    "search_posting",
    "search_embedding",
}
"""Tables that hold no evidence: what can be checked of them has tests of its own."""


def found_in(url: str, project: str | None = None) -> list[Finding]:
    return list(examine(url, project=project, progress=lambda done, total=None: None))


def places(url: str, project: str | None = None) -> list[str]:
    return [finding.place for finding in found_in(url, project)]


def seen(connection: psycopg.Connection, project: str | None = None) -> list[str]:
    """The places of the findings in rows, as a transaction sees them."""
    found = examine_rows(connection, project=project, progress=lambda done, total=None: None)
    return [finding.place for finding in found]


@pytest.fixture(scope="module")
def shared_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """A filled database whose tests put back what they change."""
    with another_database(postgres_server, template_database) as url:
        with open_ledger(url, clock=running_clock()) as ledger:
            fill(ledger, url)
        yield url


@pytest.fixture
def url(postgres_server: str, shared_url: str) -> Iterator[str]:
    """A copy of it, to be spoilt."""
    name = f"test_{secrets.token_hex(6)}"
    template = conninfo_to_dict(shared_url)["dbname"]
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
    assert tables_with_projects(shared_url) == {*EVIDENCE, *SEALS, *OTHERS}


@pytest.mark.parametrize("table", EVIDENCE)
def test_a_change_of_any_column_is_found_at_its_place(shared_url: str, table: str) -> None:
    key = key_of(shared_url, table)
    unnoticed = []
    for column, kind in columns_of(shared_url, table):
        with undone(shared_url) as connection:
            try:
                change_one(connection, table, column, kind)
            except psycopg.errors.CheckViolation:
                continue  # the database itself refuses such a row
            found = seen(connection, "alpha")
        # Another key is another row: it is named as missing, or under its new name.
        wanted = "" if column in key or column == "project_id" else column
        if not any(place.startswith(f"{table} ") and wanted in place for place in found):
            unnoticed.append((column, found))
    assert unnoticed == []


@pytest.mark.parametrize("table", SEALS)
def test_a_change_of_any_column_of_the_seal_log_is_found_at_its_place(
    shared_url: str, table: str
) -> None:
    unnoticed = []
    for column, kind in columns_of(shared_url, table):
        with undone(shared_url) as connection:
            connection.execute("ALTER TABLE seal_entry DROP CONSTRAINT seal_entry_key_ordinal_fkey")
            try:
                change_one(connection, table, column, kind, project="")
            except psycopg.errors.CheckViolation:
                continue  # the database itself refuses such a row
            found = seen(connection)
        if not any(place.startswith(table) for place in found):
            unnoticed.append((column, found))
    assert unnoticed == []


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("DELETE FROM seal_entry WHERE position = 2", "seal_entry 2"),
        ("DELETE FROM seal_entry WHERE position = 3", "seal_log (size)"),
        ("DELETE FROM seal_log", "seal_log"),
        ("UPDATE seal_key SET spki = set_byte(spki, 40, 1)", "seal_entry 0"),
        ("UPDATE log_key SET ed25519 = set_byte(ed25519, 0, 1)", "seal_entry 0 (sidecar)"),
        ("INSERT INTO seal_key SELECT 2, set_byte(spki, 40, 1) FROM seal_key", "seal_key"),
        ("INSERT INTO log_key SELECT 2, set_byte(ed25519, 0, 1) FROM log_key", "log_key"),
        ("DELETE FROM checkpoint WHERE project_id = '' AND size = 2", "seal_entry 1"),
        ("UPDATE ledger SET host = 'other.example'", "seal_log (origin)"),
        ("UPDATE export SET zip_sha256 = sha256('x') WHERE scope = 'project'", "export alpha/"),
    ],
)
def test_what_is_done_to_seals_and_keys_is_found(
    shared_url: str, statement: LiteralString, place: str
) -> None:
    with undone(shared_url) as connection:
        tamper(connection, sql.SQL(statement))
        found = seen(connection)
    assert any(one.startswith(place) for one in found), found


@pytest.mark.parametrize("table", ["export", "export_file"])
def test_a_change_of_what_is_kept_of_an_export_is_found(shared_url: str, table: str) -> None:
    unnoticed = set()
    for column, kind in columns_of(shared_url, table):
        with undone(shared_url) as connection:
            change_one(connection, table, column, kind)
            if not any(place.startswith("export") for place in seen(connection, "alpha")):
                unnoticed.add(column)
    # The next whole pass of the export compares its digest; when it was made proves nothing.
    assert unnoticed <= {"zip_sha256", "created_at"}


def spoil(url: str, *statements: LiteralString) -> None:
    with psycopg.connect(url) as connection:
        tamper(connection, *(sql.SQL(one) for one in statements))


SECOND = "project_id = 'alpha' AND position = 2"
SPOILT_EVENT = f"UPDATE event SET actor = 'user:eve' WHERE {SECOND}"


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        (f"DELETE FROM event WHERE {SECOND}", "event alpha/2"),
        ("DELETE FROM event WHERE position BETWEEN 3 AND 5", "event alpha/3"),
        ("DELETE FROM event WHERE project_id = 'alpha'", "event alpha/1"),
        ("UPDATE event SET position = 0 WHERE position = 1", "event alpha/0"),
        ("UPDATE event SET position = -7 WHERE position = 4", "event alpha/4"),
        (f"UPDATE event SET line = 'nothing' WHERE {SECOND}", "event alpha/2 (line)"),
        (f"UPDATE event SET line = '\\xff' WHERE {SECOND}", "event alpha/2 (line)"),
        (f"UPDATE event SET time = 'infinity' WHERE {SECOND}", "event alpha/2 (time)"),
        ("UPDATE event SET version = 9 WHERE stream = 'run/r1' AND version = 3", "event alpha/"),
        ("UPDATE project_log SET size = size - 1 WHERE project_id = 'alpha'", "event alpha/"),
        ("UPDATE project_log SET size = 10 ^ 15 WHERE project_id = 'alpha'", "event alpha/"),
        ("UPDATE project_log SET size = -1 WHERE project_id = 'alpha'", "project_log alpha (size"),
        ("UPDATE project_log SET last_time = '-infinity'", "project_log alpha (last_time)"),
        ("DELETE FROM project_log WHERE project_id = 'beta'", "project_log beta"),
        ("UPDATE ledger SET host = 'other.example'", "project_log beta (origin)"),
        ("DELETE FROM ledger", "project_log beta (origin)"),
        ("DELETE FROM blob WHERE size_bytes = 0", "blob alpha/sha256:e3b0c44298fc"),
        ("UPDATE blob SET content = content || 'x'", "blob alpha/sha256:"),
        ("UPDATE blob SET content = '' WHERE size_bytes > 5000000", "blob alpha/sha256:"),
        (
            "INSERT INTO blob SELECT 'alpha', sha256('x'), 1, 2363233923, 0, 'x'",
            "blob alpha/sha256:2d711642b726",
        ),
        ("DELETE FROM artifact_version WHERE kind = 'PRD'", "artifact_version alpha/PRD/main/1"),
        (
            "INSERT INTO erasure SELECT 'alpha', 99, 'artifact/X/y', 1, sha256('y')",
            "erasure alpha/99",
        ),
        ("INSERT INTO project_view VALUES ('alpha', 2, 'Forged', NULL)", "project_view alpha/2"),
        ("INSERT INTO artifact_latest VALUES ('ghost', 'X', 'y', 1)", "project_log ghost"),
        ("UPDATE artifact_latest SET version = 1 WHERE kind = 'PRD'", "artifact_latest alpha/PRD"),
        ("UPDATE idempotency SET count = 2 WHERE count = 1", "idempotency alpha/key-1 (position"),
        ("UPDATE idempotency SET count = 0 WHERE count = 1", "idempotency alpha/key-1 (position"),
        ("UPDATE idempotency SET position = 1 WHERE count = 3", "idempotency alpha/key-0 ("),
        (
            "UPDATE idempotency SET position = position - 1 WHERE count = 1",
            "idempotency alpha/key-1 (position",
        ),
        ("UPDATE idempotency SET request_sha256 = 'x'", "idempotency alpha/key-0 (request_sha256)"),
        ("INSERT INTO tracking VALUES ('beta', 'search', 3)", "tracking beta/search (position)"),
        ("DELETE FROM export_file WHERE ordinal = 1", "export_file alpha/"),
        ("DELETE FROM export", "export alpha/"),
        ("UPDATE export_file SET crc32 = -1 WHERE ordinal = 1", "export_file alpha/"),
        ("UPDATE export_file SET content = 'x' WHERE source = 2", "export_file alpha/"),
        ("UPDATE export_file SET content = NULL WHERE source = 1", "export_file alpha/"),
    ],
)
def test_what_is_spoilt_is_named(shared_url: str, statement: LiteralString, place: str) -> None:
    with undone(shared_url) as connection:
        tamper(connection, sql.SQL(statement))
        found = seen(connection)
    assert any(one.startswith(place) for one in found), found


@pytest.mark.parametrize(
    ("statement", "place"),
    [
        ("DELETE FROM schema_migration WHERE version = 2", "schema_migration 2"),
        ("UPDATE schema_migration SET sha256 = '' WHERE version = 1", "schema_migration 1"),
        ("DROP TRIGGER refuse_row ON event", "trigger event (refuse_row)"),
        ("ALTER TABLE event DISABLE TRIGGER refuse_truncate", "trigger event (refuse_truncate)"),
        ("ALTER TABLE event ENABLE TRIGGER refuse_row", "trigger event (refuse_row)"),
        (
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger AS 'BEGIN RETURN NEW; END' "  # noqa: ISC004 -- one statement
            "LANGUAGE plpgsql",
            "function refuse",
        ),
        ("CREATE RULE r AS ON DELETE TO event DO INSTEAD NOTHING", "rule event (r)"),
        ("GRANT UPDATE ON event TO deedbook_service", "grant event (deedbook_service)"),
        ("GRANT SELECT ON blob TO PUBLIC", "grant blob (PUBLIC)"),
        ("GRANT UPDATE (line) ON event TO deedbook_service", "grant event (deedbook_service line)"),
        ("REVOKE INSERT ON event FROM deedbook_service", "grant event (deedbook_service)"),
        ("GRANT EXECUTE ON FUNCTION append_group TO PUBLIC", "function append_group"),
        ("ALTER TABLE event ADD COLUMN more int", "column event (more)"),
        ("ALTER TABLE event ALTER actor DROP NOT NULL", "column event (actor)"),
        (
            "ALTER TABLE event DROP CONSTRAINT event_leaf_check",
            "constraint event (event_leaf_check)",
        ),
        ("CREATE UNIQUE INDEX own ON erasure (sha256)", "unique index erasure (own)"),
    ],
)
def test_a_schema_that_the_migrations_did_not_make_is_named(
    shared_url: str, statement: LiteralString, place: str
) -> None:
    with undone(shared_url) as connection:
        connection.execute(statement)
        found = [finding.place for finding in examine_tables(connection)]
    assert place in found, found


@pytest.mark.parametrize("table", ["citation", "project_log", "schema_migration"])
def test_a_table_that_is_gone_is_named_and_the_rest_examined(url: str, table: str) -> None:
    spoil(url, SPOILT_EVENT)
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))
    found = found_in(url)
    assert any(table in one.place or table in one.detail for one in found), found
    assert len({one.place for one in found}) > 1 or table == "project_log"


def test_an_index_more_does_no_harm(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE INDEX own ON event (type)")
        connection.execute("CREATE TABLE somebody_elses (x int PRIMARY KEY)")
    assert [one for one in places(url) if "somebody" not in one] == []


def test_a_service_role_with_more_rights_is_named(url: str) -> None:
    # Roles belong to the whole server: nothing of this is committed.
    with psycopg.connect(url) as connection:
        connection.execute("ALTER ROLE deedbook_service CREATEDB")
        connection.execute("GRANT pg_read_all_data TO deedbook_service")
        connection.execute("ALTER TABLE tracking OWNER TO deedbook_service")
        found = [one.detail for one in examine_role(connection)]
        connection.rollback()
    assert len(found) == 3
    assert "pg_read_all_data" in found[1]
    assert "tracking" in found[2]


def test_a_service_role_that_is_gone_is_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_schema, "SERVICE_ROLE", "nobody_here")
    with psycopg.connect(url) as connection:
        assert [one.place for one in examine_role(connection)] == ["role nobody_here"]


def test_events_that_changed_places_are_named(url: str) -> None:
    swap: LiteralString = """
        UPDATE event e SET line = o.line, leaf = o.leaf FROM event o
        WHERE e.project_id = 'alpha' AND o.project_id = 'alpha'
          AND (e.position, o.position) IN ((4, 5), (5, 4))
    """
    spoil(url, swap)
    found = places(url)
    assert {"event alpha/4 (position)", "event alpha/5 (position)"} <= set(found)
    assert any(one.startswith("project_log alpha (frontier)") for one in found)


def test_versions_that_changed_places_are_named(url: str) -> None:
    spoil(
        url,
        "UPDATE event SET version = 999 WHERE stream = 'run/r1' AND version = 1",
        "UPDATE event SET version = 1 WHERE stream = 'run/r1' AND version = 2",
        "UPDATE event SET version = 2 WHERE stream = 'run/r1' AND version = 999",
    )
    found = [one.detail for one in found_in(url) if one.place.endswith("(version)")]
    assert any("stands before version 1" in detail for detail in found)


def test_an_event_written_anew_with_its_leaf_contradicts_the_frontier(url: str) -> None:
    """T1, with the leaf computed again: the frontier says between which positions it is."""
    forge = """
        UPDATE event SET actor = 'user:eve',
          line = convert_to(replace(convert_from(line, 'UTF8'), 'user:ada', 'user:eve'), 'UTF8')
        WHERE project_id = 'alpha' AND position = 3
    """
    hash_again = """
        UPDATE event SET leaf = sha256('\\x00'::bytea || line)
        WHERE project_id = 'alpha' AND position = 3
    """
    spoil(url, forge, hash_again)
    found = {one.place: one.detail for one in found_in(url)}
    assert "from 1 to 32 do not give" in found["project_log alpha (frontier)"]


def test_a_time_that_falls_is_named(url: str) -> None:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT line FROM event WHERE project_id = 'alpha' AND position = 6"
        ).fetchone()
    assert row is not None
    line = msgspec.json.decode(row[0], type=StoredLine)
    earlier = msgspec.structs.replace(line, time="2020-01-01T00:00:00.000000Z")
    misspelt = msgspec.structs.replace(line, time="2026-11-20T10:00:00Z")
    for forged, place in ((earlier, "event alpha/6 (time)"), (misspelt, "event alpha/6 (line)")):
        with tampering(url) as connection:
            connection.execute(
                "UPDATE event SET line = %s WHERE project_id = 'alpha' AND position = 6",
                (encode_line(forged),),
            )
        assert place in places(url)


@pytest.mark.parametrize(
    "change",
    [
        {"stream": "artifact/no kind"},
        {"stream": "run/r9"},
        {"stream": "project"},
        {"type": "Unheard"},
        {"data": msgspec.Raw(b'{"digest":"md5:0","media_type":"text/plain","size_bytes":1}')},
    ],
)
def test_an_event_that_no_ledger_records_is_named(url: str, change: dict[str, object]) -> None:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT line FROM event WHERE project_id = 'alpha' AND position = 2"
        ).fetchone()
    assert row is not None
    line = msgspec.structs.replace(msgspec.json.decode(row[0], type=StoredLine), **change)
    with tampering(url) as connection:
        connection.execute(
            "UPDATE event SET line = %s WHERE project_id = 'alpha' AND position = 2",
            (encode_line(line),),
        )
    assert "event alpha/2 (line)" in places(url)


def test_a_tail_cut_off_with_its_frontier_cannot_be_seen_from_inside(url: str) -> None:
    """T3: only a root that has left the ledger contradicts it, and the module says so."""
    with open_ledger(url, first_id=500) as ledger:
        before = ledger.log.head("beta")
        ledger.write_artifact("beta", "NOTE", "later", b"# Later\n", actor="user:ada")
    spoil(
        url,
        "DELETE FROM event WHERE project_id = 'beta' AND position = 3",
        "DELETE FROM artifact_version WHERE project_id = 'beta' AND position = 3",
        "DELETE FROM artifact_latest WHERE project_id = 'beta' AND key = 'later'",
        "DELETE FROM blob WHERE project_id = 'beta' AND sha256 = sha256('# Later\n')",
    )
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE project_log SET size = 2, frontier = %s, last_time = %s "
            "WHERE project_id = 'beta'",
            (b"".join(before.frontier), before.last_time),
        )
    assert found_in(url) == []
    assert "cut off together with the frontier" in (doctor.__doc__ or "").replace("\n", " ")


def test_an_erased_content_that_is_back_is_named(shared_url: str) -> None:
    """T15: its bytes are right, and that is what is wrong."""
    with undone(shared_url) as connection:
        connection.execute(
            "INSERT INTO blob VALUES ('alpha', sha256(%(c)s), %(size)s, %(crc32)s, 0, %(c)s)",
            {"c": ERASED, "size": len(ERASED), "crc32": zlib.crc32(ERASED)},
        )
        found = list(
            examine_rows(connection, project="alpha", progress=lambda done, total=None: None)
        )
    assert [one.place for one in found] == [f"blob alpha/{digest_of(ERASED)}"]
    assert "says that it was erased" in found[0].detail


def test_a_content_whose_size_the_event_contradicts_is_named(shared_url: str) -> None:
    with undone(shared_url) as connection:
        tamper(connection, sql.SQL("UPDATE blob SET size_bytes = 9 WHERE size_bytes = 0"))
        found = list(
            examine_rows(connection, project="alpha", progress=lambda done, total=None: None)
        )
    assert "It has 9 bytes, the event at position 15 says 0." in [one.detail for one in found]


def test_what_is_appended_meanwhile_is_no_damage(url: str) -> None:
    with open_ledger(url, first_id=500) as ledger:
        versions = iter(range(100))

        def meanwhile(done: int, total: int | None = None) -> None:
            number = next(versions)
            ledger.write_artifact(
                "alpha", "PRD", "main", f"# Again {number}\n".encode(), actor="user:ada"
            )

        assert list(examine(url, project=None, progress=meanwhile)) == []
        assert next(versions) > 3
    assert found_in(url) == []


def test_progress_counts_events_and_contents_up_to_the_end(shared_url: str) -> None:
    told: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None = None) -> None:
        told.append((done, total))

    list(examine(shared_url, project="beta", progress=progress))
    assert told == [(2, 3), (3, 3), (3, 3)]


def test_a_flood_of_findings_is_cut_short(url: str) -> None:
    spoil(
        url,
        "INSERT INTO project_view SELECT 'beta', n, 'Forged', NULL FROM generate_series(10, 200) n",
        "INSERT INTO citation SELECT 'beta', 'A', 'b', 1, n, n, '', '' FROM generate_series(1, 9) n",
    )
    found = found_in(url)
    assert len(found) == MAX_FINDINGS + 1
    assert found[-1].detail.startswith("There is more")


def test_an_imported_log_may_lack_what_an_export_does_not_carry(
    postgres_server: str, template_database: str, shared_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "alpha.zip"
    with open_ledger(shared_url) as ledger:
        write_export(ledger, file, ledger.position("alpha", None))
    with another_database(postgres_server, template_database) as url:
        with open_ledger(url, host="elsewhere.example") as ledger:
            import_bundle(ledger, file, progress=lambda done, total: None)
        with psycopg.connect(url) as connection:
            absent = connection.execute(
                "SELECT count(*) FROM artifact_version v WHERE NOT EXISTS "
                "(SELECT FROM blob b WHERE b.sha256 = v.sha256) AND kind = 'PRD'"
            ).fetchone()
        assert absent == (1,)
        assert found_in(url) == []

        spoil(url, "DELETE FROM blob WHERE size_bytes = 0")
        assert [one.place[:20] for one in found_in(url)] == ["blob alpha/sha256:e3"]
        spoil(url, "UPDATE imported_log SET origin = 'alpha.third.example'")
        assert "project_log alpha (origin)" in places(url)


def test_names_beyond_the_buffer_are_kept(shared_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_contents, "FLUSH_NAMES", 3)
    assert places(shared_url, "alpha") == []


def test_an_event_that_came_meanwhile_and_cannot_be_read_is_a_finding(url: str) -> None:
    """Only its content leads to it: the walk had ended before."""
    walked: list[int] = []
    with open_ledger(url, first_id=500) as ledger:

        def meanwhile(done: int, total: int | None = None) -> None:
            if not walked:
                walked.append(done)
                ledger.write_artifact("beta", "NOTE", "late", b"# Late\n", actor="user:ada")
                spoil(url, "UPDATE event SET line = 'x' WHERE project_id = 'beta' AND position = 3")

        found = list(examine(url, project="beta", progress=meanwhile))
    assert [one.place for one in found] == ["blob beta"]


def test_contents_that_vanish_while_they_are_read_are_passed_over(shared_url: str) -> None:
    with psycopg.connect(shared_url) as connection:
        for size in (1, doctor_contents.TOGETHER_BYTES + 1):
            gone = (b"\0" * 32, size, 0, 0, size)
            assert list(doctor_contents._measured(connection, "alpha", [gone])) == []


def test_an_unknown_project_is_refused(shared_url: str) -> None:
    with pytest.raises(NotFound):
        found_in(shared_url, "nowhere")


def test_a_database_that_is_away_is_said(shared_url: str) -> None:
    with pytest.raises(Unavailable):
        found_in(make_conninfo(shared_url, dbname="nowhere"))


def test_a_connection_that_is_lost_meanwhile_is_said(url: str) -> None:
    def cut(done: int, total: int | None = None) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    with pytest.raises(Unavailable):
        list(examine(url, project=None, progress=cut))


@pytest.fixture
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "TOKEN", "PROJECT", "DATA", "ADMIN_DATABASE_URL"):
        monkeypatch.delenv(f"DEEDBOOK_{name}", raising=False)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("DEEDBOOK_URL", "http://127.0.0.1:1")


@pytest.mark.usefixtures("_settings")
def test_the_command_says_that_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == failure.OK
    assert "not examined; --verify examines every row" in capsys.readouterr().out
    assert run(["doctor", "--verify", "--json"]) == failure.OK
    results = msgspec.json.decode(capsys.readouterr().out)
    assert {
        "result": "good",
        "subject": "contents",
        "detail": "every event, content, hash and view is as it must be",
    } in results


@pytest.mark.usefixtures("_settings")
def test_the_command_names_what_is_wrong_and_ends_with_3(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(url, SPOILT_EVENT)
    assert run(["doctor", "alpha", "--verify", "--json"]) == failure.NOT_VERIFIED
    results = msgspec.json.decode(capsys.readouterr().out)
    assert [one["subject"] for one in results if one["result"] == "wrong"] == [
        "event alpha/2 (actor)"
    ]


@pytest.mark.usefixtures("_settings")
def test_the_command_says_that_the_database_is_away(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", make_conninfo(url, dbname="nowhere"))
    assert run(["doctor"]) == failure.NOT_VERIFIED
    assert "Postgres cannot be reached" in capsys.readouterr().out


@pytest.mark.usefixtures("_settings")
def test_the_command_warns_of_a_connection_file_that_others_can_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = Connection(url="http://127.0.0.1:1", token="secret", project="alpha")
    file = write_connection(tmp_path / ".deedbook", connection)
    assert run(["doctor"]) == failure.OK
    shown = capsys.readouterr().out
    assert "project alpha" in shown
    assert "secret" not in shown
    file.chmod(0o644)
    assert run(["doctor"]) == failure.NOT_VERIFIED
    assert "can be read by others" in capsys.readouterr().out


@pytest.mark.usefixtures("_settings")
def test_the_command_looks_at_the_service_too(
    served: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--json"]) == failure.OK
    results = {one["subject"]: one for one in msgspec.json.decode(capsys.readouterr().out)}
    assert results["service"]["result"] == "odd"
    monkeypatch.setenv("DEEDBOOK_URL", served.url)
    assert run(["doctor", "--json"]) == failure.OK
    results = {one["subject"]: one for one in msgspec.json.decode(capsys.readouterr().out)}
    assert results["service"]["detail"] == f"{served.url} is ready"
    monkeypatch.setenv("DEEDBOOK_URL", f"{served.url}/nowhere")
    assert run(["doctor"]) == failure.NOT_VERIFIED


@pytest.mark.usefixtures("_settings")
def test_the_command_says_which_migrations_are_waiting(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(url, "DELETE FROM schema_migration WHERE version = 3")
    assert run(["doctor", "--verify"]) == failure.NOT_VERIFIED
    assert "run deedbook migrate" in capsys.readouterr().out
