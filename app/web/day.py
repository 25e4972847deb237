"""Going to a day: the page where the reader is, as it stood at that day's end."""

from datetime import UTC, date, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import msgspec
from starlette.responses import Response

from app.web.page import Pages, Visit
from app.web.site import link, see
from domain.errors import Malformed

pages = Pages()


class DayQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A day in UTC, as 2026-11-03, and the path of the page to show, with its other parameters."""

    day: str = ""
    to: str = ""


@pages.show("/p/{project}/on", query=DayQuery)
def go_to_day(visit: Visit[DayQuery]) -> Response:
    """Lead to a page at the newest position of a day; before the first event, to the first.

    On a day of the newest event that is now, which goes on with what is recorded next.
    """
    ledger, project = visit.ledger, visit.project
    end = _end_of(visit.query.day)
    size = ledger.position(project, None)
    position = max(ledger.events.position_before(project, end, size), 1)
    path, parameters = _page(visit.query.to, f"/p/{project}")
    return see(link(path, {**parameters, "at": position if position < size else None}))


def _end_of(text: str) -> datetime:
    """The first moment after a day.

    Raises:
        Malformed: `invalid-parameter`.
    """
    try:
        day = date.fromisoformat(text)
        return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Malformed("invalid-parameter", "A day is written like 2026-11-03.") from None


def _page(to: str, project_path: str) -> tuple[str, dict[str, str]]:
    """A page of this project and its parameters; the project's first one where it is none."""
    try:
        parts = urlsplit(to)
    except ValueError:  # such as an address with half a bracket
        return project_path, {}
    inside = parts.path == project_path or parts.path.startswith(f"{project_path}/")
    if parts.scheme or parts.netloc or not inside or not (to.isprintable() and to.isascii()):
        return project_path, {}
    return parts.path, dict(parse_qsl(parts.query))
