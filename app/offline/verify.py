"""`deedbook verify` as a use case: one file, checked without a ledger, a network or a clock."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from adapters.zip_reader import MAX_ZIP_BYTES, ZipArchive, ZipEntry, open_archive
from domain.digest import parse_digest
from domain.errors import Damaged, TooLarge
from projections.bundle_paths import check_path
from projections.manifest import EVENTS_PATH
from projections.verify import NOTHING, ArchiveEntry, verify
from projections.verify_evidence import Earlier, Evidence
from projections.verify_report import Report, refused

Progress = Callable[[int, int | None], None]

SIDECAR = ".sigstore.json"
"""The end of a sidecar's name, behind that of its ZIP."""


def beside(file: Path) -> Path | None:
    """The sidecar next to an export, if there is one."""
    sidecar = file.with_name(file.name + SIDECAR)
    return sidecar if sidecar.is_file() else None


def verify_file(
    file: Path,
    *,
    progress: Progress,
    evidence: Evidence = NOTHING,
    since: Path | None = None,
    since_sidecar: bytes | None = None,
) -> Report:
    """Check an export; nothing is extracted, and memory does not grow with its contents.

    Args:
        file: A regular file; links are not followed.
        progress: Called with the bytes done and the bytes to do; events are read twice.
        evidence: What the reader brings.
        since: An older export, of whose log this one's must be the continuation.
        since_sidecar: The older one's seal, held to the same keys.

    Raises:
        Malformed: `archive-unreadable`.
    """
    if since is not None:
        older = _verify(
            since,
            Evidence(
                signatures=evidence.signatures,
                trust=evidence.trust,
                sidecar=since_sidecar,
            ),
            progress,
        )
        evidence = msgspec.structs.replace(evidence, earlier=_earlier(older))
    return _verify(file, evidence, progress)


def _verify(file: Path, evidence: Evidence, progress: Progress) -> Report:
    try:
        with open_archive(file, check_path) as archive:
            return verify(CountedArchive(archive, progress), evidence)
    except TooLarge as error:
        return refused(error)
    except Damaged as error:
        return refused(error, zip_sha256=_sha256(file))


def _earlier(report: Report) -> Earlier:
    """The older export as a thing to compare with."""
    wrong = next((one for one in report.checks if one.ok is False), None)
    summary = report.summary
    if not report.sound or wrong is not None or summary.root is None or summary.position is None:
        detail = "it cannot be read" if wrong is None else f"{wrong.id}: {wrong.detail}"
        return Earlier(origin=None, size=0, root=b"", sound=False, detail=detail)
    return Earlier(
        origin=summary.origin,
        size=summary.position,
        root=parse_digest(summary.root),
        sound=True,
    )


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
