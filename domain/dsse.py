"""DSSE: the bytes that are signed when a payload is, so that its type cannot be mistaken afterwards."""

from typing import Protocol

IN_TOTO = "application/vnd.in-toto+json"
"""The type of a payload that is an in-toto Statement."""


class DsseSigner(Protocol):
    """Signs payloads with one ECDSA P-256 key, wherever that lies."""

    @property
    def spki(self) -> bytes:
        """The public half: SubjectPublicKeyInfo, DER (RFC 5480)."""

    def sign_dsse(self, pae: bytes) -> bytes:
        """The signature over a pre-authentication encoding: ECDSA with SHA-256, DER.

        Raises:
            Unavailable: `signing-key-unusable`.
        """


class DsseVerifier(Protocol):
    """Checks one ECDSA P-256 signature with SHA-256."""

    def __call__(self, spki: bytes, message: bytes, signature: bytes) -> bool:
        """Whether the key signed exactly this."""


def pae(payload: bytes, payload_type: str = IN_TOTO) -> bytes:
    """The pre-authentication encoding (DSSE v1): type and payload, each behind its length in bytes."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
