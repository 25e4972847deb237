"""Answers: JSON, contents with ranges, and long ones in pieces that a slow reader cannot hold up."""

import asyncio
import base64
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from itertools import chain

import msgspec
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from app.http.call import Call
from app.http.conditions import UnsatisfiableRange, byte_range, check_if_match, unchanged
from app.http.problems import problem_response
from domain.errors import DeedbookError, Malformed

WRITE_SECONDS = 60.0
"""A reader that takes nothing for so long is given up."""
IMMUTABLE = "private, max-age=31536000, immutable, no-transform"
NDJSON = "application/x-ndjson"

_logger = logging.getLogger("deedbook.http")


def answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; reads of the present are not to be cached."""
    return Response(
        msgspec.json.encode(value),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/json",
    )


def tagged(
    call: Call[object, object],
    value: object,
    tag: str,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A JSON answer with an entity tag; 304 when the caller has it already."""
    given = {"ETag": tag, "Cache-Control": "private, no-cache", **(headers or {})}
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=given)
    return Response(msgspec.json.encode(value), 200, given, "application/json")


def repr_digest(sha256: bytes) -> dict[str, str]:
    """The digest of a whole representation (RFC 9530, section 3)."""
    return {"Repr-Digest": f"sha-256=:{base64.b64encode(sha256).decode()}:"}


def representation(
    call: Call[object, object],
    *,
    size_bytes: int,
    tag: str,
    media_type: str,
    pieces: Callable[[int, int], Iterator[bytes]],
    headers: Mapping[str, str],
) -> Response:
    """Bytes that never change: conditions, ranges and HEAD as RFC 9110 has them.

    Args:
        call: The request.
        size_bytes: Of the whole.
        tag: Its strong entity tag.
        media_type: Of the whole.
        pieces: Gives the bytes from a start to before a stop.
        headers: Further ones.
    """
    check_if_match(call.headers, tag)
    given = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": IMMUTABLE, **headers}
    if unchanged(call.headers, tag):
        return Response(status_code=304, headers=given)
    if call.method == "HEAD":
        return Response(
            status_code=200,
            headers={**given, "Content-Length": str(size_bytes)},
            media_type=media_type,
        )
    try:
        part = byte_range(call.headers, size_bytes, tag)
    except UnsatisfiableRange:
        return problem_response(
            Malformed("range-not-satisfiable", f"There are {size_bytes} bytes."),
            instance=call.url_path,
            request_id=call.request_id,
            headers={"Content-Range": f"bytes */{size_bytes}", "ETag": tag},
        )
    start, stop = part or (0, size_bytes)
    given["Content-Length"] = str(stop - start)
    if part is not None:
        given["Content-Range"] = f"bytes {start}-{stop - 1}/{size_bytes}"
    return Pieces(pieces(start, stop), 206 if part else 200, given, media_type)


class Pieces(StreamingResponse):
    """A long answer. The first piece is made before the headers go, so that a problem can be one.

    A later failure cuts the answer short: the connection closes before the announced length, or
    without the last chunk, which every client notices.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        first = next(pieces, None)
        made: Iterable[bytes] = () if first is None else chain((first,), pieces)
        super().__init__(iterate_in_threadpool(made), status_code, headers, media_type)

    async def stream_response(self, send: Send) -> None:
        """Send what comes; on a failure, return without an end, upon which the server hangs up."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        try:
            async for piece in self.body_iterator:
                async with asyncio.timeout(WRITE_SECONDS):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except DeedbookError as error:
            _logger.error("an answer was cut short: %s (%s)", error.detail, error.code)  # noqa: TRY400 - its sentence says it all
            return
        except TimeoutError:
            _logger.warning("an answer was given up: its reader takes nothing")
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Events(StreamingResponse):
    """An endless answer of server-sent events."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(
            events,
            200,
            {"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
            "text/event-stream",
        )
