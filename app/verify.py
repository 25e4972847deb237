"""`deedbook verify` as a use case: one file, checked without a ledger, a network or a clock."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from adapters.zip_reader import MAX_ZIP_BYTES, ZipArchive, ZipEntry, open_archive
from domain.errors import Damaged, TooLarge
from projections.bundle_paths import check_path
from projections.manifest import EVENTS_PATH
from projections.verify import ArchiveEntry, verify
from projections.verify_report import Pin, Report, refused

Progress = Callable[[int, int | None], None]


def verify_file(file: Path, *, pin: Pin | None, progress: Progress) -> Report:
    """Check an export; nothing is extracted, and memory does not grow with its contents.

    Args:
        file: A regular file; links are not followed.
        pin: A root that the reader knows from elsewhere.
        progress: Called with the bytes done and the bytes to do; events are read twice.

    Raises:
        Malformed: `archive-unreadable`.
    """
    try:
        with open_archive(file, check_path) as archive:
            return verify(CountedArchive(archive, progress), pin)
    except TooLarge as error:
        return refused(error)
    except Damaged as error:
        return refused(error, zip_sha256=_sha256(file))


class CountedArchive:
    """An archive that says how much of it was read.

    Args:
        archive: The archive.
        progress: Called with the bytes done and the bytes to do.
        times: How often its bodies are read; the events once more.
    """

    def __init__(self, archive: ZipArchive, progress: Progress, *, times: int = 1) -> None:
        self._archive = archive
        self._progress = progress
        self._done = 0
        self._total = sum(
            one.size_bytes * (times + one.path.endswith(f"/{EVENTS_PATH}"))
            for one in archive.entries
        )

    @property
    def entries(self) -> Sequence[ZipEntry]:
        """In order of path."""
        return self._archive.entries

    @property
    def tail(self) -> bytes:
        """The directory and the end records."""
        return self._archive.tail

    def chunks(self, entry: ArchiveEntry) -> Iterator[bytes]:
        """A body in pieces."""
        assert isinstance(entry, ZipEntry)
        for chunk in self._archive.chunks(entry):
            self._done = min(self._done + len(chunk), self._total)
            self._progress(self._done, self._total)
            yield chunk


def _sha256(file: Path) -> str | None:
    """What the refused file is called by; None when it cannot be read any more."""
    digest, size = hashlib.sha256(), 0
    try:
        with file.open("rb") as opened:
            while chunk := opened.read(1024 * 1024):
                digest.update(chunk)
                size += len(chunk)
                if size > MAX_ZIP_BYTES:
                    return None
    except OSError:
        return None
    return digest.hexdigest()
