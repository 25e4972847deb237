"""What gives texts their vectors, or why there is nothing that does."""

from collections.abc import Sequence
from typing import Protocol

import msgspec


class Embedder(Protocol):
    """A model of sentences: texts that mean alike get vectors with a small angle between them.

    Attributes:
        model: Its name, and the beginning of its digest: vectors of two models are not compared.
        dimension: Of its vectors.
    """

    model: str
    dimension: int

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector of length 1 for each text, in their order."""


class EmbedderMissing(msgspec.Struct, frozen=True):
    """There is no model; `reason` says why, and what to do."""

    reason: str
