"""The key that signs this ledger's checkpoints: made once, and the same for all processes.

The database knows the public half. A process that finds no key while the database knows one does not make
another: it serves, and hands out what others have signed. One that finds another key does not start.
"""

import logging

from psycopg_pool import ConnectionPool

from adapters.ed25519_key import FileSigner, make_key, open_key
from adapters.key_file import key_file
from adapters.postgres_log_keys import current_key, register_key
from domain.errors import Conflict, NotFound

_logger = logging.getLogger("deedbook.keys")


def open_signer(uri: str, pool: ConnectionPool, *, make: bool) -> FileSigner | None:
    """The signer of a service; None without the key.

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
    file = key_file(uri)
    made = False
    try:
        signer = open_key(file)
    except NotFound:
        if not make or current_key(pool) is not None:
            _tell_absent(uri)
            return None
        made = make_key(file)
        signer = open_key(file)
    known = register_key(pool, signer.public_key)
    if known == signer.public_key:
        return signer
    if made:
        file.unlink()  # another process was first; nothing was signed with this one
        _tell_absent(uri)
        return None
    raise Conflict(
        "signing-key-mismatch",
        f"The key at {file} is not the one with which this ledger's checkpoints are signed: put the "
        "ledger's key there, or take this one away to serve without signing.",
    )


def _tell_absent(uri: str) -> None:
    _logger.warning(
        "there is no key at %s: this process signs no checkpoints, and hands out those that another "
        "one has signed; DEEDBOOK_LOG_KEY names the key's place",
        uri,
    )
