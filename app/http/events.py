"""Events: append one or a batch, page, replay as NDJSON, follow as server-sent events."""

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from starlette.responses import Response

from adapters.postgres_views import TrailFilter
from app.door import EventInput
from app.http.answers import IMMUTABLE, NDJSON, Events, Pieces, answer
from app.http.call import Call, NoQuery, convert, decode_json
from app.http.conditions import etag, unchanged
from app.http.endpoint import MAX_JSON_BYTES, Accepted, Endpoints, json_body
from app.http.tail import check_room, tail
from domain import canonical
from domain.digest import format_digest
from domain.errors import DeedbookError, Invalid, Malformed, TooLarge
from domain.log import MAX_BATCH_EVENTS, Receipt
from domain.names import parse_stream
from domain.secret_places import Redaction

endpoints = Endpoints("events")

SSE = "text/event-stream"
MAX_PAGE = 1_000


class NewStreamEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to append to one stream; content that comes along is kept as a blob."""

    type: str
    data: dict[str, object]
    id: str | None = None
    content: str | None = None
    content_base64: str | None = None


class NewEvent(NewStreamEvent, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to append."""

    stream: str


class Precondition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version that a stream must have before; 0: it has no event yet."""

    stream: str
    version: int


class NewEvents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A batch: all of it is recorded, next to each other, or nothing."""

    events: tuple[NewEvent, ...]
    preconditions: tuple[Precondition, ...] = ()


class AppendedEvent(msgspec.Struct, frozen=True):
    """Where an event stands, and its leaf hash in the project's tree."""

    id: str
    stream: str
    version: int
    position: int
    leaf_hash: str


class Appended(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to an append; `replayed`: it had been recorded before.

    `redactions` say where a secret was replaced, if any was.
    """

    first_position: int
    last_position: int
    replayed: bool
    events: tuple[AppendedEvent, ...]
    redactions: tuple[Redaction, ...] = ()


class EventPage(msgspec.Struct, frozen=True):
    """Stored events as they are; `next` is the `after` of the next page, `position` the log's size."""

    events: tuple[msgspec.Raw, ...]
    next: int | None
    position: int


class StreamHead(msgspec.Struct, frozen=True):
    """A stream's events, in order; `next` is the `after` of the next page (versions)."""

    stream: str
    version: int
    events: tuple[msgspec.Raw, ...]
    next: int | None


class EventQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are meant.

    Attributes:
        after: Only positions greater than this.
        until: Only positions up to this; the newest when left away.
        at: The same as until.
        until_time: Only events up to this time.
    """

    after: int | None = None
    until: int | None = None
    at: int | None = None
    stream: str | None = None
    type: str | None = None
    actor: str | None = None
    until_time: Annotated[str, msgspec.Meta(extra_json_schema={"format": "date-time"})] | None = (
        None
    )
    order: Literal["asc", "desc"] = "asc"
    limit: int | None = None

    @property
    def filter(self) -> TrailFilter:
        """Without the positions."""
        return TrailFilter(
            stream=self.stream, type=self.type, actor=self.actor, until=self.until_time
        )

    @property
    def filters(self) -> bool:
        """Whether any event is left out for what it is."""
        return any((self.stream, self.type, self.actor, self.until_time))


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a stream."""

    after: int = 0
    limit: int = 100
    at: int | None = None


def _ndjson(raw: bytes) -> NewEvents:
    """One event a line, all of them one batch."""
    lines = [line for line in raw.split(b"\n") if line.strip()]
    if len(lines) > MAX_BATCH_EVENTS:
        raise TooLarge("batch-too-large", f"A batch has up to {MAX_BATCH_EVENTS} events.")
    events = []
    for index, line in enumerate(lines):
        try:
            events.append(convert(canonical.read(line), NewEvent))
        except DeedbookError as error:
            error.pointer = f"/events/{index}{error.pointer or ''}"
            raise
    return NewEvents(tuple(events))


BATCH: Accepted[NewEvents] = Accepted(
    NewEvents,
    {"application/json": lambda raw: decode_json(raw, NewEvents), NDJSON: _ndjson},
    MAX_JSON_BYTES,
)
APPEND_PROBLEMS = (
    "project-not-found",
    "validation-failed",
    "unknown-event-type",
    "invalid-transition",
    "unknown-reference",
    "already-recorded",
    "run-incomplete",
    "approval-missing",
    "approval-mismatch",
    "four-eyes",
    "approval-unsigned",
    "version-conflict",
    "event-id-conflict",
    "idempotency-key-reused",
    "digest-mismatch",
    "blob-not-found",
    "content-erased",
    "citation-unresolved",
    "secret-detected",
    "batch-too-large",
    "body-too-large",
    "event-too-large",
    "queue-full",
    "outcome-unknown",
    "blob-store-unavailable",
)


@endpoints.add(
    "POST",
    "/v1/projects/{project}/events",
    scope="events:append",
    accepted=BATCH,
    answers={201: Appended, 200: Appended},
    problems=APPEND_PROBLEMS,
    headers=("Idempotency-Key",),
)
def append_events(call: Call[NoQuery, NewEvents]) -> Response:
    """Append a batch: all of it or nothing."""
    preconditions: dict[str, int] = {}
    for index, one in enumerate(call.body.preconditions):
        if preconditions.setdefault(one.stream, one.version) != one.version:
            raise Invalid(
                "validation-failed",
                f"{one.stream} cannot have two versions.",
                pointer=f"/preconditions/{index}",
            )
    receipt = call.ledger.append(
        call.project,
        [
            EventInput(
                stream=one.stream,
                type=one.type,
                data=one.data,
                id=one.id,
                content=content_of(one, f"/events/{index}"),
            )
            for index, one in enumerate(call.body.events)
        ],
        actor=call.actor,
        preconditions=preconditions,
        key=call.key,
    )
    return appended(call, receipt)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/events",
    scope="events:read",
    query=EventQuery,
    answers={200: EventPage},
    media_types=("application/json", NDJSON, SSE),
    problems=("project-not-found", "position-in-the-future"),
    headers=("Last-Event-ID",),
)
def read_events(call: Call[EventQuery, None]) -> Response:
    """Page through the log, replay it as NDJSON, or follow it as server-sent events.

    By the Accept header: a JSON page; NDJSON, one stored event a line, byte for byte, closed by a
    line `{"end":true,…}`; or server-sent events, first those recorded, then those to come.
    """
    query = call.query
    _check_time(query.until_time)
    size = call.position(query.until if query.until is not None else query.at)
    headers = {"Deedbook-Position": str(size), "Cache-Control": "no-store"}
    if call.method == "HEAD":
        return Response(status_code=200, headers=headers, media_type=call.media_type)
    if call.media_type == SSE:
        after = _last_event_id(call) if query.after is None else query.after
        given = call.headers.get("last-event-id")
        after = max(after, _last_event_id(call)) if given else after
        check_room(call.token.id)
        return Events(tail(call.ledger, call.project, query.filter, after, call.token.id))
    after, upto = query.after or 0, size
    if query.order == "desc" and query.after is not None:
        after, upto = 0, min(size, query.after - 1)
    if call.media_type == NDJSON:
        return Pieces(_replayed(call, after, upto), 200, headers, NDJSON)
    limit = min(query.limit or 100, MAX_PAGE)
    page = call.ledger.events.page(
        call.project,
        query.filter,
        after=after,
        upto=upto,
        limit=limit,
        newest_first=query.order == "desc",
    )
    following = page[-1][0] if len(page) == limit else None
    return answer(
        EventPage(tuple(msgspec.Raw(line) for _, line in page), following, size), headers=headers
    )


@endpoints.add(
    "GET",
    "/v1/projects/{project}/events/{position}",
    scope="events:read",
    answers={200: None},
    problems=("project-not-found", "position-not-found"),
    headers=("If-None-Match",),
)
def read_event(call: Call[NoQuery, None]) -> Response:
    """Read one event: its stored bytes, tagged with its leaf hash."""
    call.position(None)
    found = call.ledger.events.get(call.project, position_in(call.path["position"]))
    tag = etag(format_digest(found.leaf))
    headers = {"ETag": tag, "Cache-Control": IMMUTABLE}
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=headers)
    return Response(found.line, 200, headers, "application/json")


@endpoints.add(
    "GET",
    "/v1/projects/{project}/streams/{stream:path}",
    scope="events:read",
    query=StreamQuery,
    answers={200: StreamHead},
    problems=("project-not-found", "position-in-the-future", "validation-failed"),
)
def read_stream(call: Call[StreamQuery, None]) -> Response:
    """Read one stream's events, by version."""
    stream = call.path["stream"]
    parse_stream(stream)
    position = call.position(call.query.at)
    limit = max(1, min(call.query.limit, MAX_PAGE))
    version = call.ledger.events.version(call.project, stream, position)
    found = call.ledger.log.stream(call.project, stream, call.query.after, limit, position)
    following = found[-1].version if len(found) == limit else None
    return answer(
        StreamHead(stream, version, tuple(msgspec.Raw(one.line) for one in found), following),
        headers={"ETag": etag(version), "Deedbook-Position": str(position)},
    )


@endpoints.add(
    "POST",
    "/v1/projects/{project}/streams/{stream:path}",
    scope="events:append",
    accepted=json_body(NewStreamEvent),
    answers={201: Appended, 200: Appended},
    problems=APPEND_PROBLEMS,
    headers=("If-Match", "If-None-Match", "Idempotency-Key"),
)
def append_to_stream(call: Call[NoQuery, NewStreamEvent]) -> Response:
    """Append one event to a stream, at the version of If-Match if that is given."""
    stream = call.path["stream"]
    parse_stream(stream)
    expected = call.expected_version
    one = call.body
    receipt = call.ledger.append(
        call.project,
        [
            EventInput(
                stream=stream, type=one.type, data=one.data, id=one.id, content=content_of(one)
            )
        ],
        actor=call.actor,
        preconditions={} if expected is None else {stream: expected},
        key=call.key,
    )
    return appended(call, receipt)


def appended(call: Call[NoQuery, object], receipt: Receipt) -> Response:
    """The answer to an append: 201, or 200 when it had been recorded before."""
    last = receipt.entries[-1]
    return answer(
        Appended(
            receipt.entries[0].position,
            last.position,
            receipt.replayed,
            tuple(
                AppendedEvent(
                    one.id, one.stream, one.version, one.position, format_digest(one.leaf)
                )
                for one in receipt.entries
            ),
            receipt.redactions,
        ),
        200 if receipt.replayed else 201,
        {
            "Location": f"/v1/projects/{call.project}/events/{receipt.entries[0].position}",
            "Deedbook-Position": str(last.position),
            "ETag": etag(last.version),
        },
    )


def content_of(one: NewStreamEvent, pointer: str = "") -> bytes | None:
    """The content that comes with an event.

    Raises:
        Invalid: `validation-failed`.
    """
    return content_bytes(one.content, one.content_base64, pointer)


def content_bytes(text: str | None, encoded: str | None, pointer: str = "") -> bytes | None:
    """Content given as text or as base64, but not both.

    Raises:
        Invalid: `validation-failed`.
    """
    if text is not None and encoded is not None:
        raise Invalid(
            "validation-failed",
            "Give content or content_base64, not both.",
            pointer=f"{pointer}/content",
        )
    if text is not None:
        return text.encode()
    if encoded is None:
        return None
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise Invalid(
            "validation-failed",
            "content_base64 is not base64.",
            pointer=f"{pointer}/content_base64",
        ) from None


def position_in(text: str) -> int:
    """A position in a path.

    Raises:
        Malformed: `invalid-parameter`.
    """
    if not (text.isascii() and text.isdigit()) or len(text) > 18 or text.startswith("0"):
        raise Malformed("invalid-parameter", "A position is 1, 2, 3 ….")
    return int(text)


def _replayed(call: Call[EventQuery, None], after: int, upto: int) -> Iterator[bytes]:
    query = call.query
    if query.filters or query.limit is not None or query.order == "desc":
        yield from call.ledger.events.lines(
            call.project,
            query.filter,
            after=after,
            upto=upto,
            limit=query.limit,
            newest_first=query.order == "desc",
        )
    else:
        yield from call.ledger.log.lines(call.project, after, upto)
    yield b'{"end":true,"position":%d}\n' % upto


def _last_event_id(call: Call[EventQuery, None]) -> int:
    given = call.headers.get("last-event-id", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 18 else 0


def _check_time(text: str | None) -> None:
    if text is None:
        return
    try:
        zoned = msgspec.convert(text, datetime).tzinfo is not None
    except msgspec.ValidationError:
        zoned = False
    if not zoned:
        raise Malformed("invalid-parameter", "A time is written like 2026-11-20T10:00:00Z.")
