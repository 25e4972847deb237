"""Signing in and out as a person does, and what another site cannot do in that person's browser."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.browser.screen import Place, Screen, Screens, session_at
from tests.serving import Served

if TYPE_CHECKING:
    from playwright.sync_api import Route

REFUSED = "status of 401"


@pytest.fixture
def stranger(served: Served) -> Place:
    """The ledger, with nobody signed in."""
    return Place(served.url)


def link(served: Served) -> str:
    with served.client() as http:
        made = http.post("/v1/sign-in-links")
    assert made.status_code == 201, made.text
    return str(made.json()["path"])


def sign_out(screen: Screen) -> None:
    screen.page.get_by_role("button", name="Sign out").click()
    screen.page.wait_for_url("**/sign-in")


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_token_signs_in_and_leads_to_the_page_that_was_asked_for(
    screens: Screens, stranger: Place, served: Served, project: str, scripts: bool
) -> None:
    screen = screens(stranger, scripts=scripts)
    screen.go(f"/p/{project}?at=1")
    assert urlsplit(screen.page.url).path == "/sign-in"
    screen.page.get_by_label("API token").fill(served.token)
    screen.page.get_by_role("button", name="Sign in").click()
    screen.page.wait_for_url(f"**/p/{project}?at=1")
    assert screen.find("h1").inner_text() == "A project"
    sign_out(screen)
    screen.go(f"/p/{project}")
    assert urlsplit(screen.page.url).path == "/sign-in"


def test_no_script_sees_the_session(screens: Screens, place: Place) -> None:
    screen = screens(place)
    screen.go("/")
    assert screen.find("text=Sign out").count() == 1
    assert screen.page.evaluate("document.cookie") == ""


def test_a_wrong_token_is_answered_with_a_sentence(screens: Screens, stranger: Place) -> None:
    screen = screens(stranger)
    screen.go("/sign-in")
    screen.page.get_by_label("API token").fill("dbk_wrong")
    screen.page.get_by_role("button", name="Sign in").click()
    assert "not known" in screen.page.get_by_role("alert").inner_text()
    screen.forgive(REFUSED)


def test_a_link_signs_in_once(screens: Screens, stranger: Place, served: Served) -> None:
    path = link(served)
    first, second = screens(stranger), screens(stranger)
    for screen in (first, second):  # looking uses nothing up
        screen.go(path)
    first.page.get_by_role("button", name="Sign in").click()
    first.page.wait_for_url(f"{stranger.url}/")
    second.page.get_by_role("button", name="Sign in").click()
    second.page.get_by_role("alert").wait_for()
    second.forgive(REFUSED)
    second.go(path, 401)
    second.forgive(REFUSED)


def test_another_site_can_send_no_form(screens: Screens, served: Served) -> None:
    """It stands on a page at another address, in the browser of somebody who is signed in."""
    session = session_at(served.url, served.token)
    screen = screens(Place(served.url, session))
    elsewhere = served.url.replace("127.0.0.1", "localhost")

    def lure(route: "Route") -> None:
        form = f"<form method=post action={served.url}/sign-out><button>A kitten</button></form>"
        route.fulfill(body=form, content_type="text/html")

    screen.page.route(f"{elsewhere}/kitten", lure)
    screen.page.goto(f"{elsewhere}/kitten")
    screen.page.get_by_role("button").click()
    screen.page.get_by_role("alert").wait_for()
    assert screen.page.url == f"{served.url}/sign-out"
    screen.forgive("status of 403", f"foreign request: {elsewhere}/kitten")
    screen.go("/")
    assert screen.find("text=Sign out").count() == 1


def test_no_page_can_be_framed(screens: Screens, place: Place) -> None:
    screen = screens(place)

    def frame(route: "Route") -> None:
        route.fulfill(body=f"<iframe src={place.url}/></iframe>", content_type="text/html")

    screen.page.route("**/frame", frame)
    screen.go("/frame")
    screen.forgive("frame-ancestors")
    assert "Projects" not in (screen.page.frames[-1].content())


def test_one_browser_ends_the_session_of_another(screens: Screens, served: Served) -> None:
    token = served.limited("events:read")
    here, there = (Place(served.url, session_at(served.url, token)) for _ in range(2))
    mine, other = screens(here), screens(there)
    other.go("/sessions")
    mine.go("/sessions")
    rows = mine.find(".rows > li").filter(has_not=mine.page.get_by_text("this browser"))
    assert rows.count() == 1
    rows.get_by_role("button", name="End it").click()
    mine.page.wait_for_url("**/sessions")
    assert mine.find(".rows > li").count() == 1
    other.go("/sessions")
    assert urlsplit(other.page.url).path == "/sign-in"
