"""The event log in Postgres keeps what `domain.log.EventLog` promises, by the fast and the slow path."""

import re
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import psycopg
import pytest

import adapters
from adapters import group_writer, postgres_log
from adapters.append_transaction import append_slowly
from adapters.commit_signal import CommitSignal
from adapters.group_writer import Outcome
from adapters.postgres_uploads import PostgresUploads
from domain.citation import Citation
from domain.digest import digest_of
from domain.errors import Conflict, Gone, Invalid, NotFound, StaleVersion, Unavailable
from domain.events import (
    ArtifactErased,
    ArtifactWritten,
    ProjectChanged,
    RunCreated,
    RunStarted,
    VerificationRecorded,
    parse,
)
from domain.log import Append, Blob, Receipt
from tests.log_samples import (
    Opened,
    blob,
    check_log,
    checking,
    creation,
    entries_of,
    eventually,
    open_log,
    project_title,
    proposed,
    soon,
    tables_of,
    waiters,
    writing,
)


@pytest.fixture(params=["fast", "slow"])
def opened(request: pytest.FixtureRequest, database_url: str) -> Iterator[Opened]:
    """A log with the project alpha, by either path."""
    with open_log(database_url, fast=request.param == "fast") as opened:
        opened.log.create(creation("alpha"))
        yield opened


@pytest.fixture
def fast(database_url: str) -> Iterator[Opened]:
    with open_log(database_url) as opened:
        opened.log.create(creation("alpha"))
        yield opened


@pytest.fixture
def slow_groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the groups that went the slow path."""
    sizes: list[int] = []

    def noting(connection: psycopg.Connection, requests: list[Append], now: str) -> object:
        sizes.append(len(requests))
        return append_slowly(connection, requests, now)

    monkeypatch.setattr(postgres_log, "append_slowly", noting)
    return sizes


def test_a_project_begins_with_its_creation_at_position_one(opened: Opened) -> None:
    head = opened.log.head("alpha")

    assert (head.size, head.origin) == (1, "alpha.ledger.example")
    assert project_title(entries_of(opened, "alpha")) == "Alpha"


def test_a_project_cannot_be_created_twice(opened: Opened) -> None:
    with pytest.raises(Conflict) as caught:
        opened.log.create(creation("alpha"))

    assert caught.value.code == "project-exists"
    assert opened.log.head("alpha").size == 1


def test_creating_again_with_the_same_key_gets_the_first_answer(opened: Opened) -> None:
    request = msgspec.structs.replace(creation("beta"), key="k", request_sha256=b"1")
    again = msgspec.structs.replace(creation("beta"), key="k", request_sha256=b"1")

    first = opened.log.create(request)

    assert opened.log.create(again) == Receipt(first.entries, replayed=True)


def test_creating_again_with_the_same_event_ids_gets_the_first_answer(opened: Opened) -> None:
    request = creation("beta")

    first = opened.log.create(request)

    assert opened.log.create(request) == Receipt(first.entries, replayed=True)


def test_two_who_create_one_project_get_one_project(opened: Opened) -> None:
    requests = [creation("beta") for _ in range(8)]

    def create(request: Append) -> str:
        try:
            return str(opened.log.create(request).entries[0].position)
        except Conflict as conflict:
            return conflict.code

    with ThreadPoolExecutor(8) as threads:
        answers = sorted(threads.map(create, requests))

    assert answers == ["1"] + ["project-exists"] * 7
    check_log(opened, "beta")


def test_a_creation_that_is_refused_leaves_no_project(opened: Opened) -> None:
    request = msgspec.structs.replace(creation("beta"), referred=(b"0" * 32,))

    with pytest.raises(Invalid):
        opened.log.create(request)

    with pytest.raises(NotFound):
        opened.log.head("beta")


def test_what_is_appended_can_be_read(opened: Opened) -> None:
    first = opened.log.append(writing("alpha", "a", b"one"))
    second = opened.log.append(writing("alpha", "a", b"two"))

    entries = check_log(opened, "alpha")
    assert entries[1:] == [*first.entries, *second.entries]
    assert [one.version for one in entries[1:]] == [1, 2]


def test_pages_and_joined_lines_hold_the_same_events(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_log, "PAGE_EVENTS", 7)
    for index in range(4):
        events = tuple(checking("alpha", f"r{index}").events[0] for _ in range(5))
        opened.log.append(Append(project="alpha", events=events))
    lines = [one.line for one in entries_of(opened, "alpha")]

    assert len(lines) == 21
    assert b"".join(opened.log.lines("alpha", 0, 21)) == b"".join(one + b"\n" for one in lines)
    assert b"".join(opened.log.lines("alpha", 3, 12)) == b"".join(
        one + b"\n" for one in lines[3:12]
    )
    assert [one.line for one in opened.log.read("alpha", 3, 12)] == lines[3:12]
    assert list(opened.log.lines("alpha", 21, 21)) == []


def test_a_stream_is_read_from_a_version_up_to_a_position(opened: Opened) -> None:
    for index in range(4):
        opened.log.append(writing("alpha", "a", str(index).encode()))
        opened.log.append(checking("alpha"))

    found = opened.log.stream("alpha", "artifact/NOTE/a", 1, 10, 6)

    assert [(one.version, one.position) for one in found] == [(2, 4), (3, 6)]
    assert len(opened.log.stream("alpha", "artifact/NOTE/a", 0, 2, 99)) == 2


def test_an_unknown_project_is_told_and_its_neighbours_are_served(opened: Opened) -> None:
    with pytest.raises(NotFound) as caught:
        opened.log.append(writing("nowhere"))

    assert caught.value.code == "project-not-found"
    assert opened.log.append(writing("alpha")).entries[0].position == 2


def test_a_repeat_by_key_or_by_ids_gets_its_first_answer(opened: Opened) -> None:
    keyed = writing("alpha", "a", expected=0, request_key="k")
    first = opened.log.append(keyed)
    opened.log.append(writing("alpha", "a", b"later"))

    assert opened.log.append(keyed) == Receipt(first.entries, replayed=True)
    assert opened.log.append(writing("alpha", "a", expected=0, request_key="k")) == Receipt(
        first.entries, replayed=True
    )
    assert opened.log.recall(keyed) == Receipt(first.entries, replayed=True)
    assert opened.log.head("alpha").size == 3


def test_a_refused_append_says_why_and_leaves_no_gap(opened: Opened) -> None:
    opened.log.append(writing("alpha", "a", request_key="k"))

    with pytest.raises(StaleVersion) as stale:
        opened.log.append(writing("alpha", "a", expected=0))
    with pytest.raises(Invalid) as reused:
        opened.log.append(writing("alpha", "a", b"other", request_key="k"))
    opened.log.append(writing("alpha", "a", expected=1))

    assert stale.value.members["current_version"] == 1
    assert reused.value.code == "idempotency-key-reused"
    check_log(opened, "alpha")
    assert opened.log.head("alpha").size == 3


def test_an_upload_is_moved_into_the_ledger(opened: Opened) -> None:
    content = b"large" * 1000
    sha256 = PostgresUploads(opened.pool).stage("alpha", content)
    request = writing("alpha", "a", content)
    staged = msgspec.structs.replace(request, blobs=(Blob(sha256, len(content), 0, None),))

    opened.log.append(staged)

    check_log(opened, "alpha")
    assert tables_of(opened.url, "alpha")["upload"] == []


def test_an_upload_that_is_gone_is_asked_for_again(opened: Opened) -> None:
    request = writing("alpha", "a")
    staged = msgspec.structs.replace(
        request, blobs=(msgspec.structs.replace(request.blobs[0], content=None),)
    )

    with pytest.raises(Invalid) as caught:
        opened.log.append(staged)

    assert caught.value.code == "blob-not-found"


def test_content_that_is_only_named_must_be_there(opened: Opened) -> None:
    request = msgspec.structs.replace(writing("alpha", "b"), blobs=())
    naming = msgspec.structs.replace(request, referred=(blob(b"# Hello\n").sha256,))

    with pytest.raises(Invalid) as caught:
        opened.log.append(naming)
    opened.log.append(writing("alpha", "a"))

    assert caught.value.code == "blob-not-found"
    assert opened.log.append(naming).entries[0].position == 3


def test_erased_content_is_refused_for_good(opened: Opened) -> None:
    content = b"secret"
    opened.log.append(writing("alpha", "a", content))
    erased = ArtifactErased(
        artifact="artifact/NOTE/a", artifact_version=1, digest=digest_of(content), reason="leak"
    )
    opened.log.append(Append(project="alpha", events=(proposed("erasures", erased),)))
    with opened.pool.connection() as connection:
        connection.execute("DELETE FROM blob")

    for request in (
        writing("alpha", "b", content),
        msgspec.structs.replace(
            writing("alpha", "b", content), blobs=(), referred=(blob(content).sha256,)
        ),
    ):
        with pytest.raises(Gone) as caught:
            opened.log.append(request)
        assert caught.value.code == "content-erased"
    assert opened.log.head("alpha").size == 3


def test_a_log_is_imported_as_it_was(opened: Opened, postgres_server: str) -> None:
    for index in range(30):
        opened.log.append(writing("alpha", f"k{index % 3}", str(index).encode()))
    lines = [one.line for one in entries_of(opened, "alpha")]
    blobs = [blob(str(index).encode()) for index in range(30)]

    head = opened.log.import_log("copy", "alpha.elsewhere.example", iter(lines), iter(blobs))

    original = opened.log.head("alpha")
    assert (head.origin, head.size) == ("alpha.elsewhere.example", 31)
    assert (head.frontier, head.last_time) == (original.frontier, original.last_time)
    assert opened.log.head("copy") == head
    check_log(opened, "copy")
    assert opened.log.append(writing("copy", "k0")).entries[0].version == 11
    check_log(opened, "copy")


def test_an_import_into_an_existing_project_is_refused(opened: Opened) -> None:
    with pytest.raises(Conflict) as caught:
        opened.log.import_log("alpha", "x.example", [], [])

    assert caught.value.code == "project-exists"


def test_a_broken_import_leaves_nothing(opened: Opened) -> None:
    def broken() -> Iterator[bytes]:
        yield entries_of(opened, "alpha")[0].line
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 - our own, without a message
        opened.log.import_log("copy", "x.example", broken(), [])

    assert {name: rows for name, rows in tables_of(opened.url, "copy").items() if rows} == {}


def mixed_requests() -> list[list[Append]]:
    """Groups of every kind of request: repeats, conflicts, rare rows, several projects."""
    cited = ArtifactWritten(
        digest=digest_of(b"cited"),
        size_bytes=5,
        media_type="text/markdown",
        citations=(Citation(index=1, url="https://example.com/", title="x"),),
    )
    key = writing("alpha", "k", b"k", request_key="key")
    return [
        [writing("alpha", "a", b"1"), writing("beta", "a", b"1"), checking("alpha")],
        [writing("alpha", "a", b"2"), writing("alpha", "b", b"2"), writing("beta", "z", b"9")],
        [key],
        [writing("alpha", "c", b"3"), key, writing("alpha", "c", b"4", expected=9)],
        [Append(project="alpha", events=(proposed("artifact/NOTE/c", cited),), blobs=(blob(b"cited"),))],
        [
            Append(
                project="beta",
                events=(
                    proposed("run/r2", RunCreated(title="R")),
                    proposed("run/r2", RunStarted()),
                    proposed("run/r2", VerificationRecorded(result="FAILED")),
                    proposed("project", ProjectChanged(title="New")),
                ),
            ),
            writing("alpha", "a", "naïve ünïcode 🙂".encode(), request_key="other"),
        ],
        [writing("alpha", f"many-{index}", bytes([index])) for index in range(40)],
        [writing("alpha", "empty", b""), writing("nowhere", "a")],
        [msgspec.structs.replace(writing("alpha", "n", b"2"), blobs=(), referred=(blob(b"2").sha256,))],
    ]  # fmt: skip


def test_both_paths_write_the_same_rows(
    postgres_server: str, template_database: str, slow_groups: list[int]
) -> None:
    groups = mixed_requests()
    creations = [creation("alpha"), creation("beta")]
    tables, answers, slow = [], [], []
    for fast in (True, False):
        name = f"test_{uuid.uuid4().hex[:12]}"
        url = psycopg.conninfo.make_conninfo(postgres_server, dbname=name)
        with psycopg.connect(postgres_server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
            start = len(slow_groups)
            with open_log(url, fast=fast, now=lambda: datetime(2026, 1, 1, tzinfo=UTC)) as opened:
                for request in creations:
                    opened.log.create(request)
                found = [opened.log._write_group(group) for group in groups]
                check_log(opened, "alpha")
                check_log(opened, "beta")
            answers.append(
                [
                    one if isinstance(one, Receipt) else (type(one), str(one))
                    for group in found
                    for one in group
                ]
            )
            tables.append([tables_of(url, project) for project in ("alpha", "beta")])
            slow.append(len(slow_groups) - start)
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    assert answers[0] == answers[1]
    assert tables[0] == tables[1]
    assert 0 < slow[0] < slow[1] == len(groups)


def test_a_known_project_is_written_without_the_slow_path(
    fast: Opened, slow_groups: list[int]
) -> None:
    for index in range(10):
        fast.log.append(writing("alpha", f"k{index}", str(index).encode(), request_key=str(index)))
        fast.log.append(checking("alpha"))

    assert slow_groups == [1]
    check_log(fast, "alpha")


def test_somebody_elses_write_is_noticed_and_cannot_be_overwritten(
    fast: Opened, slow_groups: list[int]
) -> None:
    with open_log(fast.url) as other:
        for index in range(5):
            fast.log.append(writing("alpha", "a", f"one {index}".encode()))
            other.log.append(writing("alpha", "a", f"two {index}".encode()))

    entries = check_log(fast, "alpha")
    assert [one.version for one in entries[1:]] == list(range(1, 11))
    assert len(slow_groups) == 10


def test_a_repeat_is_recognised_by_a_writer_that_did_not_see_the_first(fast: Opened) -> None:
    request = writing("alpha", "a", request_key="k")
    with open_log(fast.url) as other:
        other.log.append(checking("alpha"))
        first = other.log.append(request)

        assert fast.log.append(request) == Receipt(first.entries, replayed=True)


def test_opposite_streams_of_a_batch_do_not_confuse_what_is_remembered(fast: Opened) -> None:
    for index in range(20):
        names = ("a", "b") if index % 2 else ("b", "a")
        events = tuple(checking("alpha", name).events[0] for name in names)
        fast.log.append(Append(project="alpha", events=events))

    check_log(fast, "alpha")


@pytest.mark.parametrize(
    "statement",
    [
        "VACUUM event",
        "ANALYZE event",
        "CREATE INDEX CONCURRENTLY extra ON event (actor)",
        "REINDEX INDEX CONCURRENTLY event_pkey",
    ],
)
def test_appends_go_on_while_the_table_is_tended(opened: Opened, statement: str) -> None:
    done = threading.Event()

    def append() -> int:
        count = 0
        while not done.is_set() or count < 3:
            opened.log.append(checking("alpha"))
            count += 1
        return count

    with ThreadPoolExecutor(1) as thread:
        counting = thread.submit(append)
        with psycopg.connect(opened.url, autocommit=True) as connection:
            connection.execute(statement)
        done.set()
        assert counting.result(timeout=30) >= 3
    check_log(opened, "alpha")


def test_a_queue_that_is_full_refuses_at_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_writer, "MAX_WAITING_REQUESTS", 1)
    with psycopg.connect(opened.url) as holder, ThreadPoolExecutor(2) as threads:
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
        taken = threads.submit(opened.log.append, checking("alpha"))
        eventually(lambda: opened.log._writer._led and opened.log._writer._requests == 0)
        waiting = threads.submit(opened.log.append, checking("alpha"))
        eventually(lambda: opened.log._writer._requests == 1)

        with pytest.raises(Unavailable) as caught:
            opened.log.append(checking("alpha"))
        holder.rollback()

        assert caught.value.code == "queue-full"
        assert taken.result().entries[0].position == 2
        assert waiting.result().entries[0].position == 3


def test_a_request_that_waited_too_long_is_certainly_not_recorded(opened: Opened) -> None:
    with psycopg.connect(opened.url) as holder, ThreadPoolExecutor(2) as threads:
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
        taken = threads.submit(opened.log.append, checking("alpha"))
        eventually(lambda: opened.log._writer._led and opened.log._writer._requests == 0)

        with pytest.raises(Unavailable) as caught:
            opened.log.append(writing("alpha", deadline=time.monotonic() + 0.05))
        holder.rollback()
        taken.result()

    assert caught.value.code == "database-unavailable"
    assert opened.log.head("alpha").size == 2


def test_a_caller_whose_group_takes_too_long_is_told_to_repeat(opened: Opened) -> None:
    request = checking("alpha")
    write = opened.log._writer._write
    with (
        psycopg.connect(opened.url) as holder,
        psycopg.connect(opened.url) as second,
        ThreadPoolExecutor(3) as threads,
    ):

        def held(group: Sequence[Append]) -> list[Outcome]:
            if any(one.deadline is not None for one in group):
                second.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
            return write(group)

        opened.log._writer._write = held
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
        first = threads.submit(opened.log.append, checking("alpha"))
        eventually(lambda: waiters(opened) == 1)
        leader = threads.submit(opened.log.append, checking("alpha"))
        eventually(lambda: opened.log._writer._requests == 1)
        hasty = threads.submit(
            opened.log.append, msgspec.structs.replace(request, deadline=soon(2.5))
        )
        eventually(lambda: opened.log._writer._requests == 2)
        # Let the first group through; the second one, which has both of the others, is held.
        holder.rollback()
        first.result()

        with pytest.raises(Unavailable) as caught:
            hasty.result()
        second.rollback()
        leader.result()

    assert caught.value.code == "outcome-unknown"
    assert opened.log.append(request).replayed


def test_closing_finishes_what_was_taken_and_takes_nothing_more(database_url: str) -> None:
    with open_log(database_url) as opened:
        opened.log.create(creation("alpha"))
        with ThreadPoolExecutor(4) as threads:
            with psycopg.connect(opened.url) as holder:
                holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
                appends = [threads.submit(opened.log.append, checking("alpha")) for _ in range(3)]
                eventually(lambda: opened.log._writer._requests == 2)
                closing = threads.submit(opened.log.__exit__, None, None, None)
                eventually(lambda: opened.log._writer._closed)

                with pytest.raises(Unavailable) as caught:
                    opened.log.append(checking("alpha"))
            closing.result()

        assert caught.value.code == "shutting-down"
        assert sorted(one.result().entries[0].position for one in appends) == [2, 3, 4]


def test_a_bulk_import_does_not_starve_another_project(opened: Opened) -> None:
    opened.log.create(creation("beta"))
    taken: list[list[str]] = []
    original = opened.log._writer._write

    def noting(requests: list[Append]) -> object:
        taken.append([one.project for one in requests])
        return original(requests)

    opened.log._writer._write = noting  # type: ignore[assignment]
    with psycopg.connect(opened.url) as holder, ThreadPoolExecutor(12) as threads:
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
        futures = [threads.submit(opened.log.append, checking("alpha"))]
        eventually(lambda: len(taken) == 1)
        for _ in range(9):
            events = tuple(checking("alpha").events[0] for _ in range(100))
            futures.append(
                threads.submit(opened.log.append, Append(project="alpha", events=events))
            )
        eventually(lambda: opened.log._writer._requests == 9)
        futures.append(threads.submit(opened.log.append, checking("beta")))
        eventually(lambda: opened.log._writer._requests == 10)
        holder.rollback()
        for future in futures:
            future.result()

    assert "beta" in taken[1]
    check_log(opened, "alpha")


def test_fifty_readers_who_wait_leave_a_pool_of_one_free(database_url: str) -> None:
    with open_log(database_url, connections=1) as opened, ThreadPoolExecutor(50) as threads:
        opened.log.create(creation("alpha"))

        def follow() -> int:
            while (position := opened.log.head("alpha").size) < 5:
                opened.signal.wait("alpha", position, 5.0)
            return position

        readers = [threads.submit(follow) for _ in range(50)]
        for _ in range(4):
            opened.log.append(checking("alpha"))

        assert [reader.result(timeout=30) for reader in readers] == [5] * 50


def test_a_reader_is_woken_by_the_commit(opened: Opened) -> None:
    with ThreadPoolExecutor(1) as thread:
        began = time.monotonic()
        # Any wake-up is a hint only, so a waiter looks and waits again.
        waiting = thread.submit(eventually, lambda: opened.signal.wait("alpha", 1, 30.0) == 2, 60.0)
        opened.log.append(checking("alpha"))

        assert waiting.result()
        assert time.monotonic() - began < 10


def test_a_reader_in_another_process_is_woken_by_a_notification(opened: Opened) -> None:
    with CommitSignal(opened.url) as other:
        eventually(lambda: len(_listening(opened)) == 2)
        opened.log.append(checking("alpha"))

        assert eventually(lambda: other.wait("alpha", 1, 0.1) == 2)


def test_who_waited_while_nobody_listened_is_woken_when_listening_begins(opened: Opened) -> None:
    other = CommitSignal(opened.url)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(other.wait, "alpha", 1, 60.0)
        opened.log.append(checking("alpha"))

        with other:
            waiting.result(timeout=20)


def test_a_listener_whose_connection_was_killed_listens_again(opened: Opened) -> None:
    with CommitSignal(opened.url) as other:
        eventually(lambda: len(_listening(opened)) == 2)
        killed = _listening(opened)
        with psycopg.connect(opened.url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM unnest(%s) pid", (list(killed),)
            )
        eventually(lambda: len(_listening(opened) - killed) == 2)
        opened.log.append(checking("alpha"))

        assert eventually(lambda: other.wait("alpha", 1, 0.1) == 2)


def test_many_projects_that_moved_fit_into_one_notification(opened: Opened) -> None:
    with CommitSignal(opened.url) as other:
        eventually(lambda: len(_listening(opened)) == 2)
        with ThreadPoolExecutor(1) as thread:
            waiting = thread.submit(other.wait, "alpha", 1, 30.0)
            opened.signal._to_send.update({f"project-{n}-{'x' * 20}": n for n in range(400)})
            opened.log.append(checking("alpha"))

            waiting.result()  # woken to look at all: no size came along, but no wait either
        assert opened.log.head("alpha").size == 2


def _listening(opened: Opened) -> set[int]:
    """The processes of the server that listen."""
    with psycopg.connect(opened.url) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
            " AND datname = current_database() AND state = 'idle'"
        ).fetchall()
    return {int(row[0]) for row in rows}


def test_the_append_sends_no_notify_and_ends_no_stage_with_a_sync() -> None:
    folder = Path(adapters.__file__).parent
    sources = {path.name: path.read_text("utf-8") for path in folder.glob("*.py")}
    statements = {path.name: path.read_text("utf-8") for path in folder.glob("migrations/*.sql")}

    assert [name for name, text in sources.items() if ".sync(" in text] == []
    notifying = [
        name
        for name, text in (sources | statements).items()
        if re.search(r"\bpg_notify\b|\bNOTIFY \w", text)
    ]
    assert notifying == ["commit_signal.py"]


def test_times_in_the_table_are_the_times_in_the_lines(opened: Opened) -> None:
    opened.log.append(writing("alpha"))

    with opened.pool.connection() as connection:
        rows = connection.execute(
            "SELECT line, time, type, actor, version, id FROM event ORDER BY position"
        ).fetchall()
    for line, when, *rest in rows:
        recorded = parse(bytes(line))
        assert when == datetime.fromisoformat(recorded.time)
        assert rest == [recorded.type, recorded.actor, recorded.version, uuid.UUID(recorded.id)]
