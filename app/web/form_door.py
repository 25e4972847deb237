"""Forms: only a page of this ledger, of this very session, may send one (cross-site request forgery).

The browser's own word comes first (Fetch Metadata, `Sec-Fetch-Site`), the origin where a browser has no such
word (RFC 6454), and then the form's token, which belongs to the session.
"""

import hashlib
import hmac
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request

from domain import canonical
from domain.errors import Forbidden, Invalid, Malformed

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 100
FIELD = "form_token"
MEDIA_TYPE = "application/x-www-form-urlencoded"


def form_token(session_secret: str | None) -> str:
    """What the forms of a session carry; empty where there is none."""
    if session_secret is None:
        return ""
    return hmac.new(session_secret.encode(), b"deedbook form", hashlib.sha256).hexdigest()


def check_origin(request: Request) -> None:
    """Refuse what another site sends.

    Raises:
        Forbidden: `csrf-failed`.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        good = site == "same-origin"
    else:
        good = origin is not None and urlsplit(origin).netloc == request.headers.get("host")
    if not good:
        raise Forbidden("csrf-failed", "This form was not sent by a page of this ledger.")


def check_token(given: str, expected: str) -> None:
    """Refuse a form of another session.

    Raises:
        Forbidden: `csrf-failed`.
    """
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise Forbidden(
            "csrf-failed", "This form is of a session that has ended: load its page again."
        )


def read_form(raw: bytes) -> dict[str, str]:
    """The fields of a form (HTML standard, 4.10.21.6), each of which may stand once.

    Raises:
        Malformed: `malformed-body`.
    """
    try:
        fields = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        ) if raw else []  # fmt: skip
        for _, value in fields:
            canonical.check(value)
    except (ValueError, Invalid):
        raise Malformed("malformed-body", "The form cannot be read.") from None
    if len(dict(fields)) != len(fields):
        raise Malformed("malformed-body", "A field of the form is given twice.")
    return dict(fields)
