"""Reading an artifact, what changed in it, and whether an event is in the log."""

from typing import TYPE_CHECKING

import httpx2
import pytest

from tests.browser.sample_ledger import KEY, KIND, PROJECT
from tests.browser.screen import Place, Screens
from tests.browser.served_pages import needs

if TYPE_CHECKING:
    from playwright.sync_api import Route

DOCUMENT = f"/p/{PROJECT}/artifacts/{KIND}/{KEY}"
EVENT = f"/p/{PROJECT}/events/5"
ARTIFACT = "/p/{project}/artifacts/{kind}/{key}"


def write(http: httpx2.Client, project: str, key: str, text: str) -> None:
    path = f"/v1/projects/{project}/artifacts/NOTE/{key}/versions"
    made = http.post(path, json={"content": text, "media_type": "text/markdown"})
    assert made.status_code == 201, made.text


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_change_is_read_word_by_word(
    screens: Screens, place: Place, http: httpx2.Client, project: str, scripts: bool
) -> None:
    needs(f"{ARTIFACT}/diff")
    for word in ("seldom", "often"):
        write(http, project, "habits", f"# Habits\n\nThey are {word} what they seem to be.\n")
    page = f"/p/{project}/artifacts/NOTE/habits"
    screen = screens(place, scripts=scripts)
    screen.go(page)
    screen.page.get_by_role("link", name="What changed from version 1").click()
    screen.page.wait_for_url(f"**{page}/diff?from=1&to=2")
    assert screen.find("table.diff del").all_inner_texts() == ["seldom"]
    assert screen.find("table.diff ins").all_inner_texts() == ["often"]
    screen.find("select[name=from]").select_option("2")
    screen.find("select[name=to]").select_option("1")
    screen.page.get_by_role("button", name="Compare").click()
    screen.page.wait_for_url("**/diff?from=2&to=1")
    assert screen.find("table.diff ins").all_inner_texts() == ["seldom"]


def test_an_artifact_is_read_as_it_stood(screens: Screens, sample_place: Place) -> None:
    needs(ARTIFACT)
    screen = screens(sample_place)
    screen.go(DOCUMENT)
    screen.expect("#text table td >> nth=0").to_have_text("events")
    screen.page.get_by_role("link", name="Version 1", exact=True).click()
    screen.expect("#text").not_to_contain_text("A list")
    screen.expect("main").to_contain_text("Version 2 is the newest one")


def test_a_picture_from_elsewhere_is_not_asked_for(
    screens: Screens, place: Place, http: httpx2.Client, project: str
) -> None:
    """Else whoever wrote the document would learn who reads it, and when."""
    needs(ARTIFACT)
    write(http, project, "badge", "![a badge](https://foreign.example/badge.svg)\n\nThe text.\n")
    screen = screens(place)
    screen.go(f"/p/{project}/artifacts/NOTE/badge")
    screen.expect("#text").to_contain_text("The text.")
    assert not [one for one in screen.heard() if one.startswith("foreign")]
    # A policy that stops it may say so.
    screen.complaints[:] = [one for one in screen.complaints if "foreign.example" not in one]


def test_the_browser_finds_an_event_in_the_log_by_itself(
    screens: Screens, sample_place: Place
) -> None:
    needs("/p/{project}/events/{position}")
    screen = screens(sample_place)
    screen.go(EVENT)
    screen.expect("#verdict").to_have_class("verdict good")
    screen.expect("#verdict").to_contain_text("made every hash itself")
    assert screen.find("#proof .mark.good").count() == screen.find("#proof > li").count() > 3


def test_the_checkpoint_is_held_to_the_key_that_the_reader_keeps(
    screens: Screens, sample_place: Place
) -> None:
    needs("/p/{project}/events/{position}")
    screen = screens(sample_place)
    screen.go(EVENT)
    key = screen.find("#inclusion details code").first.text_content() or ""
    name, _, rest = key.partition("+")
    screen.find("#pin").fill(key)
    screen.expect("#verdict").to_contain_text("signed with the key that you keep")
    screen.expect("#verdict").to_have_class("verdict good")
    screen.find("#pin").fill(f"{name}.example+{rest}")
    screen.expect("#verdict").to_contain_text("was not signed with the key that you keep")
    screen.expect("#verdict").to_have_class("verdict bad")
    screen.find("#pin").fill("something else")
    screen.expect("#verdict").to_contain_text("cannot be read")


@pytest.mark.parametrize("where", [["**/v1/projects/*/events/5"], ["**/v1/**", f"**{EVENT}"]])
def test_an_event_that_was_changed_on_its_way_is_not_in_the_log(
    screens: Screens, sample_place: Place, where: list[str]
) -> None:
    """One letter: in the bytes that are hashed alone, and on the page as well."""
    needs("/p/{project}/events/{position}")
    screen = screens(sample_place)

    def change(route: "Route") -> None:
        fetched = route.fetch()
        route.fulfill(response=fetched, body=fetched.body().replace(b"user:ada", b"user:adb"))

    for pattern in where:
        screen.page.route(pattern, change)
    screen.go(EVENT)
    screen.expect("#verdict").to_have_class("verdict bad")


def test_without_scripts_the_inspector_promises_nothing(
    screens: Screens, sample_place: Place
) -> None:
    needs("/p/{project}/events/{position}")
    screen = screens(sample_place, scripts=False)
    screen.go(EVENT)
    screen.expect("#verdict").to_contain_text("cannot check it")
