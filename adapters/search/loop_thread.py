"""An event loop in a thread of its own, for synchronous code that uses an asynchronous client."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class LoopEnded(Exception):
    """The thread was closed before the coroutine began."""


class LoopThread:
    """Runs coroutines for other threads; close it.

    A client made in it stays in one loop for ever, as its connections need.

    Args:
        name: Of the thread.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._guard = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """What the coroutine returns or raises; it must end by itself, by deadlines of its own.

        Who stops waiting, as by Ctrl-C, has cancelled it.

        Raises:
            LoopEnded: It did not begin.
            concurrent.futures.CancelledError: The thread was closed meanwhile.
        """
        assert threading.current_thread() is not self._thread, "it would wait for itself"
        with self._guard:  # what is begun here is seen by `close`
            if self._closed:
                coroutine.close()
                raise LoopEnded
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self, last: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cancel what still runs, do one thing more in the loop, if any, and end the thread."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        try:
            asyncio.run_coroutine_threadsafe(_end(last), self._loop).result()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


async def _end(last: Callable[[], Awaitable[None]] | None) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if last is not None:
        await last()
