"""An entry of a log as a bundle carries it, and the check that the log holds it (Rekor v2, Sigstore)."""

from collections.abc import Sequence

import msgspec

from domain.checkpoint import Checkpoint, open_checkpoint
from domain.errors import Damaged
from domain.merkle import leaf_hash, verify_inclusion
from domain.signed_note import NoteKey, Verifier


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where a leaf stands, and the proof.

    Attributes:
        log_id: Of the log's key under its name, 32 bytes.
        index: As the entry itself has it, from 0.
        body: The leaf's data.
        proof_index: As the proof has it.
        size: Of the tree that the proof leads to.
        root: Of that tree.
        hashes: From the leaf's sibling up.
        checkpoint: The signed note, verbatim.
    """

    log_id: bytes
    index: int
    body: bytes
    proof_index: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str


def check_entry(
    entry: LogEntry, leaf: bytes, logs: Sequence[NoteKey], verify: Verifier
) -> Checkpoint:
    """Whether a known log holds exactly this leaf where the entry says; answers its checkpoint.

    Args:
        entry: From a bundle.
        leaf: The data that the leaf must have, made by the reader.
        logs: Keys that the reader knows.
        verify: Checks the checkpoint's signature.

    Raises:
        Damaged: `entry-wrong`, `note-malformed`, `checkpoint-malformed`, `signature-wrong`,
            `signature-missing`.
    """
    if entry.body != leaf:
        raise _wrong("the log's entry is not about this statement, signature and key")
    if entry.index != entry.proof_index:
        raise _wrong(f"it stands at {entry.index}, and its proof is of {entry.proof_index}")
    known = [key for key in logs if key.log_id == entry.log_id]
    if not known:
        raise _wrong("it is in a log whose key is not known here")
    checkpoint = open_checkpoint(entry.checkpoint, known, verify)
    if (checkpoint.size, checkpoint.root) != (entry.size, entry.root):
        raise _wrong("size and root are not those that the log signed")
    if not verify_inclusion(
        leaf_hash(leaf), entry.index, checkpoint.size, entry.hashes, checkpoint.root
    ):
        raise _wrong("its proof does not lead to the root that the log signed")
    return checkpoint


def _wrong(why: str) -> Damaged:
    return Damaged("entry-wrong", f"The log does not vouch for this: {why}.")
