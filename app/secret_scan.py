"""A look for secrets in files, or in all that a git repository ever held, on this machine only."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from adapters.git_objects import git_objects
from app.redaction import find_bytes
from domain.errors import Invalid
from domain.log import MAX_BLOB_BYTES
from domain.secret_finding import fingerprint, line_of


class FoundSecret(msgspec.Struct, frozen=True):
    """Where something looks like a secret; `object` is of git, and empty for a file."""

    rule: str
    path: str
    line: int
    fingerprint: str
    object: str = ""


class Scan:
    """What was looked at so far, and what was found.

    Attributes:
        texts: Files, or git objects, that were looked at.
        size_bytes: Of them all.
    """

    def __init__(self) -> None:
        self.texts = 0
        self.size_bytes = 0

    def files(self, paths: Iterable[Path]) -> Iterator[FoundSecret]:
        """The secrets in files, and in the files of folders; hidden folders are left out.

        Raises:
            Invalid: `file-unreadable`.
        """
        for path in paths:
            for file in _files(path):
                try:
                    content = file.read_bytes() if _is_small(file) else b""
                except OSError as error:
                    raise Invalid(
                        "file-unreadable", f"{file} cannot be read: {error.strerror}."
                    ) from None
                yield from self._found(content, str(file), "")

    def history(self, repository: Path) -> Iterator[FoundSecret]:
        """The secrets in every commit and every version of every file."""
        for one in git_objects(repository):
            yield from self._found(one.content, one.path or "(commit)", one.id)

    def _found(self, content: bytes, path: str, name: str) -> Iterator[FoundSecret]:
        self.texts += 1
        self.size_bytes += len(content)
        for one in find_bytes(content):
            secret = fingerprint(content[one.start : one.end])
            yield FoundSecret(one.rule, path, line_of(content, one), secret, name)


def _is_small(file: Path) -> bool:
    return file.stat().st_size <= MAX_BLOB_BYTES


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        for one in sorted(path.iterdir()):
            if not one.is_symlink() and not (one.is_dir() and one.name.startswith(".")):
                yield from _files(one)
