"""A hosted index as it answers: one attempt, and what it finds is shown as far as Postgres knows it to be the newest."""

from collections.abc import Callable, Sequence

from adapters.search.local_search import GivenChunk, GivenChunks, LocalSearch
from adapters.search.remote_fault import RemoteFault
from adapters.search.search_state import SearchState
from adapters.search.upstash_index import KIND, UpstashIndex
from app.search.asked import Asked, Outcome
from app.search.breaker import Breaker
from app.search.hosted_index import away
from app.search.local_backend import freshness, names_of, no_word, terms_of
from domain.errors import Malformed, Unavailable
from domain.search import DEPTH, Warned

ONE_PART = frozenset({"dense-only", "sparse-only"})
OTHER_VECTORS = "the hosted index still has vectors of another model, and is filled anew"


class HostedBackend:
    """Answers from a hosted index.

    Args:
        state: How far it has come.
        hosted: The index.
        texts: Gives its chunks their texts, and leaves out what is not the newest.
        breaker: Opens when it fails again and again.
        shut_out: Whether it does not let us in to keep it up to date.
        failed: Is told the backend and the kind of a fault.
    """

    name = "upstash"

    def __init__(
        self,
        state: SearchState,
        hosted: UpstashIndex,
        texts: LocalSearch,
        *,
        breaker: Breaker,
        shut_out: Callable[[], bool],
        failed: Callable[[str, str], None],
    ) -> None:
        self._state = state
        self._hosted = hosted
        self._texts = texts
        self._breaker = breaker
        self._shut_out = shut_out
        self._failed = failed

    def ask(self, asked: Asked) -> Outcome:
        """Search one project."""
        warnings: list[Warned] = []
        [project] = asked.projects
        fresh = freshness(self._state, asked.projects, warnings)
        terms = terms_of(asked.text, warnings)
        if not terms and asked.mode == "lexical":
            raise no_word()
        if self._breaker.open:
            raise Unavailable("search-unavailable", "The hosted index is left alone for a while.")
        try:
            used = self._hosted.used_mode(asked.mode)
            if self._hosted.info() in ONE_PART:
                warnings.append("non-hybrid-index")
            if used != "lexical" and self._state.filled_otherwise(
                self._hosted.filled_by(), project
            ):
                raise Unavailable("search-unavailable", f"{OTHER_VECTORS}.")
            found = self._hosted.search(
                project, asked.text, terms, None, used, _plain(asked.kinds), DEPTH
            )
        except RemoteFault as fault:
            self._breaker.failed()
            self._failed(self.name, fault.kind)
            raise away(fault) from fault
        except Malformed as error:
            raise Unavailable("search-unavailable", error.detail) from error
        self._breaker.succeeded()
        shown = self._texts.current(
            GivenChunks(
                project=project,
                chunks=[
                    GivenChunk(one.source, one.version, one.ordinal, one.score) for one in found
                ],
                names=names_of(asked.text) if used != "semantic" else [],
                kinds=asked.kinds,
                limit=asked.limit,
            )
        )
        return Outcome(shown, used, tuple(warnings), fresh)

    def missing(self) -> list[str]:
        """Why it does not search by meaning; nothing: it does, as far as is known."""
        if self._hosted.looked_at != "sparse-only":
            return []
        return ["the hosted index has no dense part"]

    def troubles(self) -> list[str]:
        """Why else it does not answer whole at present, as far as is known."""
        told = []
        if self._breaker.failing:
            told.append("the hosted index fails again and again")
        if self._shut_out():
            told.append(
                "the hosted index does not let us in: set UPSTASH_VECTOR_REST_TOKEN, and start the service again"
            )
        if self._hosted.looked_at is not None:
            if self._hosted.looked_at == "dense-only":
                told.append("the hosted index has no sparse part")
            if self._state.filled_otherwise(self._hosted.filled_by()):
                told.append(OTHER_VECTORS)
        return told


def _plain(kinds: Sequence[str]) -> Sequence[str]:
    """Kinds that the index can be asked to keep to; with others, what it finds is looked through here."""
    return kinds if all(KIND.fullmatch(one) for one in kinds) else ()
