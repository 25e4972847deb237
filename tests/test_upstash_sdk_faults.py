"""The faults of the vendor's SDK (0.8.0): each is shown in the SDK first, and then that ours has it not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from upstash_vector import AsyncIndex, Vector
from upstash_vector.errors import UpstashError
from upstash_vector.types import QueryMode

from adapters.search import upstash_transport
from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_transport import UpstashTransport
from domain.errors import Invalid, Malformed
from tests.upstash_double.server import Fault, UpstashDouble
from tests.upstash_samples import at_once, chunk, opened, transport

pytest_plugins = ["tests.upstash_running"]

NOW = datetime(2026, 12, 1, tzinfo=UTC)
SPACE = "project:alpha:artifacts"
HTML = Fault(status=502)
Call = Callable[[AsyncIndex], Awaitable[object]]


@asynccontextmanager
async def sdk(double: UpstashDouble, name: str, **given: Any) -> AsyncIterator[AsyncIndex]:
    """The SDK as it comes, and the close that it lacks."""
    index = AsyncIndex(double.url(name), double.token(name), **given)
    try:
        yield index
    finally:
        await index._client.aclose()


def by_sdk(double: UpstashDouble, name: str, call: Call, **given: Any) -> object:
    async def called() -> object:
        async with sdk(double, name, **given) as index:
            return await call(index)

    return asyncio.run(called())


def by_us(double: UpstashDouble, name: str, call: Call) -> object:
    return with_ours(transport(double, name), call)


def with_ours(index: UpstashTransport, call: Call) -> object:
    async def called() -> object:
        try:
            return await call(index)
        finally:
            await index.aclose()

    return asyncio.run(called())


def test_1_a_silent_peer_is_waited_for_ten_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstash_transport, "OTHER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"

        async def plain() -> None:
            index = AsyncIndex(url, "token")
            assert index._client.timeout.read == 600.0
            assert index._retries == 3
            try:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(index.info(), 0.3)
            finally:
                await index._client.aclose()

        asyncio.run(plain())
        with pytest.raises(RemoteFault, match=r"no answer in 0\.2 seconds|Timeout") as caught:
            with_ours(UpstashTransport(url, "token"), lambda index: index.info())
    assert caught.value.kind == "unavailable"


def test_1_a_peer_that_drips_is_waited_for_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstash_transport, "OTHER_SECONDS", 0.2)

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        hung_up = asyncio.ensure_future(reader.read())
        while not hung_up.done():
            writer.write(b" ")
            await asyncio.wait([hung_up], timeout=0.01)
        await asyncio.gather(hung_up, return_exceptions=True)
        writer.close()
        gone.set()

    gone = asyncio.Event()

    async def asked() -> None:
        server = await asyncio.start_server(drip, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        ours = UpstashTransport(f"http://127.0.0.1:{port}", "token")
        try:
            with pytest.raises(RemoteFault, match="no answer in"):
                await ours.info()
        finally:
            await ours.aclose()
            await gone.wait()
            server.close()
            await server.wait_closed()

    asyncio.run(asked())


@pytest.mark.parametrize(
    "vector",
    [
        {"id": "a", "vector": [0.1, float("nan")]},
        {"id": "a", "vector": [0.1, float("inf")]},
        {"id": "a", "vector": [0.1, 0.2], "metadata": {"at": NOW}},
    ],
)
def test_2_what_can_never_be_sent_is_tried_four_times(
    upstash: UpstashDouble, vector: dict[str, object]
) -> None:
    attempts = []

    async def counted(index: AsyncIndex) -> None:
        post = index._client.post

        async def spied(**given: Any) -> Any:
            attempts.append(given["url"])
            return await post(**given)

        index._client.post = spied  # type: ignore[assignment]
        await index.upsert([dict(vector)], namespace=SPACE)

    with pytest.raises((ValueError, TypeError)):
        by_sdk(upstash, "dense", counted, retry_interval=0)
    assert len(attempts) == 4
    with pytest.raises(Invalid) as caught:
        by_us(upstash, "dense", lambda index: index.upsert([dict(vector)], namespace=SPACE))
    assert caught.value.code == "validation-failed"
    assert upstash.requests == []


@pytest.mark.parametrize("url", ["http://a:b", "ftp://a.example"])
def test_2_so_is_an_address_that_is_none(url: str) -> None:
    tried: list[float] = []

    async def pause(seconds: float) -> None:
        tried.append(seconds)

    with pytest.raises(Malformed, match="UPSTASH_VECTOR_REST_URL"):
        with_ours(UpstashTransport(url, "token", pause=pause), lambda index: index.info())
    assert tried == []


def test_3_a_status_and_its_retry_after_are_lost(upstash: UpstashDouble) -> None:
    refusals = [
        Fault(status=503, error="overloaded"),
        Fault(status=429, error="slow down", headers={"retry-after": "7"}),
    ]
    for refusal in refusals:
        upstash.faults = [refusal]
        with pytest.raises(UpstashError) as bare:
            by_sdk(upstash, "dense", lambda index: index.info())
        assert vars(bare.value) == {}
    assert upstash.operations() == ["info", "info"]  # and 503 is not tried again
    upstash.faults = refusals[:1]
    assert by_us(upstash, "dense", lambda index: index.info()) is not None
    upstash.faults = refusals[1:]
    with pytest.raises(RemoteFault, match="429, slow down") as caught:
        by_us(upstash, "dense", lambda index: index.info())
    assert caught.value.kind == "rate-limited"
    assert caught.value.wait_seconds(NOW) == 7.0


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (HTML, ValueError),
        (Fault(status=200, page=""), ValueError),
        (Fault(status=301, page="", headers={"location": "https://b.example"}), ValueError),
        (Fault(status=500, page='{"message": "no"}'), KeyError),
        (Fault(status=200, page="[]"), TypeError),
        (Fault(status=200, page="{}"), KeyError),
        (Fault(status=404), ValueError),
        (Fault(status=403), ValueError),
    ],
)
def test_4_what_is_not_the_services_json_is_an_error_of_parsing(
    upstash: UpstashDouble, fault: Fault, seen: type[Exception]
) -> None:
    upstash.faults = [fault]
    with pytest.raises(seen):
        by_sdk(upstash, "dense", lambda index: index.info())
    upstash.faults = [fault] * 3
    with pytest.raises(RemoteFault, match=f"status {fault.status}") as caught:
        by_us(upstash, "dense", lambda index: index.info())
    assert caught.value.kind == "unavailable"
    assert caught.value.passing
    assert upstash.faults == []


@pytest.mark.parametrize("namespace", ["../reset", "../reset?all"])
def test_5_a_namespace_may_wipe_others(upstash: UpstashDouble, namespace: str) -> None:
    index = upstash.indexes["dense"]
    for space in ("", SPACE):
        index.upsert(space, [{"id": "a", "vector": [0.1, 0.2]}], as_data=False)
    by_sdk(upstash, "dense", lambda index: index.reset(namespace=namespace))
    assert index.ids("") == []


@pytest.mark.parametrize(
    "namespace", ["p?all", "../reset", "", ".", "..", "a/b", "ä", "a\n", "x" * 201]
)
def test_5_ours_takes_only_names(upstash: UpstashDouble, namespace: str) -> None:
    upstash.indexes["dense"].upsert("", [{"id": "a", "vector": [0.1, 0.2]}], as_data=False)
    calls: list[Call] = [
        lambda index: index.delete(["a"], namespace=namespace),
        lambda index: index.delete_namespace(namespace or "/"),
        lambda index: index.range(namespace=namespace),
        lambda index: index.query([0.1, 0.2], namespace=namespace),
    ]
    for call in calls:
        with pytest.raises(Invalid, match="namespace"):
            by_us(upstash, "dense", call)
    assert upstash.requests == []
    assert upstash.indexes["dense"].ids("") == ["a"]


def test_5_ours_resets_nothing(upstash: UpstashDouble) -> None:
    calls: list[Call] = [
        lambda index: index.reset(namespace=SPACE),
        lambda index: index.reset(all=True),
        lambda index: index.update("a", data="x", namespace=SPACE),
    ]
    for call in calls:
        with pytest.raises(Invalid, match="not an operation"):
            by_us(upstash, "dense", call)
    assert upstash.requests == []


def test_6_several_queries_lose_their_mode(upstash: UpstashDouble) -> None:
    def call(index: AsyncIndex) -> Awaitable[object]:
        one: Any = {"data": "hello", "query_mode": QueryMode.SPARSE}
        return index.query_many(queries=[one, one], namespace=SPACE)

    by_sdk(upstash, "hybrid-embedding", call)
    payload: Any = upstash.requests[0].payload
    assert [sorted(one) for one in payload] == [["data"], ["data"]]
    with pytest.raises(Invalid, match="query-data"):
        by_us(upstash, "hybrid-embedding", call)


def test_7_nothing_to_put_is_an_error_of_indexing(upstash: UpstashDouble) -> None:
    with pytest.raises(IndexError):
        by_sdk(upstash, "dense", lambda index: index.upsert([], namespace=SPACE))
    with opened(upstash, "hybrid-embedding") as index:
        assert index.replace("alpha", "run/r1", 1, [])
        index.remove("alpha", "run/r1")
    assert set(upstash.operations()) == {"range"}


def test_7_odd_ids_and_empty_deletions_are_sent(upstash: UpstashDouble) -> None:
    odd: list[tuple[Call, object]] = [
        (lambda index: index.delete(("a", "b"), namespace=SPACE), {"ids": [["a", "b"]]}),  # type: ignore[arg-type]
        (lambda index: index.delete(namespace=SPACE), {}),
        (lambda index: index.delete([0.5], namespace=SPACE), {"ids": [0.5]}),  # type: ignore[list-item]
        (lambda index: index.delete(filter="a = 1", namespace=SPACE), {"filter": "a = 1"}),
        (
            lambda index: index.delete(["a"], filter="b = 1", namespace=SPACE),
            {"ids": ["a"], "filter": "b = 1"},
        ),
    ]
    for call, payload in odd:
        with suppress(UpstashError):  # the service takes it or not; it was sent
            by_sdk(upstash, "dense", call)
        assert upstash.requests.pop().payload == payload
        with pytest.raises(Invalid):
            by_us(upstash, "dense", call)
    assert upstash.requests == []


def test_7_an_empty_text_becomes_a_vector_of_nothing(upstash: UpstashDouble) -> None:
    def call(index: AsyncIndex) -> Awaitable[object]:
        return index.upsert([Vector(id="a", data="")], namespace=SPACE)

    with pytest.raises(UpstashError):
        by_sdk(upstash, "embedding", call)
    assert upstash.operations() == ["upsert"]
    with pytest.raises(Invalid, match="no values"):
        by_us(upstash, "embedding", call)
    with pytest.raises(Invalid, match="empty"):
        by_us(upstash, "embedding", lambda one: one.upsert([("a", "")], namespace=SPACE))


def test_7_what_a_caller_gave_is_changed(upstash: UpstashDouble) -> None:
    given = Vector(id="a", vector=[0.1, 0.2], sparse_vector=([1], [0.5]))
    by_sdk(upstash, "hybrid", lambda index: index.upsert([given], namespace=SPACE))
    assert given.sparse_vector != ([1], [0.5])
    one = chunk("hello")
    before = (dict(one.weights), one.text, one.heading)
    with opened(upstash, "hybrid-embedding") as index:
        index.replace("alpha", "run/r1", 1, [one])
    assert (dict(one.weights), one.text, one.heading) == before


def test_8_it_cannot_be_closed_and_is_bound_to_its_first_loop(upstash: UpstashDouble) -> None:
    assert not {"close", "aclose", "__aexit__"} & set(dir(AsyncIndex))
    index = AsyncIndex(upstash.url("dense"), upstash.token("dense"), retries=0)

    async def first() -> None:
        await index.info()

    async def second() -> None:
        with pytest.raises(RuntimeError, match="loop"):
            await index.info()

    runner = asyncio.Runner()
    runner.run(first())
    asyncio.run(second())
    runner.run(index._client.aclose())
    runner.close()
    with opened(upstash, "hybrid-embedding") as ours:
        assert [asyncio.run(asyncio.to_thread(ours.info)) for _ in range(2)] == ["hosted"] * 2


def test_8_a_variable_sends_everything_through_a_proxy(
    upstash: UpstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Exception, match=r"[Cc]onnect"):
        by_sdk(upstash, "dense", lambda index: index.info(), retries=0)
    assert by_us(upstash, "dense", lambda index: index.info()) is not None


def test_9_who_runs_it_where_is_told(upstash: UpstashDouble) -> None:
    by_sdk(upstash, "dense", lambda index: index.info())
    by_us(upstash, "dense", lambda index: index.info())
    theirs, ours = (
        [name for name in one.headers if "telemetry" in name] for one in upstash.requests
    )
    assert len(theirs) == 3
    assert ours == []
    assert "token" not in repr(UpstashTransport("http://a.example", "token", client=lambda: None))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "vectors", [[("a", "x" * 1_000_001)], [(f"a{n}", "x") for n in range(101)]]
)
def test_9_large_bodies_hold_up_the_loop(
    upstash: UpstashDouble, vectors: list[tuple[str, str]]
) -> None:
    by_sdk(upstash, "embedding", lambda index: index.upsert(vectors, namespace=SPACE))
    assert upstash.operations() == ["upsert-data"]
    with pytest.raises(Invalid, match=r"at most|1 to 100"):
        by_us(upstash, "embedding", lambda index: index.upsert(vectors, namespace=SPACE))
    assert upstash.operations() == ["upsert-data"]


def test_a_call_that_is_cancelled_is_not_tried_again(upstash: UpstashDouble) -> None:
    upstash.released.clear()

    async def called() -> None:
        ours = UpstashTransport(upstash.url("dense"), upstash.token("dense"), pause=at_once)
        asking = asyncio.create_task(ours.info())
        await asyncio.to_thread(upstash.asked.wait, 10)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await ours.aclose()

    asyncio.run(called())
    assert upstash.operations() == ["info"]
