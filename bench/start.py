"""Starting a whole ledger again, from the command to the first answer, and stopping it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

from bench.ground import Ground
from bench.measure import Figure, middle

SECONDS = 60.0
TARGET = "<= 2"


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """A first start, which makes the database, and then so many more."""
    took = [_once(ground) for _ in range(rounds + 1)]
    ready, gone = [up for up, _ in took], [down for _, down in took]
    yield Figure(
        "the first start, an empty database made", ready[0], ready[0], ready[0], "s", "", ""
    )
    yield middle("a later start, until the first answer", ready[1:], "s", target=TARGET)
    yield middle("a stop, until everything has ended", gone, "s")


def _once(ground: Ground) -> tuple[float, float]:
    """Seconds until a request is answered, and until the process has gone after Ctrl-C."""
    variables = ground.variables() | {"DEEDBOOK_DATA": str(ground.folder / "started")}
    del variables["DATABASE_URL"]
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "app", "up", "--port", "0", "--no-import", "-q"],
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        place = urlsplit(process.stdout.readline().strip())
        connection = HTTPConnection(place.hostname or "", place.port, timeout=SECONDS)
        connection.request("GET", "/readyz")
        assert connection.getresponse().status == 200
        ready = time.perf_counter() - began
        connection.close()
        began = time.perf_counter()
        os.killpg(process.pid, signal.SIGINT)
        process.wait(SECONDS)
    return ready, time.perf_counter() - began
