"""A draft on the screens of those who watch it being written: on two processes, late, cut off, and at its end."""

import secrets
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.browser.axe import violations
from tests.browser.dropping_relay import dropping_relay
from tests.browser.sample_ledger import SECOND
from tests.browser.screen import Place, Screen, Screens
from tests.browser.served_pages import needs
from tests.draft_samples import Drafted

pytestmark = pytest.mark.xdist_group("two servers")
PIECE = 40
CONTENT = """(selector) => {
  const seen = (node) => node.nodeType === Node.TEXT_NODE ? node.data : [
    node.localName,
    node.getAttributeNames().sort().map((name) => [name, node.getAttribute(name)]),
    [...node.childNodes].map(seen),
  ];
  return [...document.querySelector(selector).childNodes].map(seen);
}"""


@pytest.fixture
def draft(two_servers: tuple[Place, Place]) -> Iterator[Drafted]:
    """An open draft of Markdown, written through the first process."""
    needs("/p/{project}/artifacts/{kind}/{key}/drafts/{draft}")
    with two_servers[0].client() as http:
        yield opened(http)


def opened(http: httpx2.Client) -> Drafted:
    slug = f"p-{secrets.token_hex(6)}"
    assert http.post("/v1/projects", json={"slug": slug, "title": "Live"}).status_code == 201
    draft = Drafted(http, slug)
    assert draft.open(title="The plan", media_type="text/markdown").status_code == 201
    return draft


def page_of(draft: Drafted) -> str:
    return f"/p/{draft.project}/artifacts/PRD/main/drafts/{draft.id}"


def write(draft: Drafted, text: str) -> None:
    assert draft.write(text).status_code == 204


def words(screen: Screen) -> str:
    """What is read on a screen, without the way it is broken into lines."""
    return " ".join(screen.find("#draft").inner_text().split())


def content(screen: Screen, selector: str) -> object:
    """Elements, attributes and texts below an element; the order in which attributes came is nobody's business."""
    return screen.page.evaluate(CONTENT, selector)


def path_of(screen: Screen) -> str:
    parts = urlsplit(screen.page.url)
    return f"{parts.path}?{parts.query}"


def test_all_who_watch_see_the_same_on_every_process_whenever_they_come(
    screens: Screens, two_servers: tuple[Place, Place], draft: Drafted
) -> None:
    first, second = (screens(place) for place in two_servers)
    for screen in (first, second):
        screen.go(page_of(draft))
    pieces = [SECOND[start : start + PIECE] for start in range(0, len(SECOND), PIECE)]
    middle = len(pieces) // 2
    for piece in pieces[:middle]:
        write(draft, piece)
    late = screens(two_servers[1])
    late.go(page_of(draft))
    for screen in (first, second, late):
        screen.expect("#draft h2 >> nth=0").to_have_text("A list")
    for piece in pieces[middle:]:
        write(draft, piece)
    write(draft, "\nThe end of it.\n")
    whole = f"{SECOND}\nThe end of it.\n"
    for screen in (first, second, late):
        screen.expect("#draft").to_contain_text("The end of it.")
    assert words(first) == words(second) == words(late)
    assert draft.commit(whole).status_code == 201
    for screen in (first, second, late):
        screen.expect("#draft-state").to_contain_text("ersion 1")
    assert violations(late) == []
    final = [content(screen, "#draft") for screen in (first, second, late)]
    assert final[0] == final[1] == final[2]
    assert path_of(first) == f"/p/{draft.project}/artifacts/PRD/main?version=1"
    version = screens(two_servers[1])
    version.go(path_of(first))
    assert content(version, "#text") == final[0]
    code = version.find("#text pre code").inner_text()
    assert code == "def answer() -> int:\n    return 42  # a comment\n"


def test_a_viewer_who_was_cut_off_gets_what_was_missed_once(
    screens: Screens, two_servers: tuple[Place, Place], draft: Drafted
) -> None:
    with dropping_relay(two_servers[1].url) as relay:
        screen = screens(Place(relay.url, two_servers[1].session))
        screen.go(page_of(draft))
        write(draft, "# Before\n\nThe first half, and **the wor")
        screen.expect("#draft strong").to_have_text("the wor")
        relay.refusing.set()
        relay.drop()
        write(draft, "ds** were cut.\n\nWritten while nobody could see.\n\n")
        relay.refusing.clear()
        screen.expect("#draft").to_contain_text("Written while nobody could see.")
        write(draft, "After that.\n")
        screen.expect("#draft").to_contain_text("After that.")
        assert words(screen) == (
            "Before The first half, and the words were cut. Written while nobody could see. "
            "After that."
        )
        assert draft.commit().status_code == 201
        screen.expect("#draft-state").to_contain_text("ersion 1")
        screen.leave()


def test_a_draft_that_is_discarded_says_so(
    screens: Screens, two_servers: tuple[Place, Place], draft: Drafted
) -> None:
    screen = screens(two_servers[1])
    write(draft, "Not worth it.\n")
    screen.go(page_of(draft))
    screen.expect("#draft").to_contain_text("Not worth it.")
    assert draft.http.delete(draft.path).status_code == 204
    screen.expect("#draft-state").to_contain_text("iscarded")


def test_without_scripts_a_draft_is_read_as_far_as_it_is_written(
    screens: Screens, two_servers: tuple[Place, Place], draft: Drafted
) -> None:
    screen = screens(two_servers[1], scripts=False)
    write(draft, "# So far\n\nThis *much")
    screen.go(page_of(draft))
    screen.expect("#draft em").to_have_text("much")
    write(draft, " more*.\n")
    screen.go(page_of(draft))
    screen.expect("#draft em").to_have_text("much more")


def test_the_state_of_a_draft_is_told_and_its_text_is_not_read_aloud_at_each_word(
    screens: Screens, two_servers: tuple[Place, Place], draft: Drafted
) -> None:
    screen = screens(two_servers[0])
    screen.go(page_of(draft))
    screen.expect("#draft-state").to_have_attribute("role", "status")
    screen.expect("#draft").to_have_attribute("aria-live", "off")


def test_whoever_reads_is_not_disturbed_by_what_is_written(
    screens: Screens, two_servers: tuple[Place, Place], draft: Drafted
) -> None:
    screen = screens(two_servers[1])
    link = "#draft a >> nth=0"
    write(draft, "See [the source](https://example.com/) first.\n\n" + "More words.\n\n" * 60)
    screen.go(page_of(draft))
    screen.expect("#draft .block >> nth=60").to_have_count(1)
    screen.find(link).focus()
    top = screen.page.evaluate("scrollY")
    write(draft, "Here **is a new wor")
    screen.expect("#draft strong").to_have_text("is a new wor")
    screen.expect(link).to_be_focused()
    assert screen.page.evaluate("scrollY") == top
    screen.page.get_by_role("link", name="To the end").click()
    screen.expect("#draft strong").to_be_in_viewport()
    write(draft, "d** that goes on.\n\n" + "And on.\n\n" * 60 + "To *here*.\n")
    screen.expect("#draft em").to_be_in_viewport()
