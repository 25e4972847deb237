"""Exports as a use case: lay one out, or find its layout, and hand out its bytes.

A layout is made once from the events up to the position, without reading contents, and kept. It
gives the size, the ETag and any range before the first byte is sent (`docs/export.md`).
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from adapters.export_stream import stream_zip
from adapters.outside_contents import Kept
from adapters.postgres_exports import (
    Absent,
    BlobFacts,
    ExportRecord,
    FileRow,
    Outside,
    PostgresExports,
    Whole,
)
from domain.digest import format_digest
from domain.errors import Damaged, Gone, NotFound
from domain.events import Recorded, parse
from domain.log import EventLog
from domain.merkle import leaf_hash
from domain.names import run_stream
from projections.bundle import (
    FORMAT_VERSION,
    Bundle,
    BundleFold,
    Measure,
    Member,
    Scope,
    Selection,
    Source,
    read_scope,
    select,
    subject_of,
)
from projections.manifest import MANIFEST_PATH, TREE_PATH
from projections.zip_layout import central_record, end_records, local_header

__all__ = ["ExportRecord", "Exports", "Whole"]


class Exports:
    """The exports of a ledger's projects."""

    def __init__(self, log: EventLog, store: PostgresExports) -> None:
        self._log = log
        self._store = store

    def layout(self, project: str, position: int, scope: str = "project") -> ExportRecord:
        """The export's size, tag and, once known, digest; laid out now if it never was.

        Args:
            project: The project's slug.
            position: The last position that the export covers, from 1.
            scope: `project`, or `run:<id>`.

        Raises:
            NotFound: `project-not-found`, `position-in-the-future`, `position-not-found`,
                `run-not-found`, or `content-missing` with what to do about it.
            Gone: `content-erased`, with `first_position`, the lowest that can be exported.
            Invalid: `invalid-parameter`, for a scope that is none.
            Damaged: Stored bytes contradict themselves, or a layout made earlier.
            Unavailable: `blob-store-unavailable`, when contents lie outside and cannot be asked for.
        """
        parsed = read_scope(scope)
        found = self._store.find(project, position, parsed.name, FORMAT_VERSION)
        if found is not None:
            self._check_held(found, parsed)
            return found
        head = self._log.head(project)
        if position < 1:
            raise NotFound("position-not-found", "Positions count from 1.")
        if position > head.size:
            raise NotFound(
                "position-in-the-future",
                f"The log of {project} ends at position {head.size}; {position} is still to come.",
                members={"position": head.size},
            )
        selection = self._select(project, position, parsed)
        bundle = self._fold(project, head.origin, position, selection)
        return self._keep(project, parsed, bundle)

    def known(self, project: str, position: int, scope: str) -> ExportRecord | None:
        """The export if it was laid out before; nothing is made, and its contents are not looked for.

        Raises:
            Invalid: `invalid-parameter`.
        """
        return self._store.find(project, position, read_scope(scope).name, FORMAT_VERSION)

    def stream(
        self, record: ExportRecord, start: int = 0, stop: int | None = None
    ) -> Iterator[bytes]:
        """The bytes `start` ≤ offset < `stop` of the ZIP, in pieces of about a mebibyte.

        A first whole pass compares every content with its digest and keeps the ZIP's own; a later
        whole pass is compared with that before its last piece is given.

        Raises:
            Damaged: A content is gone or differs; what was given before is cut short.
        """
        return stream_zip(self._store, record, start, record.size_bytes if stop is None else stop)

    def manifest(self, record: ExportRecord) -> bytes:
        """The bytes of the export's `data/manifest.json`, as kept for audit."""
        return self._store.kept_file(record, MANIFEST_PATH)

    def whole(self, project: str, position: int, scope: str = "project") -> Whole:
        """The export, read through, so that its digest is known; arguments and errors of `layout`."""
        name = read_scope(scope).name
        found = self._store.whole(project, position, name, FORMAT_VERSION)
        if found is not None:
            return found
        record = self.layout(project, position, scope)
        if record.zip_sha256 is None:
            deque(self.stream(record), maxlen=0)
            record = self.record(record)
        return Whole(record, self._store.kept_file(record, TREE_PATH), None)

    def record(self, record: ExportRecord) -> ExportRecord:
        """The same export as it is known now: with its digest once a whole pass was made."""
        return (
            self._store.find(record.project, record.position, record.scope, FORMAT_VERSION)
            or record
        )

    def _select(self, project: str, position: int, scope: Scope) -> Selection:
        if scope.run is None:
            return select(scope, ())
        stream = run_stream(scope.run)
        events = [
            parse(line).data
            for page in self._store.stream_lines(project, stream, position)
            for line in page
        ]
        if not events:
            raise NotFound(
                "run-not-found", f"{project} has no run {scope.run} at position {position}."
            )
        return select(scope, events)

    def _fold(self, project: str, origin: str, position: int, selection: Selection) -> Bundle:
        fold = BundleFold(origin, selection)
        events, leaves = Measure(), Measure()
        streams = None if selection.streams is None else sorted(selection.streams)
        for page in self._store.entries(project, position, streams):
            lines: list[bytes] = []
            for at, leaf, line in page:
                if at != fold.size + 1:
                    raise Damaged(
                        "event-missing", f"Position {fold.size + 1} of {project} is missing."
                    )
                fold.leaf(leaf)
                if line is not None:
                    fold.event(_recorded(line, leaf, at))
                    lines.append(line)
            if lines:
                events.add(b"\n".join(lines) + b"\n")
            if streams is not None:
                leaves.add("".join(f"{leaf.hex()}\n" for _, leaf, _ in page).encode())
        if fold.size != position:
            raise Damaged("event-missing", f"Position {fold.size + 1} of {project} is missing.")
        return fold.finish(events, leaves)

    def _keep(self, project: str, scope: Scope, bundle: Bundle) -> ExportRecord:
        blobs = [one for one in bundle.members if one.source is Source.BLOB]
        digests = sorted({one.sha256 for one in blobs})
        facts = self._store.blob_facts(project, digests)
        missing = [sha256 for sha256 in digests if sha256 not in facts]
        if missing:
            facts |= self._store.restore(project, missing)
            absent = [
                Absent(one.path, one.sha256, one.size_bytes)
                for one in blobs
                if one.sha256 not in facts
            ]
            if absent:
                raise self._missing(project, bundle.size, scope, absent)
        self._check_outside(project, _lying_outside(blobs, facts))
        rows, record = _lay_out(project, scope, bundle, facts)
        return self._store.keep(record, rows)

    def _check_held(self, record: ExportRecord, scope: Scope) -> None:
        """A layout stays as it is, but contents may have been erased, or lost, since."""
        absent = self._store.absent(record)
        if absent:
            restored = self._store.restore(record.project, [one.sha256 for one in absent])
            absent = [one for one in absent if one.sha256 not in restored]
            if absent:
                raise self._missing(record.project, record.position, scope, absent)
        self._check_outside(record.project, self._store.outside(record))

    def _check_outside(self, project: str, contents: Sequence[Outside]) -> None:
        """Before the first byte: what lies outside is there, with its size. Its bytes are read later."""
        found = self._store.lost(project, contents)
        if found is None:
            return
        one, error = found
        if isinstance(error, NotFound):
            raise _absent(project, Absent(one.path, one.kept.sha256, one.kept.size_bytes))
        raise error

    def _missing(
        self, project: str, position: int, scope: Scope, absent: Sequence[Absent]
    ) -> Gone | NotFound:
        erased = self._store.erased_at(project, [one.sha256 for one in absent])
        for one in absent:
            if one.sha256 not in erased:
                return _absent(project, one)
        first = max(erased.values())
        if scope.run is None and not scope.originals:  # gaps are not known of originals
            first = first_outside(self._store.gaps(project, position), position, first)
        return Gone(
            "content-erased",
            f"A content of {project} at position {position} was erased later; the first position "
            f"that can be exported is {first}.",
            members={"first_position": first},
        )


def _absent(project: str, one: Absent) -> NotFound:
    path, digest = _inside(one.path), format_digest(one.sha256)
    return NotFound(
        "content-missing",
        f"The content of {subject_of(path)} ({digest}, {one.size_bytes} bytes) is missing. "
        f"Upload the same bytes again, with PUT /v1/projects/{project}/blobs/{digest} or "
        "`deedbook artifact put`, and repeat the export.",
        members={"path": path, "digest": digest},
    )


def _lying_outside(members: Iterable[Member], facts: Mapping[bytes, BlobFacts]) -> list[Outside]:
    """Those of the blobs that are not in the database."""
    found = []
    for one in members:
        address = facts[one.sha256].address
        if address is not None:
            found.append(Outside(one.path, Kept(address, one.sha256, one.size_bytes)))
    return found


def first_outside(gaps: Iterable[tuple[int, int]], position: int, otherwise: int) -> int:
    """The lowest position after `position` that lies in no gap (first, end), end excluded.

    Args:
        gaps: In any order.
        position: One that lies in a gap.
        otherwise: The answer when no gap is known to hold it: a run's content was erased.
    """
    candidate = position
    for first, end in sorted(gaps):
        if first <= candidate < end:
            candidate = end
    return candidate if candidate > position else otherwise


def _lay_out(
    project: str, scope: Scope, bundle: Bundle, facts: Mapping[bytes, BlobFacts]
) -> tuple[list[FileRow], ExportRecord]:
    """Every header's place, without reading a content."""
    layout_id = hashlib.sha256()
    rows: list[FileRow] = []
    offset = 0
    for member in bundle.members:
        crc32 = member.crc32
        if crc32 is None:
            known = facts[member.sha256]
            if known.size_bytes != member.size_bytes:
                raise Damaged(
                    "content-damaged",
                    f"The content of {member.path} ({format_digest(member.sha256)}) has "
                    f"{known.size_bytes} bytes, its event says {member.size_bytes}.",
                )
            crc32 = known.crc32
        path = f"{bundle.folder}/{member.path}"
        row = FileRow(
            len(rows),
            path,
            member.size_bytes,
            crc32,
            member.sha256,
            member.source,
            offset,
            member.content,
        )
        rows.append(row)
        layout_id.update(member.sha256)
        offset += len(local_header(path, member.size_bytes, crc32)) + member.size_bytes
    directory_bytes = 0
    for row in rows:
        record = central_record(row.path, row.size_bytes, row.crc32, row.zip_offset)
        layout_id.update(record)
        directory_bytes += len(record)
    end = end_records(len(rows), directory_bytes, offset)
    layout_id.update(end)
    return rows, ExportRecord(
        project=project,
        position=bundle.size,
        scope=scope.name,
        format_version=FORMAT_VERSION,
        folder=bundle.folder,
        entries=len(rows),
        size_bytes=offset + directory_bytes + len(end),
        manifest_sha256=bundle.manifest_sha256,
        layout_id=layout_id.digest(),
        zip_sha256=None,
    )


def _recorded(line: bytes, leaf: bytes, position: int) -> Recorded:
    """The event in a stored line that is still what its leaf was made of."""
    if leaf_hash(line) != leaf:
        raise Damaged(
            "event-malformed",
            f"The event at position {position} differs from its leaf hash. Run deedbook doctor.",
        )
    recorded = parse(line)
    if recorded.position != position:
        raise Damaged(
            "event-malformed",
            f"The event at position {position} says that it is {recorded.position}.",
        )
    return recorded


def _inside(path: str) -> str:
    """A path without the top folder."""
    return path if path.startswith("data/") else path.partition("/")[2]
