"""Every page on a filled ledger: for everybody, in light and dark, on a narrow screen, without scripts, and light."""

import re

import pytest

from app.application import PAGES
from tests.browser.axe import violations
from tests.browser.sample_ledger import DRAFT, KEY, KIND, PROJECT
from tests.browser.screen import NARROW, Place, Screens

MAX_BYTES = 100_000
"""Of a page with its sheet and scripts; ours has little content."""

ALPHA, DOCUMENT = f"/p/{PROJECT}", f"/p/{PROJECT}/artifacts/{KIND}/{KEY}"
ARTIFACT = "/p/{project}/artifacts/{kind}/{key}"
SHOWN = {
    "/": "/",
    "/sign-in": "/sign-in",
    "/sessions": "/sessions",
    "/search": "/search?q=whole",
    "/verify": "/verify",
    "/p/{project}": ALPHA,
    "/p/{project}/trail": f"{ALPHA}/trail",
    "/p/{project}/search": f"{ALPHA}/search?q=whole",
    "/p/{project}/runs": f"{ALPHA}/runs",
    "/p/{project}/runs/{run}": f"{ALPHA}/runs/r1",
    "/p/{project}/runs/{run}/transcripts/{position}": f"{ALPHA}/runs/r1/transcripts/23",
    "/p/{project}/exports": f"{ALPHA}/exports",
    "/p/{project}/events/{position}": f"{ALPHA}/events/3",
    ARTIFACT: DOCUMENT,
    f"{ARTIFACT}/diff": f"{DOCUMENT}/diff?from=1&to=2",
    f"{ARTIFACT}/drafts/{{draft}}": f"/p/{PROJECT}/artifacts/{KIND}/draft/drafts/{DRAFT}",
}
"""A path to look at for each page."""
MORE = {
    "project at a position": f"{ALPHA}?at=3",
    "project with one event": f"{ALPHA}?at=1",
    "small project": "/p/beta",
    "trail at a position": f"{ALPHA}/trail?at=5",
    "trail of nobody": f"{ALPHA}/trail?actor=user:nobody",
    "search for nothing": f"{ALPHA}/search",
    "search without a result": "/search?q=zyxwvut",
    "runs of a small project": "/p/beta/runs",
    "another run": f"{ALPHA}/runs/r2",
    "run at a position": f"{ALPHA}/runs/r1?at=20",
    "first event": f"{ALPHA}/events/1",
    "first version": f"{DOCUMENT}?version=1",
    "version at a position": f"{ALPHA}/artifacts/PRD/main?at=2",
    "cited version": f"{ALPHA}/artifacts/PRD/main",
    "hostile version": f"{ALPHA}/artifacts/{KIND}/hostile",
    "erased version": f"{ALPHA}/artifacts/NOTE/secret",
    "empty version": f"{ALPHA}/artifacts/NOTE/empty",
    "picture": f"{ALPHA}/artifacts/NOTE/large",
}
"""More looks at the same pages."""
NOT_SEEN = {
    "/sign-in/done": "sends the reader on, unless the browser keeps no cookie",
    "/p/{project}/on": "sends the reader to the position at the end of a day",
}
LOOKS = SHOWN | MORE


def test_every_page_that_is_served_is_looked_at() -> None:
    served = {page.path for topic in PAGES for page in topic.all if page.method == "GET"}
    assert served == SHOWN.keys() | NOT_SEEN.keys()


@pytest.mark.parametrize(("name", "path"), LOOKS.items(), ids=LOOKS)
def test_a_page_is_for_everybody(
    screens: Screens, sample_place: Place, name: str, path: str
) -> None:
    place = Place(sample_place.url) if path == "/sign-in" else sample_place
    title = re.sub(r"\W+", "-", name).strip("-") or "projects"
    screen = screens(place)
    screen.go(path)
    assert screen.weight() < MAX_BYTES
    screen.picture(f"{title}-light")
    assert violations(screen) == []
    own = screen.find(
        "h1:not(article h1)"
    )  # a document may have its own, and then that is the page's
    assert own.count() == 1 or screen.find("article h1").count()
    heading = screen.find("h1").first.inner_text()

    screen.page.emulate_media(color_scheme="dark")
    screen.picture(f"{title}-dark")

    screen.page.set_viewport_size({"width": NARROW, "height": 740})
    screen.picture(f"{title}-narrow")
    assert screen.overflow() <= 0
    assert violations(screen) == []

    plain = screens(place, scripts=False)
    plain.go(path)
    assert plain.find("h1 >> nth=0").inner_text() == heading
    assert len(plain.find("main").inner_text()) > len(heading)


def test_what_is_not_there_is_told_on_a_page_for_everybody(
    screens: Screens, sample_place: Place
) -> None:
    screen = screens(sample_place)
    screen.go("/p/nobody-knows", 404)
    screen.forgive("status of 404")
    assert violations(screen) == []
    screen.page.set_viewport_size({"width": NARROW, "height": 740})
    assert screen.overflow() <= 0
