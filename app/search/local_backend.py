"""The index in Postgres as it answers: by words, and by meaning where it has a model and keeps vectors."""

from collections.abc import Callable, Sequence
from itertools import islice

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.local_index import name_term
from adapters.search.local_search import LocalSearch, Question
from adapters.search.search_state import Freshness, SearchState
from adapters.search.vector_tables import Vectors
from app.search.asked import Asked, Outcome
from domain.errors import Invalid, NotFound, Unavailable
from domain.search import MAX_TERMS, Mode, Warned
from projections.search.terms import identifiers, query_counts


class LocalBackend:
    """Answers from Postgres.

    Args:
        state: How far the index has come.
        index: What is asked.
        embedder: Gives the model, opened when it is first used.
        vectors: Looks whether this database keeps vectors.
    """

    name = "postgres"

    def __init__(
        self,
        state: SearchState,
        index: LocalSearch,
        embedder: Callable[[], Embedder | EmbedderMissing],
        vectors: Callable[[], Vectors],
    ) -> None:
        self._state = state
        self._index = index
        self._embedder = embedder
        self._vectors = vectors

    def ask(self, asked: Asked) -> Outcome:
        """Search; by words alone where meaning was not asked for by itself and cannot be had."""
        warnings: list[Warned] = []
        fresh = freshness(self._state, asked.projects, warnings)
        model, vector = "", None
        if asked.mode != "lexical":
            model, vector = self._vector(asked.text, asked.mode, warnings)
            if vector is not None and not all(one.embedded for one in fresh):
                warnings.append("embeddings-pending")
        terms = terms_of(asked.text, warnings) if asked.mode != "semantic" else {}
        if not terms and vector is None:
            raise no_word()
        found = self._index.find(
            Question(
                projects=asked.projects,
                terms=terms,
                names=names_of(asked.text) if terms else [],
                vector=vector,
                model=model,
                kinds=asked.kinds,
                limit=asked.limit,
            )
        )
        used: Mode = asked.mode if vector is not None else "lexical"
        return Outcome(found, used, tuple(warnings), fresh)

    def missing(self) -> list[str]:
        """Why this does not search by meaning; nothing: it does."""
        reasons = []
        vectors, embedder = self._vectors(), self._embedder()
        if not vectors.there:
            reasons.append(vectors.reason)
        if isinstance(embedder, EmbedderMissing):
            reasons.append(embedder.reason)
        return reasons

    def troubles(self) -> list[str]:
        """None besides: it is where the log is."""
        return []

    def _vector(
        self, text: str, mode: Mode, warnings: list[Warned]
    ) -> tuple[str, Sequence[float] | None]:
        vectors, embedder = self._vectors(), self._embedder()
        reason = vectors.reason
        if isinstance(embedder, EmbedderMissing):
            reason = embedder.reason
        elif vectors.there:
            try:
                return embedder.model, embedder.embed([text])[0]
            except Unavailable as error:  # the model broke after it was opened
                reason = error.detail.removesuffix(".")
        if mode == "semantic":
            raise Invalid(
                "semantic-unavailable",
                f"This ledger cannot search by meaning: {reason}. Search with mode=lexical.",
                pointer="/mode",
            )
        warnings.append("embedder-missing" if vectors.there else "pgvector-missing")
        return "", None


def freshness(
    state: SearchState, projects: Sequence[str], warnings: list[Warned]
) -> list[Freshness]:
    """How far an index has come; warns when it is behind.

    Raises:
        NotFound: `project-not-found`.
    """
    fresh = state.freshness(projects)
    if len(projects) == 1 and not fresh:
        raise NotFound("project-not-found", f"There is no project {projects[0][:40]!r}.")
    if any(one.indexed_position < one.position for one in fresh):
        warnings.append("index-behind")
    return fresh


def terms_of(text: str, warnings: list[Warned]) -> dict[int, int]:
    """The terms of a query, each with how often it stands there; warns when it has more than are looked for."""
    terms = query_counts(text)
    if len(terms) > MAX_TERMS:
        warnings.append("truncated")
    return dict(islice(terms.items(), MAX_TERMS))


def names_of(text: str) -> list[int]:
    """The terms of the names that a query consists of; none, unless it consists of names alone."""
    return [name_term(one) for one in identifiers(text) or ()]


def no_word() -> Invalid:
    """The problem with a query of stop words."""
    return Invalid(
        "query-invalid",
        "The query has no word to search for: “the” or “and” alone find nothing.",
        pointer="/q",
    )
