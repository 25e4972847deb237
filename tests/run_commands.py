"""Commands about runs as tests type them, and what they look at afterwards."""

import select
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from domain.events import EventData
from tests.git_samples import Repository

Typed = Callable[..., str]
"""Runs a command line; answers what it printed: results, or with a failure the complaint."""
Recorded = Callable[[str], list[EventData]]
"""The data of a run's events, in order."""
Contents = Callable[[str], bytes]
"""The bytes of a digest."""

Kind = TypeVar("Kind", bound=EventData)


def the(kind: type[Kind], events: Sequence[EventData]) -> Kind:
    """The one event of a kind."""
    [found] = [event for event in events if isinstance(event, kind)]
    return found


def repository_with_two_commits(folder: Path) -> tuple[str, str]:
    """A checkout in which two commits follow on the first; answers first and last."""
    repository = Repository(folder)
    first = repository.commit(message="First", read="# Read\n")
    repository.write("page.html", "<form>\n")
    repository.commit(message="A page")
    (folder / "read.md").unlink()
    repository.write("logo.bin", bytes(range(256)))
    return first, repository.commit(message="A logo")


@contextmanager
def reachable_until(gone: Path, url: str) -> Iterator[str]:
    """Another address of a server, at which it is reached until a file appears."""
    ended = threading.Event()
    target = urlsplit(url)

    def relay(client: socket.socket) -> None:
        with (
            client,
            suppress(OSError),
            socket.create_connection(
                (str(target.hostname), target.port or 80), timeout=20
            ) as server,
        ):
            while not ended.is_set():
                for one in select.select([client, server], [], [], 0.05)[0]:
                    passed = b"" if gone.exists() else one.recv(1 << 16)
                    if not passed:
                        return
                    (server if one is client else client).sendall(passed)

    def accept(listener: socket.socket) -> None:
        while not ended.is_set():
            if select.select([listener], [], [], 0.05)[0]:
                client = listener.accept()[0]
                threads.append(threading.Thread(target=relay, args=(client,)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads.append(threading.Thread(target=accept, args=(listener,)))
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            ended.set()
            for thread in threads:
                thread.join(30)
