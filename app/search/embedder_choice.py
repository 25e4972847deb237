"""A placeholder until the branch lands."""

from collections.abc import Callable

from adapters.search.embedder import Embedder, EmbedderMissing
from app.settings import Settings


def choose_embedder(settings: Settings) -> Callable[[], Embedder | EmbedderMissing]:
    """None."""
    del settings
    return lambda: EmbedderMissing("there is none")
