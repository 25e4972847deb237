"""From a producer's write to the text on a viewer's screen, in Chromium, through the service in a process of its own."""

import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

from app.http.visitor import COOKIE
from bench.chromium import chromium, why_not
from bench.ground import Ground, Service, serving
from bench.measure import Figure

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WRITES, QUICK_WRITES = 60, 20
BETWEEN_SECONDS = 0.35
"""More than a frame of the service: each write is one that nothing was shown just before."""
TARGET = "<= 150"
SECONDS = 30.0
PROJECT = "screen"

WHEN_PAINTED = """(word) => new Promise((resolve) => {
  const draft = document.getElementById("draft");
  const look = () => {
    if (!draft.textContent.includes(word)) return false;
    watching.disconnect();
    requestAnimationFrame(() => {
      const painted = new MessageChannel();
      painted.port1.onmessage = () => resolve(performance.timeOrigin + performance.now());
      painted.port2.postMessage(0);
    });
    return true;
  };
  const watching = new MutationObserver(look);
  if (!look()) watching.observe(draft, { childList: true, subtree: true, characterData: true });
})"""
"""The time, in milliseconds of the same clock, at which a frame with the word has been painted."""


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """Writes one by one, so many for each round: the first on an empty page, and then each further one."""
    absent = why_not()
    if absent:
        nothing = float("nan")
        yield Figure("a write, on the screen", nothing, nothing, nothing, "ms", "", absent)
        return
    writes = QUICK_WRITES if ground.quick else WRITES
    with serving(ground) as service, chromium() as browser:
        firsts, further = _watched(service, browser, rounds, writes)
    yield _figure("the first write of a draft, on a viewer's screen", firsts, "median")
    yield _figure("a further write, on a viewer's screen", further, "median")
    yield _figure("a further write, on a viewer's screen, 95 of 100", further, "p95")


def _figure(name: str, milliseconds: list[float], which: str) -> Figure:
    ordered = sorted(milliseconds)
    value = statistics.median(ordered) if which == "median" else ordered[len(ordered) * 95 // 100]
    detail = f"{which} of {len(ordered)} writes"
    return Figure(name, value, ordered[0], ordered[-1], "ms", TARGET, detail)


def _watched(
    service: Service, browser: "Browser", rounds: int, writes: int
) -> tuple[list[float], list[float]]:
    """Milliseconds of the first write and of the further ones, of a draft for each round."""
    url = f"http://127.0.0.1:{service.port}"
    firsts: list[float] = []
    further: list[float] = []
    headers = {"Authorization": f"Bearer {service.token}"}
    with httpx2.Client(base_url=url, headers=headers, timeout=SECONDS, trust_env=False) as http:
        http.post("/v1/projects", json={"slug": PROJECT, "title": "Screen"}).raise_for_status()
        page = _signed_in(browser, url, service.token)
        for number in range(rounds):
            path = f"/artifacts/NOTE/{number}/drafts"
            drafts = f"/v1/projects/{PROJECT}{path}"
            made = http.post(drafts, json={"id": str(uuid.uuid4())}).raise_for_status().json()
            page.goto(f"{url}/p/{PROJECT}{path}/{made['id']}")
            took = [_once(page, http, f"{drafts}/{made['id']}", one) for one in range(writes)]
            firsts.append(took[0])
            further += took[1:]
    return firsts, further


def _signed_in(browser: "Browser", url: str, token: str) -> "Page":
    """A page of somebody who is signed in."""
    page = browser.new_context(base_url=url).new_page()
    page.set_default_timeout(SECONDS * 1e3)
    page.goto("/sign-in")
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
    assert any(one.get("name") == COOKIE for one in page.context.cookies())
    return page


def _once(page: "Page", http: httpx2.Client, draft: str, number: int) -> float:
    """Write a few words while the page waits for them; answers how many milliseconds later they are seen."""
    word = f"word-{number:04}"
    text = f"This is {word} of the draft, as it was written.\n\n".encode()
    began: list[float] = []

    def write() -> None:
        time.sleep(BETWEEN_SECONDS)  # the page is waiting by then
        began.append(time.time() * 1e3)
        sent = {"Upload-Offset": str(number * len(text))}
        http.patch(draft, content=text, headers=sent).raise_for_status()

    producer = threading.Thread(target=write)
    producer.start()
    painted = float(page.evaluate(WHEN_PAINTED, word))
    producer.join(SECONDS)
    return painted - began[0]
