"""Where in a project's time a page stands: at its newest position, or at one that the reader chose."""

import msgspec

from adapters.postgres_views import ProjectSummary
from app.web.page import Visit
from domain.events import parse
from projections.activity import Activity, activity, sampled_positions
from projections.trail import sentence


class AtQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The position that a page is to show; the newest when left away."""

    at: int | None = None


class Place(msgspec.Struct, frozen=True):
    """A project at a position.

    Attributes:
        position: What is shown.
        size: The newest position.
        at: `position`, where the reader chose one: links on the page stay there. Else None.
        time: Of the event at the position.
        said: What happened there, as a sentence.
        activity: Of the whole log, for the figure above the time slider.
    """

    project: ProjectSummary
    position: int
    size: int
    at: int | None
    time: str
    said: str
    activity: Activity

    @property
    def slug(self) -> str:
        """The project's name in paths."""
        return self.project.slug

    @property
    def path(self) -> str:
        """The path of the project's first page."""
        return f"/p/{self.project.slug}"


def stand(visit: Visit[object], at: int | None) -> Place:
    """The place that a visit asks for.

    Raises:
        NotFound: `project-not-found`, `position-in-the-future`.
    """
    ledger, project = visit.ledger, visit.project
    size = ledger.log.head(project).size
    position = max(ledger.position(project, at), 1)
    event = parse(ledger.events.get(project, position).line)
    return Place(
        project=ledger.views.project(project, position),
        position=position,
        size=size,
        at=at,
        time=event.time,
        said=sentence(event),
        activity=activity(ledger.events.moments(project, sampled_positions(size))),
    )
