"""Identity tokens of OpenID Connect, once their signature holds: which claims must be right, and when.

`sub` is never read for a decision: its form is the issuer's to change, and GitHub has changed it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from domain.errors import Unauthenticated
from domain.events import MAX_ACTOR_CHARACTERS

GITHUB = "https://token.actions.githubusercontent.com"
"""The issuer of GitHub Actions on github.com."""
LEEWAY_SECONDS = 60
"""How far the issuer's clock and ours may be apart."""
MAX_AHEAD_SECONDS = 24 * 60 * 60
"""A token that is good for longer is refused: until it expires it has to be remembered."""
MAX_CLAIM_CHARACTERS = 1_024


class Identity(msgspec.Struct, frozen=True):
    """Who a job is, by the word of its issuer.

    Attributes:
        issuer: `iss`.
        audience: `aud`; for whom the token was made.
        number: `jti`; no two tokens of an issuer have the same.
        expires_at: `exp`.
        claims: All claims, these included.
    """

    issuer: str
    audience: str
    number: str
    expires_at: datetime
    claims: Mapping[str, object]

    @property
    def keep_until(self) -> datetime:
        """From when on the token is refused by its time alone."""
        return self.expires_at + timedelta(seconds=LEEWAY_SECONDS)

    @property
    def actor(self) -> str:
        """As whom the job is recorded, such as `github:o/r/.github/workflows/x.yml@ref run 12/1`."""
        start = "github:" if self.issuer == GITHUB else f"oidc:{urlsplit(self.issuer).hostname}:"
        place = self._text("workflow_ref") or self._text("job_workflow_ref")
        run = self._text("run_id")
        if not place or not run:
            return _fit(start + self._text("sub"), "")
        attempt = self._text("run_attempt") or "1"
        return _fit(start + place, f" run {run[:40]}/{attempt[:40]}")

    def _text(self, name: str) -> str:
        value = self.claims.get(name)
        return value if isinstance(value, str) else ""


def read_identity(claims: object, issuer: str, now: datetime) -> Identity:
    """The identity in the claims of a token whose signature holds.

    Args:
        claims: The decoded payload.
        issuer: Whose key the signature was checked with.
        now: The time.

    Raises:
        Unauthenticated: `oidc-token-refused`, saying which claim is wrong.
    """
    if not isinstance(claims, dict) or len(claims) > 100:
        raise _refused("its payload is not an object of at most 100 claims")
    if claims.get("iss") != issuer:
        raise _refused("iss is not the issuer whose key signed it")
    seconds = int(now.timestamp())
    expires = _time(claims, "exp")
    if expires + LEEWAY_SECONDS <= seconds:
        raise _refused("it has expired: ask for a new one")
    if expires > seconds + MAX_AHEAD_SECONDS:
        raise _refused("exp is more than a day ahead")
    if _time(claims, "iat") > seconds + LEEWAY_SECONDS:
        raise _refused("iat is in the future: is a clock wrong?")
    if "nbf" in claims and _time(claims, "nbf") > seconds + LEEWAY_SECONDS:
        raise _refused("nbf is in the future: is a clock wrong?")
    return Identity(
        issuer=issuer,
        audience=_audience(claims.get("aud")),
        number=_required(claims, "jti"),
        expires_at=datetime.fromtimestamp(expires, UTC),
        claims=claims,
    )


def _time(claims: Mapping[str, object], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or value < 0:
        raise _refused(f"{name} is not a number of seconds")
    return value


def _required(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CLAIM_CHARACTERS:
        raise _refused(f"{name} is not a text of 1 to {MAX_CLAIM_CHARACTERS} characters")
    return value


def _audience(value: object) -> str:
    """The one audience; a token for several could be used here by each of the others."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_CLAIM_CHARACTERS:
        raise _refused("aud does not name one audience")
    return value


def _fit(start: str, end: str) -> str:
    """Both as one printable text that is no longer than an actor; the end is never cut."""
    room = MAX_ACTOR_CHARACTERS - len(end)
    text = (start if len(start) <= room else f"{start[: room - 1]}…") + end
    return "".join(character if character.isprintable() else "_" for character in text)


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated("oidc-token-refused", f"The identity token is refused: {reason}.")
