"""Cosignatures (C2SP tlog-cosignature, `cosignature/v1`): a witness saw this checkpoint, at that time.

A witness signs for each log only what begins with what it signed before. So a cosigned checkpoint is
one that the log cannot take back without the witness. The lines stand in the checkpoint's note, below
the log's own; the signature type is 0x04, and the time belongs to what is signed.
"""

from collections.abc import Sequence

import msgspec

from domain.errors import Damaged
from domain.signed_note import (
    NoteSignature,
    SignedNote,
    Verifier,
    format_key_of_type,
    key_id_of,
    parse_key_of_type,
)

COSIGNATURE = b"\x04"
"""The type of signature, as it stands before a public key."""
HEADER = "cosignature/v1"
TIME_BYTES = 8
SIGNATURE_BYTES = 64
MAX_TIME = 2**63 - 1


class CosignerKey(msgspec.Struct, frozen=True):
    """A witness's public key under the name with which it signs."""

    name: str
    public_key: bytes

    @property
    def key_id(self) -> bytes:
        """What stands before a signature of this key: a hint, not proof."""
        return key_id_of(self.name, COSIGNATURE, self.public_key)


class Cosignature(msgspec.Struct, frozen=True):
    """A cosignature that holds: whose, of what time (seconds since 1970, UTC), and its line."""

    key: CosignerKey
    time: int
    signature: NoteSignature


def format_cosigner_key(key: CosignerKey) -> str:
    """The verifier key, as a policy names a witness."""
    return format_key_of_type(key.name, COSIGNATURE, key.public_key)


def parse_cosigner_key(text: str) -> CosignerKey:
    """The same, read.

    Raises:
        Malformed: `verifier-key-malformed`: among others a log's own key, which has type 0x01.
    """
    return CosignerKey(*parse_key_of_type(text, COSIGNATURE))


def cosigned_message(text: str, time: int) -> bytes:
    """What a witness signs of a checkpoint's text at a time."""
    assert 0 <= time <= MAX_TIME
    return f"{HEADER}\ntime {time}\n{text}".encode()


def format_cosignature(key: CosignerKey, time: int, signature: bytes) -> NoteSignature:
    """The signature line of a witness, of its Ed25519 signature over `cosigned_message`."""
    return NoteSignature(key.name, key.key_id, time.to_bytes(TIME_BYTES, "big") + signature)


def cosignatures_of(
    note: SignedNote, keys: Sequence[CosignerKey], verify: Verifier
) -> tuple[Cosignature, ...]:
    """The cosignatures under a note by any of the keys, in order; those of others mean nothing.

    Raises:
        Damaged: `signature-wrong`: one stands under a known key and does not hold.
    """
    known = {(key.name, key.key_id): key for key in keys}
    return tuple(
        Cosignature(known[one.name, one.key_id], _time(note.text, known, one, verify), one)
        for one in note.signatures
        if (one.name, one.key_id) in known
    )


def _time(
    text: str,
    known: dict[tuple[str, bytes], CosignerKey],
    one: NoteSignature,
    verify: Verifier,
) -> int:
    """The time of a cosignature by a known key, which must hold."""
    if len(one.signature) == TIME_BYTES + SIGNATURE_BYTES:
        key = known[one.name, one.key_id]
        time = int.from_bytes(one.signature[:TIME_BYTES], "big")
        # A cosignature always says its time, so 0 is none.
        if 0 < time <= MAX_TIME and verify(
            key.public_key, cosigned_message(text, time), one.signature[TIME_BYTES:]
        ):
            return time
    raise Damaged(
        "signature-wrong",
        f"The cosignature of {one.name} does not hold: it is not of this checkpoint.",
    )
