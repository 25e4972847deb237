"""The index follows the log beside a service, in threads that end with it, and each backend by itself."""

import threading
from collections.abc import Callable

import psycopg
import pytest

from adapters.search.embedder import EmbedderMissing
from app.bootstrap import open_ledger
from app.ledger import Ledger
from app.search.asked import Asked
from app.search.embedder_choice import choose_embedder
from app.settings import Settings
from domain.search import Answer
from tests.upstash_double.server import UpstashDouble

pytest_plugins = ["tests.upstash_running"]

SECONDS = 30.0
ACTOR = "user:ada"


def until(ledger: Ledger, holds: Callable[[], bool]) -> None:
    """Wait for the index, looking whenever something was committed, and now and then besides."""
    looks = threading.Event()
    for _ in range(int(SECONDS * 20)):
        if holds():
            return
        looks.wait(0.05)
    raise AssertionError(ledger.search.upkeep.standing())


def ask(ledger: Ledger, text: str, mode: str = "lexical") -> Answer:
    return ledger.search.search(Asked(projects=("alpha",), text=text, mode=mode))  # type: ignore[arg-type]


def test_what_is_committed_is_found_soon_and_gets_its_vectors(database_url: str) -> None:
    settings = Settings(database_url=database_url)
    with open_ledger(settings, database_url, serving=True) as ledger:
        ledger.create_project("alpha", title="A", actor=ACTOR)
        ledger.write_artifact("alpha", "PRD", "main", b"The zebra.\n", actor=ACTOR)
        until(ledger, lambda: len(ask(ledger, "zebra").hits) == 1)
        ledger.write_artifact("alpha", "PRD", "main", b"The giraffe.\n", actor=ACTOR)
        until(ledger, lambda: len(ask(ledger, "giraffe").hits) == 1)
        assert ask(ledger, "zebra").hits == ()
        if isinstance(choose_embedder(settings)(), EmbedderMissing):
            pytest.skip("the model is not here")
        until(ledger, lambda: not ask(ledger, "a tall animal", "semantic").warnings)
        assert len(ask(ledger, "a tall animal", "semantic").hits) == 1
    assert not [one for one in threading.enumerate() if one.name in {"search", "embedding"}]


def test_a_hosted_index_that_hangs_does_not_hold_up_the_one_in_postgres(
    database_url: str, upstash: UpstashDouble
) -> None:
    settings = Settings(
        database_url=database_url,
        deedbook_embedder="none",
        upstash_vector_rest_url=upstash.url("hybrid-embedding"),
        upstash_vector_rest_token=upstash.token("hybrid-embedding"),
    )
    with open_ledger(settings, database_url, serving=True) as ledger:
        upstash.released.clear()
        ledger.create_project("alpha", title="A", actor=ACTOR)
        ledger.write_artifact("alpha", "PRD", "main", b"The zebra.\n", actor=ACTOR)

        def local_is_there() -> bool:
            rows = ledger.search.upkeep.standing("alpha")
            return any(one.backend == "local" and one.indexed_position == 2 for one in rows)

        until(ledger, local_is_there)
        rows = {one.backend: one for one in ledger.search.upkeep.standing("alpha")}
        assert rows["upstash"].indexed_position < 2
        upstash.released.set()
        until(ledger, lambda: ask(ledger, "zebra").backend == "upstash")


def test_a_service_does_not_start_with_an_index_that_does_not_fit(
    database_url: str, upstash: UpstashDouble
) -> None:
    from domain.errors import Malformed

    settings = Settings(
        database_url=database_url,
        deedbook_embedder="none",
        upstash_vector_rest_url=upstash.url("dense"),
        upstash_vector_rest_token=upstash.token("dense"),
    )
    with (
        pytest.raises(Malformed, match="type Hybrid"),
        open_ledger(settings, database_url, serving=True),
    ):
        pass


def test_a_service_starts_while_its_index_is_away(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        database_url=database_url,
        deedbook_embedder="none",
        upstash_vector_rest_url="http://127.0.0.1:9/nothing",
        upstash_vector_rest_token="t",
    )
    with open_ledger(settings, database_url, serving=True) as ledger:
        ledger.create_project("alpha", title="A", actor=ACTOR)
        ledger.write_artifact("alpha", "PRD", "main", b"The zebra.\n", actor=ACTOR)

        def postgres_answers() -> bool:
            answer = ask(ledger, "zebra")
            assert answer.backend == "postgres"
            return len(answer.hits) == 1

        until(ledger, postgres_answers)
    assert "cannot be reached" in caplog.text


def with_hosted_index(database_url: str, upstash: UpstashDouble) -> Settings:
    return Settings(
        database_url=database_url,
        deedbook_embedder="none",
        upstash_vector_rest_url=upstash.url("hybrid-embedding"),
        upstash_vector_rest_token=upstash.token("hybrid-embedding"),
    )


def execute(database_url: str, statement: str) -> int:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(statement.encode()).rowcount


def test_what_a_hosted_index_lost_is_noticed_within_a_day(
    database_url: str, upstash: UpstashDouble, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_hosted_index(database_url, upstash)
    with open_ledger(settings, database_url, serving=True) as ledger:
        ledger.create_project("alpha", title="A", actor=ACTOR)
        ledger.write_artifact("alpha", "PRD", "main", b"The zebra.\n", actor=ACTOR)
        until(ledger, lambda: len(ask(ledger, "zebra").hits) == 1)
        until(ledger, lambda: ask(ledger, "zebra").backend == "upstash")
    space = upstash.indexes["hybrid-embedding"].spaces["project:alpha:artifacts"]
    held = len(space)
    assert held
    space.clear()
    with open_ledger(settings, database_url, serving=True) as ledger:
        assert ask(ledger, "zebra").hits == ()  # compared less than a day ago
    changed = execute(
        database_url,
        "UPDATE search_project SET reconcile_due_at = now() WHERE backend = 'upstash'",
    )
    assert changed == 1
    with open_ledger(settings, database_url, serving=True) as ledger:
        until(ledger, lambda: len(ask(ledger, "zebra").hits) == 1)
    assert len(space) == held
    assert "lacked 1 sources of alpha" in caplog.text


def test_vectors_of_another_model_are_made_anew(
    database_url: str, upstash: UpstashDouble, caplog: pytest.LogCaptureFixture
) -> None:
    settings = with_hosted_index(database_url, upstash)
    with open_ledger(settings, database_url, serving=True) as ledger:
        ledger.create_project("alpha", title="A", actor=ACTOR)
        ledger.write_artifact("alpha", "PRD", "main", b"The zebra.\n", actor=ACTOR)
        until(ledger, lambda: ask(ledger, "zebra").backend == "upstash")
        until(ledger, lambda: len(ask(ledger, "zebra").hits) == 1)
    assert "another model" not in caplog.text
    other = "UPDATE search_state SET model = 'client-vector other' WHERE backend = 'upstash' AND chunks > 0"
    count = execute(database_url, other)
    assert count
    with open_ledger(settings, database_url, serving=True) as ledger:
        until(ledger, lambda: "another model" in caplog.text)
        until(ledger, lambda: all(one.pending == 0 for one in ledger.search.upkeep.standing()))
    again = other.replace("SET model = 'client-vector other'", "SET model = model").replace(
        "AND chunks", "AND model = 'hosted' AND chunks"
    )
    assert execute(database_url, again) == count


def test_how_far_an_index_is_behind_is_told_in_seconds(database_url: str) -> None:
    settings = Settings(database_url=database_url, deedbook_embedder="none")
    with open_ledger(settings, database_url) as ledger:
        ledger.create_project("alpha", title="A", actor=ACTOR)
        ledger.write_artifact("alpha", "PRD", "main", b"The zebra.\n", actor=ACTOR)
        [behind] = ledger.search.upkeep.standing("alpha")
        while ledger.index_jobs.catch_up():
            pass
        [level] = ledger.search.upkeep.standing("alpha")
        assert (behind.indexed_position, level.indexed_position) == (0, 2)
        assert behind.lag_seconds > 0
        assert level.lag_seconds == 0
