"""Private keys in files: PKCS#8 PEM that its owner alone can read.

A file is written under another name with mode 0600 and then linked to its own, so it is never there in
part, never readable by others, and never put in the place of one that is there.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from domain.errors import Forbidden, Invalid, NotFound, Unavailable

MAX_KEY_FILE_BYTES = 8_192
SCHEME = "file:"


def key_file(uri: str) -> Path:
    """Where a key lies.

    Raises:
        Invalid: `signing-key-unsupported`: nothing here reaches such a key.
    """
    if not uri.startswith(SCHEME):
        raise Invalid(
            "signing-key-unsupported",
            f"A key at {uri.partition(':')[0][:40]!r} cannot be used: DEEDBOOK_LOG_KEY and "
            "DEEDBOOK_SEAL_KEY name files, like file:/etc/deedbook/log.key.",
        )
    path = uri.removeprefix(SCHEME)
    return Path(path.removeprefix("//") if path.startswith("///") else path).expanduser().absolute()


def read_key(file: Path) -> PrivateKeyTypes:
    """The key in a file that only its owner can read.

    Raises:
        NotFound: `signing-key-absent`.
        Forbidden: `signing-key-exposed`: others may read or write it.
        Unavailable: `signing-key-unusable`: it cannot be read, or holds no key.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        raise NotFound("signing-key-absent", f"There is no key at {file}.") from None
    except OSError as error:
        raise unusable(file, error.strerror or str(error)) from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise unusable(file, "it is not a file")
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
        return load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what they say could quote the file
        raise unusable(file, "it holds no private key as PKCS#8 PEM without a password") from None


def write_key(file: Path, key: PrivateKeyTypes) -> bool:
    """Put a key there, for its owner alone; answers False when a file was there already.

    Raises:
        Unavailable: `signing-key-unusable`: nothing can be written there.
    """
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
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
        sync_folder(
            file.parent
        )  # or a power cut takes the name, after something was signed with it
    except OSError as error:
        raise unusable(file, error.strerror or str(error)) from None
    return made


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def unusable(file: Path, why: str) -> Unavailable:
    """The problem of a key that is there and cannot be used."""
    return Unavailable(
        "signing-key-unusable",
        f"The key at {file} cannot be used: {why}. DEEDBOOK_LOG_KEY and DEEDBOOK_SEAL_KEY name "
        "other places.",
    )
