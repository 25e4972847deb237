"""The hosted index: what is written to it, what it holds, and what it finds.

A synchronous face for threads; requests run in a loop of their own. Writing is idempotent: the version is in
each id, what is older goes after what is new has come, and a newer version is left as it is.
"""

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, TypeVar

import msgspec
from upstash_vector.types import FusionAlgorithm, QueryMode, QueryResult, WeightingStrategy

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.loop_thread import LoopThread
from adapters.search.remote_chunk import (
    KIND,
    RemoteChunk,
    RemoteId,
    format_id,
    metadata_of,
    parse_id,
    prefix_of,
)
from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_shape import VectorIndexShape, shape_of
from adapters.search.upstash_transport import UpstashTransport
from domain.search import Mode, namespace

VECTORS_A_REQUEST = 100
REQUEST_CHARACTERS = 400_000
"""Of texts and metadata together, so that a request stays below a megabyte."""
RANGE_PAGE = 1_000
MAX_PAGES = 1_000
MAX_SPARSE = 1_000
"""Terms of a chunk that the service takes; the heaviest are sent."""
MAX_KINDS = 32
Result = TypeVar("Result")
OpenEmbedder = Callable[[], Embedder | EmbedderMissing]


class HostedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the hosted index.

    Attributes:
        terms: Of the query, each with how often it stands there; none: it is not searched by words.
        vector: Of the query, where the index is sent vectors; None: it is not searched by meaning.
        mode: With a hosted embedding: what it is searched by.
        kinds: Of chunks; none: all.
    """

    project: str
    text: str
    terms: Mapping[int, int]
    vector: Sequence[float] | None
    mode: Mode
    kinds: Sequence[str] = ()
    limit: int = 100


class Scored(msgspec.Struct, frozen=True):
    """A chunk that the index found, with its score, the best first."""

    id: RemoteId
    score: float


class UpstashIndex:
    """An index of Upstash Vector; close it.

    Args:
        transport: Makes what carries requests; called in the loop that uses it.
        embedder: Our model, for an index that embeds nothing itself.
        allow_non_hybrid: An index of one part will do.
    """

    def __init__(
        self,
        transport: Callable[[], UpstashTransport],
        *,
        embedder: OpenEmbedder,
        allow_non_hybrid: bool = False,
    ) -> None:
        self._embedder = embedder
        self._allow_non_hybrid = allow_non_hybrid
        self._loop = LoopThread("upstash")
        self._lock = Lock()
        self._shape: VectorIndexShape | None = None

        async def make() -> UpstashTransport:
            return transport()

        self._index = self._loop.run(make())

    def close(self) -> None:
        """Close its connections, and end its thread."""
        self._loop.run(self._index.close())
        self._loop.close()

    def shape(self) -> VectorIndexShape:
        """How it is used; asked once, when it is first needed.

        Raises:
            Malformed: `vector-index-unsuitable`.
            RemoteFault: It cannot be asked.
        """
        with self._lock:
            if self._shape is None:
                info = self._run(self._index.info())
                ours = self._embedder()
                here = None if isinstance(ours, EmbedderMissing) else ours
                self._shape = shape_of(
                    info,
                    model=None if here is None else here.model,
                    dimension=None if here is None else here.dimension,
                    allow_non_hybrid=self._allow_non_hybrid,
                )
            return self._shape

    def pending(self) -> int:
        """Vectors that were written and cannot be found yet, about.

        Raises:
            RemoteFault: It cannot be asked.
        """
        return self._run(self._index.info()).pending_vector_count

    def replace(
        self, project: str, source: str, version: int, chunks: Sequence[RemoteChunk]
    ) -> bool:
        """Have these chunks of a source, and none of an older version; False: a newer one is there.

        Raises:
            RemoteFault: Some of it may be there; doing it again mends that.
            Malformed: `vector-index-unsuitable`.
        """
        there = self._ids(project, source)
        if any(one.version > version for one in there):
            return False
        for batch in _batches(chunks):
            vectors = self._vectors(project, source, version, batch)
            self._run(self._index.upsert(vectors, namespace=namespace(project)))
        kept = {format_id(source, version, ordinal) for ordinal in range(len(chunks))}
        # Read again: another process may have written an older one meanwhile.
        self._delete(
            project,
            [
                text
                for text, one in self._texts(project, source)
                if text not in kept and one.version <= version
            ],
        )
        return True

    def remove(self, project: str, source: str) -> None:
        """Have nothing of a source.

        Raises:
            RemoteFault: Some of it may still be there.
        """
        self._delete(project, [text for text, _ in self._texts(project, source)])

    def remove_project(self, project: str) -> None:
        """Have nothing of a project, by its namespace; one that is not there will do.

        Raises:
            RemoteFault: It may still be there.
        """
        if namespace(project) in self._run(self._index.list_namespaces()):
            self._run(self._index.delete_namespace(namespace(project)))

    def inventory(self, project: str) -> Iterator[tuple[str, int, int]]:
        """What it holds of a project: each source with a version, and how many chunks of that.

        Raises:
            RemoteFault: It cannot be asked.
        """
        counted: dict[tuple[str, int], int] = {}
        for _, one in self._texts(project, None):
            counted[one.source, one.version] = counted.get((one.source, one.version), 0) + 1
        for (source, version), count in sorted(counted.items()):
            yield source, version, count

    def search(self, query: HostedQuery) -> list[Scored]:
        """The chunks that fit best, the best first.

        Raises:
            RemoteFault: There is no answer.
            Malformed: `vector-index-unsuitable`.
        """
        shape = self.shape()
        asked: dict[str, Any] = {
            "top_k": query.limit,
            "include_metadata": True,
            "namespace": namespace(query.project),
            "filter": _filter(query.kinds),
            "weighting_strategy": None if shape.shape == "dense-only" else WeightingStrategy.IDF,
        }
        if shape.shape in {"hosted", "client-vector"}:
            # The distribution of scores, as in Postgres: it does not mind that these are (1 + cosine) / 2.
            asked["fusion_algorithm"] = FusionAlgorithm.DBSF
        if shape.embeds:
            asked["data"] = query.text
            if shape.shape == "hosted":
                asked["query_mode"] = _MODES[query.mode]
        else:
            if query.vector is not None and shape.shape != "sparse-only":
                asked["vector"] = list(query.vector)
            if query.terms and shape.shape != "dense-only":
                asked["sparse_vector"] = _sparse(query.terms)
        found = self._run(self._index.query(**asked))
        scored = [Scored(one, result.score) for result in found if (one := _of(result)) is not None]
        return sorted(scored, key=lambda one: (-one.score, one.id.source, one.id.ordinal))

    def _vectors(
        self, project: str, source: str, version: int, batch: Sequence[tuple[int, RemoteChunk]]
    ) -> list[dict[str, object]]:
        shape = self.shape()
        made: list[dict[str, object]] = [
            {
                "id": format_id(source, version, ordinal),
                "metadata": metadata_of(project, source, version, chunk),
                "data": chunk.text,
            }
            for ordinal, chunk in batch
        ]
        if shape.embeds:
            return made
        if shape.shape != "dense-only":
            for vector, (_, chunk) in zip(made, batch, strict=True):
                vector["sparse_vector"] = _sparse(chunk.weights)
        if shape.shape != "sparse-only":
            embedder = self._embedder()
            assert not isinstance(embedder, EmbedderMissing)  # or its shape would be another
            dense = embedder.embed([chunk.text for _, chunk in batch])
            for vector, values in zip(made, dense, strict=True):
                vector["vector"] = values
        return made

    def _ids(self, project: str, source: str) -> list[RemoteId]:
        return [one for _, one in self._texts(project, source)]

    def _texts(self, project: str, source: str | None) -> Iterator[tuple[str, RemoteId]]:
        """The ids of a source, or of a project, as they stand there and as they are read."""
        cursor = ""
        for _ in range(MAX_PAGES):
            page = self._run(
                self._index.range(
                    cursor=cursor or "0",
                    limit=RANGE_PAGE,
                    include_metadata=source is None,
                    namespace=namespace(project),
                    prefix=None if source is None else prefix_of(source),
                )
            )
            for vector in page.vectors:
                named = source if source is not None else _source(vector.metadata)
                one = parse_id(vector.id, named)
                if one is not None:
                    yield vector.id, one
            if not page.next_cursor:
                return
            cursor = page.next_cursor
        raise RemoteFault("unavailable", "it holds more of a project than can be looked through")

    def _delete(self, project: str, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), VECTORS_A_REQUEST):
            some = list(ids[first : first + VECTORS_A_REQUEST])
            self._run(self._index.delete(some, namespace=namespace(project)))

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """A request; that the answer is not what the SDK knows is a fault as well."""
        try:
            return self._loop.run(work)
        except (KeyError, TypeError, AttributeError) as error:
            raise RemoteFault("unavailable", "its answer cannot be read") from error


_MODES = {
    "hybrid": QueryMode.HYBRID,
    "lexical": QueryMode.SPARSE,
    "semantic": QueryMode.DENSE,
}


def _batches(chunks: Sequence[RemoteChunk]) -> Iterator[list[tuple[int, RemoteChunk]]]:
    batch: list[tuple[int, RemoteChunk]] = []
    size = 0
    for ordinal, chunk in enumerate(chunks):
        if batch and (
            len(batch) == VECTORS_A_REQUEST or size + len(chunk.text) > REQUEST_CHARACTERS
        ):
            yield batch
            batch, size = [], 0
        batch.append((ordinal, chunk))
        size += len(chunk.text)
    if batch:
        yield batch


def _sparse(weights: Mapping[int, float]) -> tuple[list[int], list[float]]:
    heaviest = sorted(weights.items(), key=lambda one: (-one[1], one[0]))[:MAX_SPARSE]
    return [term for term, _ in heaviest], [float(weight) for _, weight in heaviest]


def _filter(kinds: Sequence[str]) -> str:
    """A filter of kinds that are plain words: literals there have no escape, so nothing else gets in."""
    return " OR ".join(
        f"artifactKind = '{kind}'" for kind in kinds[:MAX_KINDS] if KIND.fullmatch(kind)
    )


def _source(metadata: Mapping[str, object] | None) -> str | None:
    named = (metadata or {}).get("source")
    return named if isinstance(named, str) else None


def _of(result: QueryResult) -> RemoteId | None:
    return parse_id(result.id, _source(result.metadata))
