"""Ledgers whose search has one backend or another, for tests that hold for all of them."""

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pytest

from adapters.search.embedder import EmbedderMissing
from adapters.search.upstash_index import UpstashIndex
from adapters.search.upstash_transport import UpstashTransport
from app.bootstrap import open_ledger
from app.ledger import Ledger
from app.search.asked import Asked
from app.search.embedder_choice import choose_embedder
from app.settings import Settings
from domain.search import Answer, Mode
from tests.upstash_double.index import Kind
from tests.upstash_double.server import UpstashDouble

BACKENDS = ("words", "postgres", "hosted", "client-vector", "live")
ACTOR = "user:ada"
LIVE = ("DEEDBOOK_TEST_UPSTASH_URL", "DEEDBOOK_TEST_UPSTASH_TOKEN")
SETTLE_SECONDS = 60.0


class Searched(msgspec.Struct):
    """A ledger, its search, and one project in it.

    Attributes:
        settle: Waits until what was written to the index can be found there.
    """

    name: str
    ledger: Ledger
    project: str
    settle: Callable[[], None]

    def write(self, key: str, text: str, kind: str = "PRD", project: str = "") -> None:
        """Write a version."""
        self.ledger.write_artifact(project or self.project, kind, key, text.encode(), actor=ACTOR)

    def index(self) -> None:
        """Have everything indexed that is due."""
        jobs = self.ledger.index_jobs
        while jobs.catch_up():
            pass
        self.settle()

    def ask(self, text: str, mode: Mode = "hybrid", *kinds: str, project: str = "") -> Answer:
        """Search."""
        asked = Asked(projects=(project or self.project,), text=text, mode=mode, kinds=kinds)
        return self.ledger.search.search(asked)

    def keys(self, text: str, mode: Mode = "hybrid", *kinds: str) -> list[str]:
        """What is found, by name."""
        return [hit.key for hit in self.ask(text, mode, *kinds).hits]

    def held(self) -> list[set[tuple[str, int, int]]]:
        """What each index holds of the project: source, position, and how many chunks."""
        upkeep = self.ledger.search.upkeep
        return [set(holding.inventory(self.project)) for _, holding in upkeep.held]


@contextmanager
def searched(name: str, database_url: str, double: UpstashDouble) -> Iterator[Searched]:
    """A ledger with a backend; skips where that cannot be had."""
    url, token = _index(name, double)
    settings = Settings(
        database_url=database_url,
        deedbook_embedder="none" if name in {"words", "hosted"} else "auto",
        upstash_vector_rest_url=url,
        upstash_vector_rest_token=token,
    )
    if settings.deedbook_embedder == "auto":
        found = choose_embedder(settings)()
        if isinstance(found, EmbedderMissing):
            pytest.skip(f"the model is not here: {found.reason}")
    with open_ledger(settings, database_url) as ledger:
        project = f"p-{secrets.token_hex(6)}"
        ledger.create_project(project, title="A project", actor=ACTOR)
        try:
            yield Searched(name, ledger, project, _settling(name, url, token))
        finally:
            if name == "live":
                with _live(url, token) as index:
                    index.remove_project(project)


def _index(name: str, double: UpstashDouble) -> tuple[str | None, str | None]:
    if name in {"words", "postgres"}:
        return None, None
    if name == "live":
        url, token = (os.environ.get(one) for one in LIVE)
        if not url or not token:
            pytest.skip(f"no live index: {' and '.join(LIVE)} are not set")
        return url, token
    if name == "hosted":
        return double.url("hybrid-embedding"), double.token("hybrid-embedding")
    double.made("client-vector", Kind(dimension=384, sparse=True))
    return double.url("client-vector"), double.token("client-vector")


def _settling(name: str, url: str | None, token: str | None) -> Callable[[], None]:
    def settle() -> None:
        if name != "live":
            return
        with _live(url, token) as index:
            until = time.monotonic() + SETTLE_SECONDS
            while index.pending() and time.monotonic() < until:
                time.sleep(0.5)  # the service's own pace, and only where there is one

    return settle


def _live(url: str | None, token: str | None) -> UpstashIndex:
    assert url is not None
    assert token is not None
    return UpstashIndex(
        lambda: UpstashTransport(url, token),
        embedder=choose_embedder(Settings()),
        allow_non_hybrid=True,
    )
