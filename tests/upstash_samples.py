"""Chunks and ways to the stand-in for Upstash Vector, for the tests of the hosted index."""

import math
import ssl
from collections.abc import Sequence
from functools import partial

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.remote_chunk import RemoteChunk
from adapters.search.upstash_index import UpstashIndex
from adapters.search.upstash_transport import UpstashTransport, upstash_client
from tests.upstash_double import hosted_models
from tests.upstash_double.index import Kind
from tests.upstash_double.server import UpstashDouble

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""To loopback without TLS: with it, a client is made without reading the system's certificates."""
CLIENT_KIND = Kind(dimension=384, sparse=True)
NAMESPACE = "project:alpha:artifacts"


class WordModel:
    """Stands in for the model: texts with words in common are near each other."""

    model = "words"
    dimension = 384

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors = [hosted_models.dense(text, self.dimension) for text in texts]
        return [[one / (math.hypot(*vector) or 1.0) for one in vector] for vector in vectors]


def words() -> Embedder:
    return WordModel()


def no_words() -> EmbedderMissing:
    return EmbedderMissing("onnxruntime is not installed")


def terms(text: str) -> list[int]:
    return list(hosted_models.sparse(text))


def chunk(text: str, kind: str = "PRD") -> RemoteChunk:
    return RemoteChunk(
        kind=kind, heading=("Title", "Part"), text=text, weights=hosted_models.sparse(text)
    )


async def at_once(seconds: float) -> None:
    """No pause between attempts."""


def transport(double: UpstashDouble, name: str) -> UpstashTransport:
    return UpstashTransport(
        double.url(name),
        double.token(name),
        client=partial(upstash_client, NO_TLS),
        pause=at_once,
    )


def opened(double: UpstashDouble, name: str, *, allow_non_hybrid: bool = False) -> UpstashIndex:
    return UpstashIndex(
        lambda: transport(double, name), embedder=words, allow_non_hybrid=allow_non_hybrid
    )
