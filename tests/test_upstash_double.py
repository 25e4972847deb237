"""The stand-in for Upstash Vector gives the numbers that the vendor published, and fails on order.

The vendor's own tests are run against it as well, outside this repository (`docs/search-upstash.md`).
"""

from typing import Any

import httpx2
import pytest

from tests.upstash_double.filters import BadFilter, parse_filter
from tests.upstash_double.index import DoubleIndex, Refused
from tests.upstash_double.server import KINDS, Fault, UpstashDouble

pytest_plugins = ["tests.upstash_running"]

PLACES = [
    ("id0", [0.1, 0.2], {0: 0.1, 1: 0.2}),
    ("id1", [0.2, 0.3], {1: 0.2, 2: 0.3}),
    ("id2", [0.3, 0.4], {2: 0.3, 3: 0.4}),
]
CITY = {
    "city": "Istanbul",
    "is_capital": False,
    "population": 15_460_000,
    "geography": {"continent": "Asia", "coordinates": {"latitude": 41.0082}},
    "economy": {"major_industries": ["Tourism", "Textiles", "Finance"]},
}


def sparse(weights: dict[int, float]) -> dict[str, list[Any]]:
    return {"indices": list(weights), "values": list(weights.values())}


def published(name: str) -> DoubleIndex:
    index = DoubleIndex(KINDS[name])
    vectors: list[dict[str, object]] = [
        {"id": id_, "sparseVector": sparse(weights)}
        | ({} if name == "sparse" else {"vector": vector})
        for id_, vector, weights in PLACES
    ]
    index.upsert("", vectors, as_data=False)
    return index


@pytest.mark.parametrize(
    ("name", "vector", "weights", "more", "expected"),
    [
        ("hybrid", [0.1, 0.1], {3: 0.1, 4: 0.2}, {}, [("id2", 0.033333335)]),
        ("hybrid", [0.5, 0.1], {0: 0.5, 1: 0.1}, {}, [("id0", 0.032795697)]),
        ("hybrid", None, {2: 0.5, 3: 0.5}, {"weightingStrategy": "IDF"}, [("id2", 0.26666638)]),
        (
            "sparse",
            None,
            {0: 0.1, 1: 0.2},
            {"weightingStrategy": "IDF"},
            [("id0", 0.028608438), ("id1", 0.018800145)],
        ),
    ],
)
def test_its_scores_are_those_that_the_vendor_published(
    name: str,
    vector: list[float] | None,
    weights: dict[int, float],
    more: dict[str, object],
    expected: list[tuple[str, float]],
) -> None:
    asked = {"topK": len(expected), "vector": vector, "sparseVector": sparse(weights), **more}
    found = published(name).query("", asked, by_data=False)
    assert [(one["id"], one["score"]) for one in found] == [
        (id_, pytest.approx(score, abs=2e-7)) for id_, score in expected
    ]


def test_a_resumable_querys_lists_are_as_deep_as_what_it_gave() -> None:
    index = published("hybrid")
    asked = {
        "topK": 2,
        "vector": [0.1, 0.1],
        "sparseVector": sparse({0: 0.1}),
        "fusionAlgorithm": "DBSF",
    }
    begun: Any = index.resume("", asked, by_data=False)
    assert [(one["id"], one["score"]) for one in begun["scores"]] == [
        ("id2", pytest.approx(0.617851, abs=2e-7)),
        ("id0", pytest.approx(0.5, abs=2e-7)),
    ]
    assert [one["id"] for one in index.next(begun["uuid"], 5)] == ["id1"]
    assert index.next(begun["uuid"], 5) == []
    index.end(begun["uuid"])
    with pytest.raises(Refused):
        index.next(begun["uuid"], 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "city = 'Istanbul'",
        'city = "Istanbul" AND population >= 15460000',
        "is_capital = false and is_capital = 0",
        "geography.coordinates.latitude > 41 AND geography.continent != 'Europe'",
        "city GLOB '?[sz]*[^m-z]' AND city NOT GLOB 'A*'",
        "city IN ('Ankara', 'Istanbul') AND population NOT IN (1, 2)",
        "economy.major_industries CONTAINS 'Tourism'",
        "economy.major_industries NOT CONTAINS 'Steel'",
        "economy.major_industries[0] = 'Tourism'",
        "economy.major_industries[#-1] = 'Finance'",
        "city = 'x' AND population > 1 OR is_capital = false",
        "NOT_THERE = 1 OR (city = 'Istanbul')",
    ],
)
def test_its_filters_let_through_what_the_documentation_says(text: str) -> None:
    assert parse_filter(text)(CITY)


@pytest.mark.parametrize(
    "text",
    [
        "city = 'Ankara'",
        "not_there != 'x'",
        "population < 15460000",
        "city > 1",
        "city = 'x' AND (population > 1 OR is_capital = false)",
        "economy.major_industries[3] = 'x'",
        "city[0] = 'I'",
    ],
)
def test_its_filters_hold_back_the_rest(text: str) -> None:
    assert not parse_filter(text)(CITY)


@pytest.mark.parametrize(
    "text",
    [
        "city",
        "city =",
        "= 'x'",
        "city = x",
        "city LIKE 'x'",
        "(city = 'x'",
        "city < 'x'",
        "a = 1 b",
    ],
)
def test_its_filters_are_refused_where_they_do_not_parse(text: str) -> None:
    with pytest.raises(BadFilter):
        parse_filter(text)


def test_what_was_put_is_fetched_at_once_and_found_later() -> None:
    index = DoubleIndex(KINDS["dense"])
    index.lagging = True
    index.upsert("", [{"id": "a", "vector": [0.1, 0.2]}], as_data=False)
    assert index.query("", {"vector": [0.1, 0.2]}, by_data=False) == []
    assert index.fetch("", {"ids": ["a"]}) == [{"id": "a"}]
    assert index.info()["pendingVectorCount"] == 1
    index.settle()
    assert index.query("", {"vector": [0.1, 0.2]}, by_data=False) == [{"id": "a", "score": 1.0}]


def test_it_fails_as_it_is_told(upstash: UpstashDouble) -> None:
    url = f"{upstash.url('dense')}/upsert/space"
    sent = [{"id": "a", "vector": [0.1, 0.2]}]
    with httpx2.Client(
        headers={"authorization": f"Bearer {upstash.token('dense')}"}, trust_env=False
    ) as client:
        upstash.faults = [
            Fault(status=503, error="busy", headers={"retry-after": "3"}),
            Fault(status=502),
            Fault(),
            Fault(applied=True, operation="delete"),
            Fault(applied=True),
        ]
        busy = client.post(url, json=sent)
        assert busy.json() == {"error": "busy", "status": 503}
        assert busy.headers["retry-after"] == "3"
        assert client.post(url, json=sent).text.startswith("<html>")
        with pytest.raises(httpx2.TransportError):
            client.post(url, json=sent)
        assert upstash.indexes["dense"].ids("space") == []
        with pytest.raises(httpx2.TransportError):
            client.post(url, json=sent)
        assert upstash.indexes["dense"].ids("space") == ["a"]
        assert [one.operation for one in upstash.faults] == ["delete"]
        assert client.post(url, json=sent, headers={"authorization": "Bearer x"}).status_code == 401
