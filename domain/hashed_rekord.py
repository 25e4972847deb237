"""Leaves of the seal log: Rekor v2's `hashedrekord` 0.0.2, byte for byte as Sigstore's clients make it."""

from typing import Literal

import msgspec

from domain import canonical
from domain.base64_text import encode64

KIND = "hashedrekord"
API_VERSION = "0.0.2"
P256 = "PKIX_ECDSA_P256_SHA_256"


class LeafKey(msgspec.Struct, frozen=True):
    """With what a leaf's signature is checked.

    Attributes:
        raw: A public key as SubjectPublicKeyInfo, or an X.509 certificate; DER.
        form: Which of the two.
        details: The algorithm, in Sigstore's words.
    """

    raw: bytes
    form: Literal["publicKey", "x509Certificate"] = "publicKey"
    details: str = P256


def encode_leaf(sha256: bytes, signature: bytes, key: LeafKey) -> bytes:
    """The leaf's data: that the key gave this signature over something with this SHA-256."""
    return canonical.write(
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "spec": {
                "hashedRekordV002": {
                    "data": {"algorithm": "SHA2_256", "digest": encode64(sha256)},
                    "signature": {
                        "content": encode64(signature),
                        "verifier": {
                            "keyDetails": key.details,
                            key.form: {"rawBytes": encode64(key.raw)},
                        },
                    },
                }
            },
        }
    )
