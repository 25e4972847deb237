"""How fast search answers: a large project and one of a hundredth of it beside it, in one index.

Passages are halves of real ones put together, with vectors between theirs, written to the tables directly; what
is measured is the whole search, from the question to the marked snippets, without making the question's vector,
which is timed apart.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_connect import open_pool, reading
from adapters.search.embedder import EmbedderMissing
from adapters.search.local_index import vector_text
from app.bootstrap import chance, now
from app.search.asked import Asked
from app.search.embedder_choice import choose_embedder
from app.search.opening import Chances, open_search
from app.search.searching import Searches
from app.settings import Settings
from bench.ground import Ground
from bench.kept_vectors import KeptVectors
from bench.measure import Figure
from bench.search import KEPT, nothing
from bench.search_sets import IDENTIFIER, folders, read_set
from projections.search.chunks import chunks
from projections.search.terms import weights

SIZES = ((1_000, "<= 10"), (10_000, "<= 60"), (100_000, "<= 60"))
QUERIES = 200
CHUNKS_A_SOURCE = 10
PROMISED_MS = 250
"""PR-002: a search is answered within so many milliseconds."""


class Passage(msgspec.Struct, frozen=True):
    """A passage to fill an index with."""

    heading: tuple[str, ...]
    body: str
    vector: Sequence[float]


def measure(ground: Ground, _rounds: int) -> Iterator[Figure]:
    """Each size in a database that holds it and the hundredth beside it."""
    found = choose_embedder(Settings())()
    if isinstance(found, EmbedderMissing) or not folders():
        yield nothing("search-speed: the model or shared/data/search is not here")
        return
    embedder = KeptVectors(found, KEPT)
    passages, queries = _read(embedder)
    embedding = [_milliseconds(partial(found.embed, [query])) for query in queries]
    yield _figure("the vector of a question", embedding, "", "")
    ledger = ground.ledger
    with open_pool(ground.url, max_size=2) as pool:
        searches = open_search(
            pool,
            (ledger.log, ledger.views, ledger.blobs),
            embedder=lambda: embedder,
            hosted=None,
            chances=Chances(chance, now, time.monotonic),
            falls_back=True,
        ).searches
        for size, target in SIZES[:2] if ground.quick else SIZES:
            large, small = f"bench-speed-{size}", f"bench-speed-{size}-small"
            with psycopg.connect(ground.owner_url) as connection:
                _fill(ground, connection, large, size, passages)
                _fill(ground, connection, small, size // 100, passages)
            with psycopg.connect(ground.owner_url, autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE")
            ground.checkpoint()
            floor = statistics.median(_milliseconds(partial(_select, pool)) for _ in range(300))
            for project, name in ((large, f"{size:,} chunks"), (small, f"1 % beside {size:,}")):
                for mode in ("lexical", "hybrid"):
                    taken = _ask(searches, project, queries, mode)
                    what = f"{mode} search of {name}"
                    yield _figure(what, taken, target, f"SELECT 1 in {floor:.2f} ms")
                    yield Figure(
                        f"{what}, p95 against SELECT 1",
                        _p95(taken) / floor,
                        _p95(taken) / floor,
                        _p95(taken) / floor,
                        "x",
                        "",
                        "",
                    )
            both = _p95(_ask(searches, large, queries, "hybrid")) + _p95(embedding)
            yield Figure(
                f"hybrid search of {size:,} chunks with its vector, p95",
                both, both, both, "ms", f"<= {PROMISED_MS}", "PR-002",
            )  # fmt: skip
            _empty(ground, (large, small))
    embedder.close()


def _ask(searches: Searches, project: str, queries: Sequence[str], mode: str) -> list[float]:
    def ask(query: str) -> None:
        found = searches.search(Asked(projects=(project,), text=query, mode=mode))  # type: ignore[arg-type]
        assert found.mode == mode, found.warnings

    for query in queries[:20]:
        ask(query)
    return [_milliseconds(partial(ask, query)) for query in queries]


def _read(embedder: KeptVectors) -> tuple[list[Passage], list[str]]:
    passages, queries = [], []
    for folder in folders():
        found = read_set(folder)
        queries += [one.text for one in found.queries if one.kind != IDENTIFIER]
        cut = [
            piece
            for one in found.documents
            for piece in chunks(one.text, "text/markdown", one.title).chunks
        ]
        texts = [f"{' > '.join(one.heading)}\n{one.body}" for one in cut]
        vectors = embedder.embed(texts)
        passages += [
            Passage(one.heading, one.body, vector) for one, vector in zip(cut, vectors, strict=True)
        ]
    draw = random.Random(1)
    draw.shuffle(passages)
    draw.shuffle(queries)
    embedder.embed(queries[:QUERIES])
    return passages, queries[:QUERIES]


def _fill(
    ground: Ground,
    connection: psycopg.Connection,
    project: str,
    size: int,
    passages: Sequence[Passage],
) -> None:
    """Write the chunks of a project as the index has them."""
    ground.ledger.create_project(project, title=project, actor="user:bench")
    draw = random.Random(size)
    row = connection.execute("SELECT coalesce(max(chunk_id), 0) FROM search_chunk").fetchone()
    assert row is not None
    first = row[0] + 1
    made = [_mixed(draw.choice(passages), draw.choice(passages)) for _ in range(size)]
    cursor = connection.cursor()
    with cursor.copy(
        "COPY search_chunk (project_id, chunk_id, source, ordinal, position, version, kind, heading,"
        " body, first, stop) FROM STDIN"
    ) as copy:
        for number, one in enumerate(made):
            source = f"artifact/NOTE/n{number // CHUNKS_A_SOURCE}"
            ordinal = number % CHUNKS_A_SOURCE
            copy.write_row(
                (project, first + number, source, ordinal, 1, 1, "NOTE", list(one.heading), one.body,
                 0, len(one.body))
            )  # fmt: skip
    with cursor.copy("COPY search_posting (project_id, term, chunk_id, weight) FROM STDIN") as copy:
        for number, one in enumerate(made):
            text = f"{' > '.join(one.heading)}\n{one.body}"
            for term, weight in weights(text).items():
                copy.write_row((project, term, first + number, weight))
    connection.execute("SET LOCAL maintenance_work_mem = '1GB'")
    connection.execute("DROP INDEX search_embedding_graph")
    with cursor.copy(
        "COPY search_embedding (project_id, chunk_id, model, embedding) FROM STDIN"
    ) as copy:
        for number, one in enumerate(made):
            copy.write_row((project, first + number, _model(), vector_text(one.vector)))
    connection.execute(
        "CREATE INDEX search_embedding_graph ON search_embedding"
        " USING hnsw (embedding halfvec_cosine_ops)"
    )
    connection.execute(
        "INSERT INTO search_project (project_id, backend, position, chunks) VALUES (%s, 'local', 1, %s)",
        (project, size),
    )
    connection.commit()


def _mixed(one: Passage, other: Passage) -> Passage:
    """The first half of one and the second of another, with a vector between theirs."""
    body = one.body[: len(one.body) // 2] + other.body[len(other.body) // 2 :]
    vector = [a + b for a, b in zip(one.vector, other.vector, strict=True)]
    length = math.hypot(*vector) or 1.0
    return Passage(one.heading, body, [round(value / length, 5) for value in vector])


def _model() -> str:
    from adapters.search.minilm import NAME

    return NAME


def _empty(ground: Ground, projects: Sequence[str]) -> None:
    with psycopg.connect(ground.owner_url, autocommit=True) as connection:
        for table in ("search_chunk", "search_posting", "search_embedding", "search_project"):
            connection.execute(
                f"DELETE FROM {table} WHERE project_id = ANY(%s)".encode(), (list(projects),)
            )


def _select(pool: ConnectionPool) -> None:
    with reading(pool) as connection:
        connection.execute("SELECT 1").fetchone()


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1_000


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]


def _figure(name: str, taken: Sequence[float], target: str, detail: str) -> Figure:
    middle = f"p50 {statistics.median(taken):.1f} ms"
    said = ", ".join(one for one in (middle, detail) if one)
    return Figure(f"{name}, p95", _p95(taken), min(taken), max(taken), "ms", target, said)
