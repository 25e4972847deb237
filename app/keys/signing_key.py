"""The keys with which this ledger signs: made once, and the same for all processes.

The database knows the public halves. A process that finds no key while the database knows one does not
make another: it serves, and hands out what others have signed. One that finds another key does not start.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from psycopg_pool import ConnectionPool

from adapters import ed25519_key, p256_key
from adapters.ed25519_key import FileSigner
from adapters.key_file import key_file
from adapters.p256_key import FileSealSigner
from adapters.postgres_keys import Role, current_key, register_key
from domain.dsse import DsseSigner
from domain.errors import Conflict, NotFound
from domain.signed_note import Signer

Key = TypeVar("Key")

_logger = logging.getLogger("deedbook.keys")


class Signers(msgspec.Struct, frozen=True):
    """What a process signs with; None for a key that it has not.

    Attributes:
        log: Signs checkpoints.
        seal: Signs seals.
    """

    log: Signer | None = None
    seal: DsseSigner | None = None


def open_signer(uri: str, pool: ConnectionPool, *, make: bool) -> FileSigner | None:
    """The signer of checkpoints; None without the key.

    Args:
        uri: Where the key lies.
        pool: The ledger's.
        make: Make it if the ledger has none.

    Raises:
        Invalid: `signing-key-unsupported`.
        Forbidden: `signing-key-exposed`.
        Unavailable: `signing-key-unusable`.
        Conflict: `signing-key-mismatch`.
    """
    return _open(
        uri,
        pool,
        make,
        role="log",
        read=ed25519_key.open_key,
        write=ed25519_key.make_key,
        public=lambda key: key.public_key,
    )


def open_seal_signer(uri: str, pool: ConnectionPool, *, make: bool) -> FileSealSigner | None:
    """The signer of seals, likewise."""
    return _open(
        uri,
        pool,
        make,
        role="seal",
        read=p256_key.open_seal_key,
        write=p256_key.make_seal_key,
        public=lambda key: key.spki,
    )


def _open(
    uri: str,
    pool: ConnectionPool,
    make: bool,
    *,
    role: Role,
    read: Callable[[Path], Key],
    write: Callable[[Path], bool],
    public: Callable[[Key], bytes],
) -> Key | None:
    file = key_file(uri)
    made = False
    try:
        key = read(file)
    except NotFound:
        if not make or current_key(pool, role) is not None:
            _tell_absent(uri, role)
            return None
        made = write(file)
        key = read(file)
    known = register_key(pool, public(key), role)
    if known == public(key):
        return key
    if made:
        file.unlink()  # another process was first; nothing was signed with this one
        _tell_absent(uri, role)
        return None
    raise Conflict(
        "signing-key-mismatch",
        f"The key at {file} is not the {role} key of this ledger: put the ledger's key there, or "
        "take this one away to serve without signing.",
    )


def _tell_absent(uri: str, role: Role) -> None:
    what = "checkpoints" if role == "log" else "exports"
    _logger.warning(
        "there is no key at %s: this process signs no %s, and hands out what another one has "
        "signed; DEEDBOOK_%s_KEY names the key's place",
        uri,
        what,
        role.upper(),
    )
