"""Steps 8 and 10 of a verification: the seal beside an export, and the commit that it is for."""

import hashlib

import msgspec

from domain.dsse import pae
from domain.errors import Damaged, DeedbookError
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.log_entry import check_entry
from domain.seal import Seal, parse_statement
from domain.sigstore_bundle import SignedSeal, parse_bundle
from domain.trust import Trust
from projections.verify_evidence import Evidence, Signatures
from projections.verify_report import Findings, shown


class Computed(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out of an export; None where it could not be."""

    folder: str
    zip_sha256: bytes
    manifest_sha256: bytes | None
    origin: str | None
    position: int | None
    root: bytes | None
    scope: str | None


def check_seal(evidence: Evidence, found: Computed, findings: Findings) -> Seal | None:
    """Step 8; answers what the seal says, when that is what was found in the export."""
    if evidence.sidecar is None:
        findings.could_not_run("seal", "no sidecar was given: `deedbook export --seal` writes one")
        return None
    try:
        sidecar = parse_bundle(evidence.sidecar)
        seal = parse_statement(sidecar.statement)
        _compare(seal, found)
    except DeedbookError as error:
        findings.fail("seal", error.detail)
        return None
    if evidence.trust is None:
        findings.could_not_run(
            "seal",
            "it is about this file, and no keys were given to check who made it: --trust, from "
            "`deedbook trusted-root`",
        )
        return seal
    if evidence.signatures is None:
        findings.could_not_run("seal", "signatures cannot be checked here")
        return seal
    try:
        detail = check_signed(sidecar, evidence.trust, evidence.signatures)
    except DeedbookError as error:
        findings.fail("seal", error.detail)
        return None
    findings.ran("seal", detail)
    return seal


def check_head(evidence: Evidence, seal: Seal | None, position: int, findings: Findings) -> None:
    """Step 10: the export was sealed for the commit that the reader has before them."""
    wanted = evidence.head
    if wanted is None:
        return
    pin = evidence.pin
    if pin is not None and pin.size > position:
        findings.fail(
            "head",
            f"the log has {pin.size} events by the pin, and the export ends at {position}: an old "
            "export is no evidence for the present commit",
        )
    if evidence.sidecar is None:
        findings.could_not_run("head", "no sidecar was given, and it names the commit")
    elif seal is None:
        findings.could_not_run("head", "could not run: the seal is not that of this export")
    elif seal.head is None:
        findings.fail("head", "the seal is for no commit")
    elif seal.head.commit != wanted:
        findings.fail("head", f"the seal is for commit {seal.head.commit}, not {wanted}")
    else:
        findings.ran("head", f"sealed for commit {wanted} of {seal.head.repository}")


def _compare(seal: Seal, found: Computed) -> None:
    """Whether the statement is about this export, by what was computed and not by what it says."""
    wanted = (
        ("the SHA-256 of the file", seal.zip_sha256, found.zip_sha256),
        ("the name of the file", seal.file_name, f"{found.folder}.zip"),
        ("the manifest", seal.manifest_sha256, found.manifest_sha256),
        ("the log", seal.origin, found.origin),
        ("the position", seal.position, found.position),
        ("the root", seal.root, found.root),
        ("the scope", seal.scope, found.scope),
    )
    for what, said, computed in wanted:
        if computed is None:
            raise Damaged("seal-differs", f"{what} cannot be compared: the export does not give it")
        if said != computed:
            raise Damaged(
                "seal-differs", f"{what} is {_shown(computed)}, the seal says {_shown(said)}"
            )


def check_signed(sidecar: SignedSeal, trust: Trust, signatures: Signatures) -> str:
    """Whether keys of the ledger signed and logged it; answers who and where.

    Raises:
        Damaged: `seal-unknown-key`, `seal-signature-wrong`, and as `check_entry`.
    """
    index = sidecar.entry.index
    key = trust.seal_key(sidecar.hint)
    if key is None:
        raise Damaged(
            "seal-unknown-key", f"the seal is by a key that {trust.ledger} does not have in --trust"
        )
    if not key.valid(index):
        raise Damaged(
            "seal-unknown-key",
            f"the seal stands at index {index} of the seal log, where its key is not valid "
            f"(from {key.first}{'' if key.until is None else f' to before {key.until}'})",
        )
    signed = pae(sidecar.statement)
    if not signatures.p256(key.spki, signed, sidecar.signature):
        raise Damaged("seal-signature-wrong", "the signature of the seal does not hold")
    leaf = encode_leaf(hashlib.sha256(signed).digest(), sidecar.signature, LeafKey(key.spki))
    logs = trust.note_keys(trust.ledger, sidecar.entry.size)
    checkpoint = check_entry(sidecar.entry, leaf, logs, signatures.ed25519)
    if checkpoint.origin != trust.ledger:
        raise Damaged("seal-unknown-key", f"it is logged by {checkpoint.origin}")
    return f"signed by {trust.ledger}, at index {index} of its seal log"


def _shown(value: bytes | str | int) -> str:
    return value.hex() if isinstance(value, bytes) else shown(str(value))
