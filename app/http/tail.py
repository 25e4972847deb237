"""Server-sent events: what is recorded already, then what comes, without a gap (HTML standard, 9.2)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

from starlette.concurrency import run_in_threadpool

from adapters.postgres_connect import UNREACHABLE
from adapters.postgres_views import TrailFilter
from app.ledger import Ledger
from domain.errors import DeedbookError, Unavailable

HEARTBEAT_SECONDS = 15.0
RETRY_MILLISECONDS = 2_000
PAGE_EVENTS = 500
MAX_STREAMS_EACH = 100
"""Open streams of one token in this process."""

AWAY: tuple[type[Exception], ...] = (DeedbookError, *UNREACHABLE)
_open: Counter[str] = Counter()


async def tail(
    ledger: Ledger, project: str, which: TrailFilter, after: int, holder: str
) -> AsyncIterator[bytes]:
    """The events after a position as server-sent events, until the reader goes or the ledger stops.

    It listens before it reads, so that nothing falls between, and goes by positions, so that nothing
    comes twice. While it waits it holds no connection and no thread.
    """
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()

    def wake() -> None:
        loop.call_soon_threadsafe(changed.set)

    with place(holder), ExitStack() as leaving:
        leaving.callback(ledger.signal.on_change(wake))
        yield f"retry: {RETRY_MILLISECONDS}\n\n".encode()
        while not ledger.signal.stopping:
            changed.clear()
            try:
                size = (await run_in_threadpool(ledger.log.head, project)).size
                while after < size:
                    page = await run_in_threadpool(
                        ledger.events.page,
                        project,
                        which,
                        after=after,
                        upto=size,
                        limit=PAGE_EVENTS,
                    )
                    for position, line in page:
                        yield b"id: %d\ndata: %b\n\n" % (position, line)
                    after = page[-1][0] if len(page) == PAGE_EVENTS else size
            except AWAY:
                yield b"event: bye\ndata: the database is away\n\n"
                return
            try:
                async with asyncio.timeout(HEARTBEAT_SECONDS):
                    await changed.wait()
            except TimeoutError:
                yield b": still here\n\n"
        yield b"event: bye\ndata: the ledger stops\n\n"


@contextmanager
def place(holder: str) -> Iterator[None]:
    """One open stream of a token, for as long as it lasts."""
    _open[holder] += 1
    try:
        yield
    finally:
        _open[holder] -= 1


def check_room(holder: str) -> None:
    """Refuse one stream too many.

    Raises:
        Unavailable: `rate-limited`.
    """
    if _open[holder] >= MAX_STREAMS_EACH:
        raise Unavailable(
            "rate-limited", f"This token has {MAX_STREAMS_EACH} streams open here: close some."
        )
