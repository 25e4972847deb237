"""The time slider of the pages: what it tells, where it leads, and the figure above it."""

import random
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from app.bootstrap import open_ledger
from app.door import EventInput
from app.settings import Settings
from domain.times import format_time, parse_time
from projections.activity import BARS, HIGHEST, LOWEST, Moment, activity, sampled_positions
from tests.ledger_samples import another_database
from tests.serving import Served, serve_ledger
from tests.web_reader import WebReader

FIRST = datetime(2026, 11, 1, 10, tzinfo=UTC)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = FIRST

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def served(postgres_server: str, template_database: str, clock: Clock) -> Iterator[Served]:
    """A project that is open to guests: opened on 1 November, written to on the 3rd and the 20th."""
    with (
        another_database(postgres_server, template_database) as url,
        open_ledger(
            Settings(
                database_url=url,
                deedbook_host="ledger.example",
                deedbook_embedder="none",
                deedbook_guest_projects="alpha,solo",
            ),
            url,
            clock=clock,
        ) as ledger,
        serve_ledger(ledger, url) as running,
    ):
        ledger.create_project("alpha", title="Alpha", actor="ada")
        for day, texts in (2, ("one", "two")), (19, ("three",)):
            clock.now = FIRST + timedelta(days=day)
            for text in texts:
                ledger.write_artifact("alpha", "PRD", "main", text.encode(), actor="ada")
        yield running


@pytest.fixture
def reader(served: Served) -> WebReader:
    return WebReader(served)


def leads_to(reader: WebReader, day: str, to: str = "/p/alpha") -> str:
    answer = reader.get(f"/p/alpha/on?day={day}&to={to}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def test_it_tells_position_time_and_what_happened_there(reader: WebReader) -> None:
    page = unescape(reader.get("/p/alpha?at=2").text)
    assert "As it stood at" in page
    assert '<output id="at-position" for="at">2</output>' in page
    assert 'datetime="2026-11-03T10:00:00.000000Z"' in page
    assert "PRD/main version 1: wrote 3 bytes" in page
    now = unescape(reader.get("/p/alpha").text)
    assert "Now, at" in now
    assert "PRD/main version 3: wrote 5 bytes" in now


def test_moving_in_time_keeps_the_page_and_its_filters(reader: WebReader) -> None:
    page = unescape(reader.get("/p/alpha/trail?type=ArtifactWritten&at=3").text)
    form = page.partition('id="time"')[0].rpartition("<form")[2]
    assert 'action="/p/alpha/trail"' in form
    assert '<input type="hidden" name="type" value="ArtifactWritten">' in page
    assert 'name="actor" value=""' not in page.partition("</form>")[0]
    for rel, path in (
        ("prev", "/p/alpha/trail?type=ArtifactWritten&at=2"),
        ("next", "/p/alpha/trail?type=ArtifactWritten&at=4"),
    ):
        assert f'<a href="{path}" rel="{rel}"' in page
    assert 'class="now" href="/p/alpha/trail?type=ArtifactWritten"' in page
    assert '<input type="hidden" name="to" value="/p/alpha/trail?type=ArtifactWritten">' in page


def test_a_day_leads_to_its_last_event(reader: WebReader) -> None:
    for day, location in (
        ("2026-10-31", "/p/alpha?at=1"),  # before everything: the beginning
        ("2026-11-01", "/p/alpha?at=1"),
        ("2026-11-02", "/p/alpha?at=1"),
        ("2026-11-03", "/p/alpha?at=3"),
        ("2026-11-19", "/p/alpha?at=3"),
        ("2026-11-20", "/p/alpha"),  # the newest is now
        ("2027-01-01", "/p/alpha"),
    ):
        assert leads_to(reader, day) == location


def test_a_day_keeps_the_page_and_its_other_parameters(reader: WebReader) -> None:
    to = "/p/alpha/trail%3Ftype%3DArtifactWritten%26at%3D1"
    assert leads_to(reader, "2026-11-03", to) == "/p/alpha/trail?type=ArtifactWritten&at=3"
    assert leads_to(reader, "2026-12-03", to) == "/p/alpha/trail?type=ArtifactWritten"


@pytest.mark.parametrize(
    "to",
    ["", "//evil.example", "https://evil.example/p/alpha", "/p/alphabet", "/p/beta", "/sign-out",
     "javascript:alert(1)", "/p/alpha%0d%0aSet-Cookie:a", "/\\evil.example", "//[", "/p/alpha/%C3%A6"],
)  # fmt: skip
def test_a_day_leads_to_pages_of_this_project_alone(reader: WebReader, to: str) -> None:
    assert leads_to(reader, "2026-11-03", to) == "/p/alpha?at=3"


@pytest.mark.parametrize("day", ["", "yesterday", "2026-02-30", "9999-12-31", "2026-11-03T10:00"])
def test_what_is_no_day_is_said(reader: WebReader, day: str) -> None:
    answer = reader.get(f"/p/alpha/on?day={day}")
    assert answer.status_code == 400
    assert "A day is written like 2026-11-03." in answer.text


def test_days_of_a_project_are_for_its_readers(served: Served, reader: WebReader) -> None:
    served.ledger.create_project("beta", title="Beta", actor="ada")
    answer = reader.get("/p/beta/on?day=2026-11-03")
    assert answer.headers["location"].startswith("/sign-in?")


def test_the_figure_has_a_bar_for_each_step_and_ends_at_the_position(reader: WebReader) -> None:
    page = reader.get("/p/alpha?at=3").text
    assert 'viewBox="0 0 30 24"' in page
    # 1 → 2 took two days, 2 → 3 no time, 3 → 4 seventeen days.
    [bars] = re.findall(r'id="time-bars" d="([^"]*)"', page)
    heights = [int(one) for one in re.findall(r"24v-(\d+)h", bars)]
    assert heights[1] == HIGHEST
    assert heights[2] == LOWEST
    assert LOWEST < heights[0] < HIGHEST
    assert '<rect id="at-until" width="20.0"' in page


def test_a_project_of_one_event_has_a_slider_that_does_not_move(
    served: Served, reader: WebReader
) -> None:
    served.ledger.create_project("solo", title="Solo", actor="ada")
    page = reader.get("/p/solo")
    assert page.status_code == 200
    [slider] = re.findall(r'<input type="range"[^>]*>', page.text)
    assert slider.endswith(" disabled>")
    assert 'id="time-bars" d=""' in page.text


def test_a_position_is_found_by_its_time_as_by_looking_at_each(
    served: Served, clock: Clock
) -> None:
    events, chance = served.ledger.events, random.Random(7)
    served.ledger.create_project("many", title="Many", actor="ada")
    for number in range(60):
        clock.now += timedelta(seconds=chance.choice([0, 0, 1, 3_600]))
        served.ledger.append(
            "many",
            [
                EventInput(
                    stream=f"run/r{number}-{one}", type="RunCreated", data={"title": "A run"}
                )
                for one in range(chance.randint(1, 9))
            ],
            actor="ada",
        )
    size = served.ledger.position("many", None)
    every = [parse_time(one.time) for one in events.moments("many", range(1, size + 1))]
    assert len(every) == size > 200
    for upto in (size, size - 1, 130, 65, 64, 2, 1, 0):
        for time in {*every[::5], every[0], every[-1] + timedelta(seconds=1)}:
            expected = sum(one < time for one in every[:upto])
            assert events.position_before("many", time, upto) == expected


def test_samples_go_from_the_first_to_the_newest() -> None:
    for size in (2, 3, 59, 60, 61, 62, 617, 10**6):
        sampled = sampled_positions(size)
        assert (sampled[0], sampled[-1]) == (1, size)
        assert len(sampled) == len(set(sampled)) == min(BARS, size - 1) + 1
        assert list(sampled) == sorted(sampled)


def test_a_bar_is_taller_where_events_came_quicker() -> None:
    times = [FIRST, FIRST + timedelta(days=9), FIRST + timedelta(days=9, seconds=1)]
    moments = [Moment(1 + 10 * one, format_time(time)) for one, time in enumerate(times)]
    found = activity(moments)
    assert found.bars == (LOWEST, HIGHEST)
    assert (found.first_day, found.last_day) == ("2026-11-01", "2026-11-10")
    hours = [format_time(FIRST + timedelta(hours=one)) for one in range(3)]
    more = activity([Moment(1, hours[0]), Moment(2, hours[1]), Moment(12, hours[2])])
    assert more.bars == (LOWEST, HIGHEST)
    # The same pace throughout is neither.
    steady = [Moment(1 + one, format_time(FIRST + timedelta(hours=one))) for one in range(4)]
    assert len(set(activity(steady).bars)) == 1
    assert LOWEST < activity(steady).bars[0] < HIGHEST
