"""The trail's page: who did what and when, by day, filtered and paged, at any position."""

import re
from html import unescape
from pathlib import Path

import httpx2
import pytest

import app.web
from app.web.trail import EVENTS, day_in_words
from domain.events import EVENT_TYPES
from projections.timeline import WORDS, tone_of
from tests.serving import Served
from tests.web_reader import WebReader


@pytest.fixture
def reader(served: Served) -> WebReader:
    return WebReader(served, served.token)


def write(http: httpx2.Client, project: str, key: str = "main", **more: object) -> None:
    made = http.post(
        f"/v1/projects/{project}/artifacts/PRD/{key}/versions", json={"content": "a\n", **more}
    )
    assert made.status_code == 201, made.text


def record(http: httpx2.Client, project: str, kind: str, **data: object) -> None:
    event = {"stream": "run/r1", "type": kind, "data": data}
    made = http.post(f"/v1/projects/{project}/events", json={"events": [event]})
    assert made.status_code == 201, made.text


def rows(page: str) -> list[str]:
    """The events on a page, as they are written there."""
    shown = page.partition('<div id="trail"')[2].partition("</div>")[0]
    return re.findall(r'<li class="[a-z]+" data-position.*?</li>', shown, re.DOTALL)


def positions(page: str) -> list[int]:
    return [int(one) for row in rows(page) for one in re.findall(r'data-position="(\d+)"', row)]


def links(page: str, rel: str) -> list[str]:
    """Where a page leads to older or newer events."""
    shown = page.partition("<main")[2]
    return [unescape(one) for one in re.findall(rf'<a rel="{rel}" href="([^"]*)"', shown)]


def test_each_event_is_a_sentence_that_leads_to_it_and_to_its_thing(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project, "a b")
    write(http, project, "a b", title="Second")
    record(http, project, "RunCreated", title="First run")
    page = reader.get(f"/p/{project}/trail").text
    assert positions(page) == [4, 3, 2, 1]
    run, second, _, opened = map(unescape, rows(page))
    assert f'<a class="thing" href="/p/{project}/runs/r1">run r1</a>' in run
    assert f'<a class="said" href="/p/{project}/events/4">created “First run”</a>' in run
    assert f'href="/p/{project}/artifacts/PRD/a%20b?version=2">PRD/a b version 2</a>' in second
    assert "wrote “Second”, 2 bytes" in second
    assert ">ArtifactWritten</a>" in second
    assert ">token:admin</a>" in second
    assert "opened the project “A project”" in opened
    assert 'class="thing"' not in opened


def test_events_stand_below_their_day(http: httpx2.Client, project: str, reader: WebReader) -> None:
    write(http, project)
    page = reader.get(f"/p/{project}/trail").text
    day = http.get(f"/v1/projects/{project}/trail").json()["items"][0]["time"][:10]
    assert f'<time datetime="{day}">{day_in_words(day)}</time>' in page
    assert day_in_words("2026-11-03") == "Tuesday, 3 November 2026"


def test_good_and_bad_news_can_be_told_apart(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    record(http, project, "RunCreated", title="First run")
    record(http, project, "RunStarted")
    record(http, project, "VerificationRecorded", result="FAILED", name="tests")
    record(http, project, "VerificationRecorded", result="PASSED", name="tests")
    record(http, project, "ApprovalRequested", approval="a1", scope="deploy", intent="ship it")
    tones = [row.split('"')[1] for row in rows(reader.get(f"/p/{project}/trail").text)]
    assert tones == ["warn", "good", "bad", "neutral", "neutral", "neutral"]


def test_new_events_have_the_tones_of_the_others() -> None:
    """The script judges by the same words as the page."""
    script = Path(app.web.__file__).parent.joinpath("static/trail.js").read_text("utf-8")
    table = script.partition("const TONES = {")[2].partition("}")[0]
    assert dict(re.findall(r'(\w+): "(\w+)"', table)) == WORDS
    warned = script.partition("const WARNED = [")[2].partition("]")[0]
    for name, kind in EVENT_TYPES.items():
        if name in warned:
            given = dict.fromkeys(kind.__struct_fields__, "")
            assert tone_of(kind(**given)) == "warn"


def test_an_erasure_leads_to_what_was_erased(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project)
    target = {"kind": "PRD", "key": "main"}
    shown = http.post(f"/v1/projects/{project}/erasures/preview", json=target).json()
    erasure = {**target, "reason": "leaked: twice", "confirm": shown["confirm"] or ""}
    assert http.post(f"/v1/projects/{project}/erasures", json=erasure).status_code == 201
    row = rows(reader.get(f"/p/{project}/trail?type=ArtifactErased").text)[0]
    assert f'href="/p/{project}/artifacts/PRD/main?version=1">erased artifact/PRD/main' in row
    assert ">leaked: twice</a>" in row


def test_filters_choose_and_stay(http: httpx2.Client, project: str, reader: WebReader) -> None:
    write(http, project)
    record(http, project, "RunCreated", title="First run")
    record(http, project, "RunStarted")
    path = f"/p/{project}/trail"
    assert positions(reader.get(f"{path}?stream=run/r1").text) == [4, 3]
    assert positions(reader.get(f"{path}?actor=token:admin").text) == [4, 3, 2, 1]
    page = reader.get(f"{path}?type=RunStarted&actor=&stream=").text
    assert positions(page) == [4]
    assert "<option selected>RunStarted</option>" in page
    assert unescape(page).count(f'href="{path}?type=RunStarted&actor=token%3Aadmin"') == 1
    assert f'href="{path}">Show all</a>' in page
    nothing = reader.get(f"{path}?actor=user:nobody").text
    assert positions(nothing) == []
    assert "No event fits" in nothing
    assert 'value="user:nobody"' in nothing


def test_every_event_is_on_one_page_whichever_way_one_goes(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    events = [
        {"stream": f"run/r{number}", "type": "RunCreated", "data": {"title": "A run"}}
        for number in range(2 * EVENTS + 20)
    ]
    assert http.post(f"/v1/projects/{project}/events", json={"events": events}).status_code == 201
    size = len(events) + 1
    path, seen = f"/p/{project}/trail?actor=token:admin", []
    older: list[str] = []
    page = reader.get(path).text
    assert links(page, "prev") == []
    for _ in range(3):
        assert len(positions(page)) <= EVENTS
        seen += positions(page)
        if older := links(page, "next"):
            assert "actor=token%3Aadmin" in older[0]
            page = reader.get(older[0]).text
    assert older == []
    assert seen == list(range(size, 0, -1))
    back = [positions(page)]
    for _ in range(2):
        [newer] = links(page, "prev")
        page = reader.get(newer).text
        assert positions(page) == sorted(positions(page), reverse=True)
        assert len(links(page, "next")) == 1
        back.append(positions(page))
    assert links(page, "prev") == []
    assert [one for each in reversed(back) for one in each] == seen
    assert links(reader.get(f"/p/{project}/trail?before=1").text, "next") == []


def test_at_a_position_nothing_later_is_shown_and_links_stay_there(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project)
    write(http, project)
    page = unescape(reader.get(f"/p/{project}/trail?at=2").text)
    assert positions(page) == [2, 1]
    for path in (
        f"/p/{project}/events/2?at=2",
        f"/p/{project}/artifacts/PRD/main?version=1&at=2",
        f"/p/{project}/trail?type=ArtifactWritten&at=2",
    ):
        assert f'href="{path}"' in page
    assert '<input type="hidden" name="at" value="2">' in page
    newer = reader.get(f"/p/{project}/trail?at=2&after=1").text
    assert positions(newer) == [2]


def test_only_the_newest_page_of_the_present_is_live(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project)
    page = reader.get(f"/p/{project}/trail?type=ArtifactWritten").text
    assert f'data-project="{project}" data-after="2"' in page
    assert 'data-type="ArtifactWritten"' in page
    assert 'data-actor=""' in page
    assert 'role="status"' in page
    assert "/static/trail.js" in page
    for query in ("at=2", "before=2", "after=1"):
        still = reader.get(f"/p/{project}/trail?{query}").text
        assert "/static/trail.js" not in still, query
        assert "data-after" not in still


def test_a_row_that_a_script_fills_is_like_the_others(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    write(http, project)
    page = reader.get(f"/p/{project}/trail").text
    [sample] = re.findall(r'<template id="event-row">(.*?)</template>', page, re.DOTALL)
    parts = re.compile(r'<(\w+) (?:class="(\w+)")?')
    assert parts.findall(sample) == parts.findall(rows(page)[0])


def test_what_is_written_is_text_and_never_markup(
    http: httpx2.Client, project: str, reader: WebReader
) -> None:
    hostile = '"><script>alert(1)</script>'
    write(http, project, "<img src=x>", title=hostile)
    for query in ("", "?actor=%22%3E%3Cscript%3E", "?stream=%22%3E%3Cscript%3E"):
        page = reader.get(f"/p/{project}/trail{query}").text
        assert "<script>" not in page
        assert "<img" not in page


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("type=Nonsense", 400, "No event is of a type"),
        ("before=5&after=2", 400, "not both"),
        ("before=x", 400, "before"),
        ("at=9", 404, "9"),
        ("colour=red", 400, "colour"),
    ],
)
def test_what_is_not_asked_rightly_is_said(
    project: str, reader: WebReader, query: str, status: int, said: str
) -> None:
    answer = reader.get(f"/p/{project}/trail?{query}")
    assert answer.status_code == status
    assert said in answer.text


def test_a_trail_is_for_the_projects_readers(served: Served, project: str) -> None:
    path = f"/p/{project}/trail"
    assert WebReader(served).get(path).headers["location"].startswith("/sign-in?next=")
    stranger = WebReader(served, served.limited("events:read", projects=("another",)))
    assert stranger.get(path).status_code == 403
    assert WebReader(served, served.token).get("/p/nowhere/trail").status_code == 404
