"""An index in memory: namespaces of vectors, and all that may be asked of them.

What a request may not say is a `Refused`, with the status that the service would answer.
"""

from collections.abc import Iterable, Sequence

import msgspec

from tests.upstash_double import hosted_models
from tests.upstash_double.filters import BadFilter, Metadata, Test, parse_filter
from tests.upstash_double.scoring import (
    Ranked,
    Sparse,
    cosine,
    fuse,
    inner_product,
    inverse_frequency,
    ordered,
)

MAX_DEPTH = 1_000
MAX_VECTORS = 1_000


class Refused(Exception):
    """The service does not take this."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


class Kind(msgspec.Struct, frozen=True):
    """What an index was made as: its parts, and whether the service embeds for it."""

    dimension: int | None = None
    sparse: bool = False
    dense_model: str = ""
    sparse_model: str = ""
    similarity: str = "COSINE"


class Held(msgspec.Struct):
    """A vector.

    Attributes:
        settled: It can be found by a query; it can be fetched at once.
    """

    vector: list[float] | None = None
    sparse: dict[int, float] | None = None
    data: str | None = None
    metadata: Metadata | None = None
    settled: bool = True


class Question(msgspec.Struct, frozen=True, rename="camel"):
    """A query's payload."""

    top_k: int = 10
    include_vectors: bool = False
    include_metadata: bool = False
    include_data: bool = False
    filter: str = ""
    vector: list[float] | None = None
    sparse_vector: dict[str, list[float]] | None = None
    data: str | None = None
    weighting_strategy: str | None = None
    fusion_algorithm: str = "RRF"
    query_mode: str = "HYBRID"
    max_idle: int = 3600


class Resumed(msgspec.Struct):
    """A resumable query that has given some of its answers."""

    namespace: str
    question: Question
    given: list[str]


Answered = dict[str, object]


class DoubleIndex:
    """An index, and what a test may do to it.

    Attributes:
        spaces: Its vectors by id, by namespace; the default one is always there.
        lagging: What is upserted cannot be found by a query before `settle`.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.reset_all()

    def reset_all(self) -> None:
        """As it was made."""
        self.spaces: dict[str, dict[str, Held]] = {"": {}}
        self.lagging = False
        self._resumed: dict[str, Resumed] = {}
        self._number = 0

    def settle(self) -> None:
        """Everything can be found now."""
        for space in self.spaces.values():
            for held in space.values():
                held.settled = True

    def ids(self, namespace: str) -> list[str]:
        """What a namespace holds, in order of insertion."""
        return list(self.spaces.get(namespace, {}))

    def info(self) -> Answered:
        """What the index is, and how much is in it."""
        counts = {
            name: {
                "vectorCount": len(space),
                "pendingVectorCount": sum(not held.settled for held in space.values()),
            }
            for name, space in self.spaces.items()
        }
        kind = self.kind
        answer: Answered = {
            "vectorCount": sum(one["vectorCount"] for one in counts.values()),
            "pendingVectorCount": sum(one["pendingVectorCount"] for one in counts.values()),
            "indexSize": 0,
            "dimension": kind.dimension or 0,
            "similarityFunction": kind.similarity if kind.dimension else "",
            "indexType": "HYBRID" if self._hybrid else "SPARSE" if kind.sparse else "DENSE",
            "namespaces": counts,
        }
        if kind.dimension:
            answer["denseIndex"] = {
                "dimension": kind.dimension,
                "similarityFunction": kind.similarity,
                "embeddingModel": kind.dense_model,
            }
        if kind.sparse:
            answer["sparseIndex"] = {"embeddingModel": kind.sparse_model}
        return answer

    def upsert(self, namespace: str, vectors: Sequence[Answered], *, as_data: bool) -> str:
        """Put vectors, all of them or none."""
        if not 1 <= len(vectors) <= MAX_VECTORS:
            raise Refused(400, f"a request takes 1 to {MAX_VECTORS} vectors")
        made = [(_id(one), self._held(one, as_data=as_data)) for one in vectors]
        space = self.spaces.setdefault(namespace, {})
        for id_, held in made:
            held.settled = not self.lagging
            space[id_] = held
        return "Success"

    def update(self, namespace: str, change: Answered) -> Answered:
        """Change a vector that is there."""
        held = self.spaces.get(namespace, {}).get(_id(change))
        if held is None:
            return {"updated": 0}
        vector, sparse = change.get("vector"), change.get("sparseVector")
        data, metadata = change.get("data"), change.get("metadata")
        if vector is not None:
            held.vector = self._dense(vector)
        if sparse is not None:
            held.sparse = _sparse(sparse)
        if isinstance(data, str):
            held.data = data
            if self._hosted and vector is None and sparse is None:
                self._embed(held, data)
        if isinstance(metadata, dict):
            patched = change.get("metadataUpdateMode") == "PATCH"
            held.metadata = _patched(held.metadata or {}, metadata) if patched else metadata
        return {"updated": 1}

    def query(self, namespace: str, asked: Answered, *, by_data: bool) -> list[Answered]:
        """The nearest vectors."""
        question = self._question(asked, by_data=by_data)
        # The lists are deeper than what is asked for: published answers can be had in no other way.
        ranked = self._ranked(namespace, question, MAX_DEPTH)[: question.top_k]
        return [self._shown(namespace, id_, score, question) for id_, score in ranked]

    def resume(self, namespace: str, asked: Answered, *, by_data: bool) -> Answered:
        """The nearest vectors, and a handle for the next ones."""
        question = self._question(asked, by_data=by_data)
        self._number += 1
        handle = f"query-{self._number}"
        self._resumed[handle] = Resumed(namespace, question, [])
        return {"uuid": handle, "scores": self.next(handle, question.top_k)}

    def next(self, handle: str, more: int) -> list[Answered]:
        """The next ones; here the lists are no deeper than what was given so far."""
        resumed = self._resumed.get(handle)
        if resumed is None:
            raise Refused(404, f"there is no resumable query {handle}")
        ranked = self._ranked(resumed.namespace, resumed.question, len(resumed.given) + more)
        fresh = [one for one in ranked if one[0] not in resumed.given][:more]
        resumed.given += [id_ for id_, _ in fresh]
        return [
            self._shown(resumed.namespace, id_, score, resumed.question) for id_, score in fresh
        ]

    def end(self, handle: str) -> str:
        """Forget a resumable query."""
        if self._resumed.pop(handle, None) is None:
            raise Refused(404, f"there is no resumable query {handle}")
        return "Success"

    def fetch(self, namespace: str, asked: Answered) -> list[Answered | None]:
        """Vectors by id, null for what is not there; or by prefix."""
        space = self.spaces.get(namespace, {})
        ids = asked.get("ids")
        if not isinstance(ids, list):
            ids = [one for one in space if one.startswith(_text(asked, "prefix"))]
        return [_fetched(one, space[one], asked) if one in space else None for one in ids]

    def range(self, namespace: str, asked: Answered) -> Answered:
        """A page of all vectors, in order of insertion."""
        limit, cursor = asked.get("limit"), _text(asked, "cursor") or "0"
        if not isinstance(limit, int) or not 1 <= limit <= MAX_VECTORS or not cursor.isdigit():
            raise Refused(400, f"a page has 1 to {MAX_VECTORS} vectors")
        space, prefix = self.spaces.get(namespace, {}), _text(asked, "prefix")
        ids = [one for one in space if one.startswith(prefix)]
        start = int(cursor)
        stop = start + limit
        return {
            "nextCursor": str(stop) if stop < len(ids) else "",
            "vectors": [_fetched(one, space[one], asked) for one in ids[start:stop]],
        }

    def delete(self, namespace: str, asked: Answered) -> Answered:
        """Delete by ids, by prefix, or by filter."""
        space = self.spaces.get(namespace, {})
        match asked:
            case {"ids": list() as ids}:
                if not all(isinstance(one, str | int) for one in ids):
                    raise Refused(400, "an id is text or a whole number")
                doomed = [str(one) for one in ids if str(one) in space]
            case {"prefix": str() as prefix}:
                doomed = [one for one in space if one.startswith(prefix)]
            case {"filter": str() as text}:
                test = _filter(text)
                doomed = [one for one, held in space.items() if test(held.metadata or {})]
            case _:
                raise Refused(400, "say what to delete")
        for one in doomed:
            space.pop(one, None)
        return {"deleted": len(doomed)}

    def reset(self, namespace: str) -> str:
        """Empty a namespace."""
        if namespace in self.spaces:
            self.spaces[namespace].clear()
        return "Success"

    def delete_namespace(self, namespace: str) -> str:
        """Delete a namespace with all that is in it."""
        if not namespace or namespace not in self.spaces:
            raise Refused(404 if namespace else 400, f"there is no namespace {namespace!r}")
        del self.spaces[namespace]
        return "Success"

    @property
    def _hybrid(self) -> bool:
        return self.kind.dimension is not None and self.kind.sparse

    @property
    def _hosted(self) -> bool:
        return bool(self.kind.dense_model or self.kind.sparse_model)

    def _held(self, given: Answered, *, as_data: bool) -> Held:
        data, metadata = given.get("data"), given.get("metadata")
        held = Held(
            data=data if isinstance(data, str) else None,
            metadata=metadata if isinstance(metadata, dict) else None,
        )
        if as_data:
            if not self._hosted or not held.data:
                raise Refused(422, "this index embeds no text, or the text is missing")
            self._embed(held, held.data)
            return held
        vector, sparse = given.get("vector"), given.get("sparseVector")
        if (vector is None) is (self.kind.dimension is not None):
            raise Refused(422, "a dense vector belongs to a dense or hybrid index, and to no other")
        if (sparse is None) is self.kind.sparse:
            raise Refused(422, "a sparse vector belongs to a sparse or hybrid index only")
        held.vector = None if vector is None else self._dense(vector)
        held.sparse = None if sparse is None else _sparse(sparse)
        return held

    def _embed(self, held: Held, text: str) -> None:
        if self.kind.dimension is not None:
            held.vector = hosted_models.dense(text, self.kind.dimension)
        if self.kind.sparse:
            held.sparse = hosted_models.sparse(text)

    def _dense(self, vector: object) -> list[float]:
        if not isinstance(vector, list) or len(vector) != self.kind.dimension:
            raise Refused(422, f"the dimension of this index is {self.kind.dimension}")
        return [float(one) for one in vector]

    def _question(self, asked: Answered, *, by_data: bool) -> Question:
        try:
            question = msgspec.convert(asked, Question)
        except msgspec.ValidationError as error:
            raise Refused(400, str(error)) from None
        if by_data and (question.data is None or not self._hosted):
            raise Refused(422, "this index embeds no text, or the text is missing")
        if not by_data and question.vector is None and question.sparse_vector is None:
            raise Refused(422, "a query has a vector")
        return question

    def _ranked(self, namespace: str, question: Question, depth: int) -> Ranked:
        vector = None if question.vector is None else self._dense(question.vector)
        sparse = None if question.sparse_vector is None else _sparse(question.sparse_vector)
        if question.data is not None:
            if self.kind.dimension and question.query_mode != "SPARSE":
                vector = hosted_models.dense(question.data, self.kind.dimension)
            if self.kind.sparse and question.query_mode != "DENSE":
                sparse = hosted_models.sparse(question.data)
        space = self.spaces.get(namespace, {})
        test = _filter(question.filter)
        seen = {
            id_: held for id_, held in space.items() if held.settled and test(held.metadata or {})
        }
        lists = []
        if vector is not None:
            lists.append(_nearest(seen, vector)[:depth])
        if sparse is not None:
            weights = _weights(space.values(), sparse) if question.weighting_strategy else {}
            lists.append(_matching(seen, sparse, weights)[:depth])
        return fuse(lists, question.fusion_algorithm)

    def _shown(self, namespace: str, id_: str, score: float, question: Question) -> Answered:
        asked: Answered = {
            "includeVectors": question.include_vectors,
            "includeMetadata": question.include_metadata,
            "includeData": question.include_data,
        }
        return {**_fetched(id_, self.spaces[namespace][id_], asked), "score": score}


def _nearest(seen: dict[str, Held], vector: Sequence[float]) -> Ranked:
    return ordered(
        [
            (id_, cosine(vector, held.vector))
            for id_, held in seen.items()
            if held.vector is not None
        ]
    )


def _matching(seen: dict[str, Held], query: Sparse, weights: Sparse) -> Ranked:
    products = [
        (id_, inner_product(query, held.sparse, weights))
        for id_, held in seen.items()
        if held.sparse is not None
    ]
    return ordered([(id_, score) for id_, score in products if score is not None])


def _weights(held: Iterable[Held], query: Sparse) -> dict[int, float]:
    vectors = [one.sparse for one in held if one.sparse is not None]
    return {
        term: inverse_frequency(len(vectors), sum(term in one for one in vectors)) for term in query
    }


def _id(given: Answered) -> str:
    id_ = given.get("id")
    if not isinstance(id_, str | int) or id_ == "":
        raise Refused(400, "an id is text or a whole number")
    return str(id_)


def _text(asked: Answered, name: str) -> str:
    value = asked.get(name, "")
    if not isinstance(value, str):
        raise Refused(400, f"{name} is text")
    return value


def _filter(text: str) -> Test:
    try:
        return parse_filter(text)
    except BadFilter as error:
        raise Refused(400, f"the filter cannot be read: {error}") from None


def _sparse(given: object) -> dict[int, float]:
    match given:
        case {"indices": list() as indices, "values": list() as values}:
            if len(indices) == len(values) <= MAX_VECTORS:
                return {int(one): float(value) for one, value in zip(indices, values, strict=True)}
    raise Refused(422, "a sparse vector has as many indices as values, up to 1,000")


def _patched(old: Metadata, patch: Metadata) -> Metadata:
    """RFC 7396."""
    new = dict(old)
    for name, value in patch.items():
        before = new.get(name)
        if value is None:
            new.pop(name, None)
        elif isinstance(value, dict):
            new[name] = _patched(before if isinstance(before, dict) else {}, value)
        else:
            new[name] = value
    return new


def _fetched(id_: str, held: Held, asked: Answered) -> Answered:
    shown: Answered = {"id": id_}
    if asked.get("includeVectors") and held.vector is not None:
        shown["vector"] = held.vector
    if asked.get("includeVectors") and held.sparse is not None:
        shown["sparseVector"] = {
            "indices": list(held.sparse),
            "values": list(held.sparse.values()),
        }
    if asked.get("includeMetadata") and held.metadata is not None:
        shown["metadata"] = held.metadata
    if asked.get("includeData") and held.data is not None:
        shown["data"] = held.data
    return shown
