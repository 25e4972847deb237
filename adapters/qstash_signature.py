"""Whether a request was sent by QStash, as its `Upstash-Signature` says: a JWT over the body and the address.

The SDK checks the signature with the current and the next signing key, the issuer, the times, the address and
the body's hash. It takes a body for text and a claim for present; here both are a refusal.
"""

import base64
import binascii

import msgspec
from psycopg_pool import ConnectionPool

from domain.errors import Unauthenticated

MAX_SIGNATURE_BYTES = 8_192
MAX_ID_CHARACTERS = 256
MAX_LIFE_SECONDS = 24 * 60 * 60
"""Nothing of a signature's id is kept for longer, whatever it says itself."""


class Signed(msgspec.Struct, frozen=True):
    """What of a good signature is kept, so that it is good once.

    Attributes:
        id: Of the message, `jti`.
        expires: In seconds since 1970.
    """

    id: str
    expires: int


class _Claims(msgspec.Struct, frozen=True):
    jti: str
    exp: int


class QStashSignature:
    """Checks signatures.

    Args:
        current: The signing key.
        following: The one that comes after it.
        url: Where jobs are sent to, as QStash was told it.
    """

    def __init__(self, current: str, following: str, url: str) -> None:
        self._keys = (current, following)
        self._url = url

    def check(self, signature: str, body: bytes) -> Signed:
        """What a good signature says.

        Raises:
            Unauthenticated: `bad-signature`.
        """
        from qstash import Receiver  # noqa: PLC0415 -- slow, and seldom needed
        from qstash.errors import SignatureError  # noqa: PLC0415

        if not signature or len(signature) > MAX_SIGNATURE_BYTES:
            raise _bad("a signature is missing")
        try:
            Receiver(*self._keys).verify(
                signature=signature, body=body.decode("utf-8"), url=self._url
            )
            claims = _claims(signature)
        except SignatureError as error:
            raise _bad(str(error)[:200]) from None
        except (LookupError, TypeError, ValueError, AttributeError, msgspec.MsgspecError):
            raise _bad("it says too little") from None
        if not claims.jti or len(claims.jti) > MAX_ID_CHARACTERS:
            raise _bad("it has no usable id")
        return Signed(claims.jti, claims.exp)


class UsedSignatures:
    """Ids of messages whose work is done, in the database, so that no process does it again."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def used(self, one: Signed) -> bool:
        """Whether this message's work is done."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT FROM search_job WHERE id = %s", (one.id,)).fetchone()
        return row is not None

    def use(self, one: Signed) -> None:
        """The work is done; what has expired is forgotten."""
        with self._pool.connection() as connection:
            connection.execute(
                """
                INSERT INTO search_job (id, until)
                VALUES (%s, least(to_timestamp(%s), now() + make_interval(secs => %s)))
                ON CONFLICT DO NOTHING
                """,
                (one.id, one.expires, MAX_LIFE_SECONDS),
            )
            connection.execute("DELETE FROM search_job WHERE until < now()")


def _claims(signature: str) -> _Claims:
    payload = signature.split(".")[1]
    try:
        raw = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except binascii.Error as error:
        raise ValueError from error
    return msgspec.json.decode(raw, type=_Claims)


def _bad(why: str) -> Unauthenticated:
    return Unauthenticated("bad-signature", f"This was not sent by our queue: {why}.")
