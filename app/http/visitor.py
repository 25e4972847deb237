"""Who comes with a browser: somebody signed in, known by a cookie, or a guest.

The cookie's prefix has browsers take it over HTTPS or from this very machine alone, for this host and no
other (RFC 6265bis, section 4.1.3). Pages carry it, and what they read of the API; it never writes there.
"""

from starlette.requests import Request

from adapters.postgres_sessions import SESSION_DAYS, WebSession
from adapters.postgres_tokens import Token
from app.ledger import Ledger
from domain.errors import Unauthenticated

COOKIE = "__Host-deedbook"
COOKIE_SECONDS = SESSION_DAYS * 86_400


def session_secret(request: Request) -> str | None:
    """The secret in the request's cookie."""
    return request.cookies.get(COOKIE)


def visitor(ledger: Ledger, request: Request) -> tuple[WebSession | None, Token | None]:
    """The session and what it may do; without a good one, what a guest may do, if there are any."""
    secret = session_secret(request)
    if secret is not None:
        try:
            return ledger.sessions.find(secret)
        except Unauthenticated:
            pass  # it has ended: what is open to guests is open to whoever was signed in
    return None, ledger.guest


def sign_in_path(link_secret: str) -> str:
    """The path of the page that signs in by a link. The access log has no parameters, hence no secret."""
    return f"/sign-in?link={link_secret}"
