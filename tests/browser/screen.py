"""A window of a browser that is watched: what a page should never do is written down, and held against it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import httpx2
import msgspec

from app.http.visitor import COOKIE

if TYPE_CHECKING:
    from playwright.sync_api import (
        Browser,
        BrowserContext,
        Dialog,
        Locator,
        Page,
        Request,
        Response,
    )
    from playwright.sync_api._generated import LocatorAssertions

ROOT = Path(__file__).parent.parent.parent
SCREENSHOTS = ROOT / ".screenshots"
"""What the run leaves behind to be looked at; `run.py test` empties it first."""

WIDE, NARROW = 1_280, 360
HEIGHT = 850
MILLISECONDS = 30_000
"""For anything that is waited for; a loaded machine may be slow, and none of it should take one."""


REPORT = """
document.addEventListener("securitypolicyviolation", (event) => console.error(
  `securitypolicyviolation: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""
"""Runs before the page's own scripts: a violation is told on the console, where it is heard."""

Scheme = Literal["light", "dark"]
Screens = Callable[..., "Screen"]
"""Opens a window; see `Screen.opened`."""


class Place(msgspec.Struct, frozen=True):
    """A ledger to look at.

    Attributes:
        url: Its address.
        session: The secret of a session there; empty: nobody is signed in.
        token: What programs use there.
    """

    url: str
    session: str = ""
    token: str = ""

    def client(self) -> httpx2.Client:
        """A program that uses it."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=30.0, trust_env=False)


class Screen:
    """One page in a context of its own, and everything it did wrong."""

    def __init__(self, context: "BrowserContext", place: Place) -> None:
        self.place = place
        self.context = context
        self.complaints: list[str] = []
        self.answers: list[Response] = []
        self.page: Page = context.new_page()
        page, complain = self.page, self.complaints.append

        def dismiss(dialog: "Dialog") -> None:
            complain(f"dialog: {dialog.message}")
            dialog.dismiss()

        def watch(request: "Request") -> None:
            if not self._own(request.url):
                complain(f"foreign request: {request.url}")

        def strike(request: "Request") -> None:
            """What the policy stopped was never sent, and is told as a violation."""
            if request.failure == "csp" and not self._own(request.url):
                self.complaints.remove(f"foreign request: {request.url}")

        page.on(
            "console",
            lambda line: (
                complain(f"console: {line.text}") if line.type in {"error", "warning"} else None
            ),
        )
        page.on("pageerror", lambda error: complain(f"error: {error}"))
        page.on("dialog", dismiss)
        page.on("crash", lambda _: complain("crash"))
        page.on("popup", lambda other: complain(f"another window: {other.url}"))
        page.on("request", watch)
        page.on("requestfailed", strike)
        page.on("response", lambda answer: self.answers.append(answer))  # noqa: PLW0108 -- it marks what it is given

    @classmethod
    def opened(
        cls,
        browser: "Browser",
        place: Place,
        *,
        width: int = WIDE,
        scheme: Scheme = "light",
        scripts: bool = True,
    ) -> "Screen":
        """A window with nothing in it yet."""
        context = browser.new_context(
            base_url=place.url,
            viewport={"width": width, "height": HEIGHT},
            color_scheme=scheme,
            reduced_motion="reduce",
            java_script_enabled=scripts,
            service_workers="block",
        )
        context.set_default_timeout(MILLISECONDS)
        if scripts:
            context.add_init_script(REPORT)
        if place.session:
            context.add_cookies(
                [
                    {
                        "name": COOKIE,
                        "value": place.session,
                        "domain": str(urlsplit(place.url).hostname),
                        "path": "/",
                        "secure": True,
                        "httpOnly": True,
                        "sameSite": "Lax",
                    }
                ]
            )
        return cls(context, place)

    def go(self, path: str, status: int = 200) -> "Response":
        """Load a page, and be answered as expected."""
        self.answers.clear()
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        return answer

    def find(self, selector: str) -> "Locator":
        """What is found on the page."""
        return self.page.locator(selector)

    def expect(self, selector: str) -> "LocatorAssertions":
        """What is going to hold of it, within the time that anything may take."""
        from playwright.sync_api import expect

        expect.set_options(timeout=MILLISECONDS)
        return expect(self.find(selector))

    def weight(self) -> int:
        """The bytes of the page that was loaded last, and of everything it needs, as they are without compression."""
        self.page.wait_for_load_state("load")
        kinds = {"document", "stylesheet", "script", "image", "font"}
        return sum(
            len(one.body())
            for one in self.answers
            if one.request.resource_type in kinds and one.status == 200
        )

    def picture(self, name: str) -> None:
        """Keep what it looks like, from top to bottom."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(
            path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled"
        )

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return int(self.page.evaluate(script))

    def forgive(self, *parts: str) -> None:
        """Strike what was expected; it must have been there."""
        self.heard()
        for part in parts:
            found = [one for one in self.complaints if part in one]
            assert found, f"nobody complained of {part!r}: {self.complaints}"
            self.complaints[:] = [one for one in self.complaints if part not in one]

    def leave(self) -> None:
        """Close the page after its connection was cut: the browser tells of that, as it should."""
        self.page.close()
        self.complaints[:] = [one for one in self.complaints if "net::ERR_" not in one]

    def heard(self) -> list[str]:
        """The complaints, once everything that was said has arrived."""
        if not self.page.is_closed():
            self.page.title()
        return self.complaints

    def _own(self, url: str) -> bool:
        parts = urlsplit(url)
        return parts.scheme in {"data", "blob", "about"} or url.startswith(f"{self.place.url}/")


def session_at(url: str, token: str) -> str:
    """Sign in, and answer what the cookie has."""
    with httpx2.Client(base_url=url, trust_env=False, timeout=30.0) as client:
        answer = client.post(
            "/sign-in", data={"token": token}, headers={"Sec-Fetch-Site": "same-origin"}
        )
    assert answer.status_code == 303, answer.text
    return answer.headers["set-cookie"].partition(";")[0].partition("=")[2]
