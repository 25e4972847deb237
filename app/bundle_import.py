"""Open a project from an export: the same events at the same positions, the same tree.

The export is verified first. What is then read again is held against the digests of that
verification, so that a file which changes in between leaves nothing behind.
"""

import hashlib
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from adapters.zip_reader import MAX_ZIP_BYTES, ZipEntry, open_archive
from app.ledger import Ledger
from app.offline.verify import CountedArchive, Progress
from domain.digest import digest_of, format_digest, parse_digest
from domain.errors import Conflict, Damaged, Invalid, NotFound, TooLarge
from domain.log import MAX_BLOB_BYTES, Blob
from projections.bundle import read_scope
from projections.bundle_paths import check_path
from projections.manifest import EVENTS_PATH, MANIFEST_PATH, Manifest, ManifestFile
from projections.verify import verify
from projections.verify_report import Report, Summary

CONTENTS = frozenset({"artifact", "original", "record"})
"""What the manifest calls the files that are contents of the ledger."""


class Imported(msgspec.Struct, frozen=True):
    """A project as it was opened; `contents` is how many came along."""

    project: str
    position: int
    root: str
    events: int
    contents: int


def import_bundle(
    ledger: Ledger, file: Path, *, progress: Progress, max_bytes: int = MAX_ZIP_BYTES
) -> Imported:
    """Verify an export of a whole project and open that project with it; all or nothing.

    The project is named as in the export, and its log keeps its origin. An export has the contents
    of latest versions only, and originals only if it was taken with them: else a position answers `content-missing` here until the contents
    that belong to it are uploaded.

    Args:
        ledger: The ledger that has no such project yet.
        file: A regular file; links are not followed.
        progress: Called with the bytes done and the bytes to do.
        max_bytes: Larger files are refused.

    Raises:
        Conflict: `project-exists`.
        Invalid: `bundle-not-verified`, with the step; `bundle-not-whole` for the export of a run.
        TooLarge: `archive-too-large`, `body-too-large`.
        Malformed: `archive-unreadable`.
        Unavailable: `blob-store-unavailable`.
    """
    try:
        with open_archive(file, check_path, max_bytes=max_bytes) as opened:
            archive = CountedArchive(opened, progress, times=2)
            report = verify(archive)
            summary = _verified(report)
            return _Bundle(archive, summary).record(ledger)
    except Damaged as error:
        raise Invalid(
            "bundle-not-verified", f"{error.detail} Nothing was imported.", members=error.members
        ) from error


def _verified(report: Report) -> Summary:
    """What the export says that it is, when all of it is good and whole."""
    wrong = [one for one in report.checks if one.ok is False]
    wrong += [one for one in report.checks if one.ok is None]
    if not report.sound:
        raise Damaged(
            "bundle-not-verified",
            f"This export does not verify: step {wrong[0].step}, {wrong[0].id}: {wrong[0].detail}.",
            members={"step": wrong[0].step},
        )
    summary = report.summary
    if summary.scope is None or read_scope(summary.scope).run is not None:
        raise Invalid(
            "bundle-not-whole",
            f"This is an export of {summary.scope} only, in which other events are withheld: a "
            "project is opened from an export of the whole project.",
        )
    if not summary.events:
        raise Invalid("bundle-not-whole", "This export has no events.")
    return summary


class _Bundle:
    """A verified export, read once more for what the ledger keeps of it."""

    def __init__(self, archive: CountedArchive, summary: Summary) -> None:
        self._archive = archive
        self._summary = summary
        self._inside = {one.path.partition("/")[2]: one for one in archive.entries}

    def record(self, ledger: Ledger) -> Imported:
        """Give it to the log."""
        origin = self._summary.origin
        assert origin is not None
        raw = b"".join(self._archive.chunks(self._inside[MANIFEST_PATH]))
        if digest_of(raw) != self._summary.manifest:
            raise _changed(MANIFEST_PATH)
        files = msgspec.json.decode(raw, type=Manifest).files
        contents = {parse_digest(one.digest): one for one in files if one.what in CONTENTS}
        events = next(one for one in files if one.path == EVENTS_PATH)
        project = origin.partition(".")[0]
        staged = self._stage(ledger, project, contents.values())
        head = ledger.log.import_log(
            project, origin, self._lines(events), self._blobs(list(contents.values()), staged)
        )
        root = self._summary.root
        assert root is not None
        return Imported(head.project, head.size, root, head.size, len(contents))

    def _lines(self, events: ManifestFile) -> Iterator[bytes]:
        """The events, without newlines; the last one only when all are those that were verified."""
        digest, rest = hashlib.sha256(), b""
        held: bytes | None = None
        for chunk in self._archive.chunks(self._entry(events)):
            digest.update(chunk)
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            for line in lines:
                if held is not None:
                    yield held
                held = line
        if held is None or format_digest(digest.digest()) != events.digest:
            raise _changed(events.path)
        yield held

    def _stage(
        self, ledger: Ledger, project: str, files: Iterable[ManifestFile]
    ) -> Mapping[str, Blob]:
        """Upload what belongs outside the database, while the log is not open and nothing locked.

        What an import that fails leaves there is swept away with other uploads.
        """
        staged: dict[str, Blob] = {}
        uploads = ledger.uploads
        for file in files:
            original = file.what == "original"
            if not uploads.goes_outside(file.size_bytes, original=original):
                continue
            if not staged:
                _refuse_existing(ledger, project)
            content = self._content(file)
            sha256 = uploads.stage(project, content)
            if original:
                uploads.send_out(project, sha256)
            staged[file.digest] = Blob(sha256, len(content), zlib.crc32(content), None)
            del content  # before the next one is read
        return staged

    def _blobs(self, files: Sequence[ManifestFile], staged: Mapping[str, Blob]) -> Iterator[Blob]:
        """The contents, one in memory at a time."""
        for file in files:
            if file.digest in staged:
                yield staged[file.digest]
                continue
            content = self._content(file)
            yield Blob(parse_digest(file.digest), len(content), zlib.crc32(content), content)
            del content  # before the next one is read

    def _content(self, file: ManifestFile) -> bytes:
        if file.size_bytes > MAX_BLOB_BYTES:
            raise TooLarge(
                "body-too-large",
                f"{file.path} has {file.size_bytes} bytes, the limit is {MAX_BLOB_BYTES}.",
            )
        content = b"".join(self._archive.chunks(self._entry(file)))
        if digest_of(content) != file.digest:
            raise _changed(file.path)
        return content

    def _entry(self, file: ManifestFile) -> ZipEntry:
        return self._inside[file.path]


def _refuse_existing(ledger: Ledger, project: str) -> None:
    """Before anything is uploaded; the import itself finds it out for certain."""
    try:
        ledger.log.head(project)
    except NotFound:
        return
    raise Conflict("project-exists", f"The project {project} exists already.")


def _changed(path: str) -> Damaged:
    return Damaged("bundle-changed", f"{path} was changed while it was imported.")
