"""Searching in the browser: in a project, and in all that the reader may see."""

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from app.http.problems import status_of
from app.search.asked import Asked
from app.web.page import Pages, Visit
from app.web.place import stand
from app.web.site import shown
from app.web.stream_path import stream_path
from domain.errors import Invalid, Unavailable
from domain.search import MAX_HITS, MAX_PROJECTS, Answer, Hit, Mode, Passage
from projections.search.marked import Piece, pieces

pages = Pages()

HITS = 20
"""Shown at first; on request `MAX_HITS`."""
MODES: dict[Mode, str] = {
    "hybrid": "words and meaning",
    "lexical": "words alone",
    "semantic": "meaning alone",
}
KINDS = (
    "CITATION",
    "RUN",
    "IMPLEMENTATION_PLAN",
    "PATCHSET",
    "VERIFICATION_REPORT",
    "TRANSCRIPT",
    "APPROVAL",
    "DEPLOYMENT_PROVENANCE",
)
"""That are suggested beside those of a project's artifacts."""
EXAMPLES = ("retry a failed upload", "FR-014", "who may approve a deployment")
WARNINGS = {
    "pgvector-missing": "This ledger's Postgres has no pgvector, so it was searched by words alone.",
    "embedder-missing": "This ledger has no model for meanings, so it was searched by words alone.",
    "embeddings-pending": "Some texts are found by their words alone, until they have vectors.",
    "remote-unavailable": "The hosted index is away; the one in Postgres answered.",
    "non-hybrid-index": "The hosted index is not a hybrid one.",
    "index-behind": "What was recorded last may be missing: the index is catching up.",
    "truncated": "Only the first words of the query were used.",
}


class SearchQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is searched for; without `q`, nothing yet."""

    q: str = ""
    mode: Mode = "hybrid"
    kind: str = ""
    limit: int = HITS


class ProjectSearchQuery(SearchQuery, frozen=True, forbid_unknown_fields=True):
    """The same in a project; its past is read, not searched."""

    at: int | None = None


class ShownPassage(msgspec.Struct, frozen=True):
    """A passage with what fits in it; `path` leads to the passage itself where a browser can go there."""

    heading: tuple[str, ...]
    pieces: tuple[Piece, ...]
    path: str


class ShownHit(msgspec.Struct, frozen=True):
    """A source that was found, its page, and its passages: the best one, and others if words of theirs fit."""

    hit: Hit
    path: str
    passages: tuple[ShownPassage, ...]


@pages.show("/p/{project}/search", query=ProjectSearchQuery)
def search_project(visit: Visit[ProjectSearchQuery]) -> Response:
    """Search in the newest artifacts and runs of a project."""
    place = stand(visit, visit.query.at)
    past = place.position < place.size
    refusal = (
        Invalid(
            "search-past-position",
            "The past is read, not searched: the index holds the newest versions alone.",
        )
        if past and visit.query.q
        else None
    )
    return _shown(visit, "search_project.html", (visit.project,), refusal, place=place, past=past)


@pages.show("/search", query=SearchQuery)
def search_all(visit: Visit[SearchQuery]) -> Response:
    """Search in all projects that the reader may see."""
    found = visit.ledger.views.projects(allowed=visit.reader.projects, limit=MAX_PROJECTS)
    return _shown(visit, "search.html", tuple(one.slug for one in found), None)


def _shown(
    visit: Visit[SearchQuery] | Visit[ProjectSearchQuery],
    template: str,
    projects: tuple[str, ...],
    problem: Invalid | Unavailable | None,
    **values: object,
) -> Response:
    """The form, and below it what was found, or why nothing could be: never an empty list instead."""
    query = visit.query
    kind = query.kind.strip().upper()
    answer: Answer | None = None
    if query.q and problem is None and projects:
        try:
            answer = visit.ledger.search.search(
                Asked(
                    projects=projects,
                    text=query.q,
                    mode=query.mode,
                    kinds=(kind,) if kind else (),
                    limit=query.limit,
                )
            )
        except (Invalid, Unavailable) as error:
            problem = error
    return shown(
        visit,
        template,
        status=200 if problem is None else status_of(problem),
        here="search",
        asked=query,
        kind=kind,
        modes=MODES,
        kinds=KINDS,
        examples=EXAMPLES,
        projects=projects,
        answer=answer,
        hits=[] if answer is None else [_hit(one) for one in answer.hits],
        more=MAX_HITS
        if answer is not None and len(answer.hits) == query.limit < MAX_HITS
        else None,
        warnings=[] if answer is None else [WARNINGS[one] for one in answer.warnings],
        problem=problem,
        **values,
    )


def _hit(hit: Hit) -> ShownHit:
    path = f"/p/{hit.project}{stream_path(hit.stream, hit.version) or ''}"
    further = [one for one in hit.also if one.marks]
    return ShownHit(hit, path, tuple(_passage(one, path) for one in (hit.passage, *further)))


def _passage(passage: Passage, path: str) -> ShownPassage:
    """With a text fragment (WICG, Scroll To Text Fragment): a browser that knows none opens the page."""
    heading = passage.heading
    # A hyphen is part of its syntax, hence escaped as well.
    aim = f"#:~:text={quote(heading[-1], safe='').replace('-', '%2D')}" if heading else ""
    return ShownPassage(heading, pieces(passage.snippet, passage.marks), path + aim)
