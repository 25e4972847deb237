"""A project at a glance: its artifacts with kinds and versions, what is being written, what was done last."""

from itertools import groupby

import msgspec
from starlette.responses import Response

from adapters.postgres_views import TrailFilter
from app.web.page import Pages, Visit
from app.web.place import stand
from app.web.site import shown

pages = Pages()

LATEST_EVENTS = 8
ARTIFACTS = 200
"""On one page."""


class OverviewQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position to show; the page of artifacts that begins after a kind and a key."""

    at: int | None = None
    after_kind: str = ""
    after_key: str = ""


@pages.show("/p/{project}", query=OverviewQuery)
def show_project(visit: Visit[OverviewQuery]) -> Response:
    """Show the project as it stood at a position."""
    query = visit.query
    place = stand(visit, query.at)
    views = visit.ledger.views
    found = views.artifacts(
        visit.project, place.position, after=(query.after_kind, query.after_key), limit=ARTIFACTS
    )
    latest = views.trail(
        visit.project,
        place.position,
        which=TrailFilter(),
        limit=LATEST_EVENTS,
        newest_first=True,
    )
    drafts = [] if place.at is not None else visit.ledger.drafts.listed(visit.project)
    return shown(
        visit,
        "project.html",
        place=place,
        here="artifacts",
        groups=[(kind, list(each)) for kind, each in groupby(found, key=lambda one: one.kind)],
        following=found[-1] if len(found) == ARTIFACTS else None,
        latest=latest,
        drafts=drafts,
    )
