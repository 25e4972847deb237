"""A ledger served over HTTP by a real server, in a thread of the test's process."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2
import msgspec
import psycopg
import uvicorn

from app.application import create_application
from app.bootstrap import open_ledger
from app.ledger import Ledger
from app.settings import Settings
from tests.note_samples import published_signer
from tests.seal_samples import published_seal_signer

START_SECONDS = 20.0


class Served(msgspec.Struct, frozen=True):
    """A running server: its address, an admin's token, and what is behind it."""

    url: str
    token: str
    ledger: Ledger
    database_url: str

    def client(self, token: str | None = None, **headers: str) -> httpx2.Client:
        """A plain HTTP client; with an empty token it sends none."""
        sent = {"Authorization": f"Bearer {self.token if token is None else token}", **headers}
        if token == "":
            del sent["Authorization"]
        return httpx2.Client(base_url=self.url, headers=sent, timeout=30.0, trust_env=False)

    def limited(self, *scopes: str, projects: tuple[str, ...] | None = None) -> str:
        """Another token."""
        return self.ledger.tokens.create("limited", scopes=scopes, projects=projects)[0]

    def execute(self, statement: str, *parameters: object) -> int:
        """Change the database behind the ledger's back, as its owner; answers the rows touched."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).rowcount


@contextmanager
def serve(database_url: str) -> Iterator[Served]:
    """Serve the ledger in a migrated database."""
    settings = Settings(
        database_url=database_url, deedbook_host="ledger.example", deedbook_embedder="none"
    )
    with (
        open_ledger(
            settings,
            database_url,
            signer=published_signer(),
            seal_signer=published_seal_signer(),
        ) as ledger,
        serve_ledger(ledger, database_url) as served,
    ):
        yield served


@contextmanager
def serve_ledger(ledger: Ledger, database_url: str) -> Iterator[Served]:
    """Serve a ledger that is open.

    With the protocol named, asyncio switches Nagle's delay off: some 40 ms per request.
    """
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        server = uvicorn.Server(
            uvicorn.Config(
                create_application(ledger), log_level="critical", timeout_graceful_shutdown=5
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            port = listening.getsockname()[1]
            secret, _ = ledger.tokens.create("admin", scopes=["admin"])
            yield Served(f"http://127.0.0.1:{port}", secret, ledger, database_url)
        finally:
            ledger.signal.stop_waiting()
            server.should_exit = True
            thread.join(START_SECONDS)
