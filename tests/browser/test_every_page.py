"""Every page on a filled ledger: for everybody, in light and dark, on a narrow screen, without scripts, and light."""

import re

import pytest

from app.application import PAGES
from tests.browser.axe import violations
from tests.browser.sample_ledger import PROJECT
from tests.browser.screen import NARROW, Place, Screens

MAX_BYTES = 100_000
"""Of a page with its sheet and scripts; ours has little content."""

SHOWN = {
    "/": "/",
    "/sign-in": "/sign-in",
    "/sessions": "/sessions",
    "/p/{project}": f"/p/{PROJECT}",
}
"""A path to look at for each page."""
MORE = {
    "project at a position": f"/p/{PROJECT}?at=3",
    "project with one event": f"/p/{PROJECT}?at=1",
    "small project": "/p/beta",
}
"""More looks at the same pages."""
NOT_SEEN = {
    "/sign-in/done": "sends the reader on, unless the browser keeps no cookie",
}


def test_every_page_that_is_served_is_looked_at() -> None:
    served = {page.path for topic in PAGES for page in topic.all if page.method == "GET"}
    assert served == SHOWN.keys() | NOT_SEEN.keys()


@pytest.mark.parametrize(
    ("name", "path"), [*SHOWN.items(), *MORE.items()], ids=[*SHOWN.keys(), *MORE.keys()]
)
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
    assert screen.find("h1").count() == 1
    heading = screen.find("h1").inner_text()

    screen.page.emulate_media(color_scheme="dark")
    screen.picture(f"{title}-dark")
    assert violations(screen) == []

    screen.page.set_viewport_size({"width": NARROW, "height": 740})
    screen.picture(f"{title}-narrow")
    assert screen.overflow() <= 0
    assert violations(screen) == []

    plain = screens(place, scripts=False)
    plain.go(path)
    assert plain.find("h1").inner_text() == heading
    assert len(plain.find("main").inner_text()) > len(heading)
