"""One browser for all tests of a process, windows that are watched, and a filled ledger to look at."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.chromium import chromium, why_not
from tests.browser.sample_ledger import filled
from tests.browser.screen import SCREENSHOTS, Place, Screen, Screens, session_at
from tests.ledger_samples import another_database, open_ledger
from tests.serving import Served, serve
from tests.started_ledger import started

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FOLDER = Path(__file__).parent
FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what lives here: the ordinary stage leaves it out."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker("browser")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Iterator[None]:
    """Remember a failure, so that its last look is kept."""
    report: pytest.TestReport = yield  # type: ignore[assignment]  # a wrapper is sent the result
    if report.when == "call":
        item.stash[FAILED] = report.failed
    return report  # type: ignore[return-value]  # and hands it on


@pytest.fixture(scope="package")
def browser() -> Iterator["Browser"]:
    """Chromium. It goes when the tests of this folder end: others in this process may want an event loop."""
    absent = why_not()
    if absent:
        pytest.skip(absent)
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def sample(postgres_server: str, template_database: str) -> Iterator[Served]:
    """A ledger with something on every page. Tests only look at it."""
    with (
        another_database(postgres_server, template_database) as url,
        serve(url) as running,
    ):
        filled(running)
        yield running


@pytest.fixture(scope="package")
def sample_place(sample: Served) -> Place:
    """It, with somebody signed in who may do everything."""
    return Place(sample.url, session_at(sample.url, sample.token), sample.token)


@pytest.fixture(scope="package")
def place(served: Served) -> Place:
    """The ledger in which each test has a project of its own, with somebody signed in."""
    return Place(served.url, session_at(served.url, served.token), served.token)


@pytest.fixture
def screens(browser: "Browser", request: pytest.FixtureRequest) -> Iterator[Screens]:
    """Opens windows. At the end none may have anything to complain of."""
    opened: list[Screen] = []

    def open_screen(place: Place, **options: object) -> Screen:
        opened.append(Screen.opened(browser, place, **options))  # type: ignore[arg-type]  # as given
        return opened[-1]

    yield open_screen
    failed = request.node.stash.get(FAILED, False)
    complaints = []
    for number, screen in enumerate(opened):
        complaints += screen.heard()
        if failed and not screen.page.is_closed():
            SCREENSHOTS.mkdir(exist_ok=True)
            name = re.sub(r"[^\w.-]+", "-", request.node.name)[:100]
            screen.page.screenshot(path=SCREENSHOTS / f"FAILED-{name}-{number}.png")
        screen.context.close()
    assert not complaints, complaints


@pytest.fixture(scope="package")
def two_servers(
    postgres_server: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Place, Place]]:
    """Two processes of the service over one database; the same session is good for both."""
    folder = tmp_path_factory.mktemp("two-servers")
    with ExitStack() as running:
        url = running.enter_context(another_database(postgres_server, template_database))
        with open_ledger(url) as ledger:
            token, _ = ledger.tokens.create("admin", scopes=["admin"])
        processes = [
            running.enter_context(
                started(
                    *(folder, "serve", "--port", "0"), DATABASE_URL=url, DEEDBOOK_EMBEDDER="none"
                )
            )
            for _ in range(2)
        ]
        urls = [one.line("Serving ").split()[1] for one in processes]
        session = session_at(urls[0], token)
        yield Place(urls[0], session, token), Place(urls[1], session, token)
