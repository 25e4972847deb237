"""Where measurements happen: a durable PostgreSQL of their own, a ledger over it, and a service."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg

from adapters.embedded_postgres import EmbeddedPostgres
from adapters.migrate import migrate
from adapters.service_login import service_login
from app.bootstrap import open_ledger
from app.ledger import Ledger
from app.settings import Settings

ROOT = Path(__file__).parent.parent
START_SECONDS = 60.0
COMMITS = 60
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


class Place(msgspec.Struct, frozen=True):
    """A folder, a database in it, and a ledger opened in this process."""

    folder: Path
    owner_url: str
    service_url: str
    ledger: Ledger


@contextmanager
def open_place() -> Iterator[Place]:
    """Everything in a temporary folder, with fsync on; nothing stays behind."""
    with tempfile.TemporaryDirectory(prefix="deedbook-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL, as another account than root, must pass through
        with EmbeddedPostgres.open(Path(folder) / "data") as server:
            migrate(server.admin_url)
            url = service_login(server.admin_url)
            settings = Settings(database_url=url, deedbook_host="ledger.example")
            with open_ledger(settings, url) as ledger:
                yield Place(Path(folder), server.admin_url, url, ledger)


class Service(msgspec.Struct, frozen=True):
    """`deedbook serve` in a process of its own."""

    url: str
    token: str
    pid: int

    def resident_bytes(self) -> int:
        """What it holds in memory now."""
        return self._status("VmRSS")

    def forget_peak(self) -> None:
        """Begin a new high-water mark (proc(5), clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """The most that it held since."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
        return 0


@contextmanager
def serve(place: Place) -> Iterator[Service]:
    """Serve the place's database, with an admin's token."""
    secret, _ = place.ledger.tokens.create("bench", scopes=("admin",))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "app", "serve", "--port", "0"],
        env=child_environment(
            DATABASE_URL=place.service_url, DEEDBOOK_DATA=str(place.folder / "service")
        ),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving http"), line
            yield Service(line.split()[1], secret, process.pid)
        finally:
            process.terminate()
            process.wait(START_SECONDS)


def child_environment(**settings: str) -> dict[str, str]:
    """The variables for a program that is measured: nobody's settings, and bytecode kept as usual."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("DEEDBOOK_") and name not in {"DATABASE_URL", NO_BYTECODE}
    }
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def conditions(place: Place) -> str:
    """The machine in a line: every figure is to be read beside it."""
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE commit_time (n int)")
        times = []
        for number in range(COMMITS):
            began = time.perf_counter()
            connection.execute("INSERT INTO commit_time VALUES (%s)", (number,))
            times.append(time.perf_counter() - began)
        connection.execute("DROP TABLE commit_time")
        version = connection.info.parameter_status("server_version")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return (
        f"{os.cpu_count()} cores, load {load:.1f}, Python {sys.version.split()[0]}, PostgreSQL "
        f"{version}, a commit takes {1000 * statistics.median(times):.2f} ms, fsync on"
    )
