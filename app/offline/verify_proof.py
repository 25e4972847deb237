"""Checking the proof of one event: offline, with the log's public key and the event's stored bytes."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from adapters.signature_check import verify_signature
from domain.checkpoint import Checkpoint, open_checkpoint, parse_checkpoint
from domain.errors import Damaged, DeedbookError
from domain.events import parse
from domain.merkle import leaf_hash, verify_consistency, verify_inclusion
from domain.signed_note import NoteKey, parse_note
from domain.tlog_proof import ConsistencyProof, TlogProof, parse_proof

State = Literal["VERIFIED", "INCOMPLETE", "FAILED"]


class ProofCheck(msgspec.Struct, frozen=True):
    """The outcome of one step; `ok` is None where it could not run."""

    id: str
    ok: bool | None
    detail: str


class ProofReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result, and what the proof says that it is; worth believing as far as the state says."""

    state: State
    checks: tuple[ProofCheck, ...]
    origin: str | None = None
    position: int | None = None
    size: int | None = None
    root: str | None = None


def verify_proof(text: str, keys: Sequence[NoteKey], line: bytes | None) -> ProofReport:
    """Check a `.tlog-proof`.

    Args:
        text: The proof's.
        keys: The log's, known from elsewhere; without one the signature cannot be checked.
        line: The event as it is stored, without a newline; without it the proof proves nothing yet.
    """
    try:
        proof = parse_proof(text)
        checkpoint = parse_checkpoint(parse_note(proof.checkpoint).text)
    except DeedbookError as error:
        return ProofReport(state="FAILED", checks=(ProofCheck("shape", False, error.detail),))
    checks = (
        ProofCheck("shape", True, "a proof of one event, with its checkpoint"),
        _signature(proof, keys),
        _event(proof, line),
        _inclusion(proof, checkpoint, line),
    )
    outcomes = {check.ok for check in checks}
    return ProofReport(
        state="FAILED" if False in outcomes else "INCOMPLETE" if None in outcomes else "VERIFIED",
        checks=checks,
        origin=checkpoint.origin,
        position=proof.index + 1,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
    )


def check_grown(proof: ConsistencyProof, old: Checkpoint, new: Checkpoint) -> None:
    """Refuse a log that is not the one of an older checkpoint, grown on.

    Raises:
        Damaged: `log-forked`.
    """
    if old.origin != new.origin:
        raise Damaged(
            "log-forked", f"The checkpoint given is of {old.origin}, this one of {new.origin}."
        )
    hashes = proof.hashes
    if not verify_consistency(old.size, new.size, hashes, old.root, new.root):
        raise Damaged(
            "log-forked",
            f"The log of {new.size} events does not begin with that of {old.size} which was signed "
            "before: keep both checkpoints, they are the proof.",
        )


def _signature(proof: TlogProof, keys: Sequence[NoteKey]) -> ProofCheck:
    if not keys:
        return ProofCheck("signature", None, "no key was given to check it with")
    try:
        signed = open_checkpoint(proof.checkpoint, keys, verify_signature)
    except DeedbookError as error:
        return ProofCheck("signature", False, error.detail)
    return ProofCheck("signature", True, f"{signed.origin} signed its {signed.size} events")


def _event(proof: TlogProof, line: bytes | None) -> ProofCheck:
    if line is None:
        return ProofCheck("event", None, "no event was given")
    try:
        position = parse(line).position
    except DeedbookError as error:
        return ProofCheck("event", False, error.detail)
    if position != proof.index + 1:
        return ProofCheck(
            "event", False, f"It stands at {position}, and the proof is of {proof.index + 1}."
        )
    return ProofCheck("event", True, f"it says that it stands at position {position}")


def _inclusion(proof: TlogProof, checkpoint: Checkpoint, line: bytes | None) -> ProofCheck:
    if line is None:
        return ProofCheck("inclusion", None, "no event was given")
    good = verify_inclusion(
        leaf_hash(line), proof.index, checkpoint.size, proof.hashes, checkpoint.root
    )
    if not good:
        return ProofCheck("inclusion", False, "The hashes do not lead from the event to the root.")
    return ProofCheck("inclusion", True, "the hashes lead from the event to the root")
