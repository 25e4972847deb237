"""Markdown that wants to run a script, complete and at every seventh character of its writing, in the browser that would."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from markdown_it import MarkdownIt

from app.http.live_view import renderer_for
from app.web.site import HEADERS
from projections.markdown.sanitise import sanitise
from tests.browser.screen import Place, Screen, Screens
from tests.browser.served_pages import needs
from tests.draft_samples import Drafted

if TYPE_CHECKING:
    from playwright.sync_api import Route

NAMED = os.environ.get("DEEDBOOK_TEST_SHARED_DATA", "")
FOLDERS = [Path(NAMED)] if NAMED else [one / "shared" / "data" for one in Path(__file__).parents]
CORPUS = next((one for each in FOLDERS if (one := each / "markdown" / "xss.json").exists()), None)
STEP, PIECE = 7, 23
ACTIVE = (
    "script, iframe, object, embed, form, input, button, style, link, meta, base, svg, [srcdoc]"
)

LOOK = """([root, active]) => ({
  handlers: [...document.querySelectorAll(`${root} *`)].flatMap((one) =>
    one.getAttributeNames().filter((name) => /^on|^style$|^formaction$/i.test(name))),
  links: [...document.querySelectorAll(`${root} a[href]`)].map((one) => one.protocol),
  active: [...document.querySelectorAll(`${root} :is(${active})`)].map((one) => one.outerHTML),
  clobbered: [...document.querySelectorAll(`${root} :is([id], [name])`)].map((one) => one.outerHTML)
    .filter((html) => !/^<h[1-6] id="h-/.test(html)),
  texts: document.querySelectorAll(`${root} > div`).length,
})"""

pytestmark = pytest.mark.skipif(
    CORPUS is None,
    reason="the corpus is not here: no file shared/data/markdown/xss.json beside it or above",
)


def corpus() -> list[str]:
    assert CORPUS is not None
    return [one["markdown"] for one in json.loads(CORPUS.read_text("utf-8"))]


def outputs(text: str) -> Iterator[str]:
    """What is shown of a text as it is written, and at its end."""
    renderer = renderer_for("text/markdown")
    for start in range(0, len(text), STEP):
        renderer.append(text[start : start + STEP])
        yield "".join(block.html for block in renderer.snapshot())
    renderer.finish()
    yield "".join(block.html for block in renderer.snapshot())


def show(screen: Screen, parts: list[str], *, guarded: bool) -> None:
    """A page of pieces of HTML, with the policy of ours or with none."""
    body = "".join(f"<div>{one}</div>" for one in parts)
    html = f"<!doctype html><html lang=en><title>x</title><body><main>{body}</main></body></html>"
    headers = {"Content-Security-Policy": HEADERS["Content-Security-Policy"]} if guarded else {}

    def answer(route: "Route") -> None:
        route.fulfill(body=html, content_type="text/html; charset=utf-8", headers=headers)

    # A picture that is named by the text may be asked for; nothing is behind the name.
    screen.page.route(
        lambda url: "/pieces" not in url, lambda route: route.fulfill(content_type="image/png")
    )
    screen.page.route("**/pieces", answer)
    screen.go("/pieces")


def careless() -> MarkdownIt:
    """A parser that lets HTML and every address through."""
    parser = MarkdownIt("commonmark", {"html": True})
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # the care that is left out
    return parser


def check(screen: Screen, count: int) -> None:
    """Nothing on the page acts, or could, and nobody complains."""
    screen.page.mouse.move(200, 200)
    seen = screen.page.evaluate(LOOK, ["main", ACTIVE])
    assert seen["texts"] == count
    assert seen["handlers"] == seen["active"] == seen["clobbered"] == []
    assert set(seen["links"]) <= {"http:", "https:", "mailto:"}
    assert screen.heard() == []


@pytest.mark.parametrize("guarded", [True, False], ids=["policy", "no policy"])
def test_no_piece_of_any_text_runs_or_asks_for_anything(
    screens: Screens, place: Place, guarded: bool
) -> None:
    """Without the policy too: each of the doors holds alone, and with it nothing is left to report."""
    parts = [one for text in corpus() for one in outputs(text)]
    screen = screens(place)
    show(screen, parts, guarded=guarded)
    check(screen, len(parts))


def test_what_a_careless_parser_lets_through_is_stopped_at_the_last_door(
    screens: Screens, place: Place
) -> None:
    parser = careless()
    parts = [sanitise(parser.render(text)) for text in corpus()]
    parts += [sanitise(text[:end]) for text in corpus() for end in range(0, len(text), STEP)]
    screen = screens(place)
    show(screen, parts, guarded=False)
    check(screen, len(parts))


def test_the_same_texts_rendered_without_care_do_run(screens: Screens, place: Place) -> None:
    """The control: this browser would have run them, and the test would have seen it."""
    screen = screens(place)
    texts = [
        one for one in corpus() if "<iframe" not in one and "<style" not in one
    ]  # they eat the rest
    parser = careless()
    show(screen, [parser.render(one) for one in texts], guarded=False)
    seen = screen.page.evaluate(LOOK, ["main", ACTIVE])
    assert "onerror" in seen["handlers"]
    assert "javascript:" in seen["links"]
    assert len(seen["active"]) > 5
    assert len(seen["clobbered"]) > 0
    screen.forgive("dialog: 1")
    screen.complaints.clear()


def test_no_text_that_is_being_written_runs_on_the_page_of_its_draft(
    screens: Screens, place: Place, http: httpx2.Client, project: str
) -> None:
    """All of them in one document, written in small pieces before the eyes of a viewer, to its end."""
    needs("/p/{project}/artifacts/{kind}/{key}/drafts/{draft}")
    draft = Drafted(http, project)
    assert draft.open(title="<b>Harm</b>", media_type="text/markdown").status_code == 201
    screen = screens(place)
    screen.page.route(
        lambda url: "onerror" in url,
        lambda route: route.fulfill(content_type="image/png"),  # a picture of that name
    )
    screen.go(f"/p/{project}/artifacts/PRD/main/drafts/{draft.id}")
    text = "\n\n".join([*corpus(), "The last word.\n"])
    offset = 0
    for start in range(0, len(text), PIECE):
        piece = text[start : start + PIECE].encode()
        assert draft.write(piece, offset).status_code == 204
        offset += len(piece)
    screen.expect("#draft").to_contain_text("The last word.")
    assert draft.commit().status_code == 201
    screen.expect("#draft-state").to_contain_text("ersion 1")
    seen = screen.page.evaluate(LOOK, ["#draft", ACTIVE])
    assert seen["handlers"] == seen["active"] == seen["clobbered"] == []
    assert len(seen["links"]) > 1
    assert set(seen["links"]) <= {"http:", "https:", "mailto:"}
