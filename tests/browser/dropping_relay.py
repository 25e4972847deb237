"""Another address of a server, at which every connection can be dropped: what a network does to a viewer."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

TICK_SECONDS = 0.02
END_SECONDS = 30


class DroppingRelay:
    """Relays bytes between a browser and a server until it is told to drop what is connected."""

    def __init__(self, target: str, listener: socket.socket) -> None:
        parts = urlsplit(target)
        self._target = (str(parts.hostname), int(parts.port or 80))
        self._listener = listener
        self._dropped = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connected = 0
        self._lock = threading.Condition()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.refusing = threading.Event()
        """While it is set, whoever comes is sent away."""

    def drop(self) -> None:
        """End every connection, and return when they have ended."""
        self._dropped.set()
        with self._lock:
            assert self._lock.wait_for(lambda: self._connected == 0, END_SECONDS)
        self._dropped.clear()

    def run(self) -> None:
        """Accept until it is stopped."""
        while not self._stopping.is_set():
            if select.select([self._listener], [], [], TICK_SECONDS)[0]:
                client, _ = self._listener.accept()
                if self.refusing.is_set():
                    client.close()
                    continue
                with self._lock:
                    self._connected += 1
                self._threads.append(threading.Thread(target=self._relay, args=(client,)))
                self._threads[-1].start()

    def stop(self) -> None:
        """End everything."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(END_SECONDS)

    def _relay(self, client: socket.socket) -> None:
        try:
            with (
                client,
                suppress(OSError),
                socket.create_connection(self._target, timeout=END_SECONDS) as server,
            ):
                self._pass_bytes(client, server)
        finally:
            with self._lock:
                self._connected -= 1
                self._lock.notify_all()

    def _pass_bytes(self, client: socket.socket, server: socket.socket) -> None:
        while not (self._stopping.is_set() or self._dropped.is_set()):
            for one in select.select([client, server], [], [], TICK_SECONDS)[0]:
                passed = one.recv(1 << 16)
                if not passed:
                    return
                (server if one is client else client).sendall(passed)


@contextmanager
def dropping_relay(target: str) -> Iterator[DroppingRelay]:
    """A running relay before a server."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        relay = DroppingRelay(target, listener)
        running = threading.Thread(target=relay.run)
        running.start()
        try:
            yield relay
        finally:
            relay.stop()
            running.join(END_SECONDS)
