"""The whole HTTP application: every endpoint and page, the document about them, the layer around them."""

from itertools import groupby

import msgspec
from anyio import CapacityLimiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.http import (
    artifacts,
    blobs,
    checkpoints,
    drafts,
    erasures,
    events,
    exports,
    health,
    identity,
    imports,
    index_jobs,
    metrics,
    openapi,
    policy,
    projects,
    runs,
    seal_log,
    seals,
    search,
    sign_in_links,
    tokens,
    verify,
)
from app.http.edge import Edge
from app.http.endpoint import Endpoints
from app.http.gate import Gate, request_id
from app.http.problems import problem_response
from app.ledger import Ledger
from app.web import artifacts as artifact_pages
from app.web import (
    day,
    diffs,
    event,
    live_drafts,
    overview,
    search_page,
    sign_in,
    trail,
    transcripts,
)
from app.web import exports as export_pages
from app.web import projects as project_list
from app.web import runs as run_pages
from app.web import verify as verify_page
from app.web.page import Pages
from app.web.page_gate import PageGate
from app.web.static_files import read_static
from domain.errors import NotFound

TOPICS: tuple[Endpoints, ...] = (
    projects.endpoints,
    policy.endpoints,
    artifacts.endpoints,
    drafts.endpoints,
    events.endpoints,
    blobs.endpoints,
    runs.endpoints,
    erasures.endpoints,
    checkpoints.endpoints,
    search.endpoints,
    index_jobs.endpoints,
    exports.endpoints,
    seals.endpoints,
    seal_log.endpoints,
    verify.endpoints,
    imports.endpoints,
    tokens.endpoints,
    sign_in_links.endpoints,
    identity.endpoints,
    health.endpoints,
    metrics.endpoints,
)
PAGES: tuple[Pages, ...] = (
    project_list.pages,
    sign_in.pages,
    overview.pages,
    trail.pages,
    day.pages,
    search_page.pages,
    run_pages.pages,
    transcripts.pages,
    artifact_pages.pages,
    diffs.pages,
    live_drafts.pages,
    event.pages,
    export_pages.pages,
    verify_page.pages,
)
THREADS = 96
"""Use cases at once: appends wait here for their group's commit."""


def create_application(ledger: Ledger) -> Starlette:
    """The API over an open ledger, as an ASGI application."""
    document = msgspec.json.encode(openapi.document(TOPICS))
    threads = CapacityLimiter(THREADS)
    declared = [endpoint for topic in TOPICS for endpoint in topic.all]
    declared.sort(key=lambda endpoint: (endpoint.path.count("{"), endpoint.path))
    routes = [
        Route(path, Gate(ledger, list(group), threads))
        for path, group in groupby(declared, key=lambda endpoint: endpoint.path)
    ]

    shown = [page for topic in PAGES for page in topic.all]
    shown.sort(key=lambda page: (page.path.count("{"), page.path))
    routes += [
        Route(path, PageGate(ledger, list(group), threads))
        for path, group in groupby(shown, key=lambda page: page.path)
    ]
    routes.append(Route("/static/{name}", read_static))

    async def read_document(_request: Request) -> Response:
        return Response(document, media_type="application/json")

    application = Starlette(
        routes=[Route("/openapi.json", read_document), *routes],
        middleware=[Middleware(Edge, new_id=ledger.new_id)],
        exception_handlers={HTTPException: _refuse},
    )
    application.router.redirect_slashes = False  # a wrong path is wrong; and a token stays here
    return application


async def _refuse(request: Request, error: Exception) -> Response:
    """What no endpoint answers."""
    assert isinstance(error, HTTPException)
    return problem_response(
        NotFound("not-found", f"There is nothing at {request.url.path[:200]}; see /openapi.json."),
        instance=request.url.path,
        request_id=request_id(request.scope),
        headers=error.headers,
    )
