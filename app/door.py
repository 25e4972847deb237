"""The door: what a proposed event must be before it joins the queue.

Here its stream, type, data and content are held to the grammar and the rules; nothing after this point
should be able to fail because of what the event says.
"""

import hashlib
import re
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from app.secret_door import PolicyOf, refuse, screen_event, screen_name
from domain import artifact, canonical
from domain.citing import check_citations
from domain.digest import format_digest, parse_digest
from domain.errors import DeedbookError, Invalid, TooLarge
from domain.events import (
    ERASURE_EVENTS,
    MAX_ACTOR_CHARACTERS,
    PROJECT_EVENTS,
    ArtifactWritten,
    AttestationRecorded,
    Content,
    EventData,
    PolicyChanged,
    ProjectCreated,
    named_contents,
    read_data,
)
from domain.log import MAX_BLOB_BYTES
from domain.names import ArtifactStream, RunStream, Stream, parse_stream
from domain.run_records import check_record
from domain.secret_places import Redaction
from domain.typed_documents import KIND_OF_RECORD, check_document

MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
MEDIA_TYPE_OF_DOCUMENTS = "application/json"
CONTENT = "/content"
"""Where the content of an event stands, beside its data."""

_Result = TypeVar("_Result")


class EventInput(msgspec.Struct, frozen=True, kw_only=True):
    """An event as a caller proposes it; with `content`, its digest and size are filled in.

    A content is `derived` that the ledger itself made of what is recorded: every part of it came through
    the door before. Put together, names and numbers can look like a secret that nobody has written.
    """

    stream: str
    type: str
    data: object
    id: str | None = None
    content: bytes | None = None
    derived: bool = False


class Checked(msgspec.Struct, frozen=True):
    """An event that may come in, taken apart; `sha256` is of its content, without what was redacted."""

    stream: Stream
    name: str
    data: EventData
    id: str
    content: bytes | None
    sha256: bytes = b""
    redactions: tuple[Redaction, ...] = ()


def check_event(
    given: EventInput,
    uploaded: Callable[[bytes], bytes | None],
    new_id: Callable[[], str],
    policy: PolicyOf = refuse,
) -> Checked:
    """One proposed event against the grammar, its type's struct, its stream, and its content.

    Args:
        given: The event.
        uploaded: Gives the content of a SHA-256 that came before, if it did.
        new_id: Gives the id of an event that has none.
        policy: Gives what the project does with a secret; asked only when there is one.

    Raises:
        Invalid: With a pointer into the event, such as `/data/title`.
        TooLarge: `body-too-large`.
    """
    stream = check_stream(given.stream, "/stream")
    if given.id is not None and UUID.fullmatch(given.id) is None:
        raise Invalid("validation-failed", "An event id is a lower-case UUID.", pointer="/id")
    canonical.check(given.data, "/data")
    foreign = None if given.derived else given.content
    value, brought, redactions = screen_event(given.stream, given.data, foreign, policy)
    if given.derived:
        brought = given.content
    sha256 = b""
    if brought is not None:
        sha256 = _sha256(brought)
        value = _with_content(given.type, value, brought, sha256)
    data = read_data(given.type, value)
    _check_place(stream, given.stream, data)
    for place, content in named_contents(data):
        _check_content(content, f"/data{place}")
    if isinstance(data, ArtifactWritten):
        raw = brought
        if raw is None and _is_checked(data, stream):
            raw = uploaded(parse_digest(data.digest))
        data = _check_artifact(data, stream, raw)
    elif isinstance(stream, RunStream):
        _check_run_record(data, brought, uploaded)
    return Checked(stream, given.stream, data, given.id or new_id(), brought, sha256, redactions)


def check_title(title: str) -> None:
    """Refuse a project's title that is empty or too long."""
    if not 1 <= len(title) <= artifact.MAX_TITLE_CHARACTERS:
        raise Invalid(
            "validation-failed",
            f"A title has 1 to {artifact.MAX_TITLE_CHARACTERS} characters.",
            pointer="/title",
        )


def check_actor(actor: str) -> None:
    """Refuse an actor that is empty, too long, or holds what looks like a secret."""
    if not 1 <= len(actor) <= MAX_ACTOR_CHARACTERS:
        raise Invalid("validation-failed", "An actor has 1 to 256 characters.")
    canonical.check(actor)
    screen_name(actor, None)


def _sha256(content: bytes) -> bytes:
    if len(content) > MAX_BLOB_BYTES:
        raise TooLarge(
            "body-too-large",
            f"The content has {len(content)} bytes, the limit is {MAX_BLOB_BYTES}.",
            pointer=CONTENT,
        )
    return hashlib.sha256(content).digest()


def check_stream(name: str, pointer: str | None) -> Stream:
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
            "An erasure is recorded by POST /v1/projects/{project}/erasures, by an administrator.",
            pointer="/type",
        )
    if isinstance(data, ProjectCreated):
        raise Invalid(
            "validation-failed", "A project is created by POST /v1/projects.", pointer="/type"
        )
    if isinstance(data, PolicyChanged):
        raise Invalid(
            "validation-failed",
            "A policy is changed by PATCH /v1/projects/{project}/policy, by an administrator.",
            pointer="/type",
        )
    if isinstance(data, AttestationRecorded):
        raise Invalid(
            "validation-failed",
            "An attestation is recorded by POST /v1/projects/{project}/runs/{run}/attestations: "
            "the ledger itself says what is in it and whether it holds.",
            pointer="/type",
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
        if data.media_type != MEDIA_TYPE_OF_DOCUMENTS:
            raise Invalid(
                "validation-failed",
                f"A {stream.kind} is application/json.",
                pointer="/data/media_type",
            )
        if content is not None:
            _check_document(stream.kind, content)
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
                original=data.original,
                text=text if data.media_type == artifact.MARKDOWN else None,
            ),
        )
    except Invalid as error:
        if error.pointer != CONTENT:
            error.pointer = f"/data{error.pointer}"
        raise
    return decided[0]


def _check_run_record(
    data: EventData, content: bytes | None, uploaded: Callable[[bytes], bytes | None]
) -> None:
    """The grammar of `domain.run_records`, and the schema of the record's document."""
    pointed("/data", partial(check_record, data))
    kind = KIND_OF_RECORD.get(type(data))
    document = getattr(data, "content", None)
    if kind is None or not isinstance(document, Content):
        return
    if document.media_type != MEDIA_TYPE_OF_DOCUMENTS:
        raise Invalid(
            "validation-failed",
            f"The content of a {type(data).__name__} is application/json.",
            pointer="/data/content/media_type",
        )
    raw = uploaded(parse_digest(document.digest)) if content is None else content
    if raw is not None:
        _check_document(kind, raw)


def _check_document(kind: str, content: bytes) -> None:
    try:
        check_document(kind, content)
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


def pointed(pointer: str, check: Callable[[], _Result]) -> _Result:
    """Run a check, and put the place of its subject before the pointer of its error."""
    try:
        return check()
    except DeedbookError as error:
        error.pointer = pointer + (error.pointer or "")
        raise
