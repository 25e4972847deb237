"""Ed25519: the key with which checkpoints are signed."""

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.key_file import read_key, unusable, write_key


class FileSigner:
    """Signs with a key that was read from a file."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def __repr__(self) -> str:
        """Without the key."""
        return f"FileSigner({self._public_key.hex()})"

    @property
    def public_key(self) -> bytes:
        """The public half, 32 bytes."""
        return self._public_key

    def sign_note(self, text: bytes) -> bytes:
        """The signature over a note's text."""
        return self._key.sign(text)


def open_key(file: Path) -> FileSigner:
    """The key in a file that only its owner can read.

    Raises:
        NotFound: `signing-key-absent`.
        Forbidden: `signing-key-exposed`: others may read or write it.
        Unavailable: `signing-key-unusable`: it cannot be read, or is no Ed25519 key.
    """
    key = read_key(file)
    if not isinstance(key, Ed25519PrivateKey):
        raise unusable(file, "its key is not Ed25519")
    return FileSigner(key)


def make_key(file: Path) -> bool:
    """Make a new key there, for its owner alone; answers False when a file was there already.

    Raises:
        Unavailable: `signing-key-unusable`: nothing can be written there.
    """
    return write_key(file, Ed25519PrivateKey.generate())
