"""The use cases: what HTTP, the command line and the import ask the ledger to do.

Each takes a named project, decides with the rules of `domain`, and appends. It knows no protocol.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from adapters.commit_signal import CommitSignal
from adapters.postgres_blobs import PostgresBlobs
from adapters.postgres_events import PostgresEvents
from adapters.postgres_tokens import PostgresTokens
from adapters.postgres_uploads import PostgresUploads
from adapters.postgres_views import PostgresViews
from adapters.schema_state import SchemaState
from app.exports import Exports
from domain import artifact, canonical, run
from domain.citation import Citation, check_citations
from domain.digest import digest_of, format_digest, parse_digest
from domain.errors import DeedbookError, Invalid, NotFound, StaleVersion, TooLarge
from domain.events import (
    ERASURE_EVENTS,
    MAX_ACTOR_CHARACTERS,
    PROJECT_EVENTS,
    ArtifactWritten,
    Content,
    EventData,
    ProjectChanged,
    ProjectCreated,
    Source,
    contents_of,
    parse,
    read_data,
)
from domain.log import (
    MAX_BATCH_EVENTS,
    MAX_BLOB_BYTES,
    STAGED_ABOVE_BYTES,
    Append,
    Blob,
    EventLog,
    Proposed,
    Receipt,
)
from domain.names import (
    ArtifactStream,
    RunStream,
    Stream,
    artifact_stream,
    check_project,
    parse_stream,
)

MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
KEY = re.compile(r"[\x21-\x7e]{1,255}")
APPEND_ATTEMPTS = 64
"""Of an append to a run: of several callers at once one is first, and the others decide anew."""
APPEND_SECONDS = 30.0
STREAM_PAGE = 1_000
CONTENT = "/content"
"""Where the content of an event stands, beside its data."""


_Result = TypeVar("_Result")


class RequestKey(msgspec.Struct, frozen=True):
    """An idempotency key, already the caller's own, and the SHA-256 of the request it stands for."""

    key: str
    request_sha256: bytes


class Uploaded(msgspec.Struct, frozen=True):
    """Names content that was uploaded before: its digest and size in bytes."""

    digest: str
    size_bytes: int


class EventInput(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a caller proposes it; with `content`, its digest and size are filled in."""

    stream: str
    type: str
    data: object
    id: str | None = None
    content: bytes | None = None


class _Checked(msgspec.Struct, frozen=True):
    stream: Stream
    name: str
    data: EventData
    id: str
    content: bytes | None
    sha256: bytes = b""
    """Of the content."""


class Ledger:
    """One ledger, open: its log, its views and its exports.

    Args:
        new_id: Gives a random UUID; the only randomness here.
        monotonic: Gives seconds for deadlines.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        views: PostgresViews,
        events: PostgresEvents,
        uploads: PostgresUploads,
        blobs: PostgresBlobs,
        exports: Exports,
        tokens: PostgresTokens,
        schema: SchemaState,
        signal: CommitSignal,
        new_id: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        self.log = log
        self.views = views
        self.events = events
        self.uploads = uploads
        self.blobs = blobs
        self.exports = exports
        self.tokens = tokens
        self.schema = schema
        self.signal = signal
        self.new_id = new_id
        self._monotonic = monotonic

    def create_project(
        self,
        slug: str,
        *,
        title: str,
        description: str = "",
        actor: str,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Open a project's log.

        Raises:
            Conflict: `project-exists`.
        """
        check_project(slug)
        _check_title(title)
        data = ProjectCreated(title=title, description=description)
        return self.log.create(
            self._request(slug, [self._checked("project", data)], actor, {"project": 0}, key)
        )

    def change_project(
        self,
        slug: str,
        *,
        title: str | None = None,
        description: str | None = None,
        actor: str,
        expected: int | None = None,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Change a project's title or description."""
        if title is None and description is None:
            raise Invalid("validation-failed", "Give a title or a description to change.")
        if title is not None:
            _check_title(title)
        data = ProjectChanged(title=title, description=description)
        preconditions = {} if expected is None else {"project": expected}
        return self.log.append(
            self._request(slug, [self._checked("project", data)], actor, preconditions, key)
        )

    def append(
        self,
        project: str,
        events: Sequence[EventInput],
        *,
        actor: str,
        preconditions: Mapping[str, int] | None = None,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Record a batch: all of it, next to each other, or nothing.

        Raises:
            Invalid: An event breaks a rule; the pointer says which one.
            Conflict: `invalid-transition`, `event-id-conflict`.
            StaleVersion: `version-conflict`.
            TooLarge: `batch-too-large`, `body-too-large`, `event-too-large`.
        """
        if not 1 <= len(events) <= MAX_BATCH_EVENTS:
            raise TooLarge(
                "batch-too-large", f"A batch has 1 to {MAX_BATCH_EVENTS} events, not {len(events)}."
            )
        checked = [
            _pointed(f"/events/{index}", partial(self._check, project, given))
            for index, given in enumerate(events)
        ]
        versions = dict(preconditions or {})
        for name in versions:
            _stream(name, "/preconditions")
        request = self._request(project, checked, actor, versions, key)
        if not any(isinstance(one.stream, RunStream) for one in checked):
            return self.log.append(request)
        return self._append_to_runs(request, checked, versions)

    def write_artifact(
        self,
        project: str,
        kind: str,
        key: str,
        content: bytes | Uploaded,
        *,
        media_type: str = artifact.MARKDOWN,
        title: str | None = None,
        citations: tuple[Citation, ...] = (),
        source: Source | None = None,
        actor: str,
        expected: int | None = None,
        event_id: str | None = None,
        unless_same: bool = False,
        request_key: RequestKey | None = None,
    ) -> Receipt:
        """Write the next version of an artifact; no entries when `unless_same` and it is the same.

        Raises:
            StaleVersion: `version-conflict`.
            Invalid: The kind, key, media type, citations or text break a rule.
        """
        stream = artifact_stream(kind, key)
        if isinstance(content, Uploaded):
            digest, size_bytes = content.digest, content.size_bytes
        else:
            digest, size_bytes = digest_of(content), len(content)
        state = artifact.ArtifactState()
        if unless_same:
            latest = self.views.latest_digest(project, kind, key)
            state = artifact.ArtifactState(*latest) if latest else state
        proposed = artifact.decide(
            state,
            artifact.WriteArtifact(
                digest=digest,
                size_bytes=size_bytes,
                media_type=media_type,
                title=title,
                citations=citations,
                source=source,
                unless_same=unless_same,
            ),
        )
        if not proposed:
            return self._first_answer(project, request_key) or Receipt(entries=())
        event = EventInput(
            stream=stream,
            type="ArtifactWritten",
            data=msgspec.to_builtins(proposed[0]),
            id=event_id,
            content=None if isinstance(content, Uploaded) else content,
        )
        try:
            return self.append(
                project,
                [event],
                actor=actor,
                preconditions={} if expected is None else {stream: expected},
                key=request_key,
            )
        except DeedbookError as error:
            # Its caller gave no list of events.
            if error.pointer is not None:
                error.pointer = error.pointer.removeprefix("/events/0").removeprefix("/data")
            raise

    def _first_answer(self, project: str, key: RequestKey | None) -> Receipt | None:
        """What a repeat is told: it may itself have written what is the latest version now."""
        if key is None:
            return None
        return self.log.recall(
            Append(project=project, events=(), key=key.key, request_sha256=key.request_sha256)
        )

    def stage_blob(self, project: str, content: bytes) -> str:
        """Take content in before the append that names it; answers its digest."""
        self.log.head(project)
        return format_digest(self.uploads.stage(project, content))

    def position(self, project: str, at: int | None) -> int:
        """The position to read at: `at`, or the newest one.

        Raises:
            NotFound: `project-not-found`, `position-in-the-future`.
        """
        size = self.log.head(project).size
        if at is None:
            return size
        if at > size:
            raise NotFound(
                "position-in-the-future",
                f"The log of {project} ends at position {size}; {at} is still to come.",
                members={"position": size},
            )
        return at

    def _append_to_runs(
        self, request: Append, checked: Sequence[_Checked], preconditions: Mapping[str, int]
    ) -> Receipt:
        """Decide on each run's present state, and try again when somebody was faster."""
        for attempt in range(APPEND_ATTEMPTS):
            recalled = self.log.recall(request)
            if recalled is not None:
                return recalled
            expected = dict(preconditions)
            states: dict[str, run.RunState] = {}
            for index, one in enumerate(checked):
                if isinstance(one.stream, RunStream):
                    state = states.get(one.name) or self._run_state(request.project, one.name)
                    expected.setdefault(one.name, state.version)
                    event = _pointed(f"/events/{index}", partial(run.decide, state, one.data))
                    states[one.name] = run.evolve(state, event)
            try:
                return self.log.append(
                    msgspec.structs.replace(request, expected=tuple(sorted(expected.items())))
                )
            except StaleVersion as stale:
                if stale.members.get("stream") in preconditions or attempt == APPEND_ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _run_state(self, project: str, stream: str) -> run.RunState:
        state = run.RunState()
        upto = self.log.head(project).size
        while page := self.log.stream(project, stream, state.version, STREAM_PAGE, upto):
            for entry in page:
                state = run.evolve(state, parse(entry.line).data)
        return state

    def _check(self, project: str, given: EventInput) -> _Checked:
        """One proposed event against the grammar, its type's struct and its stream."""
        stream = _stream(given.stream, "/stream")
        if given.id is not None and UUID.fullmatch(given.id) is None:
            raise Invalid("validation-failed", "An event id is a lower-case UUID.", pointer="/id")
        value, sha256 = given.data, b""
        canonical.check(value, "/data")
        if given.content is not None:
            sha256 = _sha256(given.content)
            value = _with_content(given.type, value, given.content, sha256)
        data = read_data(given.type, value)
        _check_place(stream, given.stream, data)
        for content in contents_of(data):
            _check_content(content, "/data" if content is data else "/data/content")
        if isinstance(data, ArtifactWritten):
            raw = given.content
            if raw is None and _is_checked(data, stream):
                raw = self.uploads.read(project, parse_digest(data.digest))
            data = _check_artifact(data, stream, raw)
        return _Checked(
            stream, given.stream, data, given.id or self.new_id(), given.content, sha256
        )

    def _checked(self, name: str, data: EventData) -> _Checked:
        canonical.check(msgspec.to_builtins(data))
        return _Checked(parse_stream(name), name, data, self.new_id(), None)

    def _request(
        self,
        project: str,
        checked: Sequence[_Checked],
        actor: str,
        preconditions: Mapping[str, int],
        key: RequestKey | None,
    ) -> Append:
        check_project(project)
        if not 1 <= len(actor) <= MAX_ACTOR_CHARACTERS:
            raise Invalid("validation-failed", "An actor has 1 to 256 characters.")
        canonical.check(actor)
        if key is not None and not key.key:
            raise Invalid("invalid-parameter", "An idempotency key cannot be empty.")
        blobs, referred = self._contents(project, checked)
        return Append(
            project=project,
            events=tuple(
                Proposed(
                    one.name, type(one.data).__name__, canonical.write(one.data), one.id, actor
                )
                for one in checked
            ),
            expected=tuple(sorted(preconditions.items())),
            blobs=blobs,
            referred=referred,
            key=key.key if key else None,
            request_sha256=key.request_sha256 if key else b"",
            deadline=self._monotonic() + APPEND_SECONDS,
        )

    def _contents(
        self, project: str, checked: Sequence[_Checked]
    ) -> tuple[tuple[Blob, ...], tuple[bytes, ...]]:
        """The blobs to insert, and the ones that must be there already."""
        blobs: dict[bytes, Blob] = {}
        for one in checked:
            if one.content is not None:
                if len(one.content) > STAGED_ABOVE_BYTES:
                    self.uploads.stage(project, one.content)
                blobs[one.sha256] = Blob(
                    one.sha256,
                    len(one.content),
                    zlib.crc32(one.content),
                    None if len(one.content) > STAGED_ABOVE_BYTES else one.content,
                )
        named = {
            parse_digest(content.digest): content
            for one in checked
            for content in contents_of(one.data)
        }
        missing = tuple(sorted(set(named) - set(blobs)))
        if not missing:
            return tuple(blobs.values()), ()
        held = self.uploads.held(project, missing)
        for sha256 in missing:
            known = held.get(sha256)
            if known is None:
                continue  # the log says whether it was erased or never came
            if known.size_bytes != named[sha256].size_bytes:
                raise Invalid(
                    "digest-mismatch",
                    f"{format_digest(sha256)} has {known.size_bytes} bytes, "
                    f"not {named[sha256].size_bytes}.",
                )
            if known.staged:
                blobs[sha256] = Blob(sha256, known.size_bytes, known.crc32, None)
        return tuple(blobs.values()), tuple(sha for sha in missing if sha not in blobs)


def _check_title(title: str) -> None:
    if not 1 <= len(title) <= artifact.MAX_TITLE_CHARACTERS:
        raise Invalid(
            "validation-failed",
            f"A title has 1 to {artifact.MAX_TITLE_CHARACTERS} characters.",
            pointer="/title",
        )


def _sha256(content: bytes) -> bytes:
    if len(content) > MAX_BLOB_BYTES:
        raise TooLarge(
            "body-too-large",
            f"The content has {len(content)} bytes, the limit is {MAX_BLOB_BYTES}.",
            pointer=CONTENT,
        )
    return hashlib.sha256(content).digest()


def _stream(name: str, pointer: str) -> Stream:
    """What a stream's name says; a bad part of it is the whole name's fault to a caller."""
    try:
        return parse_stream(name)
    except Invalid as error:
        error.pointer = pointer
        raise


def _check_content(content: Content, pointer: str) -> None:
    try:
        parse_digest(content.digest)
    except Invalid as error:
        error.pointer = f"{pointer}/digest"
        raise
    if MEDIA_TYPE.fullmatch(content.media_type) is None:
        raise Invalid(
            "validation-failed",
            "A media type is written like text/markdown: lower case, without parameters.",
            pointer=f"{pointer}/media_type",
        )


def _check_place(stream: Stream, name: str, data: EventData) -> None:
    """Each type of event belongs to one kind of stream."""
    if isinstance(data, ERASURE_EVENTS):
        raise Invalid(
            "validation-failed",
            "An erasure is recorded by erasing, not by appending.",
            pointer="/type",
        )
    if isinstance(data, ProjectCreated):
        raise Invalid(
            "validation-failed", "A project is created by POST /v1/projects.", pointer="/type"
        )
    if isinstance(data, ArtifactWritten):
        fits = isinstance(stream, ArtifactStream)
    elif isinstance(data, PROJECT_EVENTS):
        fits = name == "project"
    else:
        fits = isinstance(stream, RunStream)
    if not fits:
        raise Invalid(
            "validation-failed",
            f"{type(data).__name__} does not belong into a stream like {name}.",
            pointer="/stream",
        )


def _with_content(type_name: str, value: object, content: bytes, sha256: bytes) -> object:
    """The data with digest and size filled in from the content that came along."""
    if not isinstance(value, dict):
        return value
    facts = {"digest": format_digest(sha256), "size_bytes": len(content)}
    outside = type_name == "ArtifactWritten"
    inner = value if outside else value.get("content", {})
    if not isinstance(inner, dict):
        return value
    for name, fact in facts.items():
        if name in inner and inner[name] != fact:
            raise Invalid(
                "digest-mismatch",
                f"The content has {name} {fact}, not {inner[name]!r}.",
                pointer=f"/data/{name}" if outside else f"/data/content/{name}",
            )
    filled = {**inner, **facts}
    return filled if outside else {**value, "content": filled}


def _is_checked(data: ArtifactWritten, stream: Stream) -> bool:
    """Whether there are rules about the content itself: it is text, or typed JSON."""
    typed = isinstance(stream, ArtifactStream) and stream.kind in artifact.IMPLEMENTATION_KINDS
    return typed or data.media_type.startswith("text/")


def _check_artifact(
    data: ArtifactWritten, stream: Stream, content: bytes | None
) -> ArtifactWritten:
    """The rules of `domain.artifact`, as far as the content is at hand."""
    text: str | None = None
    if content is not None and data.media_type.startswith("text/"):
        text = _text(content)
    if isinstance(stream, ArtifactStream) and stream.kind in artifact.IMPLEMENTATION_KINDS:
        if data.media_type != "application/json":
            raise Invalid(
                "validation-failed",
                f"A {stream.kind} is application/json.",
                pointer="/data/media_type",
            )
        if content is not None:
            _check_json(content)
    try:
        check_citations(data.citations)
        decided = artifact.decide(
            artifact.ArtifactState(),
            artifact.WriteArtifact(
                digest=data.digest,
                size_bytes=data.size_bytes,
                media_type=data.media_type,
                title=data.title,
                citations=data.citations,
                source=data.source,
                text=text if data.media_type == artifact.MARKDOWN else None,
            ),
        )
    except Invalid as error:
        if error.pointer != CONTENT:
            error.pointer = f"/data{error.pointer}"
        raise
    return decided[0]


def _check_json(content: bytes) -> None:
    try:
        canonical.read(content)
    except DeedbookError as error:
        error.pointer = CONTENT
        raise


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            "validation-failed",
            f"The text is not UTF-8: bad byte at offset {error.start}.",
            pointer=CONTENT,
        ) from None
    if "\0" in text:
        raise Invalid("nul-character", "Text must not contain the NUL character.", pointer=CONTENT)
    return text


def _pointed(pointer: str, check: Callable[[], _Result]) -> _Result:
    """Run a check, and put the place of its subject before the pointer of its error."""
    try:
        return check()
    except DeedbookError as error:
        error.pointer = pointer + (error.pointer or "")
        raise
