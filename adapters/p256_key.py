"""ECDSA P-256: the key with which exports are sealed.

Not Ed25519, because Sigstore's clients want a signature over a digest there.
"""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)

from adapters.key_file import read_key, unusable, write_key


class FileSealSigner:
    """Seals with a key that was read from a file."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key
        self._spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def __repr__(self) -> str:
        """Without the key."""
        return f"FileSealSigner({self._spki.hex()})"

    @property
    def spki(self) -> bytes:
        """The public half: SubjectPublicKeyInfo, DER."""
        return self._spki

    def sign_dsse(self, pae: bytes) -> bytes:
        """The signature: ECDSA with SHA-256, its nonce from key and text (RFC 6979), DER."""
        return self._key.sign(pae, ec.ECDSA(SHA256(), deterministic_signing=True))


def open_seal_key(file: Path) -> FileSealSigner:
    """The key in a file that only its owner can read.

    Raises:
        NotFound: `signing-key-absent`.
        Forbidden: `signing-key-exposed`: others may read or write it.
        Unavailable: `signing-key-unusable`: it cannot be read, or is no P-256 key.
    """
    key = read_key(file)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise unusable(file, "its key is not ECDSA P-256")
    return FileSealSigner(key)


def make_seal_key(file: Path) -> bool:
    """Make a new key there, for its owner alone; answers False when a file was there already.

    Raises:
        Unavailable: `signing-key-unusable`: nothing can be written there.
    """
    return write_key(file, ec.generate_private_key(ec.SECP256R1()))
