"""The time slider, the keyboard, and the colours that a reader chooses."""

import re

import pytest

from tests.browser.sample_ledger import PROJECT
from tests.browser.screen import Place, Screen, Screens


@pytest.fixture
def screen(screens: Screens, sample_place: Place) -> Screen:
    """The filled project, as it is now."""
    opened = screens(sample_place)
    opened.go(f"/p/{PROJECT}")
    return opened


def test_the_keyboard_moves_the_slider_and_links_go_on_from_there(screen: Screen) -> None:
    position = screen.find("#at-position")
    newest = int(position.inner_text())
    screen.find("#at").press("Home")
    screen.expect("#at-position").to_have_text("1")
    screen.page.wait_for_url(f"**/p/{PROJECT}?at=1")
    screen.expect("label[for=at]").to_contain_text("As it stood at position 1")
    screen.expect("main").to_contain_text("No artifact was written up to this position")
    screen.page.get_by_role("link", name="Later").click()
    screen.page.wait_for_url(f"**/p/{PROJECT}?at=2")
    screen.page.get_by_role("link", name="Back to now").click()
    screen.page.wait_for_url(f"**/p/{PROJECT}")
    screen.expect("#at-position").to_have_text(str(newest))


def test_dragging_tells_the_time_under_the_thumb_and_letting_go_goes_there(screen: Screen) -> None:
    slider, position, time = (screen.find(one) for one in ("#at", "#at-position", "#at-time"))
    newest = slider.get_attribute("max") or ""
    screen.expect("#at-position").to_have_text(newest)
    now = time.get_attribute("datetime") or ""
    box = slider.bounding_box()
    assert box is not None
    mouse, y = screen.page.mouse, box["y"] + box["height"] / 2
    mouse.move(box["x"] + box["width"] - 8, y)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 2, y, steps=4)
    screen.expect("#at-position").not_to_have_text(newest)
    screen.expect("#at-time").not_to_have_attribute("datetime", now)
    screen.expect("#at-time").to_have_attribute("title", re.compile(r"\w"))
    told = (position.inner_text(), time.get_attribute("datetime"))
    mouse.up()
    screen.page.wait_for_url(f"**/p/{PROJECT}?at={told[0]}")
    assert told == (position.inner_text(), time.get_attribute("datetime"))


def test_links_stay_at_the_position(screen: Screen) -> None:
    screen.go(f"/p/{PROJECT}?at=3")
    paths = screen.find("main a, nav.parts a").evaluate_all(
        "links => links.map(one => one.getAttribute('href'))"
    )
    within = [one for one in paths if one.startswith(f"/p/{PROJECT}")]
    assert len(within) > 4
    assert [one for one in within if "at=3" not in one] == [f"/p/{PROJECT}/exports"]


def test_the_slider_is_a_form_without_scripts(screens: Screens, sample_place: Place) -> None:
    screen = screens(sample_place, scripts=False)
    screen.go(f"/p/{PROJECT}")
    screen.find("#at").press("Home")
    screen.page.get_by_role("button", name="Show").click()
    screen.page.wait_for_url(f"**/p/{PROJECT}?at=1")
    screen.expect("#at-position").to_have_text("1")


def test_the_keyboard_skips_to_the_content(screen: Screen) -> None:
    screen.page.keyboard.press("Tab")
    screen.expect(":focus").to_have_text("Skip to the content")
    screen.expect(":focus").to_be_in_viewport()
    screen.page.keyboard.press("Enter")
    screen.expect("main").to_be_focused()


def test_chosen_colours_stay(screen: Screen) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = screen.page.evaluate(paper)
    button = screen.find("#theme")
    screen.expect("#theme").to_have_text("Auto")
    button.click()
    screen.expect("#theme").to_have_text("Light")
    button.click()
    screen.expect("#theme").to_have_text("Dark")
    dark = screen.page.evaluate(paper)
    assert dark != light
    screen.go("/")
    assert screen.page.evaluate(paper) == dark
    button.click()
    screen.expect("#theme").to_have_text("Auto")
    assert screen.page.evaluate(paper) == light


def test_what_is_searched_for_is_marked_and_one_press_away(screen: Screen) -> None:
    screen.page.get_by_role("link", name="Search").last.click()
    screen.find("#q").fill("a paragraph")
    screen.find("#q").press("Enter")
    screen.expect("main mark").to_contain_text(["paragraph"])
    screen.page.get_by_role("link", name="The whole of it").first.click()
    screen.page.wait_for_url(f"**/p/{PROJECT}/artifacts/**")
    screen.expect("article").to_contain_text("A paragraph")
