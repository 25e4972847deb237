"""Looking after a hosted index: compared daily by one process, never with two models' vectors, and its troubles told."""

from collections.abc import Iterator, Sequence

import httpx2
import msgspec
import psycopg
import pytest

from app.search.hosted_follower import LEASE_SECONDS, HostedFollower
from app.search.hosted_index import HostedIndex
from app.search.upkeep import reconcile
from domain.errors import Unavailable
from tests.search_backends import Searched, searched
from tests.serving import serve_ledger
from tests.upstash_double.server import Fault, UpstashDouble

pytest_plugins = ["tests.upstash_running"]

OTHER_MODEL = "UPDATE search_state SET model = 'hosted other' WHERE backend = 'upstash'"


@pytest.fixture
def hosted(database_url: str, upstash: UpstashDouble) -> Iterator[Searched]:
    with searched("hosted", database_url, upstash) as opened:
        opened.write("main", "The zebra.\n")
        opened.index()
        yield opened


def execute(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def a_day_later(database_url: str) -> None:
    execute(
        database_url, "UPDATE search_project SET reconcile_due_at = now() - interval '1 second'"
    )


def index_of(hosted: Searched) -> HostedIndex:
    _, (_, holding) = hosted.ledger.search.upkeep.held
    assert isinstance(holding, HostedIndex)
    return holding


def follower(hosted: Searched) -> HostedFollower:
    _, remote = hosted.ledger.index_jobs.indexings
    index = index_of(hosted)
    search = hosted.ledger.search
    return HostedFollower(remote.state, index, index._hosted, search.meter, hosted.ledger.signal)


def compared_at(hosted: Searched) -> str | None:
    _, remote = hosted.ledger.search.upkeep.standing(hosted.project)
    return remote.reconciled_at


def empty(upstash: UpstashDouble) -> None:
    upstash.indexes["hybrid-embedding"].spaces.clear()


def test_an_index_that_nobody_compared_says_so(hosted: Searched, database_url: str) -> None:
    assert compared_at(hosted) is None
    follower(hosted).look()
    assert compared_at(hosted) is None  # that is due in a day
    a_day_later(database_url)
    follower(hosted).look()
    assert compared_at(hosted) is not None
    assert hosted.ledger.search.upkeep.standing(hosted.project)[0].reconciled_at is None


def test_comparing_by_hand_is_noted_too(hosted: Searched) -> None:
    hosted.ledger.search.upkeep.reconcile(hosted.project)
    assert None not in {
        one.reconciled_at for one in hosted.ledger.search.upkeep.standing(hosted.project)
    }


def test_one_of_several_processes_compares(hosted: Searched, database_url: str) -> None:
    _, remote = hosted.ledger.index_jobs.indexings
    a_day_later(database_url)
    assert remote.state.claim_reconcile(LEASE_SECONDS) == hosted.project
    assert remote.state.claim_reconcile(LEASE_SECONDS) is None


def test_who_could_not_compare_is_followed_by_another_within_the_hour(
    hosted: Searched, upstash: UpstashDouble, database_url: str
) -> None:
    empty(upstash)
    a_day_later(database_url)
    upstash.faults[:] = [Fault(status=503, operation="range")] * 3
    follower(hosted).look()
    assert compared_at(hosted) is None
    execute(
        database_url,
        "UPDATE search_project SET reconcile_due_at = reconcile_due_at - interval '61 minutes'",
    )
    follower(hosted).look()
    assert compared_at(hosted) is not None
    hosted.index()
    assert hosted.keys("zebra") == ["main"]


class Meanwhile:
    """An index that gets something new while it is listed."""

    def __init__(self, hosted: Searched) -> None:
        self._hosted = hosted
        self._index = index_of(hosted)

    def inventory(self, project: str) -> Iterator[tuple[str, int, int]]:
        self._hosted.write("late", "The okapi.\n")
        self._hosted.index()
        yield from self._index.inventory(project)

    def drop(self, project: str, sources: Sequence[str]) -> None:
        self._index.drop(project, sources)


def test_what_is_indexed_while_an_index_is_compared_stays(hosted: Searched) -> None:
    _, remote = hosted.ledger.index_jobs.indexings
    found = reconcile(remote.state, Meanwhile(hosted), hosted.project)
    assert (found.missing, found.stale) == (0, 0)
    assert hosted.keys("okapi", "lexical") == ["late"]


def test_who_writes_what_is_taken_away_at_that_moment_has_to_write_it_again(
    hosted: Searched,
) -> None:
    _, remote = hosted.ledger.index_jobs.indexings
    hosted.write("main", "The giraffe.\n")
    remote.state.note_all()
    [claim] = remote.state.claim(1)
    index_of(hosted).drop(hosted.project, [claim.source])
    remote.state.want_again(hosted.project, [claim.source])
    assert not remote.state.synced(claim, 1, cut=False, model="hosted")
    hosted.index()
    assert hosted.ask("giraffe").backend == "upstash"
    assert hosted.keys("giraffe") == ["main"]


def test_vectors_of_two_models_are_never_compared(hosted: Searched, database_url: str) -> None:
    assert hosted.ask("zebra").backend == "upstash"
    execute(database_url, OTHER_MODEL)
    for text in ("zebra", "giraffe"):
        answer = hosted.ask(text)
        assert (answer.backend, answer.degraded) == ("postgres", True)
    assert hosted.ask("zebra", "lexical").backend == "upstash"  # words are words
    follower(hosted).look()
    assert hosted.ask("zebra").backend == "postgres"
    hosted.index()
    answer = hosted.ask("zebra")
    assert (answer.backend, answer.degraded) == ("upstash", False)


def test_without_a_fallback_it_is_said_what_the_index_waits_for(
    hosted: Searched, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted.ledger.search, "_falls_back", False)
    execute(database_url, OTHER_MODEL)
    with pytest.raises(Unavailable, match="vectors of another model") as caught:
        hosted.ask("zebra")
    assert caught.value.code == "search-unavailable"


def test_indexing_anew_does_not_forget_whose_vectors_are_there(
    hosted: Searched, database_url: str
) -> None:
    execute(database_url, OTHER_MODEL)
    hosted.ledger.search.upkeep.reindex(hosted.project)
    assert hosted.ask("zebra").backend == "postgres"
    hosted.index()
    assert hosted.ask("zebra").backend == "upstash"


def test_what_another_process_fills_with_another_model_is_noticed_within_a_day(
    hosted: Searched, database_url: str
) -> None:
    runs = follower(hosted)
    runs.look()
    execute(database_url, OTHER_MODEL)
    runs.look()
    hosted.index()
    assert hosted.ask("zebra").backend == "postgres"  # it may be on its way out, and is not fought
    a_day_later(database_url)
    runs.look()
    hosted.index()
    assert hosted.ask("zebra").backend == "upstash"


def test_a_source_that_was_given_up_is_filled_anew_as_well(
    hosted: Searched, database_url: str
) -> None:
    execute(database_url, OTHER_MODEL.replace("SET", "SET state = 'failed',"))
    follower(hosted).look()
    hosted.index()
    assert hosted.ask("zebra").backend == "upstash"


@pytest.fixture
def nobody(hosted: Searched, database_url: str) -> Iterator[httpx2.Client]:
    with serve_ledger(hosted.ledger, database_url) as served, served.client("") as client:
        yield client


def degraded(hosted: Searched, nobody: httpx2.Client) -> list[str]:
    """What somebody without a token is told; the ledger is ready all the same."""
    answer = nobody.get("/readyz")
    assert answer.status_code == 200
    assert hosted.project not in answer.text
    ready = msgspec.json.decode(answer.content)
    assert ready["status"] == "ready"
    reasons: list[str] = ready["search_degraded"]
    return reasons


def test_a_ledger_whose_search_is_degraded_is_ready_and_says_why(
    hosted: Searched, upstash: UpstashDouble, database_url: str, nobody: httpx2.Client
) -> None:
    assert degraded(hosted, nobody) == []
    _, remote = hosted.ledger.index_jobs.indexings
    hosted.write("main", "The giraffe.\n")
    upstash.faults[:] = [Fault(status=401, error="Unauthorized")]
    remote.state.note_all()
    assert degraded(hosted, nobody) == []  # what has only just come is no trouble
    remote.bring(remote.state.claim(1)[0])
    shut_out, waiting = degraded(hosted, nobody)
    assert "UPSTASH_VECTOR_REST_TOKEN" in shut_out
    assert waiting.startswith("1 sources could not be indexed yet (upstash)")
    execute(
        database_url,
        "UPDATE search_state SET state = 'failed' WHERE state = 'pending' AND problem <> ''",
    )
    assert degraded(hosted, nobody)[-1].startswith("1 sources could not be indexed (upstash)")
    hosted.ledger.search.upkeep.retry(hosted.project)
    hosted.index()
    assert degraded(hosted, nobody) == []
    execute(database_url, OTHER_MODEL)
    assert degraded(hosted, nobody) == [
        "the hosted index still has vectors of another model, and is filled anew"
    ]


def test_an_index_that_does_not_answer_is_a_reason_until_it_does(
    hosted: Searched, upstash: UpstashDouble, nobody: httpx2.Client
) -> None:
    upstash.faults[:] = [Fault(status=503)] * 5
    for _ in range(5):
        hosted.ask("zebra")
    assert degraded(hosted, nobody) == ["the hosted index fails again and again"]
