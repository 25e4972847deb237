"""The public keys of a ledger, and where each is valid: by index and size, never by date.

A reader keeps them (`trust.json`) and changes them on purpose. Nothing that is verified brings its own.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from domain import canonical
from domain.base64_text import decode64, encode64
from domain.errors import Malformed
from domain.signed_note import PUBLIC_KEY_BYTES, NoteKey

MAX_TRUST_BYTES = 4_000_000
MAX_KEYS = 1_000
OTHERWISE = "*"
"""Stands for every log that a range does not name."""
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
"""What stands before an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410)."""
P256_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004")
"""What stands before an uncompressed P-256 point in one (RFC 5480)."""
P256_SPKI_BYTES = 91

_TRUSTED_ROOT = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"


class LogKey(msgspec.Struct, frozen=True):
    """A key that signs checkpoints, of every log of the ledger.

    Attributes:
        public_key: Ed25519, 32 bytes.
        since: By origin, the size above which it is valid; 0 where neither the log nor `*` is named.
        until: By origin, the last size for which it is; without end where nothing is named.
    """

    public_key: bytes
    since: Mapping[str, int] = {}
    until: Mapping[str, int] = {}

    def valid(self, origin: str, size: int) -> bool:
        """Whether it may have signed the checkpoint of a log at a size."""
        until = self.until.get(origin, self.until.get(OTHERWISE))
        above = self.since.get(origin, self.since.get(OTHERWISE, 0))
        return above < size and (until is None or size <= until)


class SealKey(msgspec.Struct, frozen=True):
    """A key that signs seals.

    Attributes:
        spki: P-256, SubjectPublicKeyInfo, DER.
        first: The index of the seal log from which it is valid.
        until: The index from which it is not any more.
    """

    spki: bytes
    first: int = 0
    until: int | None = None

    @property
    def hint(self) -> str:
        """The name of the key in envelopes and bundles."""
        return hint_of(self.spki)

    def valid(self, index: int) -> bool:
        """Whether it may have signed the seal at an index."""
        return self.first <= index and (self.until is None or index < self.until)


class Trust(msgspec.Struct, frozen=True):
    """The keys of one ledger, oldest first; its host is the origin of the seal log."""

    ledger: str
    log_keys: tuple[LogKey, ...]
    seal_keys: tuple[SealKey, ...]

    def note_keys(self, origin: str, size: int) -> list[NoteKey]:
        """The keys that may have signed a log at a size, under its name."""
        return [NoteKey(origin, key.public_key) for key in self.log_keys if key.valid(origin, size)]

    def seal_key(self, hint: str) -> SealKey | None:
        """The key of a name."""
        return next((key for key in self.seal_keys if key.hint == hint), None)


def hint_of(spki: bytes) -> str:
    """The name of a seal key: the hex SHA-256 of its SubjectPublicKeyInfo."""
    return hashlib.sha256(spki).hexdigest()


def encode_trust(trust: Trust) -> bytes:
    """The bytes of `trust.json`: one canonical line."""
    return (
        canonical.write(
            _Trust(
                ledger=trust.ledger,
                log_keys=tuple(
                    _LogKey(encode64(key.public_key), dict(key.since), dict(key.until))
                    for key in trust.log_keys
                ),
                seal_keys=tuple(
                    _SealKey(encode64(key.spki), key.first, key.until) for key in trust.seal_keys
                ),
            )
        )
        + b"\n"
    )


def parse_trust(raw: bytes) -> Trust:
    """The keys of a `trust.json`, however it is indented.

    Raises:
        Malformed: `trust-malformed`.
    """
    if len(raw) > MAX_TRUST_BYTES:
        raise _bad(f"it has more than {MAX_TRUST_BYTES} bytes")
    try:
        given = msgspec.json.decode(raw, type=_Trust)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(str(error)[:200]) from None
    if len(given.log_keys) + len(given.seal_keys) > MAX_KEYS:
        raise _bad(f"it has more than {MAX_KEYS} keys")
    log_keys = []
    for one in given.log_keys:
        key = decode64(one.ed25519)
        if key is None or len(key) != PUBLIC_KEY_BYTES:
            raise _bad("a log key is no base64 of an Ed25519 key")
        log_keys.append(LogKey(key, one.since, one.until))
    seal_keys = []
    for sealing in given.seal_keys:
        spki = decode64(sealing.spki)
        if spki is None or not is_p256(spki):
            raise _bad("a seal key is no base64 of a P-256 key")
        seal_keys.append(SealKey(spki, sealing.since, sealing.until))
    if len({key.spki for key in seal_keys}) < len(seal_keys):
        raise _bad("a seal key is in it twice")
    return Trust(given.ledger, tuple(log_keys), tuple(seal_keys))


def trusted_root(trust: Trust) -> bytes:
    """The bytes of a `trusted_root.json` for Sigstore's clients: the logs that vouch for seals."""
    names = [(key, NoteKey(trust.ledger, key.public_key)) for key in trust.log_keys]
    value = {
        "mediaType": _TRUSTED_ROOT,
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
        "tlogs": [
            {
                "baseUrl": f"https://{trust.ledger}",
                "hashAlgorithm": "SHA2_256",
                "logId": {"keyId": encode64(name.log_id)},
                "publicKey": {
                    "keyDetails": "PKIX_ED25519",
                    "rawBytes": encode64(ED25519_SPKI + key.public_key),
                    "validFor": {"start": "1970-01-01T00:00:00Z"},
                },
            }
            for key, name in names
        ],
    }
    return canonical.write(value) + b"\n"


def is_p256(spki: bytes) -> bool:
    """Whether it has the form of a P-256 key; whether the point lies on the curve is not looked at."""
    return len(spki) == P256_SPKI_BYTES and spki.startswith(P256_SPKI)


class _LogKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    ed25519: str
    since: dict[str, int]
    until: dict[str, int]


class _SealKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from"}):
    spki: str
    since: int
    until: int | None


class _Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ledger: str
    log_keys: tuple[_LogKey, ...]
    seal_keys: tuple[_SealKey, ...]


def _bad(why: str) -> Malformed:
    return Malformed(
        "trust-malformed",
        f"These are not the public keys of a ledger: {why}. `deedbook trusted-root -o FOLDER` "
        "writes them as trust.json.",
    )
