"""The log of a project seen over HTTP: append to it, page through it, replay it, follow it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

import httpx2
import msgspec

from app.remote.client import IDLE_STREAM_SECONDS, RETRY_WAITS, Client, segment
from domain.errors import Damaged, DeedbookError, NotFound, Unavailable
from domain.events import StoredLine, parse, read_line
from projections.trail import sentence

NDJSON = "application/x-ndjson"
SSE = "text/event-stream"
EVENT_START = b'{"actor":'
"""How a stored line begins; anything else between the lines is a heartbeat or the end's record."""

Filters = Mapping[str, str | None]


class AppendedEvent(msgspec.Struct, frozen=True):
    """One event's place, as the ledger answered it."""

    id: str
    stream: str
    version: int
    position: int
    leaf_hash: str


class Appended(msgspec.Struct, frozen=True):
    """The answer to an append."""

    events: list[AppendedEvent]


class ShownEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event for people: when, who, and what in a sentence; and the line as stored."""

    position: int
    time: str
    actor: str
    stream: str
    type: str
    sentence: str
    line: bytes


def events_path(project: str) -> str:
    """Where a project's events are."""
    return f"/v1/projects/{segment(project)}/events"


def append(
    client: Client,
    project: str,
    events: Sequence[Mapping[str, object]],
    *,
    preconditions: Mapping[str, int] | None = None,
    key: str | None = None,
) -> Appended:
    """Record events that carry ids: all or none, and safe to repeat."""
    body: dict[str, object] = {"events": list(events)}
    if preconditions:
        body["preconditions"] = [
            {"stream": stream, "version": version} for stream, version in preconditions.items()
        ]
    return client.post(
        events_path(project),
        body,
        Appended,
        headers={"Idempotency-Key": key} if key else {},
        repeatable=True,
    )


def position(client: Client, project: str, at: int | None) -> int:
    """The position to read at: `at`, or the newest.

    Raises:
        NotFound: `position-in-the-future`.
    """
    headers = client.head(events_path(project))
    try:
        size = int(headers["Deedbook-Position"])
    except (KeyError, ValueError):
        raise Unavailable(
            "unexpected-answer", "The ledger did not say how long the log is."
        ) from None
    if at is not None and at > size:
        raise NotFound(
            "position-in-the-future",
            f"The log of {project} ends at position {size}; {at} is still to come.",
            members={"position": size},
        )
    return size if at is None else at


def lines(client: Client, project: str, after: int, upto: int) -> Iterator[bytes]:
    """The stored lines with `after` < position ≤ `upto`, without newlines, whole or an error."""
    last = after
    failures = 0
    while last < upto:
        params = {"after": last, "until": upto}
        try:
            with client.stream(events_path(project), accept=NDJSON, params=params) as response:
                for line in _events_of(response):
                    if b'"position":%d,' % (last + 1) not in line:
                        raise Damaged(
                            "event-malformed", f"Position {last + 1} is missing in the answer."
                        )
                    last += 1
                    failures = 0
                    yield line
            lost = Unavailable("connection-lost", f"The answer ended at position {last}.")
        except Unavailable as error:
            lost = error
        if last < upto:
            if failures == len(RETRY_WAITS):
                raise lost
            time.sleep(RETRY_WAITS[failures])
            failures += 1


def some(
    client: Client,
    project: str,
    filters: Filters,
    *,
    after: int | None,
    limit: int,
    upto: int,
) -> Iterator[ShownEvent]:
    """Up to `limit` events, oldest first: the newest ones, or those that follow `after`."""
    params: dict[str, str | int | None] = {**filters, "until": upto, "limit": limit}
    params |= {"order": "desc"} if after is None else {"after": after}
    with client.stream(events_path(project), accept=NDJSON, params=params) as response:
        found = list(islice(_events_of(response), limit))
    for line in reversed(found) if after is None else found:
        yield shown(line)


def follow(
    client: Client,
    project: str,
    filters: Filters,
    *,
    after: int,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[ShownEvent]:
    """The events after a position, and then those to come, across lost connections."""
    last = after
    failures = 0
    while True:
        try:
            with client.stream(
                events_path(project),
                accept=SSE,
                params={**filters, "after": last},
                headers={"Last-Event-ID": str(last)},
                idle_seconds=IDLE_STREAM_SECONDS,
            ) as response:
                for line in _sse_data(_lines_of(response)):
                    failures = 0
                    if not line.startswith(EVENT_START):
                        continue
                    event = shown(line)
                    if event.position > last:
                        last = event.position
                        yield event
        except Unavailable:
            if failures == len(RETRY_WAITS):
                raise
        wait(RETRY_WAITS[min(failures, len(RETRY_WAITS) - 1)])
        failures += 1


def shown(raw: bytes) -> ShownEvent:
    """A stored line for people; an event of a kind that is not known here is named by its type."""
    try:
        text = sentence(parse(raw))
        line = read_line(raw)
    except DeedbookError:
        line = msgspec.json.decode(raw, type=StoredLine)
        text = line.type
    return ShownEvent(
        position=line.position,
        time=line.time,
        actor=line.actor,
        stream=line.stream,
        type=line.type,
        sentence=text,
        line=raw,
    )


def _events_of(response: httpx2.Response) -> Iterator[bytes]:
    return (line for line in _lines_of(response) if line.startswith(EVENT_START))


def _lines_of(response: httpx2.Response) -> Iterator[bytes]:
    """The whole lines of an answer while it arrives."""
    rest = b""
    for piece in response.iter_raw():
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole


def _sse_data(lines: Iterator[bytes]) -> Iterator[bytes]:
    """The data of each server-sent event (HTML standard, section 9.2)."""
    data: list[bytes] = []
    for line in lines:
        text = line.removesuffix(b"\r")
        if not text:
            if data:
                yield b"\n".join(data)
            data = []
        elif text.startswith(b"data:"):
            data.append(text[5:].removeprefix(b" "))
