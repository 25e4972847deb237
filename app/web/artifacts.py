"""One version of an artifact: its text, its sources, what is known of it, and the versions around it."""

from collections.abc import Sequence

import msgspec
from starlette.responses import Response

from adapters.postgres_views import ArtifactVersion
from app.http.problems import status_of
from app.ledger import Ledger
from app.web.artifact_path import ArtifactPath, artifact_path
from app.web.page import Pages, Visit
from app.web.place import Place, stand
from app.web.rendered import MAX_SHOWN_BYTES, Rendered, render
from app.web.site import link, shown
from domain.citation import Citation
from domain.digest import parse_digest
from domain.documents import key_of
from domain.draft import Draft
from domain.errors import DeedbookError, Gone, NotFound
from domain.events import ArtifactErased, ArtifactWritten, RecordErased, parse
from projections.document_links import neighbours, with_links

pages = Pages()

HISTORY = 40
"""Versions on one page."""


class ArtifactQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The version to show, the newest when left away; the page of versions that ends before a version."""

    at: int | None = None
    version: int | None = None
    before: int | None = None


class Erasure(msgspec.Struct, frozen=True):
    """How a content went: by whom, when and why."""

    position: int
    actor: str
    time: str
    reason: str


class Source(msgspec.Struct, frozen=True):
    """A citation as a card.

    Attributes:
        numbers: By which the text may name it.
        marks: The ids of the places that do.
    """

    citation: Citation
    numbers: Sequence[int]
    marks: Sequence[str]


@pages.show("/p/{project}/artifacts/{kind}/{key}", query=ArtifactQuery)
def show_artifact(visit: Visit[ArtifactQuery]) -> Response:
    """Show a version; what is being written instead, where there is none yet."""
    query, views = visit.query, visit.ledger.views
    path = artifact_path(visit)
    place = stand(visit, query.at)
    draft = open_draft_of(visit.ledger, path)
    try:
        latest = views.artifact(path.project, path.kind, path.key, place.position)
    except NotFound:
        not_yet = _not_yet(visit, path, place, draft)
        if not_yet is None:
            raise
        return not_yet
    version = latest
    if query.version is not None:
        version = views.version(path.project, path.kind, path.key, query.version, place.position)
    newest = latest
    if place.at is not None:
        newest = views.artifact(path.project, path.kind, path.key, place.size)
    cited = views.citations(path.project, path.kind, path.key, version.version)
    numbers = {str(number) for one in cited for number in (one.index, *one.also)}
    text, erased, problem = _content(visit.ledger, path.project, version, numbers)
    written = parse(visit.ledger.events.get(path.project, version.position).line).data
    assert isinstance(written, ArtifactWritten)
    text = _linked(visit.ledger, path, place, written, text)
    before = min(query.before or latest.version + 1, latest.version + 1)
    return shown(
        visit,
        "artifact.html",
        status=200 if problem is None else status_of(problem),
        place=place,
        here="artifacts",
        time_path=path.page,
        path=path,
        version=version,
        latest=latest,
        newest=newest,
        written=written,
        text=text,
        erased=erased,
        problem=problem,
        sources=_sources(cited, text),
        history=_history(visit.ledger, path, place, before),
        draft=draft if place.at is None else None,
    )


def open_draft_of(ledger: Ledger, path: ArtifactPath) -> Draft | None:
    """What is being written of an artifact now."""
    for one in ledger.drafts.listed(path.project, path.kind, path.key):
        if one.state in {"open", "committing"}:
            return one
    return None


def _not_yet(
    visit: Visit[ArtifactQuery], path: ArtifactPath, place: Place, draft: Draft | None
) -> Response | None:
    """An artifact without a version at this position: it has one later, or is being written. None: neither."""
    later = visit.ledger.views.versions(path.project, path.kind, path.key, place.size, limit=1)
    if not later and draft is None:
        return None
    return shown(
        visit,
        "artifact_not_yet.html",
        status=404,
        place=place,
        here="artifacts",
        time_path=path.page,
        path=path,
        first=later[0] if later else None,
        draft=draft,
    )


def _content(
    ledger: Ledger, project: str, version: ArtifactVersion, numbers: set[str]
) -> tuple[Rendered, Erasure | None, DeedbookError | None]:
    """The text; or how it was erased, whenever that was; or why it cannot be had now."""
    nothing = Rendered("binary")
    if version.erased_position is not None:
        return nothing, _erasure(ledger, project, version.erased_position), None
    sha256 = parse_digest(version.digest)
    try:
        if version.size_bytes > MAX_SHOWN_BYTES:
            ledger.blobs.size(project, sha256)  # it may be erased, or missing
            return Rendered("too-large"), None, None
        content = ledger.blobs.read(project, sha256)
    except Gone as problem:
        return nothing, _erasure(ledger, project, int(problem.members["position"])), None
    except DeedbookError as problem:
        return nothing, None, problem
    return render(version.media_type, content, numbers), None, None


def _linked(
    ledger: Ledger, path: ArtifactPath, place: Place, written: ArtifactWritten, text: Rendered
) -> Rendered:
    """The text with its links leading to pages: relative ones name documents of the same repository."""
    if text.look != "prose":
        return text
    source = written.source.path if written.source is not None else None
    keys = {there: key_of(there) for there in neighbours(text.blocks, source)}
    kinds = ledger.views.kinds(path.project, keys.values(), place.position) if keys else {}

    def page_of(there: str) -> str | None:
        kind = kinds.get(keys.get(there, ""))
        if kind is None:
            return None
        return link(ArtifactPath(path.project, kind, keys[there]).page, {"at": place.at})

    ids = {one.id for one in text.headings}
    blocks = with_links(text.blocks, source, ids, page_of)
    return msgspec.structs.replace(text, blocks=blocks)


def _erasure(ledger: Ledger, project: str, position: int) -> Erasure:
    event = parse(ledger.events.get(project, position).line)
    assert isinstance(event.data, ArtifactErased | RecordErased)
    return Erasure(position, event.actor, event.time, event.data.reason)


def _sources(cited: Sequence[Citation], text: Rendered) -> list[Source]:
    return [
        Source(
            one,
            (one.index, *one.also),
            [mark for number in (one.index, *one.also) for mark in text.marks.get(str(number), ())],
        )
        for one in cited
    ]


def _history(
    ledger: Ledger, path: ArtifactPath, place: Place, before: int
) -> list[ArtifactVersion]:
    """The versions before one, the newest first."""
    first = max(before - HISTORY, 1)
    found = ledger.views.versions(
        path.project,
        path.kind,
        path.key,
        place.position,
        after=first - 1,
        limit=max(before - first, 0),
    )
    return found[::-1]
