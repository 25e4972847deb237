"""The settings of the hosted index."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_index import UpstashIndex
from app.settings import Settings
from domain.errors import Malformed

_logger = logging.getLogger("deedbook.search")


@contextmanager
def open_vector_index(
    settings: Settings, embedder: Callable[[], Embedder | EmbedderMissing], *, serving: bool
) -> Iterator[UpstashIndex | None]:
    """The hosted index; None without its settings. A service looks whether it fits.

    One that cannot be reached now is no reason not to start: it is looked at when it is first used.

    Raises:
        Malformed: `invalid-parameter`, `vector-index-unsuitable`.
    """
    url, token = settings.upstash_vector_rest_url, settings.upstash_vector_rest_token
    if url is None and token is None:
        yield None
        return
    if url is None or token is None:
        raise Malformed(
            "invalid-parameter",
            "Set UPSTASH_VECTOR_REST_URL and UPSTASH_VECTOR_REST_TOKEN, both or neither.",
        )
    from adapters.search.upstash_transport import UpstashTransport  # noqa: PLC0415 -- slow

    index = UpstashIndex(
        partial(UpstashTransport, url, token),
        embedder=embedder,
        allow_non_hybrid=settings.deedbook_search_allow_non_hybrid,
    )
    try:
        if serving:
            try:
                index.shape()
            except RemoteFault as fault:
                _logger.warning(
                    "the hosted index cannot be reached, and is looked at later: %s", fault
                )
        yield index
    finally:
        index.close()
