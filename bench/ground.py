"""What is measured on: a Postgres of its own with full durability, and our service in a process."""

import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.ed25519_key import FileSigner
from adapters.embedded_postgres import EmbeddedPostgres
from adapters.migrate import migrate
from adapters.p256_key import FileSealSigner
from adapters.service_login import service_login
from app.bootstrap import open_ledger
from app.ledger import Ledger
from app.settings import Settings

ROOT = Path(__file__).parent.parent
HOST = "bench.example"
SERVING = "Serving "
NOT_OURS = frozenset({"DATABASE_URL", "PYTHONDONTWRITEBYTECODE"})
"""Somebody's database; and compiling our modules at each start is not what is measured."""
START_SECONDS = 60.0
STOP_SECONDS = 30.0


class Ground(msgspec.Struct, frozen=True):
    """A running Postgres and an open ledger on it.

    Attributes:
        folder: Temporary; gone afterwards.
        owner_url: The superuser's.
        url: With which the service connects.
        ledger: In this process.
        signer: Its log key.
        seal_signer: Its seal key.
        quick: Smaller inputs.
    """

    folder: Path
    owner_url: str
    url: str
    ledger: Ledger
    signer: FileSigner
    seal_signer: FileSealSigner
    quick: bool

    def checkpoint(self) -> None:
        """Have Postgres write out what is dirty, so that no round pays for an earlier one."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def variables(self) -> dict[str, str]:
        """The environment of our own commands here."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in NOT_OURS and not name.startswith("DEEDBOOK_")
        }
        return kept | {
            "DATABASE_URL": self.url,
            "DEEDBOOK_DATA": str(self.folder / "data"),
            "DEEDBOOK_HOST": HOST,
            "PYTHONPATH": str(ROOT),
        }


class Service(msgspec.Struct, frozen=True):
    """Our service, as `deedbook serve` starts it."""

    port: int
    token: str
    pid: int


@contextmanager
def open_ground(*, quick: bool) -> Iterator[Ground]:
    """Start from nothing, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="deedbook-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # Postgres passes through it when root starts this
        with EmbeddedPostgres.open(folder / "data") as server:
            migrate(server.admin_url)
            url = service_login(server.admin_url)
            signer = FileSigner(Ed25519PrivateKey.generate())
            seal_signer = FileSealSigner(generate_private_key(SECP256R1()))
            settings = Settings(database_url=url, deedbook_host=HOST)
            with open_ledger(settings, url, signer=signer, seal_signer=seal_signer) as ledger:
                yield Ground(folder, server.admin_url, url, ledger, signer, seal_signer, quick)


@contextmanager
def serving(ground: Ground) -> Iterator[Service]:
    """The service in a process of its own."""
    token, made = ground.ledger.tokens.create("bench", scopes=("admin",))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "app", "serve", "--port", "0"],
        env=ground.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    too_slow = threading.Timer(START_SECONDS, process.kill)
    too_slow.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(SERVING):
                break
        else:
            raise RuntimeError("the service did not start")
        too_slow.cancel()
        yield Service(int(line.strip().rpartition(":")[2]), token, process.pid)
    finally:
        too_slow.cancel()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()
        ground.ledger.tokens.revoke(made.id)


def machine() -> str:
    """What this machine is, in a line: processors, memory, versions, and who else is busy."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{platform.system()} {platform.machine()}, {_processor()}, "
        f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"
        f" cores, {memory:.0f} GiB; Python {platform.python_version()}; "
        f"load before {os.getloadavg()[0]:.1f}"
    )


def durability(ground: Ground) -> str:
    """What a flush and a commit take here, and that Postgres does flush."""
    with psycopg.connect(ground.owner_url, autocommit=True) as connection:
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes")
        shown = {name: connection.execute(f"SHOW {name}".encode()).fetchone() for name in names}
        version, *others = (row[0] for row in shown.values() if row is not None)
        connection.execute("CREATE TABLE bench_commit (n int)")
        commits = [
            _seconds(lambda: connection.execute("INSERT INTO bench_commit VALUES (1)"))
            for _ in range(100)
        ]
        connection.execute("DROP TABLE bench_commit")
    with (ground.folder / "flush").open("wb", buffering=0) as file:

        def flush() -> None:
            file.write(hashlib.sha256(b"").digest() * 256)
            os.fdatasync(file.fileno())

        flushes = [_seconds(flush) for _ in range(100)]
    settings = ", ".join(f"{name} {value}" for name, value in zip(names[1:], others, strict=True))
    return (
        f"PostgreSQL {version}, {settings}; fdatasync of 8 KB {_middle(flushes):.2f} ms, "
        f"commit of one row {_middle(commits):.2f} ms"
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _middle(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) // 2] * 1e3


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown processor"
