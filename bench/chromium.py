"""Chromium as the system has it, for tests and measurements in a real browser: found, and started."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
INSTALL = "bash tests/outside.sh installs it"
ARGUMENTS = (
    "--no-sandbox",  # tests may run as root, where there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
START_MILLISECONDS = 60_000


def why_not() -> str:
    """Why no browser can be started here; empty when one can."""
    if find_spec("playwright") is None:
        return "playwright is not installed: there is none for this system"
    return "" if _program() else f"chromium is not installed: {INSTALL}"


@contextmanager
def chromium() -> Iterator["Browser"]:
    """A running browser. Until its end, this thread can run no event loop of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_program(), args=list(ARGUMENTS), timeout=START_MILLISECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


def _program() -> str | None:
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)
