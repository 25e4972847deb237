"""Signatures of attestations under a public key, by the algorithm that belongs to the key.

ECDSA P-256 with SHA-256 (DER), or Ed25519. What an envelope says of algorithms is not asked.
"""

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from adapters.signature_check import verify_p256, verify_signature
from domain.trust import ED25519_SPKI, is_p256


def verify_attested(
    spki: bytes, signature: bytes, *, message: bytes | None, sha256: bytes | None
) -> bool:
    """Whether the key signed the message, or a message with this SHA-256; one of them is given.

    Ed25519 signs no digest: of a message that is not here, it says nothing.
    """
    if message is not None:
        if is_p256(spki):
            return verify_p256(spki, message, signature)
        if not spki.startswith(ED25519_SPKI):
            return False
        return verify_signature(spki[len(ED25519_SPKI) :], message, signature)
    if sha256 is None or not is_p256(spki):
        return False
    try:
        key = load_der_public_key(spki)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        key.verify(signature, sha256, ec.ECDSA(Prehashed(SHA256())))
    except (InvalidSignature, ValueError, UnsupportedAlgorithm):
        return False
    return True
