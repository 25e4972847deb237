"""Appends when something breaks: connections, locks, disks, rows. Nothing lost, nothing twice."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import psycopg
import pytest

from domain.errors import Unavailable
from domain.log import Append, Receipt
from tests.cutting_proxy import CuttingProxy, How, cutting_proxy
from tests.log_samples import (
    Opened,
    blob,
    check_log,
    checking,
    creation,
    entries_of,
    eventually,
    open_log,
    soon,
    waiters,
    writing,
)

FAST, SLOW = "fast", "slow"
# What only the message with which an append is committed contains.
COMMITTING = {FAST: b"append_group", SLOW: b"COMMIT\0"}


class Broken(msgspec.Struct, frozen=True):
    """A log whose writer goes through the proxy; it has recorded two events already."""

    opened: Opened
    proxy: CuttingProxy
    committing: bytes


@pytest.fixture(params=[FAST, SLOW])
def broken(request: pytest.FixtureRequest, database_url: str) -> Iterator[Broken]:
    with (
        cutting_proxy(database_url) as proxy,
        open_log(database_url, fast=request.param == FAST, writer_url=proxy.url) as opened,
    ):
        opened.log.create(creation("alpha"))
        opened.log.append(checking("alpha"))  # the fast path knows the project now
        yield Broken(opened, proxy, COMMITTING[request.param])


@pytest.fixture(params=[FAST, SLOW])
def opened(request: pytest.FixtureRequest, database_url: str) -> Iterator[Opened]:
    with open_log(database_url, fast=request.param == FAST) as opened:
        opened.log.create(creation("alpha"))
        opened.log.append(checking("alpha"))
        yield opened


@pytest.mark.parametrize("how", ["answer-lost", "request-lost"])
def test_a_connection_lost_while_committing_leaves_one_copy_and_its_caller_answered(
    broken: Broken, how: How
) -> None:
    cut = broken.proxy.cut(broken.committing, how)

    receipt = broken.opened.log.append(writing("alpha", "a", request_key="k"))

    assert cut.struck.is_set()
    assert [entry.position for entry in receipt.entries] == [3]
    assert len(check_log(broken.opened, "alpha")) == 3


def test_a_whole_group_is_settled_when_its_answer_is_lost(broken: Broken) -> None:
    broken.proxy.cut(broken.committing, "answer-lost")
    stale = writing("alpha", "b", expected=4)

    with ThreadPoolExecutor(9) as threads, psycopg.connect(broken.opened.url) as holder:
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
        appends = [
            threads.submit(broken.opened.log.append, writing("alpha", f"k{index}"))
            for index in range(8)
        ]
        refused = threads.submit(broken.opened.log.append, stale)
        eventually(lambda: waiters(broken.opened) == 1)
        holder.rollback()
        positions = sorted(one.result().entries[0].position for one in appends)
        assert refused.exception() is not None

    assert positions == list(range(3, 11))
    assert len(check_log(broken.opened, "alpha")) == 10


def test_a_request_that_arrives_after_its_repeat_changes_nothing(broken: Broken) -> None:
    cut = broken.proxy.cut(broken.committing, "request-late")
    request = writing("alpha", "a", request_key="k")

    with ThreadPoolExecutor(1) as thread:
        appending = thread.submit(broken.opened.log.append, request)
        assert cut.struck.wait(20)
        # The fast path's repeat ends meanwhile; the slow path's waits for the old transaction's lock.
        eventually(lambda: appending.done() or waiters(broken.opened) == 1)
        cut.release.set()
        receipt = appending.result()
    assert cut.delivered.wait(20)

    assert [entry.position for entry in receipt.entries] == [3]
    assert len(check_log(broken.opened, "alpha")) == 3
    assert broken.opened.log.append(request) == Receipt(receipt.entries, replayed=True)


@pytest.mark.parametrize("how", ["answer-lost", "request-lost"])
def test_a_creation_whose_connection_is_lost_is_settled(broken: Broken, how: How) -> None:
    cut = broken.proxy.cut(b"COMMIT\0", how)

    receipt = broken.opened.log.create(creation("beta"))

    assert cut.struck.is_set()
    assert [entry.position for entry in receipt.entries] == [1]
    assert len(check_log(broken.opened, "beta")) == 1


def test_a_caller_is_told_when_its_outcome_stays_unknown(broken: Broken) -> None:
    cut = broken.proxy.cut(broken.committing, "answer-lost")
    request = writing("alpha", "a", deadline=soon(1.0))

    broken.proxy.refusing = True  # new connections; the writer has one

    with pytest.raises(Unavailable) as caught:
        broken.opened.log.append(request)
    broken.proxy.refusing = False

    assert cut.struck.is_set()
    assert caught.value.code == "outcome-unknown"
    assert broken.opened.log.append(request).replayed
    assert len(check_log(broken.opened, "alpha")) == 3


def test_a_database_that_is_not_there_has_certainly_recorded_nothing(broken: Broken) -> None:
    broken.opened.log._disconnect()
    broken.proxy.refusing = True

    with pytest.raises(Unavailable) as caught:
        broken.opened.log.append(writing("alpha", "a", deadline=soon(0.5)))

    assert caught.value.code == "database-unavailable"
    broken.proxy.refusing = False
    broken.opened.log.append(writing("alpha", "a"))
    assert len(check_log(broken.opened, "alpha")) == 3


def test_a_writer_whose_backend_is_killed_while_it_waits_goes_on(opened: Opened) -> None:
    with ThreadPoolExecutor(1) as thread, psycopg.connect(opened.url) as holder:
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")
        appending = thread.submit(opened.log.append, writing("alpha"))
        eventually(lambda: waiters(opened) == 1)
        killed = holder.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
            """
        ).fetchall()
        holder.rollback()

        assert killed == [(True,)]
        assert appending.result().entries[0].position == 3
    check_log(opened, "alpha")


def test_a_project_lock_that_is_held_ends_in_a_problem_and_records_nothing(
    opened: Opened,
) -> None:
    with psycopg.connect(opened.url) as holder:
        holder.execute("SELECT FROM project_log WHERE project_id = 'alpha' FOR UPDATE")

        with pytest.raises(Unavailable) as caught:
            opened.log.append(writing("alpha", deadline=soon(0.2)))
        holder.rollback()

    assert caught.value.code == "database-unavailable"
    assert len(check_log(opened, "alpha")) == 2


def test_a_database_that_became_read_only_is_waited_for(opened: Opened) -> None:
    with psycopg.connect(opened.url, autocommit=True) as admin:
        name = admin.info.dbname
        admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        opened.log._disconnect()
        with ThreadPoolExecutor(1) as thread:
            appending = thread.submit(opened.log.append, writing("alpha"))
            eventually(lambda: opened.log._writer._led)
            admin.execute("SET default_transaction_read_only = off")
            admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")

            assert appending.result().entries[0].position == 3
    check_log(opened, "alpha")


REFUSING = """
CREATE SEQUENCE attempts;
GRANT USAGE ON attempts TO PUBLIC;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM nextval('attempts');
  RAISE EXCEPTION 'no' USING ERRCODE = '{code}';
END $$;
CREATE TRIGGER fail BEFORE INSERT ON event FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION fail();
"""


def test_a_full_disk_fails_the_group_without_a_storm_of_repeats(opened: Opened) -> None:
    with psycopg.connect(opened.url, autocommit=True) as admin:
        admin.execute(REFUSING.format(code="53100", when="true"))

        with pytest.raises(Unavailable) as caught:
            opened.log.append(writing("alpha"))

        assert caught.value.code == "database-unavailable"
        assert admin.execute("SELECT last_value FROM attempts").fetchone() == (1,)
        admin.execute("DROP TRIGGER fail ON event")
    assert opened.log.append(writing("alpha")).entries[0].position == 3
    check_log(opened, "alpha")


@pytest.mark.parametrize("code", ["23514", "22001", "23505"])
def test_rows_that_postgres_refuses_fail_their_own_request_only(opened: Opened, code: str) -> None:
    group = [writing("alpha", f"k{index}") for index in range(7)]
    group.insert(4, writing("alpha", "bad"))
    with psycopg.connect(opened.url, autocommit=True) as admin:
        when = "NEW.stream = 'artifact/NOTE/bad'"
        admin.execute(REFUSING.format(code=code, when=when))

    outcomes = opened.log._write_group(group)

    assert [type(one) for one in outcomes].index(Unavailable) == 4
    assert sum(isinstance(one, Receipt) for one in outcomes) == 7
    assert len(check_log(opened, "alpha")) == 9
    with pytest.raises(Unavailable) as caught:
        opened.log.append(writing("alpha", "bad"))
    assert caught.value.code == "append-refused"
    assert opened.log.append(writing("alpha")).entries[0].position == 10


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ["socket", "tcp"])
@pytest.mark.parametrize("path", [FAST, SLOW])
def test_a_group_of_sixteen_megabytes_is_committed(database_url: str, way: str, path: str) -> None:
    contents = [bytes([index]) * (1024 * 1024) for index in range(16)]
    one_by_one = [writing("alpha", f"k{index}", each) for index, each in enumerate(contents)]
    batch = Append(
        project="alpha",
        events=tuple(one.events[0] for one in one_by_one),
        blobs=tuple(blob(each) for each in contents),
    )
    with (
        cutting_proxy(database_url) as proxy,
        open_log(
            database_url,
            fast=path == FAST,
            writer_url=proxy.url if way == "tcp" else None,
        ) as opened,
    ):
        opened.log.create(creation("alpha"))
        opened.log.append(checking("alpha"))

        opened.log.append(batch)

        assert len(check_log(opened, "alpha")) == 18


@pytest.mark.timeout(60)
def test_a_group_of_four_hundred_events_is_committed(opened: Opened) -> None:
    events = [writing("alpha", f"k{index}", bytes([index % 256]) * 4096 + str(index).encode())
              for index in range(400)]  # fmt: skip
    batch = Append(
        project="alpha",
        events=tuple(one.events[0] for one in events),
        blobs=tuple(one.blobs[0] for one in events),
    )

    opened.log.append(batch)

    assert len(check_log(opened, "alpha")) == 402


def test_a_leader_that_is_interrupted_leaves_the_others_served(opened: Opened) -> None:
    original, once = opened.log._writer._write, threading.Event()

    def interrupted(requests: list[Append]) -> object:
        if not once.is_set():
            once.set()
            raise KeyboardInterrupt
        return original(requests)

    opened.log._writer._write = interrupted  # type: ignore[assignment]

    with pytest.raises(KeyboardInterrupt):
        opened.log.append(writing("alpha"))

    assert opened.log.append(writing("alpha")).entries[0].position == 3
    assert len(entries_of(opened, "alpha")) == 3
