"""Reads a source as it stood at a position, as far as it can be found: artifacts and runs."""

from collections.abc import Iterator

from adapters.postgres_blobs import PostgresBlobs
from adapters.postgres_views import PostgresViews
from domain.digest import parse_digest
from domain.errors import Gone, NotFound
from domain.events import ArtifactWritten, Content, Recorded, parse
from domain.log import EventLog
from domain.names import ArtifactStream, RunStream, parse_stream
from projections.search.artifact_source import artifact_source
from projections.search.indexed import NOTHING, IndexedSource
from projections.search.run_source import ReadText, run_source

PAGE = 1_000
MAX_EVENTS = 10_000
"""Of a run."""
MAX_TEXT_BYTES = 16 * 1024 * 1024
"""Of one content; a larger one is found by its title."""
TEXT_TYPES = ("application/json", "application/x-ndjson", "application/xml", "application/yaml")


class Sources:
    """Reads what is to be indexed."""

    def __init__(self, log: EventLog, views: PostgresViews, blobs: PostgresBlobs) -> None:
        self._log = log
        self._views = views
        self._blobs = blobs

    def read(self, project: str, source: str, at: int) -> IndexedSource:
        """A source as it stood at a position.

        Raises:
            Damaged: `content-damaged`.
            NotFound: `content-missing`.
            Unavailable: `blob-store-unavailable`.
        """
        match parse_stream(source):
            case ArtifactStream(kind=kind, key=key):
                return self._artifact(project, source, kind, key, at)
            case RunStream(run_id=run):
                return run_source(run, self._events(project, source, at), self._reader(project))
        return NOTHING

    def _artifact(self, project: str, source: str, kind: str, key: str, at: int) -> IndexedSource:
        found = self._views.versions(project, kind, key, at, limit=1, newest_first=True)
        if not found or found[0].erased_position is not None:
            return NOTHING
        version = found[0].version
        [entry] = self._log.stream(project, source, version - 1, 1, at)
        written = parse(entry.line).data
        assert isinstance(written, ArtifactWritten)
        try:
            text = self._text(project, written)
        except Gone:  # erased a moment ago: the source is wanted anew at that position
            return NOTHING
        return artifact_source(kind, key, version, written, text)

    def _events(self, project: str, source: str, at: int) -> Iterator[Recorded]:
        version = 0
        while version < MAX_EVENTS and (
            page := self._log.stream(project, source, version, PAGE, at)
        ):
            for entry in page:
                yield parse(entry.line)
            version = page[-1].version

    def _reader(self, project: str) -> ReadText:
        def read(content: Content) -> str | None:
            try:
                return self._text(project, content)
            except (Gone, NotFound):  # a record may name what never came here
                return None

        return read

    def _text(self, project: str, content: Content) -> str | None:
        media_type = content.media_type
        texts = media_type.startswith("text/") or media_type.endswith(("+json", "+xml"))
        if not texts and media_type not in TEXT_TYPES:
            return None
        if content.size_bytes > MAX_TEXT_BYTES:
            return None
        return self._blobs.read(project, parse_digest(content.digest)).decode("utf-8", "replace")
