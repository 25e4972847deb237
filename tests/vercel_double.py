"""A stand-in for Vercel Blob: a real HTTP server on loopback that answers as the SDK's documentation says.

No account of the service was at hand. What is here follows the documentation of the SDK
(`vercel-blob` 0.5) and of the service: `test_vercel_double.py` runs the SDK itself against it.
"""

import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from urllib.parse import quote, unquote

import httpx2
import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

STORE = "AbCd1234"
TOKEN = f"vercel_blob_rw_{STORE}_s3cr3t"  # of nothing: the double made it up
API_HOST = "vercel.com"
API_PATH = "/api/blob"
WAIT_SECONDS = 30.0
CHUNK_BYTES = 64 * 1024


class Kept(msgspec.Struct):
    """An object."""

    body: bytes
    content_type: str
    max_age: int
    number: int


class VercelDouble:
    """The store behind the server, and what a test lets go wrong.

    Attributes:
        objects: By pathname.
        requests: Method and what was asked for, in order.
        failures: Statuses, with their headers, that the next requests get instead of an answer.
        lose_answers: As many of the next uploads are kept, and the connection is cut.
        cut_downloads: As many of the next downloads break off in the middle.
        asked: Set by the first request.
        released: Cleared, requests wait for it before they are answered.
    """

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = threading.Event()
        self.reset()
        self._port = 0
        self._application = Starlette(
            routes=[
                Route(API_PATH, self._api, methods=["GET", "PUT"]),
                Route(f"{API_PATH}/delete", self._delete, methods=["POST"]),
                Route("/{pathname:path}", self._download, methods=["GET"]),
            ]
        )

    def reset(self) -> None:
        """An empty private store in which nothing goes wrong."""
        self.access = "private"
        self.objects: dict[str, Kept] = {}
        self.requests: list[tuple[str, str]] = []
        self.failures: list[tuple[int, str, dict[str, str]]] = []
        self.lose_answers = 0
        self.cut_downloads = 0
        self.released.set()
        self.asked.clear()
        self.suspended = False
        self._number = 0

    @contextmanager
    def running(self) -> Iterator["VercelDouble"]:
        """Serve on loopback."""
        with socket.socket(proto=socket.IPPROTO_TCP) as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen(64)
            self._port = listening.getsockname()[1]
            server = uvicorn.Server(
                uvicorn.Config(self._application, log_level="critical", timeout_graceful_shutdown=1)
            )
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
            thread.start()
            try:
                yield self
            finally:
                self.released.set()
                server.should_exit = True
                thread.join(WAIT_SECONDS)

    def client(self, timeout_seconds: float = 10.0) -> httpx2.Client:
        """What the SDK's `httpx_client_factory` should make: it leads to the double and nowhere else."""
        return httpx2.Client(
            transport=_ToLoopback(self._port), timeout=timeout_seconds, trust_env=False
        )

    def spoil(self, pathname: str, body: bytes) -> None:
        """Somebody changes an object in the store."""
        self.objects[pathname].body = body

    async def _api(self, request: Request) -> Response:
        refused = await self._refused(request)
        if refused is not None:
            return refused
        if request.method == "PUT":
            return await self._put(request)
        if "url" in request.query_params:
            return self._head(request.query_params["url"])
        return self._list(request)

    async def _refused(self, request: Request) -> Response | None:
        """What every request needs, and the failures that a test ordered."""
        self.requests.append((request.method, str(request.url.path)))
        self.asked.set()
        await run_in_threadpool(self.released.wait, WAIT_SECONDS)
        if self.failures:
            status, code, headers = self.failures.pop(0)
            return _error(status, code, "ordered by a test", headers)
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(403, "forbidden", "Access denied")
        if request.headers["host"] != API_HOST:
            return _error(404, "not_found", "There is no such service")
        if request.headers.get("x-api-version") != "12":
            return _error(400, "bad_request", "Unknown API version")
        if self.suspended:
            return _error(400, "store_suspended", "This store has been suspended")
        return None

    async def _put(self, request: Request) -> Response:
        pathname = request.query_params["pathname"]
        if request.headers["x-vercel-blob-access"] != self.access:
            return _error(400, "bad_request", f"Cannot use this access on a {self.access} store")
        if "content-length" not in request.headers:
            return _error(400, "bad_request", "The length is missing")
        body = await request.body()
        self._number += 1
        if request.headers.get("x-add-random-suffix") == "1":
            stem, dot, extension = pathname.rpartition(".")
            pathname = f"{stem or extension}-r{self._number}{dot}{extension if stem else ''}"
        if pathname in self.objects and request.headers.get("x-allow-overwrite") != "1":
            return _error(400, "bad_request", "This blob already exists")
        self.objects[pathname] = Kept(
            body,
            request.headers.get("x-content-type", "application/octet-stream"),
            int(request.headers.get("x-cache-control-max-age", "2592000")),
            self._number,
        )
        if self.lose_answers:
            self.lose_answers -= 1
            return _CutOff(b"", 10)
        described = self._described(pathname)
        return JSONResponse({name: described[name] for name in _PUT_MEMBERS})

    def _head(self, asked: str) -> Response:
        pathname = _pathname(asked)
        if pathname not in self.objects:
            return _error(404, "not_found", "The requested blob does not exist")
        return JSONResponse(self._described(pathname))

    def _list(self, request: Request) -> Response:
        names = sorted(
            name
            for name in self.objects
            if name.startswith(request.query_params.get("prefix", ""))
            and name > request.query_params.get("cursor", "")
        )
        limit = int(request.query_params.get("limit", "1000"))
        page = names[:limit]
        answer: dict[str, object] = {
            "blobs": [self._described(name) for name in page],
            "hasMore": len(names) > limit,
        }
        if len(names) > limit:
            answer["cursor"] = page[-1]
        return JSONResponse(answer)

    async def _delete(self, request: Request) -> Response:
        refused = await self._refused(request)
        if refused is not None:
            return refused
        for asked in (await request.json())["urls"]:
            self.objects.pop(_pathname(asked), None)
        return JSONResponse({})

    async def _download(self, request: Request) -> Response:
        pathname = request.path_params["pathname"]
        self.requests.append(("GET", pathname))
        await run_in_threadpool(self.released.wait, WAIT_SECONDS)
        host = f"{STORE.lower()}.{self.access}.blob.vercel-storage.com"
        if self.failures:
            status, code, headers = self.failures.pop(0)
            return _error(status, code, "ordered by a test", headers)
        if request.headers["host"] != host:
            return _error(404, "not_found", "There is no such store")
        if self.access == "private" and request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _error(403, "forbidden", "Access denied")
        kept = self.objects.get(pathname)
        if kept is None:
            return Response("The requested blob does not exist", 404)
        if self.cut_downloads:
            self.cut_downloads -= 1
            return _CutOff(kept.body[: len(kept.body) // 2], len(kept.body))
        return StreamingResponse(
            _chunks(kept.body),
            200,
            {
                "content-length": str(len(kept.body)),
                "cache-control": f"private, max-age={kept.max_age}",
                "etag": f'"{kept.number}"',
                "last-modified": formatdate(0, usegmt=True),
                "content-type": kept.content_type,
            },
        )

    def _described(self, pathname: str) -> dict[str, object]:
        kept = self.objects[pathname]
        host = f"https://{STORE.lower()}.{self.access}.blob.vercel-storage.com"
        url = f"{host}/{quote(pathname)}"
        return {
            "url": url,
            "downloadUrl": f"{url}?download=1",
            "pathname": pathname,
            "size": len(kept.body),
            "etag": f'"{kept.number}"',
            "uploadedAt": "2026-12-01T00:00:00.000Z",
            "contentType": kept.content_type,
            "contentDisposition": f'attachment; filename="{pathname.rpartition("/")[2]}"',
            "cacheControl": f"private, max-age={kept.max_age}",
        }


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), CHUNK_BYTES):
        yield body[at : at + CHUNK_BYTES]


def _pathname(asked: str) -> str:
    """Of a pathname, or of a delivery URL."""
    return unquote(asked.split("/", 3)[3]) if asked.startswith("https://") else asked


_PUT_MEMBERS = ("url", "downloadUrl", "pathname", "contentType", "contentDisposition", "etag")


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


class _CutOff(Response):
    """Announces more bytes than it sends, and hangs up."""

    def __init__(self, body: bytes, announced: int) -> None:
        super().__init__(body, 200, {"content-length": str(announced)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": True})


class _ToLoopback(httpx2.BaseTransport):
    """Sends whatever is asked of any host to the double, with that host's name."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._inner = httpx2.HTTPTransport(verify=False)  # to loopback, without TLS

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.scheme == "https"
        request.headers["host"] = request.url.host
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=self._port)
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()
