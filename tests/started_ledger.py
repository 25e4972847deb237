"""A real ledger in a process of its own, for the tests of starting, serving and stopping."""

import http.client
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parent.parent
SECONDS = 90.0
"""For anything that is waited for; a loaded machine may be slow, and none of it should take one."""
READY = "Deedbook is ready at "


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """The variables for a command: nobody's own settings, and none of the tests' database."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "DATABASE_URL" and not name.startswith("DEEDBOOK_")
    }
    return kept | {"DEEDBOOK_DATA": str(folder), "PYTHONPATH": str(ROOT)} | settings


class Started:
    """A running command; its lines are read as they come."""

    def __init__(self, arguments: Sequence[str], variables: dict[str, str], cwd: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "app", *arguments],
            env=variables,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a process group of its own, as a terminal gives
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=self._read, args=pipe)
            for pipe in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    @property
    def said(self) -> str:
        """Everything that it wrote so far."""
        return "\n".join([*self.out, *self.err])

    def line(self, text: str) -> str:
        """Wait for a line that has this in it."""
        deadline = time.monotonic() + SECONDS
        while True:
            line = self._lines.get(timeout=max(deadline - time.monotonic(), 0.01))
            assert line is not None, f"it ended without saying {text!r}: {self.said}"
            if text in line:
                return line

    def url(self) -> str:
        """Wait until it serves; answers where."""
        return self.line(READY).removeprefix(READY).split()[0]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group, as a terminal does."""
        os.killpg(self.pid, number)

    def ends(self) -> int:
        """Wait for its end; answers the exit code."""
        code = self.process.wait(SECONDS)
        for reader in self._readers:
            reader.join(SECONDS)
        return code

    def _read(self, pipe: IO[str], kept: list[str]) -> None:
        with pipe:
            for line in pipe:
                kept.append(line.rstrip("\n"))
                self._lines.put(kept[-1])
        self._lines.put(None)


@contextmanager
def started(folder: Path, *arguments: str, cwd: Path = ROOT, **settings: str) -> Iterator[Started]:
    """A command that is ended, if need be by force, at the end."""
    running = Started(arguments, environment(folder, **settings), cwd)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
        running.ends()


def finished(folder: Path, *arguments: str, cwd: Path = ROOT, **settings: str) -> Started:
    """A command that ends by itself; its exit code is in `process.returncode`."""
    with started(folder, *arguments, cwd=cwd, **settings) as running:
        running.ends()
    return running


def connection_of(folder: Path) -> dict[str, str]:
    """What `connection.json` says."""
    return dict(json.loads((folder / "connection.json").read_text()))


def request(
    url: str, token: str | None, path: str, body: object = None, *, accept: str = "application/json"
) -> http.client.HTTPResponse:
    """One request on a connection of its own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=SECONDS)
    headers = {"Accept": accept, "Connection": "close"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    connection.request(
        "GET" if body is None else "POST",
        path,
        None if body is None else json.dumps(body).encode(),
        headers,
    )
    return connection.getresponse()


def write(folder: Path, key: str) -> int:
    """Append a version of a document to the project; answers the HTTP status."""
    connection = connection_of(folder)
    with request(
        connection["url"],
        connection["token"],
        f"/v1/projects/{connection['project']}/events",
        {
            "events": [
                {
                    "stream": f"artifact/NOTE/{key}",
                    "type": "ArtifactWritten",
                    "data": {"media_type": "text/markdown"},
                    "content": f"# {key}\n",
                }
            ]
        },
    ) as answer:
        answer.read()
        return answer.status


def keys(folder: Path, kind: str = "NOTE") -> list[str]:
    """The keys of the artifacts of a kind (empty: of every kind), through the API."""
    connection = connection_of(folder)
    path = f"/v1/projects/{connection['project']}/artifacts?limit=100"
    if kind:
        path += f"&kind={kind}"
    with request(connection["url"], connection["token"], path) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, found
    return [str(one["key"]) for one in found["artifacts"]]


def processes_of(folder: Path) -> list[int]:
    """Every process that works in the data folder or names it: a server's children have it as cwd."""
    found = []
    for place in Path("/proc").iterdir():
        if not place.name.isdigit():
            continue
        try:
            cwd = (place / "cwd").readlink()
            command = (place / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile, or is the kernel's
        if cwd.is_relative_to(folder) or os.fsencode(folder) in command:
            found.append(int(place.name))
    return found


def server_pid(folder: Path) -> int:
    """The process of the folder's PostgreSQL."""
    return int((folder / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
