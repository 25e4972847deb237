"""The trail on a screen while others write, on whichever process they write."""

import secrets
from collections.abc import Iterator

import httpx2
import pytest

from tests.browser.dropping_relay import dropping_relay
from tests.browser.screen import Place, Screen, Screens

pytestmark = pytest.mark.xdist_group("two servers")
NEWEST = "#trail .timeline > li >> nth=0"


@pytest.fixture
def http(two_servers: tuple[Place, Place]) -> Iterator[httpx2.Client]:
    """A program that writes through the first process."""
    with two_servers[0].client() as client:
        yield client


@pytest.fixture
def project(http: httpx2.Client) -> str:
    """A fresh one, at position 1."""
    slug = f"p-{secrets.token_hex(6)}"
    assert http.post("/v1/projects", json={"slug": slug, "title": "Live"}).status_code == 201
    return slug


def record(http: httpx2.Client, project: str, *keys: str, kind: str = "NOTE") -> None:
    events = [
        {
            "stream": f"artifact/{kind}/{key}",
            "type": "ArtifactWritten",
            "data": {"media_type": "text/markdown"},
            "content": f"# {key}\n",
        }
        for key in keys
    ]
    answer = http.post(f"/v1/projects/{project}/events", json={"events": events})
    assert answer.status_code == 201, answer.text


def positions(screen: Screen) -> list[int]:
    rows = screen.find("#trail .timeline > li")
    return [int(one.get_attribute("data-position") or "") for one in rows.all()]


def test_new_events_come_on_top_once_and_read_as_they_do_later(
    screens: Screens, two_servers: tuple[Place, Place], http: httpx2.Client, project: str
) -> None:
    viewers = [screens(place) for place in two_servers]
    for screen in viewers:
        screen.go(f"/p/{project}/trail")
        screen.expect("#live-state").to_contain_text("appear")
    record(http, project, "one")
    record(http, project, "two", "three")
    for screen in viewers:
        screen.expect(NEWEST).to_contain_text("NOTE/three")
        assert positions(screen) == [4, 3, 2, 1]
        came = [" ".join(text.split()) for text in screen.find("#trail li").all_inner_texts()]
        hrefs = "all => all.map(one => one.getAttribute('href'))"
        links = screen.find("#trail a").evaluate_all(hrefs)
        screen.go(f"/p/{project}/trail")
        assert came == [" ".join(one.split()) for one in screen.find("#trail li").all_inner_texts()]
        assert links == screen.find("#trail a").evaluate_all(hrefs)


def test_events_that_were_recorded_while_a_viewer_was_cut_off_come_later(
    screens: Screens, two_servers: tuple[Place, Place], http: httpx2.Client, project: str
) -> None:
    with dropping_relay(two_servers[1].url) as relay:
        screen = screens(Place(relay.url, two_servers[1].session))
        screen.go(f"/p/{project}/trail")
        screen.expect("#live-state").to_contain_text("appear")
        relay.refusing.set()
        relay.drop()
        record(http, project, "missed")
        relay.refusing.clear()
        screen.expect(NEWEST).to_contain_text("NOTE/missed")
        record(http, project, "later")
        screen.expect(NEWEST).to_contain_text("NOTE/later")
        assert positions(screen) == [3, 2, 1]
        screen.leave()


def test_whoever_reads_further_down_is_not_moved(
    screens: Screens, two_servers: tuple[Place, Place], http: httpx2.Client, project: str
) -> None:
    record(http, project, *(f"note-{number:02}" for number in range(40)))
    screen = screens(two_servers[1])
    screen.go(f"/p/{project}/trail")
    screen.expect("#live-state").to_contain_text("appear")
    screen.find("#trail li[data-position='5']").scroll_into_view_if_needed()
    record(http, project, "new")
    screen.expect("#fresh").to_have_text("1 new event")
    assert positions(screen)[0] == 41
    screen.expect("#trail li[data-position='5']").to_be_in_viewport()
    screen.find("#fresh").click()
    screen.expect(NEWEST).to_contain_text("NOTE/new")
    screen.expect(NEWEST).to_be_in_viewport()
    screen.expect("#fresh").to_be_hidden()


def test_a_filter_holds_for_what_comes(
    screens: Screens, two_servers: tuple[Place, Place], http: httpx2.Client, project: str
) -> None:
    record(http, project, "one")
    screen = screens(two_servers[0])
    screen.go(f"/p/{project}/trail?stream=artifact/NOTE/one")
    screen.expect("#live-state").to_contain_text("appear")
    record(http, project, "two")
    record(http, project, "one")
    screen.expect(NEWEST).to_contain_text("NOTE/one version 2")
    assert positions(screen) == [4, 2]


def test_the_past_does_not_move(
    screens: Screens, two_servers: tuple[Place, Place], http: httpx2.Client, project: str
) -> None:
    record(http, project, "one")
    past, now = screens(two_servers[0]), screens(two_servers[0])
    past.go(f"/p/{project}/trail?at=2")
    now.go(f"/p/{project}/trail")
    now.expect("#live-state").to_contain_text("appear")
    record(http, project, "two")
    now.expect(NEWEST).to_contain_text("NOTE/two")
    assert positions(past) == [2, 1]
    past.expect("#live").to_have_count(0)
