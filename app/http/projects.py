"""Projects: open, list, read, change."""

import msgspec
from starlette.responses import Response

from adapters.postgres_views import MAX_PAGE, ProjectSummary
from app.http.answers import answer
from app.http.call import At, Call
from app.http.conditions import etag
from app.http.endpoint import Endpoints, json_body
from domain.digest import format_digest
from domain.merkle import root_of

endpoints = Endpoints("projects")


class NewProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A project to open."""

    slug: str
    title: str
    description: str = ""


class ProjectChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left away stays."""

    title: str | None = None
    description: str | None = None


class Project(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project at a position. `root` is the tree's, when that is the newest position."""

    slug: str
    title: str
    description: str
    origin: str
    position: int
    version: int
    root: str | None = None


class ProjectPage(msgspec.Struct, frozen=True):
    """Projects in the order of slugs; `next` is the `after` of the next page."""

    projects: tuple[Project, ...]
    next: str | None


class Paging(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of a list."""

    after: str = ""
    limit: int = 100


@endpoints.add("GET", "/v1/projects", scope="events:read", query=Paging, answers={200: ProjectPage})
def list_projects(call: Call[Paging, None]) -> Response:
    """List the projects that the token may see."""
    limit = min(call.query.limit, MAX_PAGE)
    found = call.ledger.views.projects(
        allowed=call.token.projects, after=call.query.after, limit=limit
    )
    following = found[-1].slug if found and len(found) == limit else None
    return answer(ProjectPage(tuple(_shown(one) for one in found), following))


@endpoints.add(
    "POST",
    "/v1/projects",
    scope="admin",
    accepted=json_body(NewProject),
    answers={201: Project, 200: Project},
    problems=("project-exists", "validation-failed", "secret-detected", "idempotency-key-reused"),
    headers=("Idempotency-Key",),
)
def create_project(call: Call[None, NewProject]) -> Response:
    """Open a project: a log of its own."""
    given = call.body
    call.token.check_project(given.slug)
    receipt = call.ledger.create_project(
        given.slug,
        title=given.title,
        description=given.description,
        actor=call.actor,
        key=call.key,
    )
    place = {"Location": f"/v1/projects/{given.slug}", "ETag": etag(1)}
    shown = _shown(call.ledger.views.project(given.slug, receipt.entries[-1].position))
    return answer(shown, 200 if receipt.replayed else 201, place)


@endpoints.add(
    "GET",
    "/v1/projects/{project}",
    scope="events:read",
    query=At,
    answers={200: Project},
    problems=("project-not-found", "position-in-the-future"),
)
def get_project(call: Call[At, None]) -> Response:
    """Read a project, with the root of its tree."""
    position = call.position(call.query.at)
    found = call.ledger.views.project(call.project, position)
    head = call.ledger.log.head(call.project)
    shown = _shown(found, format_digest(root_of(head.frontier)) if head.size == position else None)
    return answer(shown, headers={"ETag": etag(found.version), "Deedbook-Position": str(position)})


@endpoints.add(
    "PATCH",
    "/v1/projects/{project}",
    scope="admin",
    accepted=json_body(ProjectChange),
    answers={200: Project},
    problems=("project-not-found", "version-conflict", "validation-failed", "secret-detected"),
    headers=("If-Match", "Idempotency-Key"),
)
def change_project(call: Call[None, ProjectChange]) -> Response:
    """Change a project's title or description."""
    receipt = call.ledger.change_project(
        call.project,
        title=call.body.title,
        description=call.body.description,
        actor=call.actor,
        expected=call.expected_version,
        key=call.key,
    )
    found = call.ledger.views.project(call.project, receipt.entries[-1].position)
    return answer(_shown(found), headers={"ETag": etag(found.version)})


def _shown(one: ProjectSummary, tree_root: str | None = None) -> Project:
    return Project(
        one.slug, one.title, one.description, one.origin, one.position, one.version, tree_root
    )
