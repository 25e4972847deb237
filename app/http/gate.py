"""The way of a request to its handler: method, token, limits, decoding; and every failure a problem."""

import asyncio
import hashlib
import logging
import os
import re
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple, Unpack

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from adapters.postgres_connect import UNREACHABLE
from adapters.postgres_tokens import Token
from app.http.call import Call, decode_query
from app.http.endpoint import Endpoint
from app.http.problems import internal, problem_response
from app.http.visitor import session_secret, visitor
from app.ledger import Ledger
from domain import canonical
from domain.errors import (
    DeedbookError,
    Invalid,
    Malformed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

Given = TypeVarTuple("Given")
Result = TypeVar("Result")

OPEN = "open"
"""The scope of endpoints that need no token."""
READING = frozenset({"GET", "HEAD"})
"""Methods for which a browser's cookie is enough."""
CHUNK_SECONDS = 30.0
"""A sender that sends nothing for so long is given up."""
READ_FIRST_BYTES = 1024 * 1024
"""Bodies up to this size are read before the token is looked up, to spare a change of thread."""

_BEARER = re.compile(r"Bearer +([\x21-\x7e]{1,4096})", re.IGNORECASE)
_logger = logging.getLogger("deedbook.http")


class Gate:
    """All methods of one path, as an ASGI application."""

    def __init__(
        self, ledger: Ledger, endpoints: list[Endpoint[Any, Any]], threads: CapacityLimiter
    ) -> None:
        self._ledger = ledger
        self._by_method = {endpoint.method: endpoint for endpoint in endpoints}
        if "GET" in self._by_method:
            self._by_method.setdefault("HEAD", self._by_method["GET"])
        self._allow = ", ".join(sorted(self._by_method))
        self._threads = threads
        self._busy: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return  # nobody is there to answer; nothing was recorded
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        headers: dict[str, str] = {}
        try:
            if request.method == "OPTIONS":
                return Response(status_code=204, headers={"Allow": self._allow})
            return await self._call(self._endpoint(request.method), request)
        except DeedbookError as error:
            problem = error
            if error.code == "method-not-allowed":
                headers["Allow"] = self._allow
        except UNREACHABLE:
            _logger.warning("the database is away", exc_info=True)
            problem = Unavailable(
                "database-unavailable", "The database does not answer: repeat it a little later."
            )
        except ClientDisconnect:
            raise
        except Exception:
            _logger.exception("request %s failed", request_id(request.scope))
            problem = internal(request_id(request.scope))
        return problem_response(
            problem,
            instance=request.url.path,
            request_id=request_id(request.scope),
            headers=headers,
        )

    def _endpoint(self, method: str) -> Endpoint[Any, Any]:
        endpoint = self._by_method.get(method)
        if endpoint is None:
            raise Malformed("method-not-allowed", f"{method} is not for this; {self._allow} are.")
        return endpoint

    async def _call(self, endpoint: Endpoint[Any, Any], request: Request) -> Response:
        if endpoint.scope != OPEN and not self._is_visitor(request):
            _secret(request)
        media_type = negotiate(request.headers.get("accept"), endpoint.media_types)
        decode = _decoder(endpoint, request.headers)
        if endpoint.accepted.spooled:
            bearer = await self._in_thread(self._authenticate, endpoint, request)
            with self._turn(endpoint):
                return await self._call_spooled(endpoint, request, bearer, media_type, decode)
        bearer = None
        early = _announced(request.headers, endpoint.accepted.max_bytes) <= READ_FIRST_BYTES
        if not early:
            bearer = await self._in_thread(self._authenticate, endpoint, request)
        raw = await _read(request, endpoint.accepted.max_bytes)

        def handle() -> Response:
            token = self._authenticate(endpoint, request) if early else bearer
            body = None if decode is None else decode(raw)
            return endpoint.handler(
                self._make(endpoint, request, token, body, hashlib.sha256(raw).digest(), media_type)
            )

        return await self._in_thread(handle)

    async def _call_spooled(
        self,
        endpoint: Endpoint[Any, Any],
        request: Request,
        bearer: Token | None,
        media_type: str,
        decode: Callable[[bytes], object],
    ) -> Response:
        with tempfile.NamedTemporaryFile(prefix="deedbook-", suffix=".upload") as file:
            digest = hashlib.sha256()
            size = 0
            try:
                async with asyncio.timeout(endpoint.accepted.seconds):
                    async for chunk in _chunks(request, endpoint.accepted.max_bytes):
                        digest.update(chunk)
                        size += len(chunk)
                        await self._in_thread(file.write, chunk)
            except TimeoutError:
                raise _late() from None
            _check_length(request.headers, size)
            await self._in_thread(file.flush)
            body = decode(os.fsencode(file.name))
            call = self._make(endpoint, request, bearer, body, digest.digest(), media_type)
            return await self._in_thread(endpoint.handler, call)

    @contextmanager
    def _turn(self, endpoint: Endpoint[Any, Any]) -> Iterator[None]:
        """One of the places of an endpoint that does not do everything at once; the loop's thread alone counts."""
        at_once, method = endpoint.accepted.at_once, endpoint.method
        if at_once is not None and self._busy[method] >= at_once:
            raise Unavailable(
                "rate-limited", f"{at_once} of these are being worked on: repeat it a little later."
            )
        self._busy[method] += 1
        try:
            yield
        finally:
            self._busy[method] -= 1

    async def _in_thread(
        self, work: Callable[[Unpack[Given]], Result], *arguments: *Given
    ) -> Result:
        return await to_thread.run_sync(work, *arguments, limiter=self._threads)

    def _make(
        self,
        endpoint: Endpoint[Any, Any],
        request: Request,
        bearer: Token | None,
        body: object,
        raw_sha256: bytes,
        media_type: str,
    ) -> Call[Any, Any]:
        for name, value in request.path_params.items():
            try:
                canonical.check(value)
            except Invalid as error:
                raise Malformed("invalid-parameter", f"{name}: {error.detail}") from None
        return Call(
            ledger=self._ledger,
            bearer=bearer,
            method=request.method,
            url_path=request.url.path,
            path=request.path_params,
            headers=request.headers,
            query=decode_query(_once(request), endpoint.query),
            body=body,
            raw_sha256=raw_sha256,
            request_id=request_id(request.scope),
            media_type=media_type,
        )

    def _authenticate(self, endpoint: Endpoint[Any, Any], request: Request) -> Token | None:
        if endpoint.scope == OPEN:
            return None
        token = self._token(request)
        if endpoint.scope is not None:
            token.check_scope(endpoint.scope)
        project = request.path_params.get("project")
        if project is not None:
            token.check_project(project)
        return token

    def _is_visitor(self, request: Request) -> bool:
        """Whether a browser reads what a page shows: who is signed in, or a guest."""
        return (
            request.method in READING
            and "authorization" not in request.headers
            and (session_secret(request) is not None or self._ledger.guest is not None)
        )

    def _token(self, request: Request) -> Token:
        if self._is_visitor(request):
            _, token = visitor(self._ledger, request)
            if token is not None:
                return token
        return self._ledger.tokens.find(_secret(request))


def _secret(request: Request) -> str:
    found = _BEARER.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise Unauthenticated(
            "unauthenticated", "Send an API token as Authorization: Bearer dbk_…."
        )
    return found[1]


def request_id(scope: Scope) -> str:
    """The id of a request; `app.http.edge` has given it one."""
    return str(scope["state"]["request_id"])


def negotiate(accept: str | None, offered: tuple[str, ...]) -> str:
    """The media type of the answer: the first offered one that has the greatest weight.

    Raises:
        Malformed: `not-acceptable`.
    """
    if not accept or not offered:
        return offered[0] if offered else ""
    best, best_weight = "", 0.0
    for media_type in offered:
        weight = _weight(accept, media_type)
        if weight > best_weight:
            best, best_weight = media_type, weight
    if not best:
        raise Malformed("not-acceptable", f"There is {', '.join(offered)}, not {accept[:100]}.")
    return best


def _weight(accept: str, media_type: str) -> float:
    """How much a caller wants a media type (RFC 9110, section 12.5.1): the most specific range."""
    found = (-1, 0.0)
    main = media_type.partition("/")[0]
    for item in accept.lower().split(",")[:50]:
        name, *parameters = (part.strip() for part in item.split(";"))
        specific = {media_type: 2, f"{main}/*": 1, "*/*": 0}.get(name)
        if specific is None:
            continue
        weight = 1.0
        for parameter in parameters:
            if re.fullmatch(r"q=(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", parameter):
                weight = float(parameter[2:])
        found = max(found, (specific, weight))
    return found[1]


def _decoder(endpoint: Endpoint[Any, Any], headers: Mapping[str, str]) -> Any:
    """What decodes the body, by its media type; None when there is no body to be had."""
    decoders = endpoint.accepted.decoders
    if not decoders:
        return None
    if headers.get("content-encoding", "identity") != "identity":
        raise Malformed("unsupported-media-type", "Send the body without a content coding.")
    given = headers.get("content-type", "").partition(";")[0].strip().lower()
    decode = decoders.get(given) or decoders.get("*/*")
    if decode is None:
        raise Malformed(
            "unsupported-media-type",
            f"The body is to be {' or '.join(decoders)}, not {given[:100] or 'unnamed'}.",
        )
    return decode


def _announced(headers: Mapping[str, str], max_bytes: int) -> int:
    """The body's size as announced; a chunked one may be as large as is allowed."""
    given = headers.get("content-length")
    if given is None:
        return max_bytes if "transfer-encoding" in headers else 0
    size = int(given) if given.isascii() and given.isdigit() else max_bytes + 1
    if size > max_bytes:
        raise _too_large(max_bytes)
    return size


async def _read(request: Request, max_bytes: int) -> bytes:
    raw = b"".join([chunk async for chunk in _chunks(request, max_bytes)])
    _check_length(request.headers, len(raw))
    return raw


async def _chunks(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    _announced(request.headers, max_bytes)
    size = 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(CHUNK_SECONDS):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise _late() from None
        if chunk is None:
            return
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        yield chunk


def _check_length(headers: Mapping[str, str], size: int) -> None:
    """A server ought to notice a body that is cut short; recording half of it would be worse."""
    given = headers.get("content-length")
    if given is not None and int(given) != size:
        raise Malformed("malformed-body", f"{given} bytes were announced, {size} have come.")


def _late() -> Malformed:
    return Malformed("request-timeout", "The body did not arrive in time.")


def _too_large(max_bytes: int) -> TooLarge:
    if max_bytes == 0:
        return TooLarge("body-too-large", "This request takes no body.")
    return TooLarge("body-too-large", f"The body may have {max_bytes} bytes.")


def _once(request: Request) -> dict[str, str]:
    """The URL's parameters; one given twice is refused, since either could be meant."""
    given = request.query_params.multi_items()
    query = dict(given)
    if len(query) != len(given):
        raise Malformed("invalid-parameter", "A parameter is given twice.")
    return query
