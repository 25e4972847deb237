"""Which model gives texts their vectors, as the settings choose it."""

import threading
from collections.abc import Callable
from pathlib import Path

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.minilm import ModelMissing, open_minilm
from app.settings import Settings
from domain.errors import Unavailable


def choose_embedder(settings: Settings) -> Callable[[], Embedder | EmbedderMissing]:
    """What opens the model when it is first needed, and gives the same one from then on.

    Raises:
        Unavailable: `embedder-missing`: the settings demand a model that cannot be had.
    """
    if settings.deedbook_embedder == "none":
        return lambda: EmbedderMissing("DEEDBOOK_EMBEDDER is none")
    vocabulary = settings.deedbook_embedder_vocab
    choice = _Once(None if vocabulary is None else Path(vocabulary).expanduser())
    if settings.deedbook_embedder == "minilm":
        found = choice()
        if isinstance(found, EmbedderMissing):
            raise Unavailable("embedder-missing", f"DEEDBOOK_EMBEDDER is minilm: {found.reason}.")
    return choice


class _Once:
    """Opens the model once, whoever asks first."""

    def __init__(self, vocabulary: Path | None) -> None:
        self._vocabulary = vocabulary
        self._lock = threading.Lock()
        self._found: Embedder | EmbedderMissing | None = None

    def __call__(self) -> Embedder | EmbedderMissing:
        with self._lock:
            if self._found is None:
                try:
                    self._found = open_minilm(self._vocabulary)
                except ModelMissing as error:
                    self._found = EmbedderMissing(str(error))
            return self._found
