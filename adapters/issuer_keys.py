"""Signatures of identity tokens: the keys that an issuer publishes, and RS256 and nothing else.

Keys are found by OpenID Connect Discovery, below the issuer's own address only, and kept for an hour.
Asking is bounded in every way: size, time, redirects, and how often.
"""

import base64
import binascii
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from domain import canonical
from domain.errors import DeedbookError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    import httpx2
    from joserfc.jwk import RSAKey

ALGORITHM = "RS256"
DISCOVERY = "/.well-known/openid-configuration"
KEEP_SECONDS = 60 * 60
"""Keys are asked for again after this."""
RELOAD_SECONDS = 60
"""An unknown key has them asked for again, at most so often."""
FAILURE_SECONDS = 2
"""After a failure nobody asks for so long, so that callers do not queue up before an issuer that is away."""
STEP_SECONDS = 5.0
ANSWER_SECONDS = 10.0
"""For a connection or the next bytes; and for a whole answer."""
WAIT_SECONDS = 25.0
"""For another thread, which is asking already."""
MAX_ANSWER_BYTES = 256 * 1024
MAX_KEYS = 100
MAX_TOKEN_BYTES = 16 * 1024
MAX_KEY_ID_CHARACTERS = 256
MIN_KEY_BITS = 2_048
MAX_KEY_BITS = 8_192
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def make_client(issuer: str) -> "httpx2.Client":
    """A client that follows nobody elsewhere."""
    import httpx2  # noqa: PLC0415 - slow, and needed when the first job comes

    return httpx2.Client(
        timeout=httpx2.Timeout(STEP_SECONDS),
        headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=urlsplit(issuer).hostname not in LOOPBACK,
    )


class Presented:
    """A token as it came: taken apart, and not believed yet.

    Raises:
        Unauthenticated: `oidc-token-refused`: it is not spelled like one, or not signed with RS256.
    """

    def __init__(self, token: str) -> None:
        if not token.isascii() or len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
            raise _refused(f"it is not a JWS in compact form, of at most {MAX_TOKEN_BYTES} bytes")
        self.token = token
        header, payload, _ = (_decoded(part) for part in token.split("."))
        self.claims = _members(payload)
        members = _members(header)
        if members.get("alg") != ALGORITHM:
            raise _refused(f"it is not signed with {ALGORITHM}")
        if members.get("typ", "JWT") != "JWT" or "crit" in members or "b64" in members:
            raise _refused("its header asks for what is not known here")
        key_id = members.get("kid")
        if not isinstance(key_id, str) or not 1 <= len(key_id) <= MAX_KEY_ID_CHARACTERS:
            raise _refused("its header names no key")
        self.key_id = key_id

    @property
    def issuer(self) -> str:
        """Who is said to have issued it."""
        issuer = self.claims.get("iss")
        return issuer if isinstance(issuer, str) else ""


class IssuerKeys:
    """The published keys of issuers, and the check of a signature with them. Threads may share it.

    Args:
        client: Makes an HTTP client for an issuer.
        monotonic: Gives seconds.
    """

    def __init__(
        self,
        client: "Callable[[str], httpx2.Client]" = make_client,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._monotonic = monotonic
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def verify(self, presented: Presented) -> None:
        """Check the signature with the issuer's key; ask only about issuers that are trusted.

        Raises:
            Unauthenticated: `oidc-token-refused`.
            Unavailable: `issuer-unavailable`.
        """
        from joserfc import jws  # noqa: PLC0415 - slow, and needed when the first job comes
        from joserfc.errors import JoseError  # noqa: PLC0415 - see above

        key = self._key(presented.issuer, presented.key_id)
        try:
            checked = jws.deserialize_compact(presented.token, key, [ALGORITHM])
        except (JoseError, ValueError):
            raise _refused("its signature is not the issuer's") from None
        # What was signed is what is believed: both are read from the same bytes.
        if _members(checked.payload or b"") != presented.claims:
            raise _refused("its payload can be read in two ways")

    def _key(self, issuer: str, key_id: str) -> "RSAKey":
        with self._lock:
            known = self._known.setdefault(issuer, _Known())
        key = known.fresh(self._monotonic()).get(key_id)
        if key is not None:
            return key
        if not known.asking.acquire(timeout=WAIT_SECONDS):
            raise _away(issuer, "another request is still waiting for it")
        try:
            return self._ask(issuer, key_id, known)
        finally:
            known.asking.release()

    def _ask(self, issuer: str, key_id: str, known: "_Known") -> "RSAKey":
        now = self._monotonic()
        fresh = known.fresh(now)
        if key_id in fresh:
            return fresh[key_id]  # another thread has asked meanwhile
        waited = now - known.asked_at
        if known.failure and waited < (RELOAD_SECONDS if fresh else FAILURE_SECONDS):
            raise _away(issuer, known.failure)
        if fresh and waited < RELOAD_SECONDS:
            raise _unknown_key()
        known.asked_at = now
        try:
            keys = self._load(issuer)
        except DeedbookError as error:
            known.failure = error.detail
            raise
        known.keys, known.loaded_at, known.failure = keys, now, ""
        if key_id not in keys:
            raise _unknown_key()
        return keys[key_id]

    def _load(self, issuer: str) -> "dict[str, RSAKey]":
        with self._client(issuer) as client:
            document = self._read(client, issuer, issuer + DISCOVERY)
            if document.get("issuer") != issuer:
                raise _away(issuer, "its discovery document is of another issuer")
            address = document.get("jwks_uri")
            if not isinstance(address, str) or _origin(address) != _origin(issuer):
                raise _away(issuer, "its keys do not lie at its own host")
            return _keys_in(self._read(client, issuer, address))

    def _read(self, client: "httpx2.Client", issuer: str, address: str) -> Mapping[str, object]:
        import httpx2  # noqa: PLC0415 - see above

        until = self._monotonic() + ANSWER_SECONDS
        raw = b""
        try:
            with client.stream("GET", address) as response:
                if response.status_code != 200:
                    raise _away(issuer, f"it answered with status {response.status_code}")
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise _away(issuer, "it compressed its answer unasked")
                for piece in response.iter_raw():
                    raw += piece
                    if len(raw) > MAX_ANSWER_BYTES:
                        raise _away(issuer, f"its answer has more than {MAX_ANSWER_BYTES} bytes")
                    if self._monotonic() > until:
                        raise _away(issuer, "its answer took too long")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _away(issuer, str(error) or type(error).__name__) from None
        try:
            document = canonical.read(raw)
        except DeedbookError:
            document = None
        if not isinstance(document, dict):
            raise _away(issuer, "its answer is not a JSON object")
        return document


class _Known:
    """What is known of one issuer."""

    def __init__(self) -> None:
        self.asking = threading.Lock()
        self.keys: dict[str, RSAKey] = {}
        self.loaded_at = float("-inf")
        self.asked_at = float("-inf")
        self.failure = ""

    def fresh(self, now: float) -> "Mapping[str, RSAKey]":
        return self.keys if now - self.loaded_at < KEEP_SECONDS else {}


def _keys_in(document: Mapping[str, object]) -> "dict[str, RSAKey]":
    """The keys of a JWK Set (RFC 7517, section 5) that can have signed; others are passed over."""
    from joserfc.errors import JoseError  # noqa: PLC0415 - see above
    from joserfc.jwk import RSAKey  # noqa: PLC0415 - see above

    found: dict[str, RSAKey] = {}
    for key_id, modulus, exponent in _spelled(document):
        bits = int.from_bytes(_base64url(modulus)).bit_length()
        if not MIN_KEY_BITS <= bits <= MAX_KEY_BITS:
            continue
        with contextlib.suppress(JoseError, ValueError, TypeError):
            key = RSAKey.import_key({"kty": "RSA", "n": modulus, "e": exponent})
            found.setdefault(key_id, key)
    return found


def _spelled(document: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    listed = document.get("keys")
    for one in listed[:MAX_KEYS] if isinstance(listed, list) else []:
        if not isinstance(one, dict) or one.get("kty") != "RSA":
            continue
        if one.get("use", "sig") != "sig" or one.get("alg", ALGORITHM) != ALGORITHM:
            continue
        key_id, modulus, exponent = one.get("kid"), one.get("n"), one.get("e")
        if (
            isinstance(key_id, str)
            and isinstance(modulus, str)
            and isinstance(exponent, str)
            and len(modulus) <= MAX_KEY_BITS
            and len(exponent) <= 8
        ):
            yield key_id, modulus, exponent


def _decoded(part: str) -> bytes:
    raw = _base64url(part)
    if not raw:
        raise _refused("it is not written in base64url")
    return raw


def _base64url(text: str) -> bytes:
    """Base64url without padding (RFC 7515, section 2), in its one spelling; nothing of any other."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return b""
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text else b""


def _members(raw: bytes) -> dict[str, object]:
    try:
        value = canonical.read(raw)
    except DeedbookError as error:
        raise _refused(f"it holds no JSON that can be read in one way ({error.code})") from None
    if not isinstance(value, dict):
        raise _refused("it holds no JSON object")
    return value


def _origin(address: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return "", None, None
    return parts.scheme, parts.hostname, port


def _refused(reason: str) -> Unauthenticated:
    return Unauthenticated("oidc-token-refused", f"The identity token is refused: {reason}.")


def _unknown_key() -> Unauthenticated:
    return _refused("its issuer publishes no key of that name")


def _away(issuer: str, reason: str) -> Unavailable:
    return Unavailable(
        "issuer-unavailable",
        f"The keys of {issuer} cannot be had: {reason}. Ask for a new identity token and try again.",
    )
