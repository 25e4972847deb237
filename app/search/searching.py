"""Answers questions: checked, asked of the index that there is, and told as hits, with what the reader should know."""

from collections.abc import Callable, Sequence

import msgspec

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.local_index import LocalIndex, name_term
from adapters.search.local_search import Found, LocalSearch, Question
from adapters.search.search_state import Failed, Freshness, IndexState, SearchState
from adapters.search.vector_tables import Vectors
from app.search.reconcile import Reconciled, compare
from domain.errors import Invalid, NotFound
from domain.names import parse_stream
from domain.search import (
    MAX_ALSO,
    MAX_PROJECTS,
    MAX_TERMS,
    Answer,
    Hit,
    Mode,
    Passage,
    Warned,
    check_limit,
    check_query,
)
from projections.search.snippet import snippet
from projections.search.terms import identifiers, query_terms

BACKEND = "postgres"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody searches for.

    Attributes:
        projects: In which they search; they may read all of them.
        kinds: Of passages; none: all.
        limit: Hits at most.
    """

    projects: tuple[str, ...]
    text: str
    mode: Mode = "hybrid"
    kinds: tuple[str, ...] = ()
    limit: int = 10


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """What searching by meaning needs: a model, and a database that keeps vectors.

    Attributes:
        embedder: Gives the model, opened when it is first used.
        vectors: Looks whether this database keeps vectors.
    """

    embedder: Callable[[], Embedder | EmbedderMissing]
    vectors: Callable[[], Vectors]


class Searches:
    """Search in the projects of a ledger."""

    def __init__(
        self, state: SearchState, held: LocalIndex, index: LocalSearch, meaning: Meaning
    ) -> None:
        self.state = state
        self._held = held
        self._index = index
        self._meaning = meaning

    def search(self, asked: Asked) -> Answer:
        """The sources that fit best.

        Raises:
            Invalid: `query-invalid`, `nul-character`, `semantic-unavailable`.
            NotFound: `project-not-found`.
        """
        text = check_query(asked.text)
        check_limit(asked.limit)
        if len(asked.projects) > MAX_PROJECTS:
            raise Invalid(
                "query-invalid", f"Up to {MAX_PROJECTS} projects are searched at once: name them."
            )
        warnings: list[Warned] = []
        fresh = self._fresh(asked.projects, warnings)
        embedder = None
        if asked.mode != "lexical":
            embedder = self._embedder(asked.mode, warnings)
            if embedder is not None and not all(one.embedded for one in fresh):
                warnings.append("embeddings-pending")
        terms = query_terms(text) if asked.mode != "semantic" else []
        if len(terms) > MAX_TERMS:
            terms = terms[:MAX_TERMS]
            warnings.append("truncated")
        if not terms and embedder is None:
            raise Invalid(
                "query-invalid",
                "The query has no word to search for: “the” or “and” alone find nothing.",
                pointer="/q",
            )
        vector = None if embedder is None else embedder.embed([text])[0]
        found = self._index.find(
            Question(
                projects=asked.projects,
                terms=terms,
                names=_names(text) if terms else [],
                vector=vector,
                model="" if embedder is None else embedder.model,
                kinds=asked.kinds,
            )
        )
        used: Mode = asked.mode if embedder is not None else "lexical"
        return Answer(
            hits=_hits(found, text, asked.limit),
            backend=BACKEND,
            mode=used,
            degraded=used != asked.mode,
            warnings=tuple(warnings),
            indexed_position=fresh[0].indexed_position if len(fresh) == 1 else 0,
            position=fresh[0].position if len(fresh) == 1 else 0,
        )

    def missing(self) -> list[str]:
        """Why this ledger does not search by meaning; nothing: it does."""
        reasons = []
        vectors = self._meaning.vectors()
        if not vectors.there:
            reasons.append(vectors.reason)
        embedder = self._meaning.embedder()
        if isinstance(embedder, EmbedderMissing):
            reasons.append(embedder.reason)
        return reasons

    def standing(self, project: str | None = None) -> list[IndexState]:
        """How the index stands, for each backend."""
        return self.state.standing(project)

    def failures(self, project: str | None = None) -> list[Failed]:
        """What could not be indexed."""
        return self.state.failures(project)

    def reindex(self, project: str) -> int:
        """Have everything of a project indexed anew; answers how many sources."""
        return self.state.reindex(project)

    def retry(self, project: str) -> int:
        """Have what failed tried again; answers how many sources."""
        return self.state.retry(project)

    def reconcile(self, project: str) -> Reconciled:
        """Compare what the index holds with what it should, and have the difference mended."""
        found = compare(self.state.wanted(project), self._held.inventory(project))
        self.state.want_again(project, [*found.missing, *found.stale])
        self._held.drop(project, found.unknown)
        return found.counted

    def _fresh(self, projects: Sequence[str], warnings: list[Warned]) -> list[Freshness]:
        fresh = self.state.freshness(projects)
        if len(projects) == 1 and not fresh:
            raise NotFound("project-not-found", f"There is no project {projects[0][:40]!r}.")
        if any(one.indexed_position < one.position for one in fresh):
            warnings.append("index-behind")
        return fresh

    def _embedder(self, mode: Mode, warnings: list[Warned]) -> Embedder | None:
        vectors = self._meaning.vectors()
        embedder = self._meaning.embedder()
        missing = isinstance(embedder, EmbedderMissing)
        if mode == "semantic" and (missing or not vectors.there):
            reason = embedder.reason if isinstance(embedder, EmbedderMissing) else vectors.reason
            raise Invalid(
                "semantic-unavailable",
                f"This ledger cannot search by meaning: {reason}. Search with mode=lexical.",
                pointer="/mode",
            )
        if not vectors.there:
            warnings.append("pgvector-missing")
        if isinstance(embedder, EmbedderMissing):
            warnings.append("embedder-missing")
            return None
        return embedder if vectors.there else None


def _names(text: str) -> list[int]:
    return [name_term(one) for one in identifiers(text) or ()]


def _hits(found: Sequence[Found], text: str, limit: int) -> tuple[Hit, ...]:
    """The sources of chunks, each by its best chunk, with the next ones of it below."""
    sources: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        sources.setdefault((one.project, one.source), []).append(one)
    return tuple(
        _hit(rank, chunks, text)
        for rank, chunks in enumerate(list(sources.values())[:limit], start=1)
    )


def _hit(rank: int, chunks: Sequence[Found], text: str) -> Hit:
    best = chunks[0]
    stream = parse_stream(best.source)
    return Hit(
        rank=rank,
        project=best.project,
        stream=best.source,
        kind=best.kind,
        key=getattr(stream, "key", None) or getattr(stream, "run_id", ""),
        version=best.version,
        position=best.position,
        title=best.heading[0],
        passage=_passage(best, text),
        also=tuple(_passage(one, text) for one in chunks[1 : 1 + MAX_ALSO]),
    )


def _passage(chunk: Found, text: str) -> Passage:
    shown = snippet(chunk.body, text)
    return Passage(
        heading=tuple(chunk.heading[1:]),
        snippet=shown.text,
        marks=shown.marks,
        first=chunk.first,
        stop=chunk.stop,
    )
