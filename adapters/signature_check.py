"""Whether a signature holds: Ed25519 for notes, ECDSA P-256 for statements.

Apart from the keys that sign: a verifier reads no key file, and starts sooner without what that takes.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from domain.trust import is_p256

POINT_BYTES = 65
"""An uncompressed point of P-256 (SEC 1, section 2.3.3), which ends a SubjectPublicKeyInfo."""


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the Ed25519 key signed exactly this (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def verify_p256(spki: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed exactly this: ECDSA P-256 with SHA-256, the signature in DER.

    Args:
        spki: SubjectPublicKeyInfo, DER; of any other form nothing holds.
        message: What is said to be signed.
        signature: What is said to be its signature.
    """
    if not is_p256(spki):
        return False
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), spki[-POINT_BYTES:])
        key.verify(signature, message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True
