"""Where in a project's time a page stands: at its newest position, or at one that the reader chose."""

import msgspec

from adapters.postgres_views import ProjectSummary
from app.web.page import Visit
from domain.events import parse


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
    """

    project: ProjectSummary
    position: int
    size: int
    at: int | None
    time: str

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
    time = parse(ledger.events.get(project, position).line).time
    return Place(ledger.views.project(project, position), position, size, at, time)
