"""Exports as a use case: lay one out, or find its layout, and hand out its bytes.

A layout is made once from the events up to the position, without reading contents, and kept. It
gives the size, the ETag and any range before the first byte is sent (`docs/export.md`).
"""

from collections.abc import Iterator

import msgspec

from adapters.export_stream import stream_zip
from adapters.postgres_exports import BlobFacts, ExportRecord, FileRow, PostgresExports
from adapters.postgres_views import PostgresViews
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
)
from projections.zip_layout import ZipLayout

__all__ = ["ExportRecord", "Exports"]


class Exports:
    """The exports of a ledger's projects."""

    def __init__(self, log: EventLog, views: PostgresViews, store: PostgresExports) -> None:
        self._log = log
        self._views = views
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
        return self._store.kept_file(record, "data/manifest.json")

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
        fold = BundleFold(project, origin, selection)
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
        digests = sorted({one.sha256 for one in bundle.members if one.source is Source.BLOB})
        facts = self._store.blob_facts(project, digests)
        missing = [sha256 for sha256 in digests if sha256 not in facts]
        if missing:
            facts |= self._store.restore(project, missing)
            self._refuse_missing(
                project,
                bundle.size,
                scope,
                [
                    (one.path, one.sha256, one.size_bytes)
                    for one in bundle.members
                    if one.source is Source.BLOB and one.sha256 not in facts
                ],
            )
        layout = ZipLayout()
        rows = [_row(layout, bundle.folder, one, facts) for one in bundle.members]
        return self._store.keep(
            ExportRecord(
                project=project,
                position=bundle.size,
                scope=scope.name,
                format_version=FORMAT_VERSION,
                folder=bundle.folder,
                entries=len(rows),
                size_bytes=layout.size_bytes,
                manifest_sha256=bundle.manifest_sha256,
                layout_id=layout.layout_id,
                zip_sha256=None,
            ),
            rows,
        )
