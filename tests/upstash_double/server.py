"""The double over HTTP: several indexes on one server, and the faults that a test orders."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests.upstash_double.index import Answered, DoubleIndex, Kind, Refused

WAIT_SECONDS = 30.0
MODEL_DIMENSION = 64
KINDS = {
    "dense": Kind(dimension=2),
    "sparse": Kind(sparse=True),
    "hybrid": Kind(dimension=2, sparse=True),
    "embedding": Kind(dimension=MODEL_DIMENSION, dense_model="BGE_SMALL_EN_V1_5"),
    "hybrid-embedding": Kind(
        dimension=MODEL_DIMENSION,
        sparse=True,
        dense_model="BGE_SMALL_EN_V1_5",
        sparse_model="BM25",
    ),
}
"""The five that the vendor's tests need."""


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What the next request gets.

    Attributes:
        status: Answered instead of doing anything; 0: the connection is cut.
        error: The service's words, in its JSON; None: a page of somebody between.
        page: That page.
        applied: The request is carried out first, and its answer is lost.
        operation: Only a request of this kind gets it.
    """

    status: int = 0
    error: str | None = None
    page: str = "<html><body><h1>Bad gateway</h1></body></html>"
    headers: dict[str, str] = {}
    applied: bool = False
    operation: str | None = None


class Asked(msgspec.Struct, frozen=True):
    """A request that arrived."""

    index: str
    operation: str
    namespace: str
    payload: object
    headers: dict[str, str]


class UpstashDouble:
    """The indexes behind the server, and what a test lets go wrong.

    Attributes:
        indexes: By name, which is the first part of the address.
        requests: What was asked, in order.
        faults: In order: each is for the first request that it fits.
        asked: Set by every request.
        released: Cleared, requests wait for it before anything else.
    """

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = threading.Event()
        self._port = 0
        self.reset()
        self._application = Starlette(
            routes=[
                Route("/{index}/{operation}", self._answer, methods=["POST"]),
                Route("/{index}/{operation}/{namespace:path}", self._answer, methods=["POST"]),
            ]
        )

    def reset(self) -> None:
        """Empty indexes, with which nothing goes wrong."""
        self.indexes = {name: DoubleIndex(kind) for name, kind in KINDS.items()}
        self.requests: list[Asked] = []
        self.faults: list[Fault] = []
        self.released.set()
        self.asked.clear()

    def made(self, name: str, kind: Kind) -> str:
        """Make an index; answers its URL."""
        self.indexes[name] = DoubleIndex(kind)
        return self.url(name)

    def url(self, name: str) -> str:
        """Where an index is."""
        return f"http://127.0.0.1:{self._port}/{name}"

    def token(self, name: str) -> str:
        """Its token."""
        return f"token-of-{name}"

    def operations(self) -> list[str]:
        """What was asked, by name."""
        return [one.operation for one in self.requests]

    @contextmanager
    def running(self) -> Iterator["UpstashDouble"]:
        """Serve on loopback.

        With the protocol named, asyncio switches Nagle's delay off: some 40 ms per request.
        """
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

    async def _answer(self, request: Request) -> Response:
        name, operation = request.path_params["index"], request.path_params["operation"]
        namespace = request.path_params.get("namespace", "")
        raw = await request.body()
        payload = msgspec.json.decode(raw) if raw else None
        self.requests.append(Asked(name, operation, namespace, payload, dict(request.headers)))
        self.asked.set()
        if not self.released.is_set():
            await run_in_threadpool(self.released.wait, WAIT_SECONDS)
        fault = self._fault(operation)
        if fault is not None and not fault.applied:
            return _failed(fault)
        index = self.indexes.get(name)
        if index is None:
            return _error(404, "there is no such index")
        if request.headers.get("authorization") != f"Bearer {self.token(name)}":
            return _error(401, "Unauthorized: Invalid auth token")
        try:
            result = _done(index, operation, namespace, payload, request.url.query == "all")
        except Refused as refused:
            return _error(refused.status, str(refused))
        return _json(200, {"result": result}) if fault is None else _failed(fault)

    def _fault(self, operation: str) -> Fault | None:
        for number, fault in enumerate(self.faults):
            if fault.operation in {None, operation}:
                return self.faults.pop(number)
        return None


def _done(
    index: DoubleIndex, operation: str, namespace: str, payload: object, all_of_it: bool
) -> object:
    match operation, payload:
        case "info", _:
            return index.info()
        case "list-namespaces", _:
            return list(index.spaces)
        case "reset", _:
            for one in list(index.spaces) if all_of_it else [namespace]:
                index.reset(one)
            return "Success"
        case "delete-namespace", _:
            return index.delete_namespace(namespace)
        case (("upsert" | "upsert-data"), list() | dict()):
            vectors = payload if isinstance(payload, list) else [payload]
            return index.upsert(namespace, vectors, as_data=operation == "upsert-data")
        case (("query" | "query-data"), dict()):
            return index.query(namespace, payload, by_data=operation == "query-data")
        case (("query" | "query-data"), list()):
            by_data = operation == "query-data"
            found = [index.query(namespace, one, by_data=by_data) for one in payload]
            return found[0] if len(found) == 1 else found
        case (("resumable-query" | "resumable-query-data"), dict()):
            return index.resume(namespace, payload, by_data=operation.endswith("-data"))
        case "resumable-query-next", {"uuid": str() as handle, "additionalK": int() as more}:
            return index.next(handle, more)
        case "resumable-query-end", {"uuid": str() as handle}:
            return index.end(handle)
        case (("range" | "fetch" | "delete" | "update"), dict()):
            return getattr(index, operation)(namespace, payload)
        case _:
            raise Refused(400, f"this is no {operation}")


class _CutOff(Response):
    """Announces more than it sends, and hangs up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"10")],
            }
        )
        await send({"type": "http.response.body", "body": b"", "more_body": True})


def _failed(fault: Fault) -> Response:
    if fault.status == 0:
        return _CutOff()
    if fault.error is not None:
        return _error(fault.status, fault.error, fault.headers)
    return Response(fault.page, fault.status, {"content-type": "text/html", **fault.headers})


def _error(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    answer: Answered = {"error": error, "status": status}
    return _json(status, answer, headers)


def _json(status: int, answer: Answered, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(answer), status, {"content-type": "application/json", **(headers or {})}
    )
