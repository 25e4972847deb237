"""Serving a ledger over HTTP: the socket, the server, and an end that open streams notice at once."""

import asyncio
import errno
import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.application import create_application
from app.ledger import Ledger
from app.remote.connection import address_to_connect
from app.settings import Settings
from domain.errors import Conflict, Invalid

BACKLOG = 1_024
GRACE_SECONDS = 5
"""For what is still answered when the end comes; streams are told and need none of it."""
KEEP_ALIVE_SECONDS = 15
MAX_CONNECTIONS = 1_000
MAX_HEAD_BYTES = 64 * 1024


def listen(settings: Settings) -> socket.socket:
    """The socket to serve on, listening already: who comes early waits, and nobody else gets it.

    Raises:
        Conflict: `port-taken`.
        Invalid: `address-unusable`.
    """
    address, port = settings.deedbook_listen, settings.deedbook_port
    try:
        family, _, _, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # Named, or asyncio would not switch off Nagle's delay: each answer's body waited for 40 ms.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise _unusable(address, port, error) from None
    try:
        if os.name == "posix":  # elsewhere it would let two programs share the port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno != errno.EADDRINUSE:
            raise _unusable(address, port, error) from None
        raise Conflict(
            "port-taken",
            f"Port {port} of {address} is taken by another program: choose another with --port N "
            "or DEEDBOOK_PORT.",
            members={"port": port},
        ) from None
    listener.set_inheritable(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL under which this machine reaches a listening socket."""
    address, port = listener.getsockname()[:2]
    return f"http://{address_to_connect(address)}:{port}"


def serve_ledger(
    ledger: Ledger, listener: socket.socket, settings: Settings, *, ready: Callable[[], None]
) -> None:
    """Serve until a signal comes; raises what the caller's handler of that signal raises.

    Args:
        ledger: Open.
        listener: From `listen`; closed at the end.
        settings: Whether to keep an access log.
        ready: Called once, when requests are about to be answered.
    """
    application = _Lifespan(create_application(ledger), ledger.signal.stop_waiting, ready)
    server = uvicorn.Server(
        uvicorn.Config(
            application,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=True,
            backlog=BACKLOG,
            limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=GRACE_SECONDS,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        )
    )
    write_log(access=settings.deedbook_access_log)
    server.run(sockets=[listener])


def write_log(*, access: bool) -> None:
    """Warnings go to standard error; with `access`, so does a line for every request."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("deedbook.access").setLevel(logging.INFO if access else logging.WARNING)


class _Lifespan:
    """ASGI around the application: once it has started, a signal also ends all that waits.

    uvicorn only closes what is idle, and would wait for the open streams until its time limit.
    """

    def __init__(
        self, application: ASGIApp, stop: Callable[[], None], ready: Callable[[], None]
    ) -> None:
        self._application = application
        self._stop = stop
        self._ready = ready

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._application(scope, receive, send)
            return

        async def send_on(message: Message) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                _tell_also(self._stop)
                self._ready()

        await self._application(scope, receive, send_on)


def _tell_also(stop: Callable[[], None]) -> None:
    """Wrap the handlers that uvicorn installed; it puts the earlier ones back at its end."""
    loop = asyncio.get_running_loop()

    def wrap(number: int) -> None:
        installed = signal.getsignal(number)

        def handle(number: int, frame: FrameType | None) -> None:
            assert callable(installed)
            installed(number, frame)
            loop.call_soon_threadsafe(stop)  # it takes locks that this thread may hold just now

        signal.signal(number, handle)

    for number in (signal.SIGINT, signal.SIGTERM):
        wrap(number)


def _unusable(address: str, port: int, error: OSError) -> Invalid:
    return Invalid(
        "address-unusable",
        f"Port {port} of {address} cannot be listened on ({error.strerror or error}): choose "
        "others with --listen and --port, or DEEDBOOK_LISTEN and DEEDBOOK_PORT.",
    )
