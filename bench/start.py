"""The second start of a whole ledger, from the command to the first answer."""

import os
import signal
import statistics
import subprocess
import sys
import time

from bench.measure import Figure
from bench.place import Place, child_environment

MAX_SECONDS = 2.0
SECONDS = 60.0


def measure(place: Place, rounds: int) -> list[Figure]:
    """How long `run.py` takes to be ready again, and to leave."""
    environment = child_environment(DEEDBOOK_DATA=str(place.folder / "started"))
    ready, gone = [], []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "app", "up", "--port", "0", "--no-import", "-q"],
            env=environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            ready.append(time.perf_counter() - began)
            began = time.perf_counter()
            os.killpg(process.pid, signal.SIGINT)
            process.wait(SECONDS)
            gone.append(time.perf_counter() - began)
    again = statistics.median(ready[1:])
    return [
        Figure("a first start, an empty database made", f"{ready[0]:.2f} s", "", None),
        Figure("a second start", f"{again:.2f} s", f"<= {MAX_SECONDS:.0f} s", again <= MAX_SECONDS),
        Figure("until everything has stopped", f"{statistics.median(gone):.2f} s", "", None),
    ]
