"""Signing in with a token or a link that works once, signing out, and the sessions that are open."""

from urllib.parse import quote

import msgspec
from starlette.responses import Response

from app.http.visitor import COOKIE, COOKIE_SECONDS
from app.web.page import EVERYBODY, Pages, Visit
from app.web.site import see, shown
from domain.errors import DeedbookError, Unauthenticated

pages = Pages()

HOME = "/"


class SignInQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go afterwards; a link's secret."""

    next: str | None = None
    link: str | None = None


class DoneQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to go afterwards."""

    next: str | None = None


@pages.show("/sign-in", scope=EVERYBODY, query=SignInQuery)
def sign_in(visit: Visit[SignInQuery]) -> Response:
    """Ask for a token, or whether a link is to be used: a program that looks at links uses none up."""
    query = visit.query
    token, problem = None, None
    if query.link is not None:
        try:
            token = visit.ledger.sessions.link_token(query.link)
        except DeedbookError as error:
            problem = error
    return shown(
        visit,
        "sign_in.html",
        status=200 if problem is None else 401,
        link_secret=query.link if token is not None else None,
        token=token,
        problem=problem,
        next=safe_path(query.next),
    )


@pages.take("/sign-in", scope=EVERYBODY)
def begin_session(visit: Visit[object]) -> Response:
    """Begin a session."""
    sessions, form = visit.ledger.sessions, visit.form
    after = safe_path(form.get("next"))
    try:
        if "link" in form:
            secret = sessions.use_link(form["link"], visit.browser)
        else:
            token = visit.ledger.tokens.find(form.get("token", "").strip())
            secret = sessions.begin(token, visit.browser)
    except Unauthenticated as error:
        return shown(
            visit,
            "sign_in.html",
            status=401,
            link_secret=None,
            token=None,
            problem=error,
            next=after,
        )
    response = see(f"/sign-in/done?next={quote(after, safe='')}")
    response.set_cookie(
        COOKIE, secret, max_age=COOKIE_SECONDS, path="/", secure=True, httponly=True, samesite="lax"
    )
    return response


@pages.show("/sign-in/done", scope=EVERYBODY, query=DoneQuery)
def signed_in(visit: Visit[DoneQuery]) -> Response:
    """Go on, if the browser has kept the cookie: over plain HTTP from another machine it does not."""
    after = safe_path(visit.query.next)
    if visit.session is not None:
        return see(after)
    return shown(visit, "no_cookie.html", status=401, next=after)


@pages.take("/sign-out", scope=None)
def sign_out(visit: Visit[object]) -> Response:
    """End the session."""
    assert visit.session is not None
    visit.ledger.sessions.end(visit.reader, visit.session.id)
    response = see("/sign-in")
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


@pages.show("/sessions", scope=None)
def list_sessions(visit: Visit[object]) -> Response:
    """Show where else somebody is signed in with the same token."""
    found = visit.ledger.sessions.list(visit.reader)
    return shown(visit, "sessions.html", sessions=found)


@pages.take("/sessions/{session}/end", scope=None)
def end_session(visit: Visit[object]) -> Response:
    """End one of them."""
    visit.ledger.sessions.end(visit.reader, visit.path["session"])
    return see("/sessions")


def safe_path(given: str | None) -> str:
    r"""A path of this ledger: never another site's, which browsers also see in `//` and `/\`."""
    if given is None or not given.startswith("/") or given[1:2] in {"/", "\\"}:
        return HOME
    return given if given.isprintable() and given.isascii() else HOME
