"""How well search finds: labelled sets, indexed as artifacts, against `bm25s` and the model alone, in one run.

Nothing is special-cased: each document is written as an artifact and indexed by what a service indexes with.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import bm25s
import numpy as np
from snowballstemmer.english_stemmer import EnglishStemmer

from adapters.postgres_connect import open_pool
from adapters.search.embedder import EmbedderMissing
from app.bootstrap import chance as random_number
from app.bootstrap import now
from app.search.asked import Asked
from app.search.embedder_choice import choose_embedder
from app.search.opening import Chances, OpenedSearch, open_search
from app.settings import Settings
from bench.ground import Ground
from bench.kept_vectors import KeptVectors
from bench.measure import Figure, middle
from bench.search_measures import chance, ndcg, recall, right_first
from bench.search_sets import IDENTIFIER, Document, Query, SearchSet, folders, read_set
from domain.events import PolicyChanged
from domain.search import Mode

KEPT = Path(os.environ.get("DEEDBOOK_DATA", ".deedbook")) / "bench-vectors.sqlite"
HITS = 50
QUICK_DOCUMENTS, QUICK_QUERIES = 150, 40
OURS, WORDS, MEANING = "deedbook hybrid", "deedbook lexical", "deedbook semantic"
BM25S, MINILM = "bm25s", "MiniLM alone"
MODES: dict[str, Mode] = {OURS: "hybrid", WORDS: "lexical", MEANING: "semantic"}
Rank = Callable[[Query], list[str]]


def measure(ground: Ground, _rounds: int) -> Iterator[Figure]:
    """Every method over every set, then pooled."""
    found = choose_embedder(Settings())()
    if isinstance(found, EmbedderMissing):
        yield nothing(f"search: {found.reason}")
        return
    sets = [_keyed(read_set(folder)) for folder in folders()]
    if not sets:
        yield nothing("search: shared/data/search is not here")
        return
    embedder = KeptVectors(found, KEPT)
    ledger = ground.ledger
    pooled: dict[str, list[float]] = {}
    names: dict[str, list[bool]] = {}
    with open_pool(ground.url, max_size=2) as pool:
        opened = open_search(
            pool,
            (ledger.log, ledger.views, ledger.blobs),
            embedder=lambda: embedder,
            hosted=None,
            chances=Chances(random_number, now, time.monotonic),
            falls_back=True,
        )
        for one in sets:
            used = _quick(one) if ground.quick else one
            seconds = _index(ground, opened, used)
            yield middle(f"{one.name}: writing, indexing and embedding", [seconds], "s")
            yield from _judge(used, _methods(ground, opened, used, embedder), pooled, names)
    embedder.close()
    yield from _summary(pooled, names)


def _summary(pooled: dict[str, list[float]], names: dict[str, list[bool]]) -> Iterator[Figure]:
    for name, values in pooled.items():
        yield middle(f"pooled nDCG@10: {name}", [statistics.fmean(values)], "")
    for peer, target in ((BM25S, ">= 1.04"), (MINILM, ">= 1.03")):
        ours, theirs = pooled[OURS], pooled[peer]
        value = statistics.fmean(ours) / statistics.fmean(theirs)
        detail = f"p = {chance(ours, theirs):.4f} of {len(ours)} queries"
        yield Figure(
            f"pooled nDCG@10, ours against {peer}", value, value, value, "x", target, detail
        )
    for name, firsts in names.items():
        share = statistics.fmean(firsts)
        target = ">= 0.95" if name == OURS else ""
        detail = f"{sum(firsts)} of {len(firsts)}"
        yield Figure(f"identifiers right first: {name}", share, share, share, "", target, detail)


def _judge(
    of: SearchSet,
    methods: dict[str, Rank],
    pooled: dict[str, list[float]],
    names: dict[str, list[bool]],
) -> Iterator[Figure]:
    sentences = [one for one in of.queries if one.kind != IDENTIFIER]
    identifiers = [one for one in of.queries if one.kind == IDENTIFIER]
    for name, rank in methods.items():
        began = time.perf_counter()
        ranked = {query.id: rank(query)[:10] for query in of.queries}
        each = (time.perf_counter() - began) / len(of.queries) * 1000
        values = [ndcg(ranked[one.id], of.grades[one.id]) for one in sentences]
        found = [recall(ranked[one.id], of.grades[one.id]) for one in sentences]
        pooled.setdefault(name, []).extend(values)
        yield Figure(
            f"{of.name}: nDCG@10 of {len(sentences)} sentences, {name}",
            statistics.fmean(values),
            0, 0, "", "",
            f"recall@10 {statistics.fmean(found):.3f}, {each:.1f} ms a query",
        )  # fmt: skip
        if identifiers:
            firsts = [
                right_first([ranked[one.id]], [of.grades[one.id]]) == 1 for one in identifiers
            ]
            names.setdefault(name, []).extend(firsts)


def _methods(
    ground: Ground, opened: OpenedSearch, of: SearchSet, embedder: KeptVectors
) -> dict[str, Rank]:
    project = _project(of)

    def ours(mode: Mode) -> Rank:
        def rank(query: Query) -> list[str]:
            asked = Asked(projects=(project,), text=query.text, mode=mode, limit=HITS)
            return [hit.key for hit in opened.searches.search(asked).hits]

        return rank

    owners, texts = _chunks(ground, project)
    return {
        **{name: ours(mode) for name, mode in MODES.items()},
        BM25S: _bm25s(owners, texts),
        MINILM: _minilm(owners, texts, embedder),
    }


def _bm25s(owners: Sequence[str], texts: Sequence[str]) -> Rank:
    """The package as it comes, over the same chunks: its English stop words, the same stemmer."""
    stemmer = EnglishStemmer()

    def tokens(of: Sequence[str]) -> object:
        return bm25s.tokenize(
            list(of), stopwords="en", stemmer=stemmer.stemWords, show_progress=False
        )

    index = bm25s.BM25()
    index.index(tokens(texts), show_progress=False)
    depth = min(200, len(texts))

    def rank(query: Query) -> list[str]:
        found, _ = index.retrieve(tokens([query.text]), k=depth, show_progress=False)
        return list(dict.fromkeys(owners[place] for place in found[0]))

    return rank


def _minilm(owners: Sequence[str], texts: Sequence[str], embedder: KeptVectors) -> Rank:
    """The model alone, exactly, over the same chunks."""
    vectors = np.array(embedder.embed(texts), dtype=np.float32)

    def rank(query: Query) -> list[str]:
        near = vectors @ np.array(embedder.embed([query.text])[0], dtype=np.float32)
        order = np.argsort(-near, kind="stable")[:200]
        return list(dict.fromkeys(owners[int(place)] for place in order))

    return rank


def _index(ground: Ground, opened: OpenedSearch, of: SearchSet) -> float:
    """Write the documents as artifacts and have them indexed; answers the seconds."""
    began = time.perf_counter()
    project = _project(of)
    ground.ledger.create_project(project, title=of.name, actor="user:bench")
    # Pages about keys have keys in them, which the door would refuse.
    ground.ledger.change_policy(project, PolicyChanged(secrets="replace"), actor="user:bench")
    for one in of.documents:
        ground.ledger.write_artifact(
            project, "NOTE", one.id, one.text.encode(), title=one.title, actor="user:bench"
        )
    [indexing] = opened.indexings
    indexing.state.note_all()
    while claims := indexing.state.claim(8):
        for claim in claims:
            assert indexing.bring(claim), claim
    embedding = opened.embedding()
    assert embedding is not None, opened.searches.missing()
    while embedding.some(16, lambda: False):
        pass
    return time.perf_counter() - began


def _chunks(ground: Ground, project: str) -> tuple[list[str], list[str]]:
    with open_pool(ground.url, max_size=1) as pool, pool.connection() as connection:
        rows = connection.execute(
            """
            SELECT split_part(source, '/', 3), array_to_string(heading, ' > ') || E'\\n' || body
            FROM search_chunk WHERE project_id = %s ORDER BY chunk_id
            """,
            (project,),
        ).fetchall()
    return [owner for owner, _ in rows], [text for _, text in rows]


def _keyed(of: SearchSet) -> SearchSet:
    """A set whose documents are called as their artifacts will be."""
    documents = tuple(Document(_key(one.id), one.title, one.text) for one in of.documents)
    grades = {
        query: {_key(document): grade for document, grade in known.items()}
        for query, known in of.grades.items()
    }
    return SearchSet(of.name, documents, of.queries, grades)


def _key(document: str) -> str:
    """An artifact's key has no slash."""
    return document.replace("/", ":")


def _project(of: SearchSet) -> str:
    return f"bench-{of.name}"


def _quick(of: SearchSet) -> SearchSet:
    """Some queries, the documents that answer them, and some more."""
    queries = (*of.queries[:QUICK_QUERIES], *of.queries[-QUICK_QUERIES:])
    needed = {document for query in queries for document in of.grades[query.id]}
    more = [one for one in of.documents if one.id not in needed][:QUICK_DOCUMENTS]
    documents = tuple(one for one in of.documents if one.id in needed) + tuple(more)
    return SearchSet(of.name, documents, queries, of.grades)


def nothing(why: str) -> Figure:
    """A line that says why there is no figure."""
    nothing = float("nan")
    return Figure(why, nothing, nothing, nothing, "", "", "")
