"""Chunks in the hosted index: put, found, replaced and removed, whatever is lost on the way."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from adapters.search import upstash_index
from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.remote_chunk import chunk_id, parse_chunk_id, source_name
from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_index import UpstashIndex
from adapters.search.upstash_transport import UpstashTransport
from domain.errors import Invalid, Malformed
from domain.search import Mode
from tests.upstash_double.index import Kind
from tests.upstash_double.server import Fault, UpstashDouble
from tests.upstash_samples import (
    CLIENT_KIND,
    NAMESPACE,
    chunk,
    no_words,
    opened,
    terms,
    transport,
    words,
)

pytest_plugins = ["tests.upstash_running"]

PLAN = "artifact/IMPLEMENTATION_PLAN/main"
RUN = "run/01h455vb4pex5vsknk084sn02q"
SUB_MODES = ("hosted", "client-vector", "dense-only", "sparse-only")
SPARSE = Kind(sparse=True)
DENSE = Kind(dimension=384)


def index_of(double: UpstashDouble, sub_mode: str) -> UpstashIndex:
    if sub_mode == "hosted":
        return opened(double, "hybrid-embedding")
    kinds = {"client-vector": CLIENT_KIND, "dense-only": DENSE, "sparse-only": SPARSE}
    double.made(sub_mode, kinds[sub_mode])
    return opened(double, sub_mode, allow_non_hybrid=True)


def ask(
    index: UpstashIndex, text: str, mode: Mode = "hybrid", *kinds: str, limit: int = 10
) -> list[tuple[str, int, int]]:
    found = index.search("alpha", text, Counter(terms(text)), None, mode, kinds, limit)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    return [(one.source, one.version, one.ordinal) for one in found]


def embedder_with(missing: EmbedderMissing | None) -> Callable[[], Embedder | EmbedderMissing]:
    return words if missing is None else lambda: missing


@pytest.mark.parametrize("sub_mode", SUB_MODES)
def test_what_was_put_is_found(upstash: UpstashDouble, sub_mode: str) -> None:
    with index_of(upstash, sub_mode) as index:
        assert index.info() == sub_mode
        assert index.replace("alpha", PLAN, 3, [chunk("retry an upload"), chunk("delete a drive")])
        assert index.replace("alpha", RUN, 1, [chunk("tests of the upload", "RUN")])
        assert ask(index, "delete drive")[0] == (PLAN, 3, 1)
        assert {one[0] for one in ask(index, "upload")} == {PLAN, RUN}
        assert ask(index, "upload", "hybrid", "RUN") == [(RUN, 1, 0)]
        assert len(ask(index, "upload", limit=1)) == 1
        assert index.search("beta", "upload", Counter(terms("upload")), None, "hybrid", (), 5) == []
        assert sorted(index.inventory("alpha")) == [(PLAN, 3, 2), (RUN, 1, 1)]


def test_a_chunk_says_whose_it_is(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", PLAN, 3, [chunk("hello", "IMPLEMENTATION_PLAN")])
    [held] = upstash.indexes["hybrid-embedding"].spaces[NAMESPACE].values()
    assert upstash.indexes["hybrid-embedding"].ids(NAMESPACE) == [f"{PLAN}#v3#0000"]
    assert held.data == "hello"
    assert held.metadata == {
        "projectId": "alpha",
        "type": "artifact",
        "artifactKind": "IMPLEMENTATION_PLAN",
        "artifactKey": "main",
        "artifactVersion": 3,
        "source": PLAN,
        "heading": "Title > Part",
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    }


def test_an_index_that_embeds_is_asked_by_text_and_weighted(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        for mode, named in (("hybrid", "HYBRID"), ("lexical", "SPARSE"), ("semantic", "DENSE")):
            ask(index, "the upload", mode)  # type: ignore[arg-type]  # a tuple's members are text
            asked: Any = upstash.requests[-1].payload
            assert (asked["data"], asked["queryMode"]) == ("the upload", named)
            assert asked.get("weightingStrategy") == (None if mode == "semantic" else "IDF")
            assert asked["fusionAlgorithm"] == "DBSF"
        assert index.search("alpha", "", {}, None, "hybrid", (), 5) == []


def test_one_that_does_not_gets_our_vector_and_our_terms(upstash: UpstashDouble) -> None:
    with index_of(upstash, "client-vector") as index:
        given = [1.0] + [0.0] * 383
        index.search("alpha", "x", {5: 2, 7: 1}, given, "hybrid", (), 5)
        asked: Any = upstash.requests[-1].payload
        assert asked["vector"] == given
        assert asked["sparseVector"] == {"indices": [5, 7], "values": [2.0, 1.0]}
        assert asked["weightingStrategy"] == "IDF"
        index.search("alpha", "x", {5: 1}, given, "lexical", (), 5)
        assert "vector" not in asked_last(upstash)
        index.search("alpha", "x", {5: 1}, None, "semantic", (), 5)
        assert "sparseVector" not in asked_last(upstash)
        assert len(asked_last(upstash)["vector"]) == 384
        before = len(upstash.requests)
        assert index.search("alpha", "the", {}, None, "lexical", (), 5) == []
        assert len(upstash.requests) == before


def asked_last(double: UpstashDouble) -> dict[str, Any]:
    payload = double.requests[-1].payload
    assert isinstance(payload, dict)
    return payload


def test_a_chunk_without_a_word_has_a_place_all_the_same(upstash: UpstashDouble) -> None:
    with index_of(upstash, "client-vector") as index:
        index.replace("alpha", PLAN, 1, [chunk("…")])
        assert list(index.inventory("alpha")) == [(PLAN, 1, 1)]


def test_the_best_come_first_and_equals_by_their_ids(upstash: UpstashDouble) -> None:
    with index_of(upstash, "sparse-only") as index:
        for name in ("c", "a", "b"):
            index.replace("alpha", f"artifact/PRD/{name}", 1, [chunk("upload")])
        index.replace("alpha", "artifact/PRD/z", 1, [chunk("upload upload upload")])
        assert [one[0][-1] for one in ask(index, "upload")] == ["z", "a", "b", "c"]


def test_one_source_is_not_the_beginning_of_another(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        for source in (
            "artifact/PRD/a",
            "artifact/PRD/ab",
            "artifact/PRD/a b",
            "artifact/PRD/a%20b",
        ):
            index.replace("alpha", source, 1, [chunk("upload")])
        index.remove("alpha", "artifact/PRD/a")
        index.replace("alpha", "artifact/PRD/a b", 2, [])
        assert sorted(index.inventory("alpha")) == [
            ("artifact/PRD/a%20b", 1, 1),
            ("artifact/PRD/ab", 1, 1),
        ]


@pytest.mark.parametrize(
    "source",
    [PLAN, "artifact/PRD/Grüße aus Köln", "artifact/PRD/a#v9#0000", "artifact/PRD/~", "x" * 400],
)
def test_ids_are_short_ascii_and_unlike_others(upstash: UpstashDouble, source: str) -> None:
    id_ = chunk_id(source, 7, 12)
    place = parse_chunk_id(id_)
    assert place is not None
    assert (place.name, place.version, place.ordinal) == (source_name(source), 7, 12)
    assert id_.isascii()
    assert len(chunk_id(source, 10**18 - 1, 999_999_999)) <= 255
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", source, 7, [chunk("upload")])
        assert ask(index, "upload") == [(source, 7, 0)]
        assert list(index.inventory("alpha")) == [(source, 7, 1)]


@pytest.mark.parametrize(
    "id_",
    ["a", "a#v1", "a#v01#0000", "a#v1#00000", "a#v1#1", "a#v1#0000#", "a~#v1#0000", "b#v1#0000"],
)
def test_what_others_put_there_is_passed_over(upstash: UpstashDouble, id_: str) -> None:
    theirs = upstash.indexes["hybrid-embedding"]
    vector: dict[str, object] = {"id": id_, "data": "upload", "metadata": {"source": "a"}}
    theirs.upsert(NAMESPACE, [vector], as_data=True)
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", "a", 1, [])
        assert ask(index, "upload") == []
        assert list(index.inventory("alpha")) == []
    assert theirs.ids(NAMESPACE) == [id_]


def test_only_what_is_of_a_source_is_removed_with_it(upstash: UpstashDouble) -> None:
    other = '{"result": {"nextCursor": "", "vectors": [{"id": "artifact/PRD/other#v1#0000"}]}}'
    with index_of(upstash, "hosted") as index:
        upstash.faults = [Fault(status=200, page=other)]  # a service that forgets the prefix
        index.remove("alpha", PLAN)
    assert upstash.operations() == ["range"]


def test_a_version_takes_the_place_of_older_ones(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", PLAN, 1, [chunk(f"upload {n}") for n in range(3)])
        assert index.replace("alpha", PLAN, 2, [chunk("download")])
        assert list(index.inventory("alpha")) == [(PLAN, 2, 1)]
        assert index.replace("alpha", PLAN, 2, [chunk("download"), chunk("again")])
        assert index.replace("alpha", PLAN, 2, [chunk("download")])
        assert list(index.inventory("alpha")) == [(PLAN, 2, 1)]
        assert index.replace("alpha", PLAN, 3, [])
        assert list(index.inventory("alpha")) == []


def test_who_comes_late_leaves_nothing_behind(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", PLAN, 10, [chunk("download")])
        assert not index.replace("alpha", PLAN, 9, [chunk("upload"), chunk("more")])
        assert list(index.inventory("alpha")) == [(PLAN, 10, 1)]
        assert not index.replace("alpha", PLAN, 9, [])
        assert list(index.inventory("alpha")) == [(PLAN, 10, 1)]


def test_many_chunks_go_in_requests_of_a_hundred(upstash: UpstashDouble) -> None:
    with index_of(upstash, "client-vector") as index:
        index.replace("alpha", PLAN, 1, [chunk(f"word{n}") for n in range(250)])
        sizes = [len(one.payload) for one in upstash.requests if isinstance(one.payload, list)]
        assert sum(sizes) == 250
        assert max(sizes) <= 100
        assert list(index.inventory("alpha")) == [(PLAN, 1, 250)]
        upstash.requests.clear()
        assert index.replace("alpha", PLAN, 2, [chunk("word")])
        assert upstash.operations() == ["upsert", "range", "delete", "delete", "delete"]


def test_large_chunks_go_in_requests_of_less_than_a_megabyte(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", PLAN, 1, [chunk("ä" * 12_000) for _ in range(100)])
        assert list(index.inventory("alpha")) == [(PLAN, 1, 100)]
    sizes = [int(one.headers["content-length"]) for one in upstash.requests]
    assert max(sizes) <= 1_000_000
    assert upstash.operations().count("upsert-data") > 1


def test_a_listing_of_many_pages_is_read_to_its_end(
    upstash: UpstashDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upstash_index, "MAX_RANGE", 2)
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", PLAN, 1, [chunk("word") for _ in range(5)])
        assert list(index.inventory("alpha")) == [(PLAN, 1, 5)]
        monkeypatch.setattr(upstash_index, "MAX_PAGES", 2)
        with pytest.raises(RemoteFault, match="2 pages"):
            list(index.inventory("alpha"))


def test_a_project_goes_as_a_whole_and_no_other(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        for project in ("alpha", "alphabet"):
            index.replace(project, PLAN, 1, [chunk("upload")])
        index.remove_project("alpha")
        assert list(index.inventory("alpha")) == []
        assert list(index.inventory("alphabet")) == [(PLAN, 1, 1)]
        index.remove_project("alpha")  # nothing to do is done
        upstash.faults = [Fault(status=503, error="busy", operation="delete-namespace")]
        with pytest.raises(RemoteFault, match="503, busy"):
            index.remove_project("alpha")
        upstash.faults = [Fault(status=400, error="no", operation="delete-namespace")]
        with pytest.raises(RemoteFault, match="400, no"):
            index.remove_project("alphabet")


@pytest.mark.parametrize("project", ["", "../reset", "a/b", "a?all"])
def test_a_project_that_is_none_reaches_nothing(upstash: UpstashDouble, project: str) -> None:
    with index_of(upstash, "hosted") as index:
        index.info()
        upstash.requests.clear()
        if project:
            with pytest.raises(Invalid):
                index.remove_project(project)
            with pytest.raises(Invalid):
                index.replace(project, PLAN, 1, [chunk("upload")])
        assert upstash.requests == []


@pytest.mark.parametrize("kind", ["PRD') OR (artifactKind != 'x", "prd", "", "A" * 41, "A\n"])
def test_nobody_writes_a_filter(upstash: UpstashDouble, kind: str) -> None:
    with index_of(upstash, "hosted") as index:
        index.info()
        upstash.requests.clear()
        with pytest.raises(Invalid, match="Kinds") as caught:
            ask(index, "upload", "hybrid", kind)
        assert caught.value.pointer == "/kind"
        for limit in (0, 101):
            with pytest.raises(Invalid, match="1 to 100"):
                ask(index, "upload", limit=limit)
        assert upstash.requests == []


def test_what_waits_to_be_found_is_counted(upstash: UpstashDouble) -> None:
    upstash.indexes["hybrid-embedding"].lagging = True
    with index_of(upstash, "hosted") as index:
        index.replace("alpha", PLAN, 1, [chunk("upload"), chunk("more")])
        assert index.pending() == 2
        assert ask(index, "upload") == []
        upstash.indexes["hybrid-embedding"].settle()
        assert index.pending() == 0
        assert len(ask(index, "upload")) == 2


@pytest.mark.parametrize(
    ("kind", "missing", "allowed", "reason"),
    [
        (DENSE, None, False, "no sparse part"),
        (SPARSE, None, False, "no dense part"),
        (Kind(), None, False, "no sparse part"),
        (Kind(), None, True, "neither a dense nor a sparse part"),
        (Kind(dimension=2), None, True, "its dimension is 2, and that of words 384"),
        (Kind(dimension=384, similarity="EUCLIDEAN"), None, True, "EUCLIDEAN"),
        (Kind(dimension=2, sparse=True), None, True, "its dimension is 2"),
        (Kind(dimension=384, sparse=True, similarity="DOT_PRODUCT"), None, False, "DOT_PRODUCT"),
        (
            Kind(dimension=384, sparse=True, dense_model="M"),
            None,
            True,
            "only one of its two parts",
        ),
        (Kind(dimension=384, sparse=True, sparse_model="BM25"), None, True, "only one"),
        (CLIENT_KIND, no_words(), True, "onnxruntime is not installed"),
        (DENSE, no_words(), True, "onnxruntime is not installed"),
    ],
)
def test_an_index_of_another_kind_is_refused_with_what_to_provision(
    upstash: UpstashDouble, kind: Kind, missing: EmbedderMissing | None, allowed: bool, reason: str
) -> None:
    upstash.made("other", kind)
    with UpstashIndex(
        lambda: transport(upstash, "other"),
        embedder=embedder_with(missing),
        allow_non_hybrid=allowed,
    ) as index:
        with pytest.raises(Malformed, match=reason) as caught:
            index.info()
        assert "index of type Hybrid" in caught.value.detail
        with pytest.raises(Malformed):
            ask(index, "upload")
        with pytest.raises(Malformed):
            index.replace("alpha", PLAN, 1, [chunk("upload")])


def test_an_index_that_embeds_needs_no_model(upstash: UpstashDouble) -> None:
    with UpstashIndex(
        lambda: transport(upstash, "hybrid-embedding"), embedder=None, allow_non_hybrid=False
    ) as index:
        assert index.info() == "hosted"
    upstash.made("client", CLIENT_KIND)
    with (
        UpstashIndex(
            lambda: transport(upstash, "client"), embedder=None, allow_non_hybrid=False
        ) as index,
        pytest.raises(Malformed, match="switched off"),
    ):
        index.info()


@pytest.mark.parametrize(
    ("sub_mode", "there", "absent"),
    [("dense-only", "semantic", "lexical"), ("sparse-only", "lexical", "semantic")],
)
def test_what_an_index_does_not_have_cannot_be_asked_for(
    upstash: UpstashDouble, sub_mode: str, there: Mode, absent: Mode
) -> None:
    with index_of(upstash, sub_mode) as index:
        assert (index.used_mode("hybrid"), index.used_mode(there)) == (there, there)
        with pytest.raises(Invalid, match=f"no {absent} search"):
            ask(index, "upload", absent)


def test_an_answer_of_another_form_is_no_answer(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        index.info()
        for page in (
            '{"result": 7}',
            '{"result": [{"id": "a"}]}',
            '{"result": [{"id": "a", "score": "x"}]}',
        ):
            upstash.faults = [Fault(status=200, page=page)]
            with pytest.raises(RemoteFault, match="unknown form"):
                ask(index, "upload")


INFO = (
    '{"result": {"vectorCount": 0, "pendingVectorCount": "many", "indexSize": 0, "dimension": 384, '
    '"similarityFunction": "COSINE", "namespaces": {}, "sparseIndex": {"embeddingModel": ""}, '
    '"denseIndex": {"dimension": 384, "similarityFunction": 7, "embeddingModel": ""}}}'
)


@pytest.mark.parametrize(
    ("page", "what"),
    [
        (INFO, UpstashIndex.info),
        (INFO, UpstashIndex.pending),
        (
            '{"result": {"nextCursor": "", "vectors": [{"id": 5}]}}',
            lambda index: index.remove("alpha", PLAN),
        ),
        (
            '{"result": {"nextCursor": "", "vectors": [{"id": "a#v1#0000", "metadata": [1]}]}}',
            lambda index: list(index.inventory("alpha")),
        ),
    ],
)
def test_no_part_of_an_answer_is_taken_for_what_it_is_not(
    upstash: UpstashDouble, page: str, what: Callable[[UpstashIndex], object]
) -> None:
    with index_of(upstash, "hosted") as index:
        upstash.faults = [Fault(status=200, page=page)]
        with pytest.raises(RemoteFault, match="unknown form"):
            what(index)


def test_an_index_that_is_away_says_so_and_comes_back(upstash: UpstashDouble) -> None:
    with index_of(upstash, "hosted") as index:
        upstash.faults = [Fault()] * 3
        with pytest.raises(RemoteFault):
            index.info()
        assert index.info() == "hosted"
        upstash.faults = [Fault(status=429, error="slow down", headers={"retry-after": "4"})]
        with pytest.raises(RemoteFault) as caught:
            ask(index, "upload")
        assert caught.value.kind == "rate-limited"
        assert ask(index, "upload") == []


def test_closing_ends_what_still_runs(upstash: UpstashDouble) -> None:
    index = index_of(upstash, "hosted")
    index.info()
    upstash.asked.clear()
    upstash.released.clear()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(index.pending)
        assert upstash.asked.wait(10)
        index.close()
        with pytest.raises(RemoteFault, match="closed meanwhile"):
            asking.result(10)
    index.close()
    with pytest.raises(RemoteFault, match="closed"):
        index.pending()
    assert "upstash" not in {thread.name for thread in threading.enumerate()}


def test_a_way_that_cannot_be_made_leaves_no_thread(upstash: UpstashDouble) -> None:
    def broken() -> UpstashTransport:
        raise OSError("no certificates")

    with pytest.raises(OSError, match="no certificates"):
        UpstashIndex(broken, embedder=None, allow_non_hybrid=False)
    assert "upstash" not in {thread.name for thread in threading.enumerate()}


FAULTS = (
    Fault(),
    Fault(applied=True),
    Fault(status=503, error="busy"),
    Fault(status=502, applied=True),
    Fault(status=429, error="slow down"),
)


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_lost_the_newest_versions_are_there_in_the_end(
    upstash: UpstashDouble, seed: int
) -> None:
    chance = random.Random(seed)
    work = [(f"run/r{source}", version) for source in range(6) for version in range(1, 6)] * 2
    chance.shuffle(work)
    faults = [chance.choice(FAULTS) for _ in range(120)]
    last = {f"run/r{source}": chance.randrange(3) for source in range(6)}

    def bring(job: tuple[str, int]) -> None:
        source, version = job
        count = last[source] if version == 5 else 2
        for _ in range(200):
            try:
                index.replace(
                    "alpha", source, version, [chunk(f"{source} {n}") for n in range(count)]
                )
            except RemoteFault as fault:
                assert fault.passing
            else:
                return
        raise AssertionError("it never came through")

    with index_of(upstash, "hosted") as index:
        index.info()
        upstash.faults = faults
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(bring, work))
        upstash.faults = []
        for source in last:  # as the follower ends: the newest version once more
            bring((source, 5))
        held = sorted(index.inventory("alpha"))
    assert held == sorted((source, 5, count) for source, count in last.items() if count)
