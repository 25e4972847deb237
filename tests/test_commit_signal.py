"""Who waits for events: woken by commits here and elsewhere, whatever happens to a connection."""

import os
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from adapters import commit_signal
from adapters.commit_signal import CommitSignal
from tests.cutting_proxy import CuttingProxy, cutting_proxy
from tests.log_samples import checking, creation, eventually, open_log

LISTENING = """
    SELECT pid FROM pg_stat_activity
    WHERE query LIKE 'LISTEN%' AND datname = current_database() AND state = 'idle'
"""


@pytest.fixture
def proxy(database_url: str) -> Iterator[CuttingProxy]:
    with cutting_proxy(database_url) as proxy:
        yield proxy


def listeners(url: str) -> list[int]:
    with psycopg.connect(url) as connection:
        return [pid for (pid,) in connection.execute(LISTENING)]


def end_sessions(url: str, query: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE query LIKE %s AND datname = current_database() AND pid <> pg_backend_pid()
            """,
            (query,),
        )
        return len(found.fetchall())


def test_fifty_who_wait_hear_of_every_commit_over_a_pool_of_one(database_url: str) -> None:
    with (
        open_log(database_url, connections=1) as opened,
        open_log(database_url, connections=1) as elsewhere,
        ThreadPoolExecutor(50) as threads,
    ):
        opened.log.create(creation("alpha"))
        eventually(lambda: len(listeners(database_url)) == 2)

        def follow() -> int:
            while (position := opened.log.head("alpha").size) < 6:
                opened.signal.wait("alpha", position, 60.0)
            return position

        readers = [threads.submit(follow) for _ in range(50)]
        for _ in range(5):
            elsewhere.log.append(checking("alpha"))
        assert [reader.result(timeout=30) for reader in readers] == [6] * 50


def test_a_listener_that_was_ended_wakes_everybody_and_hears_again(database_url: str) -> None:
    with CommitSignal(database_url) as here, CommitSignal(database_url) as there:
        eventually(lambda: len(listeners(database_url)) == 2)
        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(one.wait, "alpha", 0, 60.0) for one in (here, there)]
            assert end_sessions(database_url, "LISTEN%") == 2
            assert [one.result(timeout=30) for one in waiting] == [0, 0], (
                "look, you may have missed it"
            )
        eventually(lambda: len(listeners(database_url)) == 2)
        there.committed("alpha", 7)
        assert eventually(lambda: here.wait("alpha", 0, 1.0) == 7)


def test_a_notification_that_could_not_be_sent_is_sent_later(database_url: str) -> None:
    with CommitSignal(database_url) as here, CommitSignal(database_url) as there:
        eventually(lambda: len(listeners(database_url)) == 2)
        there.committed("alpha", 1)
        assert eventually(lambda: here.known("alpha") == 1)
        assert end_sessions(database_url, "%pg_notify%") == 1
        there.committed("alpha", 2)  # on the connection that has ended
        assert eventually(lambda: here.known("alpha") == 2)


def test_commits_while_the_database_is_away_are_told_when_it_is_back(
    database_url: str, proxy: CuttingProxy
) -> None:
    proxy.refusing = True
    with CommitSignal(database_url) as here, CommitSignal(proxy.url) as there:
        eventually(lambda: len(listeners(database_url)) == 1)
        there.committed("alpha", 1)
        there.committed("beta", 1)
        there.committed("alpha", 2)
        assert there.known("alpha") == 2
        proxy.refusing = False
        assert eventually(lambda: (here.known("alpha"), here.known("beta")) == (2, 1))


def test_behind_a_pooler_nobody_listens_and_own_commits_wake(database_url: str) -> None:
    before = threading.active_count()
    with CommitSignal(database_url, pooled=True) as signal, ThreadPoolExecutor(1) as thread:
        assert threading.active_count() == before
        waiting = thread.submit(signal.wait, "alpha", 0, 60.0)
        signal.committed("alpha", 3)
        assert waiting.result(timeout=30) == 3
        assert listeners(database_url) == []
        assert signal.wait("alpha", 3, 0.0) == 3, "another process's commit is found by looking"


def test_who_watches_a_draft_hears_of_it_and_of_no_other(database_url: str) -> None:
    told: list[str] = []
    with CommitSignal(database_url, pooled=True) as alone:
        end = alone.on_draft("alpha", "d1", lambda: told.append("alone"))
        alone.drafted("alpha", "d2", 5)
        alone.drafted("beta", "d1", 5)
        alone.committed("alpha", 5)
        assert told == []
        alone.drafted("alpha", "d1", 5)
        assert told == ["alone"]
        end()
        end()
        alone.drafted("alpha", "d1", 6)
        assert told == ["alone"]
        assert alone.known("alpha:d1") == 0


def test_who_watches_a_draft_hears_of_it_from_elsewhere_and_when_hints_were_lost(
    database_url: str,
) -> None:
    told: list[int] = []
    with CommitSignal(database_url) as here, CommitSignal(database_url) as there:
        eventually(lambda: len(listeners(database_url)) == 2)
        here.on_draft("alpha", "d1", lambda: told.append(len(told)))
        there.drafted("alpha", "d2", 5)
        there.drafted("alpha", "d1", 5)
        there.committed("alpha", 3)
        assert eventually(lambda: here.known("alpha") == 3)
        assert len(told) == 1
        assert end_sessions(database_url, "LISTEN%") == 2
        assert eventually(lambda: len(told) > 1)
        before = len(told)
        here.stop_waiting()
        assert len(told) > before


def test_a_size_that_comes_late_takes_nothing_back(database_url: str) -> None:
    signal = CommitSignal(database_url, pooled=True)
    signal.committed("alpha", 5)
    signal.committed("alpha", 4)
    assert signal.known("alpha") == 5
    assert signal.known("beta") == 0


@pytest.mark.parametrize("payload", ["alpha=", "alpha=x", "=", "alpha", "alpha=-1", "alpha=²"])
def test_what_is_no_notification_of_ours_changes_nothing(database_url: str, payload: str) -> None:
    with CommitSignal(database_url) as signal:
        eventually(lambda: len(listeners(database_url)) == 1)
        with psycopg.connect(database_url) as connection:
            connection.execute("SELECT pg_notify('deedbook_commit', %s)", (payload,))
            connection.execute("SELECT pg_notify('deedbook_commit', 'after=1')")
        assert eventually(lambda: signal.known("after") == 1)
        assert signal.known("alpha") == 0


def test_the_end_wakes_everybody_once_and_can_be_told_twice(database_url: str) -> None:
    told = []
    with CommitSignal(database_url) as signal, ThreadPoolExecutor(50) as threads:
        eventually(lambda: len(listeners(database_url)) == 1)
        end = signal.on_change(lambda: told.append(signal.stopping))
        waiting = [threads.submit(signal.wait, "alpha", 0, 60.0) for _ in range(50)]
        began = time.monotonic()
        signal.stop_waiting()
        assert [one.result(timeout=30) for one in waiting] == [0] * 50
        assert signal.stopping
        for thread in signal._threads:
            thread.join(30)
        signal.stop_waiting()
        end()
        end()
        signal.stop_waiting()
        assert time.monotonic() - began < 10
    assert told.count(True) == 2
    assert eventually(lambda: listeners(database_url) == [])


def test_it_ends_at_once_while_the_database_is_away(
    database_url: str, proxy: CuttingProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_signal, "RECONNECT_SECONDS", (60.0,))
    proxy.refusing = True
    began = time.monotonic()
    with CommitSignal(proxy.url) as signal:
        signal.committed("alpha", 1)
    assert time.monotonic() - began < 30


def test_it_listens_also_when_a_thousand_files_are_open(database_url: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2_000
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("this account may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    try:
        with ExitStack() as closing, open(os.devnull, "rb") as opened:  # noqa: PTH123
            for _ in range(1_100):
                closing.callback(os.close, os.dup(opened.fileno()))
            signal = closing.enter_context(CommitSignal(database_url))
            eventually(lambda: len(listeners(database_url)) == 1)
            with psycopg.connect(database_url) as connection:
                connection.execute("SELECT pg_notify('deedbook_commit', 'alpha=9')")
            assert eventually(lambda: signal.known("alpha") == 9)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
