"""The rebuild: what the events say equals the views in use, or the difference is named and mended."""

import random
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import LiteralString

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from adapters import fresh_views
from adapters import rebuild as subject
from adapters.rebuild import RebuildReport, rebuild
from app.cli import failure
from app.cli.root import run
from domain.errors import Damaged, NotFound, Unavailable
from domain.events import StoredLine, encode_line
from tests.examined_samples import fill, tamper, tampering, wander
from tests.ledger_samples import another_database, open_ledger

VIEWS = (
    "project_view",
    "artifact_version",
    "artifact_latest",
    "citation",
    "run_change",
    "erasure",
)


def silent(done: int, total: int | None = None) -> None:
    """No progress."""


def report_of(url: str, project: str | None = None, *, repair: bool = False) -> RebuildReport:
    return rebuild(url, project, repair=repair, progress=silent)


def spoil(url: str, *statements: LiteralString) -> None:
    with psycopg.connect(url) as connection:
        tamper(connection, *(sql.SQL(one) for one in statements))


@pytest.fixture(scope="module")
def shared_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """A filled database that no test changes."""
    with another_database(postgres_server, template_database) as url:
        with open_ledger(url) as ledger:
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


def test_the_views_in_use_are_what_the_events_say(shared_url: str) -> None:
    told: list[tuple[int, int | None]] = []
    report = rebuild(
        shared_url, None, repair=False, progress=lambda done, total=None: told.append((done, total))
    )
    with psycopg.connect(shared_url) as connection:
        counts = {
            view: connection.execute(
                sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(view))
            ).fetchone()
            for view in VIEWS
        }
        events = connection.execute("SELECT count(*) FROM event").fetchone()
    assert report.equal
    assert report.differences == ()
    assert report.projects == 2
    assert {view: (count,) for view, count in report.rows.items()} == counts
    assert (report.events,) == events
    assert told[-1] == (report.events, report.events)


def test_one_project_is_rebuilt_alone(shared_url: str) -> None:
    report = report_of(shared_url, "beta")
    assert (report.equal, report.projects, report.events) == (True, 1, 2)


@pytest.mark.parametrize(
    ("statement", "what", "place"),
    [
        (
            "UPDATE artifact_version SET title = 'x', actor = 'y' WHERE kind = 'PRD' AND version = 2",
            "different",
            "artifact_version alpha/PRD/main/2 (title, actor)",
        ),
        (
            "UPDATE artifact_version SET position = position + 1000 WHERE project_id = 'beta'",
            "different",
            "artifact_version beta/NOTE/only/1 (position)",
        ),
        (
            "DELETE FROM run_change WHERE phase = 'created' AND run_id = 'r2'",
            "missing",
            "run_change ",
        ),
        ("DELETE FROM erasure WHERE artifact LIKE 'run%'", "missing", "erasure alpha/"),
        (
            "INSERT INTO citation VALUES ('alpha', 'PRD', 'main', 2, 9, 3, 'x', 'x')",
            "extra",
            "citation alpha/PRD/main/2/9",
        ),
        ("INSERT INTO project_view VALUES ('beta', 7, 'x', 'x')", "extra", "project_view beta/7"),
        ("INSERT INTO project_view VALUES ('beta', 0, 'x', 'x')", "extra", "project_view beta/0"),
        (
            "UPDATE artifact_latest SET version = 1 WHERE kind = 'PRD'",
            "different",
            "artifact_latest alpha/PRD/main (version)",
        ),
        (
            "INSERT INTO artifact_latest VALUES ('ghost', 'A', 'b', 1)",
            "extra",
            "artifact_latest ghost",
        ),
    ],
)
def test_a_difference_is_named_and_mended(
    url: str, statement: LiteralString, what: str, place: str
) -> None:
    spoil(url, statement)
    found = report_of(url)
    assert not found.equal
    assert found.different == 1
    assert found.differences[0].what == what
    assert found.differences[0].place.startswith(place)

    mended = report_of(url, repair=True)
    assert (mended.equal, mended.repaired, mended.different) == (False, True, 1)
    assert report_of(url).equal


def test_everything_can_be_mended_from_nothing(url: str) -> None:
    with psycopg.connect(url) as connection:
        before = snapshot(connection)
        for view in VIEWS:
            connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(view)))
    report = report_of(url, repair=True)
    assert report.different == sum(report.rows.values())
    with psycopg.connect(url) as connection:
        assert snapshot(connection) == before


def snapshot(connection: psycopg.Connection) -> dict[str, list[tuple[object, ...]]]:
    return {
        view: connection.execute(
            sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(view))
        ).fetchall()
        for view in VIEWS
    }


def test_many_differences_are_counted_and_the_first_are_named(url: str) -> None:
    spoil(
        url,
        "INSERT INTO project_view SELECT 'beta', n, 'x', 'x' FROM generate_series(10, 309) n",
    )
    report = report_of(url)
    assert report.different == 300
    assert len(report.differences) == subject.MAX_REPORTED
    assert report.differences[0].place == "project_view beta/10"


def test_a_column_that_a_migration_adds_is_compared(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("ALTER TABLE artifact_latest ADD COLUMN more int")
        connection.execute("UPDATE artifact_latest SET more = 1 WHERE kind = 'PRD'")
    assert [one.place for one in report_of(url).differences] == [
        "artifact_latest alpha/PRD/main (more)"
    ]


def test_what_is_appended_meanwhile_is_no_difference(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "PAGE_EVENTS", 8)
    spoil(url, "UPDATE artifact_version SET title = 'x' WHERE kind = 'PRD' AND version = 1")
    with open_ledger(url, first_id=500) as ledger:
        numbers = iter(range(1_000))

        def meanwhile(done: int, total: int | None = None) -> None:
            text = f"# Again {next(numbers)}\n".encode()
            ledger.write_artifact("alpha", "PRD", "main", text, actor="user:ada")

        found = rebuild(url, None, repair=False, progress=meanwhile)
        assert [one.place for one in found.differences] == [
            "artifact_version alpha/PRD/main/1 (title)"
        ]
        assert next(numbers) > 4


def test_appends_go_on_while_views_are_mended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The events that came between the comparison and the lock are folded under the lock."""
    spoil(
        url,
        "UPDATE artifact_latest SET version = 1 WHERE kind = 'PRD'",
        "DELETE FROM run_change WHERE run_id = 'r1'",
    )
    with open_ledger(url, first_id=500) as ledger:
        compare = fresh_views.FreshViews.compare

        def late(views: fresh_views.FreshViews, upto: int) -> Iterator[fresh_views.Compared]:
            found = list(compare(views, upto))
            if ledger.position("alpha", None) == upto and not locked(url):
                ledger.write_artifact("alpha", "PRD", "main", b"# Late\n", actor="user:ada")
            return iter(found)

        monkeypatch.setattr(fresh_views.FreshViews, "compare", late)
        assert report_of(url, "alpha", repair=True).repaired
        monkeypatch.undo()
        late_versions = ledger.views.versions("alpha", "PRD", "main", 10_000)
        ledger.write_artifact("alpha", "PRD", "main", b"# After\n", actor="user:ada")
    assert len(late_versions) == 3
    assert report_of(url).equal


def locked(url: str) -> bool:
    """Whether somebody holds the lock of `alpha`."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE SKIP LOCKED"
        )
        return row.rowcount == 0


def forge(url: str, change: dict[str, object]) -> None:
    with tampering(url) as connection:
        row = connection.execute(
            "SELECT line FROM event WHERE project_id = 'alpha' AND position = 2"
        ).fetchone()
        assert row is not None
        line = msgspec.structs.replace(msgspec.json.decode(row[0], type=StoredLine), **change)
        connection.execute(
            "UPDATE event SET line = %s WHERE project_id = 'alpha' AND position = 2",
            (encode_line(line),),
        )


@pytest.mark.parametrize(
    "change",
    [{"time": "yesterday"}, {"time": "2026-11-20T10:00:00"}, {"stream": "run/r1"}, {"type": "No"}],
)
def test_an_event_that_cannot_be_folded_is_named(url: str, change: dict[str, object]) -> None:
    forge(url, change)
    with pytest.raises(Damaged) as caught:
        report_of(url, repair=True)
    assert caught.value.members == {"project": "alpha", "position": 2}
    assert "doctor --verify" in caught.value.detail


def test_a_run_event_outside_a_run_is_named(url: str) -> None:
    forge(url, {"type": "RunStarted", "data": msgspec.Raw(b"{}")})
    with pytest.raises(Damaged, match="does not belong"):
        report_of(url)


@pytest.mark.parametrize(
    ("statement", "position"),
    [
        ("DELETE FROM event WHERE project_id = 'alpha' AND position = 5", 5),
        ("DELETE FROM event WHERE project_id = 'beta' AND position = 2", 2),
        ("UPDATE project_log SET size = 1000000000000 WHERE project_id = 'beta'", 3),
    ],
)
def test_an_event_that_is_missing_is_named(
    url: str, statement: LiteralString, position: int
) -> None:
    spoil(url, statement)
    with pytest.raises(Damaged) as caught:
        report_of(url)
    assert caught.value.code == "event-missing"
    assert caught.value.members["position"] == position


def test_an_unknown_project_is_refused(shared_url: str) -> None:
    with pytest.raises(NotFound):
        report_of(shared_url, "nowhere")


def test_a_database_that_is_away_is_said(shared_url: str) -> None:
    with pytest.raises(Unavailable):
        report_of(make_conninfo(shared_url, dbname="nowhere"))


@pytest.mark.parametrize("seed", range(3))
def test_after_any_history_the_views_are_what_the_events_say(
    database_url: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh_views, "FLUSH_ROWS", 7)
    monkeypatch.setattr(subject, "PAGE_EVENTS", 11)
    with open_ledger(database_url, first_id=seed * 100_000 + 1) as ledger:
        wander(ledger, random.Random(seed), steps=120)
        report = report_of(database_url)
    assert report.equal
    assert report.projects == 2
    assert report.events > 60


@pytest.fixture
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("URL", "TOKEN", "PROJECT", "DATA", "ADMIN_DATABASE_URL"):
        monkeypatch.delenv(f"DEEDBOOK_{name}", raising=False)
    monkeypatch.setenv("DATABASE_URL", url)


@pytest.mark.usefixtures("_settings")
def test_the_command_says_that_the_views_are_equal(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rebuild"]) == failure.OK
    shown = capsys.readouterr().out
    assert "equal                     yes" in shown
    assert "different  " not in shown.splitlines()[-1]


@pytest.mark.usefixtures("_settings")
def test_the_command_names_differences_ends_with_3_and_mends(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(url, "UPDATE artifact_latest SET version = 1 WHERE kind = 'PRD'")
    assert run(["rebuild"]) == failure.NOT_VERIFIED
    assert "different  artifact_latest alpha/PRD/main (version)" in capsys.readouterr().out
    assert run(["rebuild", "alpha", "--json"]) == failure.NOT_VERIFIED
    report = msgspec.json.decode(capsys.readouterr().out)
    assert report["equal"] is False
    assert report["differences"] == [
        {"what": "different", "place": "artifact_latest alpha/PRD/main (version)"}
    ]
    assert run(["rebuild", "--repair"]) == failure.OK
    capsys.readouterr()
    assert run(["rebuild", "--json"]) == failure.OK
    assert msgspec.json.decode(capsys.readouterr().out)["equal"] is True


@pytest.mark.usefixtures("_settings")
def test_the_command_refuses_a_log_that_is_damaged(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(url, "DELETE FROM event WHERE project_id = 'beta' AND position = 2")
    assert run(["rebuild"]) == failure.NOT_VERIFIED
    assert "event beta/2: it is missing" in capsys.readouterr().err
