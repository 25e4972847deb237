"""From a project to a sealed ZIP to a verdict about it, without leaving the browser."""

from pathlib import Path

import httpx2
import pytest

from tests.browser.screen import Place, Screen, Screens
from tests.browser.served_pages import needs


@pytest.fixture
def screen(screens: Screens, place: Place, http: httpx2.Client, project: str) -> Screen:
    """The exports of a project with a document in it."""
    needs("/p/{project}/exports")
    needs("/verify")
    versions = f"/v1/projects/{project}/artifacts/PRD/main/versions"
    assert http.post(versions, json={"content": "# The plan\n"}).status_code == 201
    opened: Screen = screens(place)
    opened.go(f"/p/{project}/exports")
    return opened


def downloaded(screen: Screen, link: str, file: Path) -> Path:
    with screen.page.expect_download() as download:
        screen.page.get_by_role("link", name=link).first.click()
    download.value.save_as(file)
    return file


def verify(screen: Screen, file: Path, seal: Path | None = None) -> None:
    screen.go("/verify")
    screen.find("#zip").set_input_files(file)
    if seal is not None:
        screen.find("#sidecar").set_input_files(seal)
    screen.find("#send").click()


def test_a_sealed_export_is_made_taken_away_and_verified(screen: Screen, tmp_path: Path) -> None:
    screen.page.get_by_role("button", name="Seal it").click()
    screen.expect("main").to_contain_text("Sealed, at index")
    file = downloaded(screen, "Download the ZIP", tmp_path / "export.zip")
    seal = downloaded(screen, "Its seal", tmp_path / "seal.json")
    verify(screen, file, seal)
    screen.expect("#verdict").to_have_class("verdict good")
    screen.expect("#verdict").to_contain_text("VERIFIED-UNANCHORED")
    assert screen.find("#checks .mark.bad").count() == 0
    screen.picture("verified")


def test_a_changed_byte_is_found(screen: Screen, tmp_path: Path) -> None:
    file = downloaded(screen, "Download the ZIP", tmp_path / "export.zip")
    raw = bytearray(file.read_bytes())
    raw[raw.index(b"The plan")] ^= 0x20
    file.write_bytes(raw)
    verify(screen, file)
    screen.expect("#verdict").to_have_class("verdict bad")
    screen.expect("#checks").to_contain_text("contents")
    screen.picture("not-verified")


def test_what_is_no_export_is_told_apart(screen: Screen, tmp_path: Path) -> None:
    file = tmp_path / "holiday.zip"
    file.write_bytes(b"PK, but not much more")
    verify(screen, file)
    screen.expect("#verdict").to_have_class("verdict bad")


def test_without_scripts_the_commands_are_told(screens: Screens, place: Place) -> None:
    needs("/verify")
    plain = screens(place, scripts=False)
    plain.go("/verify")
    plain.expect("#own-command").to_contain_text("deedbook verify")
    plain.expect("#verify").to_be_hidden()
