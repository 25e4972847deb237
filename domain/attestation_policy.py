"""What a policy may say of the keys and identities that it trusts for attestations."""

import re
from collections.abc import Sequence

import msgspec

from domain import canonical
from domain.base64_text import decode64, encode64
from domain.errors import Invalid
from domain.events import AttestationIdentity, AttestationKey
from domain.in_toto import TYPE
from domain.signed_note import PUBLIC_KEY_BYTES
from domain.trust import ED25519_SPKI, P256_SPKI, is_p256

MAX_KEYS = 32
MAX_IDENTITIES = 64
MAX_PREDICATE_TYPES = 16
MAX_NAME_CHARACTERS = 200
MAX_KEY_CHARACTERS = 2_000
_PEM = re.compile(
    r"\s*-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----\s*"
)
_EXACT = re.compile(r"[!-)+-~]{1,1000}")
_OPEN = re.compile(r"[a-z][a-z0-9+.-]*://[!-)+-.0-~]{1,255}/[!-)+-~]{0,700}[!-)+-.0-?A-~][/@]\*")
_ISSUER = re.compile(r"https?://[!-~]{1,500}")
_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def checked_keys(keys: Sequence[AttestationKey]) -> tuple[AttestationKey, ...]:
    """Keys that were given in PEM or base64, in the one spelling that is recorded.

    Raises:
        Invalid: `validation-failed`, with a pointer.
    """
    place = "/attestation_keys"
    _check_count(keys, MAX_KEYS, place)
    found = []
    for index, key in enumerate(keys):
        raw = _spki(key.spki)
        if raw is None:
            raise _bad(
                "A key is a public key in PEM or base64 (SubjectPublicKeyInfo): P-256 or Ed25519.",
                f"{place}/{index}/spki",
            )
        if len(key.name) > MAX_NAME_CHARACTERS:
            raise _bad(
                f"A name has up to {MAX_NAME_CHARACTERS} characters.", f"{place}/{index}/name"
            )
        canonical.check(key.name, f"{place}/{index}/name")
        _check_types(key.predicate_types, f"{place}/{index}/predicate_types")
        found.append(msgspec.structs.replace(key, spki=encode64(raw)))
    return tuple(found)


def check_identities(identities: Sequence[AttestationIdentity]) -> None:
    """Hold identities to their grammar.

    Raises:
        Invalid: `validation-failed`, with a pointer.
    """
    place = "/attestation_identities"
    _check_count(identities, MAX_IDENTITIES, place)
    for index, one in enumerate(identities):
        if _EXACT.fullmatch(one.identity) is None and _OPEN.fullmatch(one.identity) is None:
            raise _bad(
                "An identity is written as certificates have it; only the end may be left open, by "
                "/* or @* behind a host and a path.",
                f"{place}/{index}/identity",
            )
        if _ISSUER.fullmatch(one.issuer) is None:
            raise _bad(
                "An issuer is an address such as https://accounts.example.",
                f"{place}/{index}/issuer",
            )
        _check_types(one.predicate_types, f"{place}/{index}/predicate_types")


def _spki(text: str) -> bytes | None:
    """The key in PEM or base64, if it is one of a kind that is checked here."""
    if len(text) > MAX_KEY_CHARACTERS:
        return None
    pem = _PEM.fullmatch(text)
    raw = decode64("".join(pem[1].split()) if pem else text)
    if raw is None:
        return None
    if len(raw) == len(ED25519_SPKI) + PUBLIC_KEY_BYTES and raw.startswith(ED25519_SPKI):
        return raw
    return raw if is_p256(raw) and _on_curve(raw[len(P256_SPKI) :]) else None


def _on_curve(point: bytes) -> bool:
    """Whether a point lies on P-256 (SEC 2, section 2.4.2): y² = x³ - 3x + b."""
    x, y = int.from_bytes(point[:32]), int.from_bytes(point[32:])
    return x < _P and y < _P and (y * y - (x * x * x - 3 * x + _B)) % _P == 0


def _check_types(types: Sequence[str], place: str) -> None:
    _check_count(types, MAX_PREDICATE_TYPES, place)
    for index, one in enumerate(types):
        if TYPE.fullmatch(one) is None:
            raise _bad("A predicate type is a URI.", f"{place}/{index}")


def _check_count(listed: Sequence[object], limit: int, place: str) -> None:
    if len(listed) > limit:
        raise _bad(f"At most {limit} are listed.", place)


def _bad(detail: str, pointer: str) -> Invalid:
    return Invalid("validation-failed", detail, pointer=pointer)
