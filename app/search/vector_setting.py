"""The settings of the hosted index."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.remote_fault import RemoteFault
from app.settings import Settings

if TYPE_CHECKING:
    from adapters.search.upstash_index import UpstashIndex

_logger = logging.getLogger("deedbook.search")


@contextmanager
def open_vector_index(
    settings: Settings,
    embedder: Callable[[], Embedder | EmbedderMissing],
    *,
    chance: Callable[[], float],
    serving: bool,
) -> Iterator["UpstashIndex | None"]:
    """The hosted index; None without its settings. A service looks whether it fits.

    One that cannot be reached now is no reason not to start: it is looked at when it is first used.

    Raises:
        Malformed: `invalid-parameter`.
    """
    named = settings.vector_index
    if named is None:
        yield None
        return
    from adapters.search.upstash_index import UpstashIndex  # noqa: PLC0415 -- slow
    from adapters.search.upstash_transport import UpstashTransport  # noqa: PLC0415 -- slow

    index = UpstashIndex(
        partial(UpstashTransport, named.url, named.token, chance=chance),
        embedder=embedder,
        allow_non_hybrid=settings.deedbook_search_allow_non_hybrid,
    )
    try:
        if serving:
            try:
                index.info()
            except RemoteFault as fault:
                _logger.warning(
                    "the hosted index cannot be reached, and is looked at later: %s", fault
                )
        yield index
    finally:
        index.close()
