"""The seal log's next entry: leaf, checkpoint and sidecar of a signed statement, as one pure step.

A sidecar needs no node of the tree: the proof of the newest leaf is the frontier that it was appended to,
from the right.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from domain.checkpoint import Checkpoint, format_checkpoint
from domain.dsse import pae
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.log_entry import LogEntry
from domain.merkle import extend, leaf_hash, root_of
from domain.signed_note import NoteKey, SignedNote, Signer, format_note, sign
from domain.sigstore_bundle import SignedSeal, encode_bundle
from domain.trust import hint_of


class SignedStatement(msgspec.Struct, frozen=True):
    """A statement, the signature over its PAE, and the key that gave it (SubjectPublicKeyInfo)."""

    statement: bytes
    signature: bytes
    spki: bytes


class NextEntry(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of an entry.

    Attributes:
        line: The leaf's data.
        leaf: Its hash.
        frontier: Of the log with it.
        root: Of the same.
        note: The checkpoint, signed.
        sidecar: The Sigstore bundle.
    """

    line: bytes
    leaf: bytes
    frontier: tuple[bytes, ...]
    root: bytes
    note: str
    sidecar: bytes


def next_entry(
    origin: str,
    size: int,
    frontier: Sequence[bytes],
    signed: SignedStatement,
    signers: Sequence[Signer],
) -> NextEntry:
    """The entry that makes a log of `size` leaves one longer.

    Args:
        origin: Of the log.
        size: How many leaves it has; the new one's index.
        frontier: Of the log before.
        signed: What is logged.
        signers: Of the checkpoint; the sidecar names the log by the first one's key.
    """
    digest = hashlib.sha256(pae(signed.statement)).digest()
    line = encode_leaf(digest, signed.signature, LeafKey(signed.spki))
    leaf = leaf_hash(line)
    grown = list(frontier)
    extend(grown, size, leaf)
    root = root_of(grown)
    text = format_checkpoint(Checkpoint(origin, size + 1, root))
    lines = [sign(text, origin, one).signatures[0] for one in signers]
    note = format_note(SignedNote(text, tuple(lines)))
    entry = LogEntry(
        log_id=NoteKey(origin, signers[0].public_key).log_id,
        index=size,
        body=line,
        proof_index=size,
        size=size + 1,
        root=root,
        hashes=tuple(reversed(frontier)),
        checkpoint=note,
    )
    seal = SignedSeal(signed.statement, signed.signature, hint_of(signed.spki), entry)
    return NextEntry(
        line=line,
        leaf=leaf,
        frontier=tuple(grown),
        root=root,
        note=note,
        sidecar=encode_bundle(seal),
    )
