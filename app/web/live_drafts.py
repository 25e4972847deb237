"""A draft while it is being written: as far as it is, and then word by word, by a script."""

import codecs

import msgspec
from starlette.responses import Response

from app.drafts import find_draft
from app.http.live_view import renderer_for
from app.web.artifact_path import artifact_path
from app.web.page import Pages, Visit
from app.web.place import stand
from app.web.rendered import blocks_of, look_of
from app.web.site import see, shown
from domain.draft import KEPT_DAYS

pages = Pages()


class DraftQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Drafts have no position; `at` is taken so that every page of a project takes it."""

    at: int | None = None


@pages.show("/p/{project}/artifacts/{kind}/{key}/drafts/{draft}", query=DraftQuery)
def show_draft(visit: Visit[DraftQuery]) -> Response:
    """Show a draft; one that was committed is a version, and is shown there."""
    path = artifact_path(visit)
    draft = find_draft(visit.ledger, path.project, path.kind, path.key, visit.path["draft"])
    if draft.version is not None:
        return see(path.version(draft.version))
    place = stand(visit, None)
    # Between two pieces of text a character may be half there: it comes with the next one.
    text = codecs.getincrementaldecoder("utf-8")("strict").decode(
        visit.ledger.drafts.text(path.project, draft.id)
    )
    renderer = renderer_for(draft.media_type)
    renderer.append(text)
    discarded = draft.state == "discarded"
    return shown(
        visit,
        "draft.html",
        status=410 if discarded else 200,
        place=place,
        here="artifacts",
        time_path=path.page,
        path=path,
        draft=draft,
        discarded=discarded,
        kept_days=KEPT_DAYS,
        look=look_of(draft.media_type),
        blocks=blocks_of(renderer),
    )
