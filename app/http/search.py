"""Search: in a project, in all that a token may read, and how the index stands."""

import msgspec
from starlette.responses import Response

from adapters.search.search_state import Failed, IndexState
from app.http.answers import answer
from app.http.call import Call, NoQuery
from app.http.endpoint import Endpoints
from app.search.asked import Asked
from app.search.reconcile import Reconciled
from domain.errors import Invalid, Malformed
from domain.search import MAX_PROJECTS, Answer, Mode

endpoints = Endpoints("search")

MAX_KINDS = 32
PROBLEMS = (
    "project-not-found",
    "position-in-the-future",
    "query-invalid",
    "nul-character",
    "semantic-unavailable",
    "search-past-position",
    "search-unavailable",
)


class SearchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched for.

    Attributes:
        kind: Kinds with commas between them; none: all.
        at: A position; only the newest can be searched.
    """

    q: str = ""
    mode: Mode = "hybrid"
    kind: str = ""
    limit: int = 10
    at: int | None = None


class LedgerQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched for in several projects: those named, with commas between them, or all."""

    q: str = ""
    mode: Mode = "hybrid"
    kind: str = ""
    project: str = ""
    limit: int = 10


class Standing(msgspec.Struct, frozen=True):
    """How the index of a project stands, for each backend.

    Attributes:
        semantic: Whether this ledger searches by meaning.
        reasons: Why not, or why else searches find less than they could; of the whole ledger.
    """

    backends: tuple[IndexState, ...]
    failures: tuple[Failed, ...]
    semantic: bool
    reasons: tuple[str, ...]


class Ordered(msgspec.Struct, frozen=True):
    """How many sources were put on the list of the index."""

    sources: int


@endpoints.add(
    "GET",
    "/v1/projects/{project}/search",
    scope="events:read",
    query=SearchQuery,
    answers={200: Answer},
    problems=PROBLEMS,
)
def search_project(call: Call[SearchQuery, None]) -> Response:
    """Search in a project's newest artifacts and runs.

    A hit is always the newest version: an index that lags can miss something new, and says up to which
    position it has come. Identifiers such as FR-014 or a commit, searched for alone, find the thing that
    is called so first.
    """
    given = call.query
    position = call.position(given.at)
    if position < call.position(None):
        raise Invalid(
            "search-past-position",
            "The index holds the newest versions alone: leave `at` away, or read artifacts `at` a position.",
            pointer="/at",
        )
    return _answered(call, (call.project,), given)


@endpoints.add(
    "GET",
    "/v1/search",
    scope="events:read",
    query=LedgerQuery,
    answers={200: Answer},
    problems=("project-forbidden", *PROBLEMS),
)
def search_ledger(call: Call[LedgerQuery, None]) -> Response:
    """Search in all projects that the token may read, or in those that are named."""
    return _answered(call, _projects(call), call.query)


@endpoints.add(
    "GET",
    "/v1/projects/{project}/search/status",
    scope="events:read",
    answers={200: Standing},
    problems=("project-not-found",),
)
def search_status(call: Call[NoQuery, None]) -> Response:
    """Show how far the index has come, and what it lacks."""
    call.position(None)
    search = call.ledger.search
    return answer(
        Standing(
            tuple(search.upkeep.standing(call.project)),
            tuple(search.upkeep.failures(call.project)),
            not search.missing(),
            tuple(search.degraded()),
        )
    )


@endpoints.add(
    "POST",
    "/v1/projects/{project}/search/reindex",
    scope="admin",
    answers={202: Ordered},
    problems=("project-not-found",),
)
def search_reindex(call: Call[NoQuery, None]) -> Response:
    """Have everything indexed anew; what is there can be found meanwhile."""
    call.position(None)
    return answer(Ordered(call.ledger.search.upkeep.reindex(call.project)), 202)


@endpoints.add(
    "POST",
    "/v1/projects/{project}/search/retry",
    scope="admin",
    answers={202: Ordered},
    problems=("project-not-found",),
)
def search_retry(call: Call[NoQuery, None]) -> Response:
    """Have tried again what could not be indexed."""
    call.position(None)
    return answer(Ordered(call.ledger.search.upkeep.retry(call.project)), 202)


@endpoints.add(
    "POST",
    "/v1/projects/{project}/search/reconcile",
    scope="admin",
    answers={200: Reconciled},
    problems=("project-not-found", "search-unavailable"),
)
def search_reconcile(call: Call[NoQuery, None]) -> Response:
    """Compare what the index holds with what it should, and have the difference mended."""
    call.position(None)
    search = call.ledger.search
    found = search.upkeep.reconcile(call.project)
    search.meter.reconciled(found)
    return answer(found)


def _answered(
    call: Call[SearchQuery, None] | Call[LedgerQuery, None],
    projects: tuple[str, ...],
    given: SearchQuery | LedgerQuery,
) -> Response:
    kinds = tuple(dict.fromkeys(one for one in given.kind.split(",") if one))
    if len(kinds) > MAX_KINDS:
        raise Malformed("invalid-parameter", f"Name up to {MAX_KINDS} kinds.")
    found = call.ledger.search.search(
        Asked(projects=projects, text=given.q, mode=given.mode, kinds=kinds, limit=given.limit)
    )
    return answer(found, headers={"Deedbook-Position": str(found.position)})


def _projects(call: Call[LedgerQuery, None]) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(one for one in call.query.project.split(",") if one))
    if named:
        for project in named[: MAX_PROJECTS + 1]:
            call.token.check_project(project)
        return named
    found = call.ledger.views.projects(allowed=call.token.projects, limit=MAX_PROJECTS + 1)
    return tuple(one.slug for one in found)
