"""The audit trail of a project as a timeline: the newest event first, by day, as far as the reader goes back."""

from datetime import date
from itertools import groupby
from operator import attrgetter

import msgspec
from starlette.responses import Response

from adapters.postgres_views import TrailFilter
from app.web.page import Pages, Visit
from app.web.place import Place, stand
from app.web.site import shown
from app.web.stream_path import stream_path
from domain.errors import Malformed
from domain.events import EVENT_TYPES, ArtifactErased, Recorded, RecordErased, parse
from projections.timeline import Tone, tone_of
from projections.trail import parted

pages = Pages()

EVENTS = 50
"""On one page."""


class TrailQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are shown: of a stream, a type, an actor, before or after a position; all when left away."""

    at: int | None = None
    stream: str = ""
    type: str = ""
    actor: str = ""
    before: int | None = None
    after: int | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """The filters, which stay while the reader moves."""
        return {"stream": self.stream, "type": self.type, "actor": self.actor}


class ShownEvent(msgspec.Struct, frozen=True):
    """An event in the timeline.

    Attributes:
        day: As 2026-11-03, in UTC.
        thing: What it is about, in words; may be empty.
        thing_path: The page of that, below the project's; None: it has none of its own.
        said: What is said of it.
    """

    position: int
    day: str
    time: str
    actor: str
    type: str
    thing: str
    thing_path: str | None
    said: str
    tone: Tone


@pages.show("/p/{project}/trail", query=TrailQuery)
def show_trail(visit: Visit[TrailQuery]) -> Response:
    """Show a page of the trail, as it stood at a position."""
    query = visit.query
    if query.type and query.type not in EVENT_TYPES:
        raise Malformed("invalid-parameter", f"No event is of a type {query.type[:80]!r}.")
    if query.before is not None and query.after is not None:
        raise Malformed("invalid-parameter", "Give before or after, not both.")
    place = stand(visit, query.at)
    events, older, newer = _page(visit, place)
    return shown(
        visit,
        "trail.html",
        place=place,
        here="trail",
        time_path=f"{place.path}/trail",
        time_keeps=query.chosen,
        chosen=query.chosen,
        types=sorted(EVENT_TYPES),
        days=[
            (day, day_in_words(day), list(each))
            for day, each in groupby(events, key=attrgetter("day"))
        ],
        older=older,
        newer=newer,
        live=place.at is None and query.before is None and query.after is None,
    )


def day_in_words(day: str) -> str:
    """Such as Tuesday, 3 November 2026."""
    given = date.fromisoformat(day)
    return f"{given:%A}, {given.day} {given:%B %Y}"


def _page(
    visit: Visit[TrailQuery], place: Place
) -> tuple[list[ShownEvent], int | None, int | None]:
    """Events, the newest first; the positions before and after which there are more."""
    query = visit.query
    forward = query.after is not None
    found = visit.ledger.events.page(
        visit.project,
        TrailFilter(
            stream=query.stream or None, type=query.type or None, actor=query.actor or None
        ),
        after=query.after or 0,
        upto=min(place.position, place.position if query.before is None else query.before - 1),
        limit=EVENTS + 1,
        newest_first=not forward,
    )
    more = len(found) > EVENTS
    events = [_shown(parse(line), place.at) for _, line in found[:EVENTS]]
    if forward:
        events.reverse()
    if not events:
        return [], None, None
    last, first = events[-1].position, events[0].position
    return (
        events,
        last if more or forward else None,
        first if (more if forward else query.before is not None) else None,
    )


def _shown(event: Recorded, at: int | None) -> ShownEvent:
    stream, version = event.stream, event.version
    if isinstance(event.data, ArtifactErased):
        stream, version = event.data.artifact, event.data.artifact_version
    elif isinstance(event.data, RecordErased):
        stream, version = event.data.record, event.data.record_version
    thing, said = parted(event)
    return ShownEvent(
        position=event.position,
        day=event.time[:10],
        time=event.time,
        actor=event.actor,
        type=event.type,
        thing=thing,
        thing_path=stream_path(stream, version, at),
        said=said,
        tone=tone_of(event.data),
    )
