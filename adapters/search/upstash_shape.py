"""What kind of index an Upstash Vector index is, and so how it is written and asked (from its own `info`)."""

from typing import Literal

import msgspec
from upstash_vector.types import InfoResult

from domain.errors import Malformed

Shape = Literal["hosted", "client-vector", "dense-only", "sparse-only"]
COSINE = "COSINE"
HOW = (
    "create a HYBRID index, either with embedding models of Upstash for both parts, or with dimension "
    "{dimension}, COSINE, and no models; or set DEEDBOOK_SEARCH_ALLOW_NON_HYBRID=1 to be content with one part"
)


class VectorIndexShape(msgspec.Struct, frozen=True):
    """How an index is used.

    Attributes:
        shape: `hosted`: it embeds texts itself; `client-vector`: it is sent vectors and terms; `dense-only` and
            `sparse-only`: it has one part alone.
        embeds: It embeds texts itself.
        model: Whose vectors it holds; empty: none.
    """

    shape: Shape
    embeds: bool
    model: str


def shape_of(
    info: InfoResult, *, model: str | None, dimension: int | None, allow_non_hybrid: bool
) -> VectorIndexShape:
    """How an index is used.

    Args:
        info: Its own.
        model: Of our embedder; None: there is none.
        dimension: Of its vectors.
        allow_non_hybrid: An index of one part will do.

    Raises:
        Malformed: `vector-index-unsuitable`: says what it is, and how to get one that fits.
    """
    dense, sparse = info.dense_index, info.sparse_index
    hosted = (dense.embedding_model if dense else "", sparse.embedding_model if sparse else "")
    fits = (
        dense is not None and dense.similarity_function == COSINE and dense.dimension == dimension
    )
    if dense is not None and sparse is not None:
        if all(hosted):
            return VectorIndexShape("hosted", embeds=True, model=hosted[0])
        if not any(hosted) and fits and model is not None:
            return VectorIndexShape("client-vector", embeds=False, model=model)
        raise _unsuitable(_why_not(info, model, dimension), dimension)
    if allow_non_hybrid and sparse is not None:
        return VectorIndexShape("sparse-only", embeds=bool(hosted[1]), model="")
    if allow_non_hybrid and dense is not None and (hosted[0] or (fits and model is not None)):
        return VectorIndexShape(
            "dense-only", embeds=bool(hosted[0]), model=hosted[0] or model or ""
        )
    if dense is None and sparse is None:
        raise _unsuitable("it has neither a dense nor a sparse part", dimension)
    if allow_non_hybrid:
        raise _unsuitable(_why_not(info, model, dimension), dimension)
    raise _unsuitable(f"it is a {'SPARSE' if dense is None else 'DENSE'} one", dimension)


def _why_not(info: InfoResult, model: str | None, dimension: int | None) -> str:
    dense, sparse = info.dense_index, info.sparse_index
    assert dense is not None
    if sparse is not None and bool(dense.embedding_model) != bool(sparse.embedding_model):
        return "one of its parts has an embedding model and the other has none"
    if model is None:
        return "it has no embedding models, and there is none here"
    if dense.dimension != dimension:
        return f"its dimension is {dense.dimension}, and that of the model here {dimension}"
    return f"it compares vectors by {dense.similarity_function}, and not by {COSINE}"


def _unsuitable(why: str, dimension: int | None) -> Malformed:
    return Malformed(
        "vector-index-unsuitable",
        f"The index at UPSTASH_VECTOR_REST_URL does not fit: {why}. To mend it, "
        f"{HOW.format(dimension=dimension or 384)}.",
    )
