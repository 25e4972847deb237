"""Signatures with SSH keys (OpenSSH PROTOCOL.sshsig), and the keys: Ed25519 and ECDSA P-256.

What signed is compared with keys that a policy names; the key inside a signature proves nothing.
"""

import base64
import hashlib
import re
from collections.abc import Iterator

import msgspec

from domain.attestation_trust import KeyVerifier
from domain.base64_text import decode64, encode64
from domain.errors import Invalid
from domain.trust import ED25519_SPKI, P256_SPKI

MAX_KEY_CHARACTERS = 1_000
MAX_ARMOR_CHARACTERS = 16_384
ED25519 = b"ssh-ed25519"
P256 = b"ecdsa-sha2-nistp256"
_MAGIC = b"SSHSIG"
_VERSION = (1).to_bytes(4, "big")
_ARMOR = re.compile(
    r"\s*-----BEGIN SSH SIGNATURE-----\n([A-Za-z0-9+/=\n]+)\n-----END SSH SIGNATURE-----\s*"
)
_KEY = re.compile(r"(ssh-ed25519|ecdsa-sha2-nistp256) ([A-Za-z0-9+/]+={0,2})(?: [^\r\n]*)?\s*")
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}


class SshKey(msgspec.Struct, frozen=True):
    """A public key: as SSH writes it, and as SubjectPublicKeyInfo."""

    blob: bytes
    spki: bytes

    @property
    def text(self) -> str:
        """The line of an authorized key, without a comment."""
        kind = next(_strings(self.blob)).decode()
        return f"{kind} {encode64(self.blob)}"

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -l` prints it."""
        digest = base64.b64encode(hashlib.sha256(self.blob).digest())
        return "SHA256:" + digest.decode().rstrip("=")


def parse_key(line: str) -> SshKey:
    """The key in a line such as `ssh-ed25519 AAAA… comment`.

    Raises:
        Invalid: `validation-failed`.
    """
    found = _KEY.fullmatch(line) if len(line) <= MAX_KEY_CHARACTERS else None
    blob = None if found is None else decode64(found[2])
    key = None if blob is None else _key(blob)
    if found is None or key is None or not key.text.startswith(found[1] + " "):
        raise Invalid(
            "validation-failed",
            "An approver's key is a line such as ssh-ed25519 AAAA…, or one of ecdsa-sha2-nistp256.",
        )
    return key


def signer_of(armored: str, message: bytes, namespace: str, verify: KeyVerifier) -> SshKey | None:
    """The key that signed exactly this message for this purpose; None when the signature does not hold.

    Args:
        armored: As ssh-keygen writes it.
        message: What should have been signed.
        namespace: What for.
        verify: Checks a signature with a key.
    """
    found = _ARMOR.fullmatch(armored) if len(armored) <= MAX_ARMOR_CHARACTERS else None
    raw = None if found is None else decode64(found[1].replace("\n", ""))
    if raw is None or not raw.startswith(_MAGIC + _VERSION):
        return None
    parts = _all(raw[len(_MAGIC + _VERSION) :])
    if parts is None or len(parts) != 5:
        return None
    blob, purpose, reserved, hashed_with, signed = parts
    key, algorithm = _key(blob), _HASHES.get(hashed_with)
    if key is None or algorithm is None or purpose != namespace.encode():
        return None
    signature = _signature(signed, next(_strings(blob)))
    digest = algorithm(message).digest()
    text = _MAGIC + b"".join(map(_string, (purpose, reserved, hashed_with, digest)))
    if signature is None or not verify(key.spki, signature, message=text, sha256=None):
        return None
    return key


def _key(blob: bytes) -> SshKey | None:
    match _all(blob):
        case [kind, raw] if kind == ED25519 and len(raw) == 32:
            return SshKey(blob, ED25519_SPKI + raw)
        case [kind, b"nistp256", point] if kind == P256 and len(point) == 65 and point[0] == 4:
            return SshKey(blob, P256_SPKI + point[1:])
        case _:
            return None


def _signature(raw: bytes, kind: bytes) -> bytes | None:
    """As the key's algorithm has it: 64 bytes for Ed25519, DER for ECDSA."""
    parts = _all(raw)
    if parts is None or len(parts) != 2 or parts[0] != kind:
        return None
    if kind == ED25519:
        return parts[1]
    numbers = _all(parts[1])
    if numbers is None or len(numbers) != 2 or any(not 1 <= len(one) <= 33 for one in numbers):
        return None
    inside = b"".join(b"\x02" + bytes([len(one)]) + one for one in numbers)
    return b"\x30" + bytes([len(inside)]) + inside


def _all(raw: bytes) -> list[bytes] | None:
    """The strings that a blob is made of, if it is made of nothing else."""
    found = list(_strings(raw))
    return found if b"".join(map(_string, found)) == raw else None


def _strings(raw: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(raw):
        size = int.from_bytes(raw[at : at + 4], "big")
        if at + 4 + size > len(raw):
            return
        yield raw[at + 4 : at + 4 + size]
        at += 4 + size


def _string(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw
