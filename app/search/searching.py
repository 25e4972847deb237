"""Answers questions: checked, asked of the backend that there is, and told as hits, with what to know of them."""

import msgspec

from app.search.asked import Asked, Backend, Outcome
from app.search.hits import hits
from app.search.local_backend import LocalBackend
from app.search.meter import Meter
from app.search.upkeep import Upkeep
from domain.errors import Invalid, Unavailable
from domain.search import MAX_PROJECTS, Answer, check_limit, check_query


class Searches:
    """Search in the projects of a ledger.

    Args:
        local: The index in Postgres.
        hosted: The one that is asked first where only one project is searched; None: there is none.
        falls_back: Whether Postgres answers while the hosted one is away; else nobody does.
        upkeep: Of the indexes.
        meter: Counts and times.
    """

    def __init__(
        self,
        local: LocalBackend,
        hosted: Backend | None,
        *,
        falls_back: bool,
        upkeep: Upkeep,
        meter: Meter,
    ) -> None:
        self._local = local
        self._hosted = hosted
        self._falls_back = falls_back
        self.upkeep = upkeep
        self.meter = meter

    def search(self, asked: Asked) -> Answer:
        """The sources that fit best.

        Raises:
            Invalid: `query-invalid`, `nul-character`, `semantic-unavailable`.
            NotFound: `project-not-found`.
            Unavailable: `search-unavailable`.
        """
        asked = msgspec.structs.replace(asked, text=check_query(asked.text))
        check_limit(asked.limit)
        if len(asked.projects) > MAX_PROJECTS:
            raise Invalid(
                "query-invalid", f"Up to {MAX_PROJECTS} projects are searched at once: name them."
            )
        backend, outcome, fell_back = self._ask(asked)
        degraded = fell_back or outcome.mode != asked.mode
        warnings = (*(("remote-unavailable",) if fell_back else ()), *outcome.warnings)
        if degraded:
            self.meter.degraded(warnings)
        [fresh] = outcome.fresh if len(outcome.fresh) == 1 else [None]
        return Answer(
            hits=hits(outcome.found, asked.text),
            backend=backend,
            mode=outcome.mode,
            degraded=degraded,
            warnings=warnings,
            indexed_position=0 if fresh is None else fresh.indexed_position,
            position=0 if fresh is None else fresh.position,
        )

    def missing(self) -> list[str]:
        """Why this ledger does not search by meaning, in words; nothing: it does."""
        return (self._hosted or self._local).missing()

    def degraded(self) -> list[str]:
        """Why this ledger finds less than it could, in words that name no project; nothing: it does not."""
        asked_first = self._hosted or self._local
        return [*asked_first.missing(), *asked_first.troubles(), *self.upkeep.troubles()]

    def _ask(self, asked: Asked) -> tuple[str, Outcome, bool]:
        """Who answered, what, and whether for somebody else."""
        fell_back = False
        if self._hosted is not None and len(asked.projects) == 1:
            try:
                return self._hosted.name, self._timed(self._hosted, asked), False
            except Unavailable as error:
                if error.code != "search-unavailable" or not self._falls_back:
                    raise
                fell_back = True
        return self._local.name, self._timed(self._local, asked), fell_back

    def _timed(self, backend: Backend, asked: Asked) -> Outcome:
        with self.meter.query(backend.name, asked.mode):
            return backend.ask(asked)
