"""What an Upstash index is, and so how it is written and asked.

Wanted is a HYBRID index: either the service embeds for both of its parts, or for neither and a model of ours
fits its dense one. Others find less, and are taken only where an operator says so.
"""

from typing import Literal, Protocol

import msgspec

from adapters.search.embedder import Embedder, EmbedderMissing
from domain.errors import Invalid, Malformed
from domain.search import Mode

SubMode = Literal["hosted", "client-vector", "dense-only", "sparse-only"]

HOW_TO_PROVISION = (
    "In the Upstash console make an index of type Hybrid, with a dense embedding model and the sparse model "
    "BM25; or, to embed with this ledger's own model, with Custom for both, dimension 384 and metric COSINE"
)


class DensePart(Protocol):
    """The dense part of an index, as the service describes it."""

    dimension: int
    similarity_function: str
    embedding_model: str


class SparsePart(Protocol):
    """Its sparse part."""

    embedding_model: str


class IndexInfo(Protocol):
    """What the service says of an index, as far as it matters here."""

    @property
    def dense_index(self) -> DensePart | None:
        """None: it has no dense part."""

    @property
    def sparse_index(self) -> SparsePart | None:
        """None: it has no sparse part."""


class IndexKind(msgspec.Struct, frozen=True):
    """How an index is used.

    Attributes:
        embeds: The service makes vectors of texts; else we send them.
    """

    sub_mode: SubMode
    embeds: bool

    @property
    def needs_vector(self) -> bool:
        """Whether dense vectors come from our model."""
        return not self.embeds and self.sub_mode != "sparse-only"

    @property
    def needs_weights(self) -> bool:
        """Whether sparse vectors come from our terms."""
        return not self.embeds and self.sub_mode != "dense-only"

    def used_mode(self, mode: Mode) -> Mode:
        """The mode in which a question is answered: of hybrid ones, what there is.

        Raises:
            Invalid: `validation-failed`: it was asked for by itself, and there is none of it.
        """
        if self.sub_mode not in {"dense-only", "sparse-only"}:
            return mode
        there: Mode = "semantic" if self.sub_mode == "dense-only" else "lexical"
        if mode not in {"hybrid", there}:
            raise Invalid(
                "validation-failed",
                f"This ledger's index is {self.sub_mode} and has no {mode} search: ask for {there}.",
                pointer="/mode",
            )
        return there


def index_kind(
    info: IndexInfo, embedder: Embedder | EmbedderMissing, *, allow_non_hybrid: bool
) -> IndexKind:
    """How to use an index.

    Raises:
        Malformed: `invalid-parameter`: not at all; says why, and what to provision.
    """
    dense, sparse = info.dense_index, info.sparse_index
    if dense is not None and sparse is not None:
        if dense.embedding_model and sparse.embedding_model:
            return IndexKind("hosted", embeds=True)
        if dense.embedding_model or sparse.embedding_model:
            raise _refused("only one of its two parts has an embedding model")
        _check_fit(dense, embedder)
        return IndexKind("client-vector", embeds=False)
    if not allow_non_hybrid:
        what = "has no sparse part" if sparse is None else "has no dense part"
        raise _refused(f"it {what}. DEEDBOOK_SEARCH_ALLOW_NON_HYBRID=1 takes it as it is, degraded")
    if dense is not None:
        if not dense.embedding_model:
            _check_fit(dense, embedder)
        return IndexKind("dense-only", embeds=bool(dense.embedding_model))
    if sparse is not None:
        return IndexKind("sparse-only", embeds=bool(sparse.embedding_model))
    raise _refused("it has neither a dense nor a sparse part")


def _check_fit(dense: DensePart, embedder: Embedder | EmbedderMissing) -> None:
    if isinstance(embedder, EmbedderMissing):
        raise _refused(f"it embeds nothing itself, and neither does this ledger: {embedder.reason}")
    if dense.dimension != embedder.dimension:
        raise _refused(
            f"its dimension is {dense.dimension}, and that of {embedder.model} {embedder.dimension}"
        )
    if dense.similarity_function != "COSINE":
        raise _refused(f"its metric is {dense.similarity_function[:40]}, and not COSINE")


def _refused(reason: str) -> Malformed:
    return Malformed(
        "invalid-parameter",
        f"The index that UPSTASH_VECTOR_REST_URL names cannot be used: {reason}. {HOW_TO_PROVISION}.",
    )
