"""Deedbook's chunks in an index of Upstash Vector: a namespace for each project, a vector for each chunk.

Everything may be repeated: chunks are put under ids that name their version, and what is older goes
afterwards. Who reads must join what is found with what there is: an index elsewhere lags, and may hold what a
delayed request left behind.
"""

import concurrent.futures
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from operator import index
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec
from upstash_vector.types import FetchResult, FusionAlgorithm, QueryMode, WeightingStrategy

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.loop_thread import LoopEnded, LoopThread
from adapters.search.remote_chunk import (
    RemoteChunk,
    chunk_id,
    parse_chunk_id,
    source_name,
    source_prefix,
)
from adapters.search.remote_fault import RemoteFault
from adapters.search.upstash_kind import IndexKind, SubMode, index_kind
from adapters.search.upstash_payload import MAX_BODY_BYTES, MAX_RANGE, MAX_VECTORS
from adapters.search.upstash_transport import UpstashTransport
from domain.errors import Invalid
from domain.search import Mode
from domain.search import namespace as namespace_of

MAX_HITS = 100
MAX_KINDS = 50
MAX_PAGES = 10_000
EMBEDDED_TOGETHER = 32
MAX_BATCH_BYTES = MAX_BODY_BYTES - 50_000
"""With room for what the SDK adds to each vector."""
NO_TERM = 0
"""A hybrid index wants a sparse part of every vector: what has no term has this one."""

KIND = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
"""A kind of chunks that may stand in a filter."""
_QUERY_MODES = {
    "hybrid": QueryMode.HYBRID,
    "lexical": QueryMode.SPARSE,
    "semantic": QueryMode.DENSE,
}
_Result = TypeVar("_Result")
_Vector = dict[str, Any]


class RemoteHit(msgspec.Struct, frozen=True):
    """A chunk that was found.

    Attributes:
        version: At which the source was indexed.
        ordinal: Of the chunk in its source.
        score: The greater the better; it compares with those of the same answer alone.
    """

    source: str
    version: int
    ordinal: int
    score: float


class UpstashIndex:
    """An index; threads may share it. Close it, or use it as a context.

    Every method but `close` may raise `RemoteFault`; `Malformed` (`invalid-parameter`) until `info` was
    answered, where the index is none for us; and `Invalid` (`validation-failed`) for what is not sent.

    Args:
        make_transport: Makes the way to the service; called once, in the thread that then uses it.
        embedder: Gives our model, or says why there is none; None: it is switched off.
        allow_non_hybrid: Take an index that has only one of the two parts.
    """

    def __init__(
        self,
        make_transport: Callable[[], UpstashTransport],
        *,
        embedder: Callable[[], Embedder | EmbedderMissing] | None,
        allow_non_hybrid: bool,
    ) -> None:
        self._make_embedder = embedder
        self._allow_non_hybrid = allow_non_hybrid
        self._kind: IndexKind | None = None
        self._thread = LoopThread("upstash")

        async def made() -> UpstashTransport:
            return make_transport()

        try:
            self._transport = self._thread.run(made())
        except BaseException:
            self._thread.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what still runs, the connections and the thread."""
        self._thread.close(self._transport.aclose)

    def info(self) -> SubMode:
        """How the index is used. Ask at the start: it refuses an index that cannot be."""
        return self._known().sub_mode

    @property
    def looked_at(self) -> SubMode | None:
        """The same without asking; None: nobody has asked yet."""
        return None if self._kind is None else self._kind.sub_mode

    def filled_by(self) -> str:
        """Whose vectors it is filled with: the service's, or a model's of ours, by name."""
        kind = self._known()
        embedder = self._embedder() if kind.needs_vector else None
        if embedder is None or isinstance(embedder, EmbedderMissing):
            return kind.sub_mode
        return f"{kind.sub_mode} {embedder.model}"

    def used_mode(self, mode: Mode) -> Mode:
        """The mode in which `search` answers a question.

        Raises:
            Invalid: `validation-failed`: this index has none of it.
        """
        return self._known().used_mode(mode)

    def pending(self) -> int:
        """How many vectors of the whole index cannot be found yet, as the service believes."""
        info = self._run(self._transport.info())
        with _taken_apart():
            return index(info.pending_vector_count)

    def replace(
        self, project: str, source: str, version: int, chunks: Sequence[RemoteChunk]
    ) -> bool:
        """Have a source at a version, and nothing older of it; repeating it is safe.

        Args:
            project: The project's slug.
            source: The stream.
            version: The greater one wins, whoever comes last.
            chunks: All of the source, in order; none: nothing of it can be found.

        Returns:
            False: a greater version is there, and nothing of this one.
        """
        namespace = namespace_of(project)
        vectors = self._vectors(project, source, version, chunks)
        for batch in _batches(vectors):
            self._run(self._transport.upsert(batch, namespace=namespace))
        held = self._held(namespace, source)
        newest = max([version, *(one for _, one, _ in held)])
        self._delete(
            namespace,
            [
                id_
                for id_, there, ordinal in held
                if there < newest or (there == version and ordinal >= len(chunks))
            ],
        )
        return newest == version

    def remove(self, project: str, source: str) -> None:
        """Have nothing of a source."""
        namespace = namespace_of(project)
        self._delete(namespace, [id_ for id_, _, _ in self._held(namespace, source)])

    def remove_project(self, project: str) -> None:
        """Have nothing of a project."""
        namespace = namespace_of(project)
        try:
            self._run(self._transport.delete_namespace(namespace))
        except RemoteFault as fault:
            if fault.kind != "rejected" or namespace in self._run(
                self._transport.list_namespaces()
            ):
                raise

    def inventory(self, project: str) -> Iterator[tuple[str, int, int]]:
        """Each source and version that the index holds, and how many chunks of it; none in any order."""
        counted: Counter[tuple[str, int]] = Counter()
        with _taken_apart():
            for one in self._pages(namespace_of(project), include_metadata=True):
                place = _place(one.id, one.metadata)
                if place is not None:
                    counted[place[:2]] += 1
        for (source, version), count in counted.items():
            yield source, version, count

    def search(
        self,
        project: str,
        text: str,
        terms: Mapping[int, int],
        vector: Sequence[float] | None,
        mode: Mode,
        kinds: Sequence[str],
        limit: int,
    ) -> list[RemoteHit]:
        """The chunks that fit best, the best first.

        Args:
            project: The project's slug.
            text: What is asked, for an index that embeds it itself.
            terms: Of it, each with how often it stands there, for one that does not.
            vector: Of it, for one that does not; None: our model makes it, if it is needed.
            mode: Answered as `used_mode` says.
            kinds: Only chunks of these; empty: of any.
            limit: 1 to 100.

        Raises:
            Invalid: `validation-failed`: a mode that is not there, an odd kind, a limit that is none.
        """
        kind = self._known()
        mode = kind.used_mode(mode)
        if not 1 <= limit <= MAX_HITS:
            raise Invalid("validation-failed", f"A search gives 1 to {MAX_HITS} chunks.")
        asked: dict[str, Any] = {
            "top_k": limit,
            "include_metadata": True,
            "filter": _filter(kinds),
            # The distribution of scores, as in Postgres: (1 + cosine) / 2 is distributed as the cosine is.
            "fusion_algorithm": FusionAlgorithm.DBSF,
        }
        if mode != "semantic":
            asked["weighting_strategy"] = WeightingStrategy.IDF
        if kind.embeds:
            if not text:
                return []
            asked["data"] = text
            if kind.sub_mode == "hosted":
                asked["query_mode"] = _QUERY_MODES[mode]
        else:
            if mode != "lexical":
                asked["vector"] = list(vector if vector is not None else self._embed([text])[0])
            if mode != "semantic" and terms:
                times = [float(count) for count in terms.values()]
                asked["sparse_vector"] = (list(terms), times)
            if not {"vector", "sparse_vector"} & asked.keys():
                return []
        return self._run(self._found(namespace_of(project), asked))

    async def _found(self, namespace: str, asked: dict[str, Any]) -> list[RemoteHit]:
        hits = await self._transport.query(**asked, namespace=namespace)
        hits.sort(key=lambda hit: (-hit.score, hit.id))  # equals by id, as everywhere
        placed = ((_place(hit.id, hit.metadata), hit.score) for hit in hits)
        return [RemoteHit(*place, score) for place, score in placed if place is not None]

    def _known(self) -> IndexKind:
        if self._kind is None:
            info = self._run(self._transport.info())
            embedder = self._embedder()
            with _taken_apart():
                self._kind = index_kind(info, embedder, allow_non_hybrid=self._allow_non_hybrid)
        return self._kind

    def _embedder(self) -> Embedder | EmbedderMissing:
        if self._make_embedder is None:
            return EmbedderMissing("the model is switched off")
        return self._make_embedder()

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        embedder = self._embedder()
        if isinstance(embedder, EmbedderMissing):
            raise RemoteFault("unavailable", f"this index needs our model: {embedder.reason}")
        return embedder.embed(texts)

    def _vectors(
        self, project: str, source: str, version: int, chunks: Sequence[RemoteChunk]
    ) -> Iterator[_Vector]:
        """The chunks as the SDK takes them: plain dicts of our own, which it may change."""
        if not chunks:
            return
        kind = self._known()
        numbered = iter(enumerate(chunks))
        while together := list(islice(numbered, EMBEDDED_TOGETHER)):
            texts = [chunk.text for _, chunk in together]
            dense = self._embed(texts) if kind.needs_vector else [None] * len(texts)
            for (ordinal, chunk), vector in zip(together, dense, strict=True):
                made: _Vector = {
                    "id": chunk_id(source, version, ordinal),
                    "data": chunk.text,
                    "metadata": chunk.metadata(project, source, version),
                }
                if vector is not None:
                    made["vector"] = vector
                if kind.needs_weights:
                    weights = chunk.weights or {NO_TERM: 1.0}
                    made["sparse_vector"] = (list(weights), list(weights.values()))
                yield made

    def _held(self, namespace: str, source: str) -> list[tuple[str, int, int]]:
        """Id, version and ordinal of each chunk of a source."""
        name, held = source_name(source), []
        with _taken_apart():
            for one in self._pages(namespace, prefix=source_prefix(source)):
                place = parse_chunk_id(one.id)
                if place is not None and place.name == name:
                    held.append((one.id, place.version, place.ordinal))
        return held

    def _pages(
        self, namespace: str, *, prefix: str = "", include_metadata: bool = False
    ) -> Iterator[FetchResult]:
        cursor = ""
        for _ in range(MAX_PAGES):
            page = self._run(
                self._transport.range(
                    cursor=cursor,
                    limit=MAX_RANGE,
                    include_metadata=include_metadata,
                    namespace=namespace,
                    prefix=prefix or None,
                )
            )
            yield from page.vectors
            cursor = page.next_cursor
            if not cursor:
                return
        raise RemoteFault("unavailable", f"a listing of more than {MAX_PAGES} pages")

    def _delete(self, namespace: str, ids: Sequence[str]) -> None:
        for first in range(0, len(ids), MAX_VECTORS):
            some = list(ids[first : first + MAX_VECTORS])
            self._run(self._transport.delete(some, namespace=namespace))

    def _run(self, call: Coroutine[Any, Any, _Result]) -> _Result:
        try:
            return self._thread.run(_read(call))
        except concurrent.futures.CancelledError:
            raise RemoteFault("unavailable", "it was closed meanwhile") from None
        except LoopEnded:
            call.close()
            raise RemoteFault("unavailable", "it was closed") from None


async def _read(call: Awaitable[_Result]) -> _Result:
    with _taken_apart():
        return await call


@contextmanager
def _taken_apart() -> Iterator[None]:
    """The SDK takes answers apart without looking at them, and calls anything text or a number."""
    try:
        yield
    except (KeyError, TypeError, AttributeError) as error:
        raise RemoteFault("unavailable", "an answer of an unknown form") from error


def _batches(vectors: Iterator[_Vector]) -> Iterator[list[_Vector]]:
    """As many together as a request may have, by number and by size."""
    batch: list[_Vector] = []
    size = 0
    for vector in vectors:
        bytes_ = len(msgspec.json.encode(vector))
        if batch and (len(batch) == MAX_VECTORS or size + bytes_ > MAX_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(vector)
        size += bytes_
    if batch:
        yield batch


def _filter(kinds: Sequence[str]) -> str:
    """Kinds are names of ours: the filter language has no escape, so that nothing else may get into it."""
    if len(kinds) > MAX_KINDS or not all(KIND.fullmatch(one) for one in kinds):
        raise Invalid(
            "validation-failed",
            f"Kinds are up to {MAX_KINDS} names of A-Z, 0-9 and _ such as PRD.",
            pointer="/kind",
        )
    return f"artifactKind IN ({', '.join(repr(one) for one in kinds)})" if kinds else ""


def _place(id_: str, metadata: dict[str, Any] | None) -> tuple[str, int, int] | None:
    """Where a vector belongs; None: it is none of ours."""
    place = parse_chunk_id(id_)
    source = (metadata or {}).get("source")
    if place is None or not isinstance(source, str) or source_name(source) != place.name:
        return None
    return source, place.version, place.ordinal
