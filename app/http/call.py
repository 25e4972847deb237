"""One request as its handler sees it: who asks, for what, with which parameters and body."""

import hashlib
import re
from collections.abc import Mapping
from typing import Generic, TypeVar

import msgspec

from adapters.postgres_tokens import Token
from app.http.conditions import expected_version
from app.ledger import Ledger, RequestKey
from domain import canonical
from domain.errors import Invalid, Malformed, Unauthenticated

Query_co = TypeVar("Query_co", covariant=True)
Body_co = TypeVar("Body_co", covariant=True)
Kind = TypeVar("Kind")

MAX_POSITION = 2**63 - 1
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_PATH_IN_ERROR = re.compile(r" - at `\$([^`]*)`$")


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class At(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Read as it stood at a position; the newest when left away."""

    at: int | None = None


class Call(msgspec.Struct, Generic[Query_co, Body_co], frozen=True, kw_only=True):
    """A request, authenticated, decoded and checked.

    Attributes:
        path: The names in the URL's path, percent-decoded.
        headers: Names in lower case.
        raw_sha256: SHA-256 of the body as it came.
        media_type: What the answer is to be, of those that the endpoint has.
    """

    ledger: Ledger
    bearer: Token | None
    method: str
    url_path: str
    path: Mapping[str, str]
    headers: Mapping[str, str]
    query: Query_co
    body: Body_co
    raw_sha256: bytes
    request_id: str
    media_type: str = "application/json"

    @property
    def token(self) -> Token:
        """The token with which the caller came.

        Raises:
            Unauthenticated: `unauthenticated`.
        """
        if self.bearer is None:
            raise Unauthenticated("unauthenticated", "Send Authorization: Bearer and an API token.")
        return self.bearer

    @property
    def project(self) -> str:
        """The project in the path."""
        return self.path["project"]

    @property
    def actor(self) -> str:
        """As whom the caller's events are recorded."""
        return self.token.actor

    @property
    def expected_version(self) -> int | None:
        """The version of If-Match, or 0 for `If-None-Match: *`."""
        return expected_version(self.headers)

    @property
    def key(self) -> RequestKey | None:
        """The idempotency key, made this caller's own, and what it stands for.

        Raises:
            Malformed: `invalid-parameter`.
        """
        given = self.headers.get("idempotency-key")
        if given is None:
            return None
        if _KEY.fullmatch(given) is None:
            raise Malformed(
                "invalid-parameter", "An Idempotency-Key has 1 to 200 visible ASCII characters."
            )
        request = hashlib.sha256()
        for part in (self.method, self.url_path, self.headers.get("if-match", ""),
                     self.headers.get("if-none-match", "")):  # fmt: skip
            request.update(part.encode() + b"\0")
        request.update(self.raw_sha256)
        return RequestKey(f"{self.token.id}:{given}", request.digest())

    def position(self, at: int | None) -> int:
        """The position to read at.

        Raises:
            NotFound: `project-not-found`, `position-in-the-future`.
        """
        return self.ledger.position(self.project, at)


def decode_query(given: Mapping[str, str], kind: type[Kind]) -> Kind:
    """The parameters of a URL.

    Raises:
        Malformed: `invalid-parameter`, naming it.
    """
    try:
        query = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Malformed("invalid-parameter", f"A parameter is wrong: {error}.") from None
    for name in given:
        value = getattr(query, name.rstrip("_"), None)
        if isinstance(value, int) and not 0 <= value <= MAX_POSITION:
            raise Malformed("invalid-parameter", f"The parameter {name} is out of range.")
        if isinstance(value, str):
            try:
                canonical.check(value)
            except Invalid as error:
                raise Malformed("invalid-parameter", f"{name}: {error.detail}") from None
    return query


def decode_json(raw: bytes, kind: type[Kind]) -> Kind:
    """A JSON body through the strict door, as its struct.

    Raises:
        Malformed: `malformed-json`, `json-too-deep`.
        Invalid: `validation-failed` and the door's other codes, with a pointer.
    """
    return convert(canonical.read(raw), kind)


def convert(value: object, kind: type[Kind], pointer: str = "") -> Kind:
    """A checked value as a struct, with msgspec's errors as ours."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PATH_IN_ERROR.search(text)
        place = pointer
        if found is not None:
            text = text[: found.start()]
            place += found[1].replace(".", "/").replace("[", "/").replace("]", "")
        raise Invalid("validation-failed", f"{text}.", pointer=place or None) from None
