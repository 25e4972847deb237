"""The seal's sidecar: a Sigstore bundle v0.3 in key mode, in the one spelling that we write.

A signed Statement (DSSE), the key's hint, and the entry of the seal log with its proof.
"""

from typing import Literal

import msgspec

from domain import canonical
from domain.base64_text import decode64, encode64
from domain.dsse import IN_TOTO
from domain.errors import Damaged
from domain.hashed_rekord import API_VERSION, KIND
from domain.log_entry import LogEntry

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BUNDLE_BYTES = 4_000_000
MAX_HASHES = 63


class SignedSeal(msgspec.Struct, frozen=True):
    """What a sidecar holds.

    Attributes:
        statement: The payload that was signed.
        signature: ECDSA P-256 with SHA-256 over its PAE, DER.
        hint: The key's id: hex SHA-256 of its SubjectPublicKeyInfo.
        entry: Where the seal log has it.
    """

    statement: bytes
    signature: bytes
    hint: str
    entry: LogEntry


def encode_bundle(seal: SignedSeal) -> bytes:
    """The sidecar's bytes: canonical JSON, without a newline at the end."""
    entry = seal.entry
    return canonical.write(
        _Bundle(
            media_type=MEDIA_TYPE,
            dsse_envelope=_Envelope(
                payload=encode64(seal.statement),
                payload_type=IN_TOTO,
                signatures=(_Signature(keyid=seal.hint, sig=encode64(seal.signature)),),
            ),
            verification_material=_Material(
                public_key=_PublicKey(seal.hint),
                tlog_entries=(
                    _Entry(
                        log_index=str(entry.index),
                        integrated_time="0",
                        kind_version=_KindVersion(kind=KIND, version=API_VERSION),
                        log_id=_LogId(encode64(entry.log_id)),
                        canonicalized_body=encode64(entry.body),
                        inclusion_proof=_Proof(
                            log_index=str(entry.proof_index),
                            tree_size=str(entry.size),
                            root_hash=encode64(entry.root),
                            hashes=tuple(encode64(one) for one in entry.hashes),
                            checkpoint=_Checkpoint(entry.checkpoint),
                        ),
                    ),
                ),
            ),
        )
    )


def parse_bundle(raw: bytes) -> SignedSeal:
    """A sidecar, strictly: only what `encode_bundle` gives is taken.

    Raises:
        Damaged: `sidecar-malformed`.
    """
    if len(raw) > MAX_BUNDLE_BYTES:
        raise _bad(f"it has more than {MAX_BUNDLE_BYTES} bytes")
    try:
        bundle = msgspec.json.decode(raw, type=_Bundle)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(str(error)[:200]) from None
    envelope, material = bundle.dsse_envelope, bundle.verification_material
    if len(envelope.signatures) != 1 or len(material.tlog_entries) != 1:
        raise _bad("it has other than one signature and one entry of a log")
    (signature,), (entry,) = envelope.signatures, material.tlog_entries
    proof = entry.inclusion_proof
    if len(proof.hashes) > MAX_HASHES:
        raise _bad(f"its proof has more than {MAX_HASHES} hashes")
    seal = SignedSeal(
        statement=_raw(envelope.payload),
        signature=_raw(signature.sig),
        hint=signature.keyid,
        entry=LogEntry(
            log_id=_raw(entry.log_id.key_id),
            index=_number(entry.log_index),
            body=_raw(entry.canonicalized_body),
            proof_index=_number(proof.log_index),
            size=_number(proof.tree_size),
            root=_raw(proof.root_hash),
            hashes=tuple(_raw(one) for one in proof.hashes),
            checkpoint=proof.checkpoint.envelope,
        ),
    )
    if encode_bundle(seal) != raw:
        raise _bad("it is not spelt as sidecars are here")
    return seal


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


class _PublicKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    hint: str


class _KindVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    kind: str
    version: str


class _LogId(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    key_id: str


class _Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    envelope: str


class _Proof(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    log_index: str
    tree_size: str
    root_hash: str
    hashes: tuple[str, ...]
    checkpoint: _Checkpoint


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    log_index: str
    integrated_time: Literal["0"]
    kind_version: _KindVersion
    log_id: _LogId
    canonicalized_body: str
    inclusion_proof: _Proof


class _Material(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    public_key: _PublicKey
    tlog_entries: tuple[_Entry, ...]


class _Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    media_type: str
    dsse_envelope: _Envelope
    verification_material: _Material


def _raw(text: str) -> bytes:
    raw = decode64(text)
    if raw is None:
        raise _bad("a member is no base64")
    return raw


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19:
        raise _bad("an index or a size is no number")
    return int(text)


def _bad(why: str) -> Damaged:
    return Damaged("sidecar-malformed", f"This is not the sidecar of an export: {why}.")
