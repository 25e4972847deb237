"""Requests to Upstash Vector: its SDK's payloads and types, over an HTTP client of ours.

All that the SDK (`upstash-vector` 0.8.0) sends passes one method, which is replaced here: its own waits ten
minutes four times, repeats what can never succeed, drops the status of an answer, and puts namespaces into
addresses as they are. `docs/search-upstash.md` lists its faults; each has a test.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx2
import msgspec
from upstash_vector import AsyncIndex

from adapters.search.remote_fault import Kind, RemoteFault
from adapters.search.upstash_payload import MAX_BODY_BYTES, check_payload
from domain.errors import Invalid, Malformed

CONNECT_SECONDS = 1.0
QUERY_SECONDS = 2.0
UPSERT_SECONDS = 30.0
OTHER_SECONDS = 10.0
"""Each for the whole of a call: all attempts, the waits between them, and the answer to its last byte."""
ATTEMPTS = 3
PAUSE_SECONDS = 0.25
"""Before the second attempt; twice that before the third."""
MAX_ANSWER_BYTES = 16 * 1024 * 1024

QUERIES = frozenset({"query", "query-data"})
"""Asked once: somebody waits for the answer, and there is another index to ask."""
UPSERTS = frozenset({"upsert", "upsert-data"})
REPEATABLE = UPSERTS | {"range", "fetch", "delete", "info", "list-namespaces"}
"""What may be sent again though it may have been done: all of it names ids or only reads."""

_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_WITHOUT_NAMESPACE = frozenset({"info", "list-namespaces"})
_WITH_NAMESPACE = QUERIES | UPSERTS | {"range", "fetch", "delete", "delete-namespace"}


def upstash_client(verify: ssl.SSLContext | bool = True) -> httpx2.AsyncClient:
    """The HTTP client, with our limits; it follows no redirection and asks no variable for a proxy."""
    return httpx2.AsyncClient(
        verify=verify,
        follow_redirects=False,
        trust_env=False,
        limits=httpx2.Limits(max_connections=16, max_keepalive_connections=16),
    )


class UpstashTransport(AsyncIndex):
    """One index, as the SDK's `AsyncIndex`; make, use and close it in one event loop.

    Whatever it is asked to send may raise `Invalid` (`validation-failed`: never sent, since it breaks a
    limit or means something else to the service) or `RemoteFault`.

    Args:
        url: Of the index.
        token: The bearer token that may write.
        client: Makes the HTTP client.
        pause: Waits some seconds before an attempt is repeated.
        chance: Gives a number from 0 to 1, so that those who failed together come back apart.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        client: Callable[[], httpx2.AsyncClient] = upstash_client,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = lambda: 1.0,
    ) -> None:
        # The parent's constructor would make a client that nothing closes.
        self._url = url.rstrip("/")
        self._token = token
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
        }
        self._http = client()
        self._pause = pause
        self._chance = chance

    def __repr__(self) -> str:
        """Without the token."""
        return f"UpstashTransport({self._url!r})"

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _execute_request_async(self, payload: Any = "", path: str = "") -> Any:
        operation = self._checked(path, payload)
        body = _encoded(payload)
        seconds = _seconds(operation)
        attempts = ATTEMPTS if operation in REPEATABLE else 1
        fault = RemoteFault("unavailable", f"no answer in {seconds:g} seconds")
        try:
            async with asyncio.timeout(seconds):
                for attempt in range(attempts):
                    if attempt:
                        await self._pause(PAUSE_SECONDS * 2 ** (attempt - 1) * self._chance())
                    try:
                        return await self._sent(path, body, seconds)
                    except RemoteFault as failed:
                        fault = failed
                        if failed.kind != "unavailable":
                            break  # after 429 comes a wait longer than a call
        except TimeoutError:
            pass
        raise fault

    def _checked(self, path: str, payload: object) -> str:
        """The operation of a path as the SDK makes it, with a namespace that is one and nothing else.

        Without one the service means its default namespace, and `..` or `?all` in one would empty others.
        """
        _, operation, *rest = path.split("/")
        if operation in _WITHOUT_NAMESPACE and not rest:
            return operation
        if operation not in _WITH_NAMESPACE:
            raise _invalid(f"{operation[:40]!r} is not an operation that is used here.")
        if len(rest) != 1 or not _NAMESPACE.fullmatch(rest[0]) or rest[0] in {".", ".."}:
            raise _invalid("A namespace has 1 to 200 of A-Z, a-z, 0-9, _, ., : and -.")
        check_payload(operation, payload)
        return operation

    async def _sent(self, path: str, body: bytes, seconds: float) -> Any:
        timeout = httpx2.Timeout(seconds, connect=CONNECT_SECONDS)
        try:
            async with self._http.stream(
                "POST", self._url + path, content=body, headers=self._headers, timeout=timeout
            ) as response:
                raw = bytearray()
                async for piece in response.aiter_raw():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise RemoteFault("unavailable", f"more than {MAX_ANSWER_BYTES} bytes")
                return _result(
                    response.status_code, response.headers, bytes(raw), secret=self._token
                )
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol):
            raise Malformed(
                "invalid-parameter",
                "The setting UPSTASH_VECTOR_REST_URL is no address of a service, such as "
                "https://name.upstash.io.",
            ) from None
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise RemoteFault("unavailable", type(error).__name__) from error


def _seconds(operation: str) -> float:
    if operation in QUERIES:
        return QUERY_SECONDS
    return UPSERT_SECONDS if operation in UPSERTS else OTHER_SECONDS


def _encoded(payload: object) -> bytes:
    if payload is None:
        return b""
    try:
        body = msgspec.json.encode(payload)
    except (UnicodeEncodeError, TypeError, OverflowError) as error:
        raise _invalid(f"This cannot be sent as JSON ({type(error).__name__}).") from None
    if len(body) > MAX_BODY_BYTES:
        raise _invalid(f"A request has at most {MAX_BODY_BYTES:,} bytes, not {len(body):,}.")
    return body


def _result(status: int, headers: Mapping[str, str], raw: bytes, *, secret: str) -> Any:
    try:
        answer = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        answer = None
    error = answer.get("error") if isinstance(answer, dict) else None
    if status == 200 and isinstance(answer, dict) and error is None and "result" in answer:
        return answer["result"]
    told = f"status {status}" if error is None else f"status {status}, {error}"
    told = told.replace(secret, "[token]")  # what is told gets into logs and answers
    raise RemoteFault(
        _kind(status, by_service=error is not None),
        told,
        retry_after=headers.get("Retry-After"),
    )


def _kind(status: int, *, by_service: bool) -> Kind:
    """The service answers in JSON with an `error`; a page comes from somebody between, and says nothing of it."""
    if status == 429:
        return "rate-limited"
    if status == 401 or (status == 403 and by_service):
        return "unauthorized"
    if by_service and status != 408 and status < 500:
        return "rejected"
    return "unavailable"


def _invalid(sentence: str) -> Invalid:
    return Invalid("validation-failed", sentence)
