"""Who waits for events is woken by the commit: within the process at once, from others by NOTIFY.

Who watches a draft likewise, by each piece of its text; the hint has its id and offset, never text.

A notification is a hint, never the truth: receivers listen first, then read, then wait with a time
limit, so a lost hint costs a little time and no event. NOTIFY travels on a connection of its own, at
most every 50 ms: inside the append transaction it would queue the commits of all projects.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from adapters.postgres_connect import connect

CHANNEL = "deedbook_commit"
BETWEEN_NOTIFIES_SECONDS = 0.05
LISTEN_SECONDS = 1.0
RECONNECT_SECONDS = (0.1, 0.5, 2.0, 5.0)
MAX_PAYLOAD_BYTES = 7_000  # Postgres allows 8,000
OF_PROJECT = ":"
"""Between a project and the id of its draft; no project's slug has it."""


class CommitSignal:
    """Tells waiters that a project's log has grown; use as a context manager."""

    def __init__(self, url: str, *, pooled: bool = False) -> None:
        self._url = url
        self._pooled = pooled
        self._sizes: dict[str, int] = {}
        self._generation = 0
        self._changed = threading.Condition()
        self._to_send: dict[str, int] = {}
        self._wake_sender = threading.Event()
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []
        self._waker: socket.socket | None = None
        self._callbacks: dict[object, Callable[[], None]] = {}
        self._watchers: dict[str, dict[object, Callable[[], None]]] = {}

    def committed(self, project: str, size: int) -> None:
        """The log has this size now; called after the commit."""
        self._heard(project, size)
        if not self._pooled:
            with self._changed:
                self._to_send[project] = max(size, self._to_send.get(project, 0))
            self._wake_sender.set()

    def drafted(self, project: str, draft: str, offset: int) -> None:
        """A draft has so many bytes now, or was closed with them; called after the commit."""
        name = f"{project}{OF_PROJECT}{draft}"
        with self._changed:
            self._wake_watchers(name)
            if not self._pooled:
                self._to_send[name] = max(offset, self._to_send.get(name, 0))
        self._wake_sender.set()

    def on_draft(
        self, project: str, draft: str, callback: Callable[[], None]
    ) -> Callable[[], None]:
        """Have `callback` called, from any thread, whenever a draft may have changed.

        It must not block. Answers the function that ends it.
        """
        name, token = f"{project}{OF_PROJECT}{draft}", object()
        with self._changed:
            self._watchers.setdefault(name, {})[token] = callback

        def end() -> None:
            with self._changed:
                watchers = self._watchers.get(name, {})
                watchers.pop(token, None)
                if not watchers:
                    self._watchers.pop(name, None)

        return end

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called, from any thread, whenever a waiter would be woken.

        It must not block. Answers the function that ends it.
        """
        token = object()
        with self._changed:
            self._callbacks[token] = callback

        def end() -> None:
            with self._changed:
                self._callbacks.pop(token, None)

        return end

    def known(self, project: str) -> int:
        """The largest size heard of; 0 when nothing was."""
        with self._changed:
            return self._sizes.get(project, 0)

    def wait(self, project: str, beyond: int, timeout_seconds: float) -> int:
        """Wait until the log is known to be larger than `beyond`, or anything may have happened.

        Answers the largest size heard of: a hint to read the log now, even when not larger.
        """
        with self._changed:
            generation = self._generation
            self._changed.wait_for(
                lambda: (
                    self._sizes.get(project, 0) > beyond
                    or self._generation != generation
                    or self._stopping.is_set()
                ),
                timeout_seconds,
            )
            return self._sizes.get(project, 0)

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end."""
        return self._stopping.is_set()

    def stop_waiting(self) -> None:
        """Wake everybody for the last time; again, it changes nothing.

        Not in a signal handler: it takes locks that the interrupted code may hold.
        """
        self._stopping.set()
        self._wake_sender.set()
        if self._waker is not None:
            with contextlib.suppress(OSError):  # the listener has ended, and closed its side
                self._waker.send(b"\0")
        with self._changed:
            self._wake()
            self._wake_watchers()

    def __enter__(self) -> Self:
        if not self._pooled:
            self._waker, woken = socket.socketpair()
            for work, arguments in ((self._send, ()), (self._listen, (woken,))):
                thread = threading.Thread(target=work, args=arguments, name=work.__name__)
                thread.daemon = True
                thread.start()
                self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop_waiting()
        for thread in self._threads:
            thread.join()
        if self._waker is not None:
            self._waker.close()
            self._waker = None

    def _heard(self, project: str, size: int) -> None:
        with self._changed:
            if size > self._sizes.get(project, 0):
                self._sizes[project] = size
            self._wake()

    def _look_at_all(self) -> None:
        """Something may have been missed: every waiter reads again."""
        with self._changed:
            self._generation += 1
            self._wake()
            self._wake_watchers()

    def _wake(self) -> None:
        self._changed.notify_all()
        for callback in self._callbacks.values():
            callback()

    def _wake_watchers(self, name: str | None = None) -> None:
        """Those of one draft, or of all."""
        named = self._watchers.values() if name is None else [self._watchers.get(name, {})]
        for watchers in named:
            for callback in watchers.values():
                callback()

    def _send(self) -> None:
        connection: psycopg.Connection | None = None
        failures = 0
        while not self._stopping.is_set():
            self._wake_sender.wait()
            self._wake_sender.clear()
            with self._changed:
                sizes, self._to_send = self._to_send, {}
            payload = " ".join(f"{project}={size}" for project, size in sizes.items())
            if len(payload) > MAX_PAYLOAD_BYTES:
                payload = ""  # "look at all"
            try:
                if connection is None and sizes:
                    connection = connect(self._url, autocommit=True)
                if connection is not None and sizes:
                    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
                failures = 0
            except psycopg.Error:
                _close(connection)
                connection = None
                self._keep_for_later(sizes)
                self._stopping.wait(_pause(failures))
                failures += 1
            self._stopping.wait(BETWEEN_NOTIFIES_SECONDS)
        _close(connection)

    def _keep_for_later(self, sizes: dict[str, int]) -> None:
        with self._changed:
            for project, size in sizes.items():
                self._to_send[project] = max(size, self._to_send.get(project, 0))
        self._wake_sender.set()

    def _listen(self, woken: socket.socket) -> None:
        with woken:
            self._listen_until(woken)

    def _listen_until(self, woken: socket.socket) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                with connect(self._url, autocommit=True) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._look_at_all()
                    failures = 0
                    self._receive_until_stopped(connection, woken)
            except psycopg.Error:
                self._look_at_all()
                self._stopping.wait(_pause(failures))
                failures += 1

    def _receive_until_stopped(self, connection: psycopg.Connection, woken: socket.socket) -> None:
        # Not select(2): with a thousand open streams it refuses the number of a new connection.
        with selectors.DefaultSelector() as ready:
            ready.register(connection.fileno(), selectors.EVENT_READ)
            ready.register(woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                ready.select(LISTEN_SECONDS)
                for notice in connection.notifies(timeout=0):
                    self._receive(notice.payload)

    def _receive(self, payload: str) -> None:
        if not payload:
            self._look_at_all()
        for item in payload.split():
            name, _, size = item.partition("=")
            if OF_PROJECT in name:
                with self._changed:
                    self._wake_watchers(name)
            elif size.isdecimal():
                self._heard(name, int(size))


def _pause(failures: int) -> float:
    return RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]


def _close(connection: psycopg.Connection | None) -> None:
    if connection is not None:
        with contextlib.suppress(psycopg.Error):
            connection.close()
