"""A hosted index as it answers: one attempt, and what it finds is shown as far as Postgres knows it to be the newest."""

from collections.abc import Callable

from adapters.search.embedder import Embedder, EmbedderMissing
from adapters.search.local_search import GivenChunk, GivenChunks, LocalSearch
from adapters.search.remote_fault import RemoteFault
from adapters.search.search_state import SearchState
from adapters.search.upstash_index import HostedQuery, UpstashIndex
from app.search.asked import Asked, Outcome
from app.search.breaker import Breaker
from app.search.hosted_index import away
from app.search.local_backend import freshness, names_of, no_word, terms_of
from domain.errors import Invalid, Malformed, Unavailable
from domain.search import DEPTH, Mode, Warned


class HostedBackend:
    """Answers from a hosted index.

    Args:
        state: How far it has come.
        hosted: The index.
        texts: Gives its chunks their texts, and leaves out what is not the newest.
        embedder: Our model, for an index that embeds nothing itself.
        breaker: Opens when it fails again and again.
        failed: Is told the backend and the kind of a fault.
    """

    name = "upstash"

    def __init__(
        self,
        state: SearchState,
        hosted: UpstashIndex,
        texts: LocalSearch,
        *,
        embedder: Callable[[], Embedder | EmbedderMissing],
        breaker: Breaker,
        failed: Callable[[str, str], None],
    ) -> None:
        self._state = state
        self._hosted = hosted
        self._texts = texts
        self._embedder = embedder
        self._breaker = breaker
        self._failed = failed

    def ask(self, asked: Asked) -> Outcome:
        """Search one project."""
        warnings: list[Warned] = []
        [project] = asked.projects
        fresh = freshness(self._state, asked.projects, warnings)
        terms = terms_of(asked.text, warnings)
        if not terms and asked.mode == "lexical":
            raise no_word()
        names = names_of(asked.text) if asked.mode != "semantic" else []
        try:
            if self._breaker.open:
                raise Unavailable(
                    "search-unavailable", "The hosted index is left alone for a while."
                )
            query, used = self._query(asked, project, terms, warnings)
            scored = self._hosted.search(query)
        except RemoteFault as fault:
            self._breaker.failed()
            self._failed(self.name, fault.kind)
            raise away(fault) from fault
        except Malformed as error:
            raise Unavailable("search-unavailable", error.detail) from error
        self._breaker.succeeded()
        found = self._texts.current(
            GivenChunks(
                project=project,
                chunks=[
                    GivenChunk(one.id.source, one.id.version, one.id.ordinal, one.score)
                    for one in scored
                ],
                names=names,
                kinds=asked.kinds,
                limit=asked.limit,
            )
        )
        return Outcome(found, used, tuple(warnings), fresh)

    def _query(
        self, asked: Asked, project: str, terms: dict[int, int], warnings: list[Warned]
    ) -> tuple[HostedQuery, Mode]:
        shape = self._hosted.shape()
        used = asked.mode
        lacks = {"dense-only": "lexical", "sparse-only": "semantic"}.get(shape.shape)
        if lacks is not None:
            warnings.append("non-hybrid-index")
            if asked.mode == lacks:
                raise Invalid(
                    "semantic-unavailable" if lacks == "semantic" else "query-invalid",
                    f"The hosted index is {shape.shape}: it cannot be searched with mode={lacks}.",
                    pointer="/mode",
                )
            used = "semantic" if lacks == "lexical" else "lexical"
        vector = None
        if not shape.embeds and used != "lexical":
            embedder = self._embedder()
            if isinstance(embedder, EmbedderMissing):
                raise RemoteFault("unavailable", embedder.reason)
            vector = embedder.embed([asked.text])[0]
        return (
            HostedQuery(
                project=project,
                text=asked.text,
                terms=terms if used != "semantic" else {},
                vector=vector,
                mode=used,
                kinds=asked.kinds,
                limit=DEPTH,
            ),
            used,
        )
