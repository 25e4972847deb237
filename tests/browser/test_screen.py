"""The watching itself: a page that does what pages must not is noticed, so silence means something."""

from typing import TYPE_CHECKING

import pytest

from tests.browser.screen import Place, Screen, Screens

if TYPE_CHECKING:
    from playwright.sync_api import Route

HARM = {
    "a script": ("<script>alert(1)</script>", "dialog: 1"),
    "a handler": ("<img src=/static/none onerror=alert(2)>", "dialog: 2"),
    "an error": ("<script>throw new Error('three')</script>", "error: three"),
    "a picture": ("<img src=http://foreign.example/4.png>", "foreign request: http://foreign"),
    "a style": ("<link rel=stylesheet href=//foreign.example/5.css>", "foreign request: http:"),
}


def changed(screen: Screen, html: str, *, guarded: bool) -> None:
    """Load the page of signing in with something of a stranger's in it, with its policy or without."""

    def answer(route: "Route") -> None:
        fetched = route.fetch()
        headers = fetched.headers
        if not guarded:
            del headers["content-security-policy"]
        body = fetched.text().replace("</main>", f"{html}</main>")
        route.fulfill(response=fetched, headers=headers, body=body)

    screen.page.route("**/sign-in", answer)
    screen.page.route("http://foreign.example/**", lambda route: route.abort())
    screen.go("/sign-in")


@pytest.mark.parametrize(("html", "complaint"), HARM.values(), ids=HARM)
def test_harm_is_seen_where_no_policy_stops_it(
    screens: Screens, place: Place, html: str, complaint: str
) -> None:
    screen = screens(Place(place.url))
    changed(screen, html, guarded=False)
    screen.forgive(complaint)
    screen.complaints.clear()  # what failed to load is told beside it


@pytest.mark.parametrize("html", [html for html, _ in HARM.values()], ids=HARM)
def test_the_policy_stops_it_and_says_so(screens: Screens, place: Place, html: str) -> None:
    screen = screens(Place(place.url))
    changed(screen, html, guarded=True)
    screen.forgive("securitypolicyviolation")
    assert not [one for one in screen.heard() if one.startswith(("dialog", "error", "foreign"))]
    screen.complaints.clear()
