"""What the hosted index answers instead of doing what it should, how long it is left alone, and what is tried again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from adapters.search import upstash_transport
from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_transport import UpstashTransport, upstash_client
from domain.errors import Invalid
from tests.upstash_double.server import Fault, UpstashDouble
from tests.upstash_samples import NAMESPACE, NO_TLS, transport

pytest_plugins = ["tests.upstash_running"]

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
BUSY = Fault(status=503, error="overloaded")
VECTORS: list[Any] = [("a", [0.1, 0.2])]


def call(index: UpstashTransport, what: Callable[[UpstashTransport], Awaitable[Any]]) -> Any:
    async def called() -> Any:
        try:
            return await what(index)
        finally:
            await index.aclose()

    return asyncio.run(called())


def fault_of(double: UpstashDouble, *faults: Fault) -> RemoteFault:
    double.faults = list(faults)
    with pytest.raises(RemoteFault) as caught:
        call(transport(double, "dense"), lambda index: index.info())
    return caught.value


@pytest.mark.parametrize(
    ("status", "kind", "passing"),
    [
        (400, "rejected", False),
        (401, "unauthorized", False),
        (403, "unauthorized", False),
        (404, "rejected", False),
        (408, "unavailable", True),
        (413, "rejected", False),
        (422, "rejected", False),
        (429, "rate-limited", True),
        (500, "unavailable", True),
        (503, "unavailable", True),
        (200, "rejected", False),
    ],
)
def test_a_refusal_is_told_by_its_status(
    upstash: UpstashDouble, status: int, kind: str, passing: bool
) -> None:
    fault = fault_of(upstash, *[Fault(status=status, error="no\r\nX-Log: forged" * 30)] * 3)
    assert (fault.kind, fault.passing) == (kind, passing)
    assert f"status {status}, no X-Log: forged" in str(fault)
    assert len(str(fault)) < 260
    assert str(fault).isprintable()


def test_a_token_that_is_said_back_is_not_told_further(upstash: UpstashDouble) -> None:
    token = upstash.token("dense")
    fault = fault_of(upstash, Fault(status=401, error=f"{'x' * 178} {token} is not known"))
    assert "[token]" in fault.told
    assert "token-of" not in f"{fault} {fault!r}"


def test_an_answer_too_deep_to_be_read_is_none(upstash: UpstashDouble) -> None:
    deep = Fault(status=200, page="[" * 100_000)
    assert fault_of(upstash, deep, deep, deep).kind == "unavailable"


@pytest.mark.parametrize(
    ("told", "retry_after", "seconds"),
    [
        ("slow down", None, 60.0),
        ("slow down", "7", 7.0),
        ("slow down", "0", 0.0),
        ("slow down", "999999999", 86_400.0),
        ("slow down", "Tue, 01 Dec 2026 12:00:30 GMT", 30.0),
        ("slow down", "Tue, 01 Dec 2026 11:00:00 GMT", 0.0),
        ("slow down", "soon", 60.0),
        ("slow down", "1 Jan 99999999999999999999 00:00:00 GMT", 60.0),
        ("slow down", "1 Jan 2027 00:00:00 +99999999999999999999", 60.0),
        ("Exceeded daily limit of queries", None, 43_200.0),
        ("Exceeded Daily Limit of queries", "7", 43_200.0),
        ("Exceeded daily limit of queries", "50000", 50_000.0),
    ],
)
def test_an_index_asked_too_often_is_left_alone_as_long_as_it_says(
    told: str, retry_after: str | None, seconds: float
) -> None:
    assert RemoteFault("rate-limited", told, retry_after=retry_after).wait_seconds(NOON) == seconds


def test_one_that_is_away_may_say_when_it_is_back() -> None:
    assert RemoteFault("unavailable", "status 503").wait_seconds(NOON) is None
    assert RemoteFault("unavailable", "status 503", retry_after="9").wait_seconds(NOON) == 9.0


def test_the_daily_limit_ends_at_midnight_in_greenwich() -> None:
    there = datetime.fromisoformat("2026-12-01T01:00:00+02:00")
    fault = RemoteFault("rate-limited", "daily limit")
    assert fault.wait_seconds(there) == 3_600.0


@pytest.mark.parametrize("fault", [BUSY, Fault(), Fault(status=502)])
def test_what_names_its_ids_is_sent_again(upstash: UpstashDouble, fault: Fault) -> None:
    upstash.faults = [fault, fault]
    call(transport(upstash, "dense"), lambda index: index.upsert(VECTORS, namespace=NAMESPACE))
    assert upstash.operations() == ["upsert"] * 3
    assert upstash.indexes["dense"].ids(NAMESPACE) == ["a"]


def test_three_attempts_are_enough(upstash: UpstashDouble) -> None:
    assert fault_of(upstash, BUSY, BUSY, BUSY, BUSY).kind == "unavailable"
    assert len(upstash.requests) == 3


def test_attempts_come_apart() -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    index = UpstashTransport(
        "http://127.0.0.1:9",
        "token",
        client=partial(upstash_client, NO_TLS),
        pause=pause,
        chance=lambda: 0.5,
    )
    with pytest.raises(RemoteFault, match="ConnectError"):
        call(index, lambda one: one.info())
    assert pauses == [0.125, 0.25]


@pytest.mark.parametrize("status", [429, 400, 401])
def test_what_will_not_do_at_once_is_asked_once(upstash: UpstashDouble, status: int) -> None:
    fault_of(upstash, Fault(status=status, error="no"))
    assert len(upstash.requests) == 1


def test_a_query_is_asked_once_and_so_is_a_namespaces_end(upstash: UpstashDouble) -> None:
    calls: list[Callable[[UpstashTransport], Awaitable[Any]]] = [
        lambda index: index.query([0.1, 0.2], namespace=NAMESPACE),
        lambda index: index.delete_namespace(NAMESPACE),
    ]
    for what in calls:
        upstash.faults = [BUSY]
        with pytest.raises(RemoteFault):
            call(transport(upstash, "dense"), what)
    assert len(upstash.requests) == 2


def test_the_deadline_is_for_all_attempts_together(
    upstash: UpstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstash_transport, "OTHER_SECONDS", 0.2)

    async def for_ever(seconds: float) -> None:
        await asyncio.Event().wait()

    upstash.faults = [BUSY]
    index = UpstashTransport(upstash.url("dense"), upstash.token("dense"), pause=for_ever)
    with pytest.raises(RemoteFault, match="overloaded"):  # what is known is told
        call(index, lambda one: one.info())


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("QUERY_SECONDS", lambda index: index.query([0.1, 0.2], namespace=NAMESPACE)),
        ("UPSERT_SECONDS", lambda index: index.upsert(VECTORS, namespace=NAMESPACE)),
        ("OTHER_SECONDS", lambda index: index.range(namespace=NAMESPACE)),
    ],
)
def test_each_kind_of_call_has_its_deadline(
    upstash: UpstashDouble,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    what: Callable[[UpstashTransport], Awaitable[Any]],
) -> None:
    monkeypatch.setattr(upstash_transport, kind, 0.15)
    upstash.released.clear()
    with pytest.raises(RemoteFault) as caught:
        call(transport(upstash, "dense"), what)
    assert caught.value.kind == "unavailable"


def test_an_answer_without_end_is_none(
    upstash: UpstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstash_transport, "MAX_ANSWER_BYTES", 100)
    assert "more than 100 bytes" in str(fault_of(upstash))


@pytest.mark.parametrize(
    "vector",
    [
        {"id": "", "vector": [0.1]},
        {"id": 7, "vector": [0.1]},
        {"id": "ä", "vector": [0.1]},
        {"id": "x" * 256, "vector": [0.1]},
        {"id": "a", "vector": [0.1], "metadata": {1: "x"}},
        {"id": "a", "vector": [0.1], "metadata": {"x": b"y"}},
        {"id": "a", "vector": [0.1], "metadata": {"x": "\ud800"}},
        {"id": "a", "sparse_vector": (list(range(1_001)), [1.0] * 1_001)},
        {"id": "a", "vector": [0.1], "metadata": {"x": [[[[[[[[1]]]]]]]]}},
    ],
)
def test_what_breaks_a_limit_is_not_sent(upstash: UpstashDouble, vector: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        call(transport(upstash, "dense"), lambda index: index.upsert([vector], namespace=NAMESPACE))
    assert caught.value.code == "validation-failed"
    assert upstash.requests == []
