"""Search while everything goes wrong: afterwards each index holds the newest versions, all of them and nothing else."""

import random
import threading
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest

from adapters.search import local_index, search_state
from adapters.search.search_state import Claim, SearchState
from app.search.index_jobs import IndexJobs
from tests.search_backends import Searched, searched
from tests.upstash_double.server import Fault, UpstashDouble

pytest_plugins = ["tests.upstash_running"]

WORKERS = 3
ARTIFACTS = 25
EVENTS = 300
OUTAGE = range(120, 200)
FAULTS = (
    Fault(),  # the connection is cut
    Fault(status=503),
    Fault(status=502, page="<html>Bad gateway</html>"),
    Fault(status=200, page="<html>Sign in</html>"),
    Fault(status=429, error="Too many requests", headers={"Retry-After": "3600"}),
    Fault(status=429, error="Exceeded daily limit"),
    Fault(applied=True),  # carried out, and the answer is lost
    Fault(applied=True, status=504),
    Fault(status=400, error="Bad request"),
    Fault(status=401, error="Unauthorized"),
)


class Killed(BaseException):
    """A worker is gone, wherever it was."""


class Death:
    """Strikes workers where it hurts: before, between and after the steps of their work."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self._lock = threading.Lock()
        self.resting = False
        self.struck = 0

    def pass_by(self) -> None:
        with self._lock:
            strikes = not self.resting and self.draw.random() < 0.15
            self.struck += strikes
        if strikes:
            raise Killed


@pytest.fixture
def hosted(database_url: str, upstash: UpstashDouble) -> Iterator[Searched]:
    with searched("hosted", database_url, upstash) as opened:
        yield opened


@pytest.fixture(params=[1, 2, 3])
def death(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Death:
    seed: int = request.param
    struck = Death(seed)
    synced, renewed = SearchState.synced, search_state.finish

    def hosted_step(self: SearchState, claim: Claim, chunks: int, **rest: object) -> bool:
        struck.pass_by()  # it is in the index, and nobody has written that down
        done = synced(self, claim, chunks, **rest)  # type: ignore[arg-type]
        struck.pass_by()
        return done

    def local_step(*given: object, **rest: object) -> bool:
        struck.pass_by()  # in the middle of the transaction
        return renewed(*given, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(SearchState, "synced", hosted_step)
    monkeypatch.setattr(local_index, "finish", local_step)
    return struck


def work(jobs: IndexJobs, death: Death, stop: threading.Event, turns: threading.Semaphore) -> None:
    """A worker, and the next one after it was killed, until it is told to stop."""
    while not stop.is_set():
        turns.release()
        with suppress(Killed):
            for indexing in jobs.indexings:
                indexing.state.note_all()
                for claim in indexing.state.claim(3):
                    death.pass_by()
                    indexing.bring(claim)


def let_hours_pass(database_url: str) -> None:
    """Waits and leases are over, as after an outage; whoever still works has lost its lease."""
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT FROM search_project ORDER BY project_id, backend FOR UPDATE")
        connection.execute(
            """
            UPDATE search_state SET due_at = least(due_at, now()), lease = gen_random_uuid(),
              leased_until = least(leased_until, now())
            """
        )


def test_after_every_fault_each_index_is_what_the_log_says(
    hosted: Searched, upstash: UpstashDouble, database_url: str, death: Death
) -> None:
    draw = random.Random(death.draw.random())
    stop, turns = threading.Event(), threading.Semaphore(0)
    workers = [
        threading.Thread(target=work, args=(hosted.ledger.index_jobs, death, stop, turns))
        for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    try:
        newest: dict[str, str] = {}
        for number in range(EVENTS):
            key = f"a{draw.randrange(ARTIFACTS)}"
            newest[key] = (
                f"# Title of {key}\n\nIt says w{number}.\n" + "More.\n\n" * draw.randrange(3)
            )
            hosted.write(key, newest[key])
            if number in OUTAGE:
                upstash.faults[:] = [Fault(status=503)] * 20
            elif draw.random() < 1 / 3:
                upstash.faults.append(draw.choice(FAULTS))
            if number % 40 == 0:
                let_hours_pass(database_url)
            if number % 4 == 0:
                turns.acquire(timeout=20)  # the workers keep up, more or less
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    assert death.struck > 5
    death.resting = True
    upstash.faults.clear()
    let_hours_pass(database_url)
    hosted.ledger.search.upkeep.retry(hosted.project)
    hosted.index()

    state = {one.backend: one for one in hosted.ledger.search.upkeep.standing(hosted.project)}
    assert {one.indexed_position for one in state.values()} == {EVENTS + 1}
    assert {(one.pending, one.failed) for one in state.values()} == {(0, 0)}
    local, remote = hosted.held()
    assert local == remote
    assert len(local) == len(newest)
    space = upstash.indexes["hybrid-embedding"].spaces[f"project:{hosted.project}:artifacts"]
    texts = sorted(held.data or "" for held in space.values())
    assert len(texts) == len(newest)
    for text, expected in zip(texts, sorted(newest.values()), strict=True):
        assert expected.splitlines()[2] in text, (text, expected)
    amiss = hosted.ledger.search.upkeep.reconcile(hosted.project)
    assert (amiss.missing, amiss.stale) == (0, 0)


def test_an_append_does_not_wait_for_an_index_that_hangs(
    hosted: Searched, upstash: UpstashDouble
) -> None:
    upstash.released.clear()
    hosted.write("main", "The zebra.\n")
    jobs = hosted.ledger.index_jobs
    waiting = threading.Thread(target=jobs.catch_up)
    waiting.start()
    try:
        assert upstash.asked.wait(20)
        hosted.write("main", "The giraffe.\n")
        assert hosted.ledger.position(hosted.project, None) == 3
    finally:
        upstash.released.set()
        waiting.join()
    hosted.index()
    assert hosted.keys("giraffe") == ["main"]


@pytest.mark.parametrize("fault", FAULTS, ids=range(len(FAULTS)))
def test_a_search_falls_back_to_postgres_and_says_so(
    hosted: Searched, upstash: UpstashDouble, fault: Fault
) -> None:
    hosted.write("main", "The zebra.\n")
    hosted.index()
    upstash.faults[:] = [fault]
    answer = hosted.ask("zebra")
    assert [hit.key for hit in answer.hits] == ["main"]
    assert (answer.backend, answer.degraded) == ("postgres", True)
    assert "remote-unavailable" in answer.warnings
    again = hosted.ask("zebra")
    assert (again.backend, again.degraded) == ("upstash", False)


def test_an_index_that_fails_again_and_again_is_left_alone(
    hosted: Searched, upstash: UpstashDouble
) -> None:
    hosted.write("main", "The zebra.\n")
    hosted.index()
    upstash.faults[:] = [Fault(status=503)] * 5
    for _ in range(5):
        assert hosted.ask("zebra").backend == "postgres"
    asked = len(upstash.requests)
    answer = hosted.ask("zebra")
    assert [hit.key for hit in answer.hits] == ["main"]
    assert "remote-unavailable" in answer.warnings
    assert len(upstash.requests) == asked


def test_a_token_that_is_not_known_stops_the_worker_and_is_said_once(
    hosted: Searched, upstash: UpstashDouble, caplog: pytest.LogCaptureFixture
) -> None:
    for key in ("one", "two"):
        hosted.write(key, "The zebra.\n")
    upstash.faults[:] = [Fault(status=401, error="Unauthorized")] * 2
    _, remote = hosted.ledger.index_jobs.indexings
    remote.state.note_all()
    for claim in remote.state.claim(2):
        remote.bring(claim)
    assert remote.shut_out
    assert [one.getMessage()[:40] for one in caplog.records] == [
        "the hosted index does not let us in, and"
    ]
    wait = remote.state.next_due()
    assert wait is not None
    assert wait > 200


def test_what_the_index_refuses_is_given_up_after_three_tries_and_can_be_tried_again(
    hosted: Searched, upstash: UpstashDouble, database_url: str
) -> None:
    hosted.write("main", "The zebra.\n")
    upstash.faults[:] = [Fault(status=422, error="No", operation="upsert-data")] * 3
    for _ in range(3):
        hosted.ledger.index_jobs.catch_up()
        let_hours_pass(database_url)
    upkeep = hosted.ledger.search.upkeep
    [failed] = upkeep.failures(hosted.project)
    assert (failed.backend, failed.source) == ("upstash", "artifact/PRD/main")
    assert "No" in failed.problem
    assert hosted.keys("zebra") == []  # the hosted index lacks it, and says that it is behind
    assert "index-behind" in hosted.ask("zebra").warnings
    assert upkeep.retry(hosted.project) == 1
    hosted.index()
    assert upkeep.failures(hosted.project) == []
    assert hosted.keys("zebra") == ["main"]


def test_without_a_fallback_an_index_that_is_away_is_a_problem(
    hosted: Searched, upstash: UpstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    from domain.errors import Unavailable

    hosted.write("main", "The zebra.\n")
    hosted.index()
    monkeypatch.setattr(hosted.ledger.search, "_falls_back", False)
    upstash.faults[:] = [Fault(status=503)]
    with pytest.raises(Unavailable) as caught:
        hosted.ask("zebra")
    assert caught.value.code == "search-unavailable"
