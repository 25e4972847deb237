"""Ed25519 in files: the key with which checkpoints are signed, and the check of a signature.

A key file is PKCS#8 PEM. It is written under another name with mode 0600 and then linked to its own, so
it is never there in part, never readable by others, and never put in the place of one that is there.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from domain.errors import Forbidden, Invalid, NotFound, Unavailable

MAX_KEY_FILE_BYTES = 8_192
SCHEME = "file:"


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


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed exactly this (RFC 8032)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def key_file(uri: str) -> Path:
    """Where a key lies.

    Raises:
        Invalid: `signing-key-unsupported`: nothing here reaches such a key.
    """
    if not uri.startswith(SCHEME):
        raise Invalid(
            "signing-key-unsupported",
            f"A key at {uri.partition(':')[0][:40]!r} cannot be used: DEEDBOOK_LOG_KEY names a file, "
            "like file:/etc/deedbook/log.key.",
        )
    path = uri.removeprefix(SCHEME)
    return Path(path.removeprefix("//") if path.startswith("///") else path).expanduser().absolute()


def open_key(file: Path) -> FileSigner:
    """The key in a file that only its owner can read.

    Raises:
        NotFound: `signing-key-absent`.
        Forbidden: `signing-key-exposed`: others may read or write it.
        Unavailable: `signing-key-unusable`: it cannot be read, or is no Ed25519 key.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        raise NotFound("signing-key-absent", f"There is no key at {file}.") from None
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise _unusable(file, "it is not a file")
        if os.name == "posix" and stat.S_IMODE(mode) & 0o077:
            raise Forbidden(
                "signing-key-exposed",
                f"{file} may be read or changed by others (mode {stat.S_IMODE(mode):04o}): make a "
                "new key if anybody could have had it, otherwise chmod 600.",
            )
        pem = os.read(descriptor, MAX_KEY_FILE_BYTES)
    finally:
        os.close(descriptor)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what they say could quote the file
        raise _unusable(file, "it holds no private key as PKCS#8 PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _unusable(file, "its key is not Ed25519")
    return FileSigner(key)


def make_key(file: Path) -> bool:
    """Make a new key there, for its owner alone; answers False when a file was there already.

    Raises:
        Unavailable: `signing-key-unusable`: nothing can be written there.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    unfinished = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    made = False
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(pem)
                opened.flush()
                os.fsync(opened.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(unfinished, file)
                made = True
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()
        folder = os.open(file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or a power cut takes the name, after a checkpoint was signed with it
        finally:
            os.close(folder)
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from None
    return made


def _unusable(file: Path, why: str) -> Unavailable:
    return Unavailable(
        "signing-key-unusable",
        f"The key at {file} cannot be used: {why}. DEEDBOOK_LOG_KEY names another place.",
    )
