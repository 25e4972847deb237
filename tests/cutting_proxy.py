"""A relay between a client and Postgres that cuts the connection where a test wants it."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec
from psycopg.conninfo import conninfo_to_dict, make_conninfo

How = Literal["answer-lost", "request-lost", "request-late"]


class _Cut(msgspec.Struct):
    pattern: bytes
    how: How
    struck: threading.Event
    release: threading.Event
    delivered: threading.Event


class CuttingProxy:
    """Relays bytes; when a client's message contains a pattern, cuts once.

    `answer-lost`: Postgres gets the message and answers, the client is cut off before the answer.
    `request-lost`: the client is cut off and Postgres never gets the message.
    `request-late`: the client is cut off; Postgres gets the message when it is released.
    """

    def __init__(self, url: str, listener: socket.socket) -> None:
        parts = conninfo_to_dict(url)
        self._target = str(Path(str(parts["host"])) / f".s.PGSQL.{parts.get('port', 5432)}")
        self._listener = listener
        self._threads: list[threading.Thread] = []
        self._cut: _Cut | None = None
        self._stopping = threading.Event()
        self.refusing = False
        port = listener.getsockname()[1]
        self.url = make_conninfo(url, host="127.0.0.1", port=port, gssencmode="disable")

    def cut(self, pattern: bytes, how: How) -> _Cut:
        """Arm the next cut."""
        events = [threading.Event() for _ in range(3)]
        self._cut = _Cut(pattern, how, *events)
        return self._cut

    def run(self) -> None:
        """Accept until stopped."""
        while not self._stopping.is_set():
            ready, _, _ = select.select([self._listener], [], [], 0.05)
            if ready:
                client, _ = self._listener.accept()
                if self.refusing:
                    client.close()
                    continue
                thread = threading.Thread(target=self._relay, args=(client,))
                thread.start()
                self._threads.append(thread)

    def stop(self) -> None:
        """End all relays."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            server.settimeout(20)
            server.connect(self._target)
            with suppress(OSError):
                self._pass_bytes(client, server)

    def _pass_bytes(self, client: socket.socket, server: socket.socket) -> None:
        while not self._stopping.is_set():
            ready, _, _ = select.select([client, server], [], [], 0.05)
            if client in ready:
                sent = client.recv(1 << 20)
                if not sent:
                    return
                cut = self._cut
                if cut is not None and cut.pattern in sent:
                    self._cut = None
                    self._strike(cut, sent, client, server)
                    return
                server.sendall(sent)
            if server in ready:
                answer = server.recv(1 << 20)
                if not answer:
                    return
                client.sendall(answer)

    def _strike(self, cut: _Cut, sent: bytes, client: socket.socket, server: socket.socket) -> None:
        if cut.how == "answer-lost":
            server.sendall(sent)
            answer = b""
            while not answer.endswith(b"Z\0\0\0\x05I"):  # ReadyForQuery: the commit is done
                ready, _, _ = select.select([client, server], [], [], 20)
                assert ready, "Postgres did not answer"
                if client in ready:
                    server.sendall(client.recv(1 << 20))  # the rest of what belongs to it
                if server in ready:
                    answer += server.recv(1 << 20)
            cut.delivered.set()
        if cut.how == "request-late":
            client.settimeout(20)
            while b"S\0\0\0\x04" not in sent:  # Sync may follow in a packet of its own
                sent += client.recv(1 << 20)
        client.shutdown(socket.SHUT_RDWR)
        client.close()
        cut.struck.set()
        if cut.how == "request-late":
            cut.release.wait(30)
            server.sendall(sent)
            answer = b""
            while not answer.endswith((b"Z\0\0\0\x05I", b"Z\0\0\0\x05T", b"Z\0\0\0\x05E")):
                answer += server.recv(1 << 20)
            cut.delivered.set()


@contextmanager
def cutting_proxy(url: str) -> Iterator[CuttingProxy]:
    """A running proxy before the server of a URL, on loopback TCP."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        proxy = CuttingProxy(url, listener)
        running = threading.Thread(target=proxy.run)
        running.start()
        try:
            yield proxy
        finally:
            proxy.stop()
            running.join()
