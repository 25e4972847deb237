"""Vectors kept between runs: making them is nearly all the time that measuring search takes."""

import hashlib
import sqlite3
from array import array
from collections.abc import Sequence
from pathlib import Path

from adapters.search.embedder import Embedder


class KeptVectors:
    """A model that remembers what it was asked; an Embedder itself.

    Args:
        embedder: The model.
        file: A SQLite database, made if it is not there.
    """

    def __init__(self, embedder: Embedder, file: Path) -> None:
        self.model = embedder.model
        self.dimension = embedder.dimension
        self._embedder = embedder
        file.parent.mkdir(parents=True, exist_ok=True)
        self._kept = sqlite3.connect(file, check_same_thread=False)
        self._kept.execute("CREATE TABLE IF NOT EXISTS vector (key TEXT PRIMARY KEY, value BLOB)")

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """A vector for each text."""
        keys = [f"{self.model} {hashlib.sha256(text.encode()).hexdigest()}" for text in texts]
        known = {key: value for key in keys if (value := self._find(key)) is not None}
        new = [place for place, key in enumerate(keys) if key not in known]
        if new:
            made = self._embedder.embed([texts[place] for place in new])
            for place, vector in zip(new, made, strict=True):
                known[keys[place]] = vector
                self._kept.execute(
                    "INSERT OR IGNORE INTO vector VALUES (?, ?)",
                    (keys[place], array("f", vector).tobytes()),
                )
            self._kept.commit()
        return [known[key] for key in keys]

    def close(self) -> None:
        """Close the file."""
        self._kept.close()

    def _find(self, key: str) -> list[float] | None:
        row = self._kept.execute("SELECT value FROM vector WHERE key = ?", (key,)).fetchone()
        return None if row is None else array("f", row[0]).tolist()
