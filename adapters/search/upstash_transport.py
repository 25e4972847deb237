"""Requests to Upstash Vector: the SDK's payloads and types over a client whose time and errors are bounded.

The SDK waits up to ten minutes, repeats what is wrong, throws away what an answer's status says, and puts a
namespace into the address as it is. All of its requests pass one method, which is replaced here.
"""

import asyncio
import math
import re
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
from upstash_vector import AsyncIndex
from upstash_vector.core.index_operations import RESET_ALL_PATH

from adapters.search.remote_fault import RemoteFault

CONNECT_SECONDS = 1.0
QUERY_SECONDS = 2.0
WRITE_SECONDS = 30.0
MAX_REQUEST_BYTES = 1_048_576
MAX_ANSWER_BYTES = 16 * 1_048_576
MAX_MESSAGE_CHARACTERS = 300
WRITES = ("upsert", "upsert-data", "update", "delete", "delete-namespace", "reset")

_NAMESPACE = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_UNAUTHORIZED, _LIMITED = (401, 403), 429
_UNREADABLE = "its answer cannot be read"


class UpstashTransport(AsyncIndex):
    """An index, asked by one event loop; close it there.

    Args:
        url: The index's REST URL.
        token: Its token.
        transport: What carries requests; by default the network.
    """

    def __init__(
        self, url: str, token: str, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        # The SDK's own constructor would make a client that nobody closes.
        self._url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            timeout=httpx.Timeout(WRITE_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def _execute_request_async(self, payload: Any = "", path: str = "") -> Any:
        """One request.

        Raises:
            RemoteFault: It failed, or its answer is lost.
            ValueError: It must not be sent: a number that is none, or a namespace that leads elsewhere.
        """
        body = _encoded(payload)
        operation = path.strip("/").partition("/")[0].partition("?")[0]
        seconds = WRITE_SECONDS if operation in WRITES else QUERY_SECONDS
        try:
            async with asyncio.timeout(CONNECT_SECONDS + seconds):
                status, headers, raw = await self._post(_address(path), body)
        except TimeoutError:
            raise RemoteFault("unavailable", f"no answer within {seconds:.0f} seconds") from None
        except httpx.HTTPError as error:
            raise RemoteFault("unavailable", f"no answer ({type(error).__name__})") from error
        return _result(status, headers, raw)

    async def _post(self, path: str, body: bytes) -> tuple[int, httpx.Headers, bytes]:
        request = self._http.build_request("POST", f"{self._url}{path}", content=body)
        response = await self._http.send(request, stream=True)
        try:
            raw = bytearray()
            async for piece in response.aiter_bytes():
                raw += piece
                if len(raw) > MAX_ANSWER_BYTES:
                    raise RemoteFault("unavailable", "its answer is too long")
        finally:
            await response.aclose()
        return response.status_code, response.headers, bytes(raw)


def check_namespace(namespace: str) -> str:
    """A namespace that is a name, and no path to another one, nor the default one, nor all.

    Raises:
        ValueError: It is not.
    """
    if not _NAMESPACE.fullmatch(namespace) or namespace in {".", ".."}:
        raise ValueError(f"not a namespace: {namespace[:60]!r}")
    return namespace


def _address(path: str) -> str:
    """The SDK's path, `/operation` or `/operation/namespace`, with the namespace checked and quoted."""
    if path == RESET_ALL_PATH:  # as only `reset(all=True)` makes it, whatever a namespace is called
        return path
    operation, slash, namespace = path.lstrip("/").partition("/")
    if not re.fullmatch(r"[a-z-]+", operation):
        raise ValueError(f"not an operation: {operation[:60]!r}")
    return (
        f"/{operation}/{quote(check_namespace(namespace), safe='')}" if slash else f"/{operation}"
    )


def _encoded(payload: object) -> bytes:
    _check_finite(payload)
    body = b"" if payload is None else msgspec.json.encode(payload)
    if len(body) > MAX_REQUEST_BYTES:
        raise ValueError(f"a request of {len(body):,} bytes is not sent")
    return body


def _check_finite(value: object) -> None:
    """A float that is none would become null on its way, and something else there."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("a number in a request is not finite")
    elif isinstance(value, dict):
        for inner in value.values():
            _check_finite(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_finite(inner)


def _result(status: int, headers: httpx.Headers, raw: bytes) -> Any:
    try:
        answer = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = None
    message = answer.get("error") if isinstance(answer, dict) else None
    told = f"HTTP {status}" + (f": {str(message)[:MAX_MESSAGE_CHARACTERS]}" if message else "")
    if status in _UNAUTHORIZED:
        raise RemoteFault("unauthorized", told)
    if status == _LIMITED:
        raise RemoteFault("rate-limited", told, retry_after=headers.get("retry-after"))
    if 400 <= status < 500 and status != 408:
        raise RemoteFault("rejected", told)
    if not 200 <= status < 300:
        raise RemoteFault("unavailable", told, retry_after=headers.get("retry-after"))
    if message is not None:
        raise RemoteFault("rejected", told)
    if not isinstance(answer, dict) or "result" not in answer:
        raise RemoteFault("unavailable", f"{told}: {_UNREADABLE}")
    return answer["result"]
