"""The way of a request to a page's handler: reader, parameters, form; and every failure a page too."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from adapters.postgres_connect import UNREACHABLE
from app.http.call import decode_query
from app.http.gate import READING, request_id
from app.http.problems import TITLES, internal, status_of
from app.http.visitor import session_secret, visitor
from app.ledger import Ledger
from app.web.form_door import (
    FIELD,
    MAX_FORM_BYTES,
    MEDIA_TYPE,
    check_origin,
    check_token,
    form_token,
    read_form,
)
from app.web.page import EVERYBODY, Page, Visit
from app.web.site import html_page
from domain import canonical
from domain.errors import (
    DeedbookError,
    Forbidden,
    Invalid,
    Malformed,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

FORM_SECONDS = 30.0

_logger = logging.getLogger("deedbook.web")


class PageGate:
    """All methods of one page, as an ASGI application."""

    def __init__(self, ledger: Ledger, pages: list[Page[Any]], threads: CapacityLimiter) -> None:
        self._ledger = ledger
        self._by_method = {page.method: page for page in pages}
        if "GET" in self._by_method:
            self._by_method["HEAD"] = self._by_method["GET"]
        self._threads = threads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        try:
            page = self._page(request.method)
            form: Mapping[str, str] = {}
            if request.method not in READING:
                check_origin(request)
                form = read_form(await _read(request))
            return await to_thread.run_sync(self._call, page, request, form, limiter=self._threads)
        except Unauthenticated as error:
            if request.method in READING and error.code == "unauthenticated":
                back = quote(_url(request), safe="")
                return RedirectResponse(f"/sign-in?next={back}", 303)
            problem: DeedbookError = error
        except DeedbookError as error:
            problem = error
        except UNREACHABLE:
            _logger.warning("the database is away", exc_info=True)
            problem = Unavailable(
                "database-unavailable", "The database does not answer: try again a little later."
            )
        except ClientDisconnect:
            raise
        except Exception:
            _logger.exception("request %s failed", request_id(request.scope))
            problem = internal(request_id(request.scope))
        return _refusal(problem, request)

    def _page(self, method: str) -> Page[Any]:
        page = self._by_method.get(method)
        if page is None:
            raise Malformed("method-not-allowed", f"{method} is not for this page.")
        return page

    def _call(self, page: Page[Any], request: Request, form: Mapping[str, str]) -> Response:
        secret = session_secret(request)
        session, token = visitor(self._ledger, request)
        expected = form_token(secret if session is not None else None)
        if request.method not in READING:
            check_token(form.get(FIELD, ""), expected)
        for name, value in request.path_params.items():
            try:
                canonical.check(value)
            except Invalid as error:
                raise Malformed("invalid-parameter", f"{name}: {error.detail}") from None
        visit = Visit(
            ledger=self._ledger,
            token=token,
            session=session,
            path=request.path_params,
            query=decode_query(_given(request), page.query),
            form={name: value for name, value in form.items() if name != FIELD},
            form_token=expected,
            browser=request.headers.get("user-agent", ""),
            url=_url(request),
            request_id=request_id(request.scope),
        )
        if page.scope != EVERYBODY:
            _check_access(page.scope, visit)
        return page.handler(visit)


def _check_access(scope: str | None, visit: Visit[Any]) -> None:
    """Let in who may read; a guest is asked to sign in, where that could help."""
    try:
        if scope is not None:
            visit.reader.check_scope(scope)
        project = visit.path.get("project")
        if project is not None:
            visit.reader.check_project(project)
        if scope is None and visit.session is None:
            raise Unauthenticated("unauthenticated", "Sign in first.")
    except Forbidden:
        if visit.session is None:
            raise Unauthenticated("unauthenticated", "Sign in first.") from None
        raise


def _given(request: Request) -> dict[str, str]:
    """The URL's parameters; one left empty in a form that was sent by GET is none."""
    given = request.query_params.multi_items()
    if len(dict(given)) != len(given):
        raise Malformed("invalid-parameter", "A parameter is given twice.")
    return {name: value for name, value in given if value != ""}


def _url(request: Request) -> str:
    query = request.url.query
    return quote(request.url.path) + (f"?{query}" if query else "")


async def _read(request: Request) -> bytes:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != MEDIA_TYPE:
        raise Malformed("unsupported-media-type", f"A form is sent as {MEDIA_TYPE}.")
    raw = bytearray()
    try:
        async with asyncio.timeout(FORM_SECONDS):
            async for chunk in request.stream():
                raw += chunk
                if len(raw) > MAX_FORM_BYTES:
                    raise TooLarge("body-too-large", f"A form may have {MAX_FORM_BYTES} bytes.")
    except TimeoutError:
        raise Malformed("request-timeout", "The form did not arrive in time.") from None
    return bytes(raw)


def _refusal(problem: DeedbookError, request: Request) -> Response:
    status = status_of(problem)
    return html_page(
        "problem.html",
        status,
        problem=problem,
        title=TITLES[status],
        request_id=request_id(request.scope),
    )
