"""The first page: the projects that the reader may see."""

import msgspec
from starlette.responses import Response

from adapters.postgres_views import MAX_PAGE
from app.web.page import Pages, Visit
from app.web.site import shown

pages = Pages()


class After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The page of a list that begins after a name."""

    after: str = ""


@pages.show("/", query=After)
def list_projects(visit: Visit[After]) -> Response:
    """Show the projects, each with its size and its newest event."""
    ledger = visit.ledger
    found = ledger.views.projects(
        allowed=visit.reader.projects, after=visit.query.after, limit=MAX_PAGE
    )
    following = found[-1].slug if len(found) == MAX_PAGE else None
    return shown(visit, "projects.html", projects=found, next=following)
