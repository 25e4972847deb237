"""Seals: their formats to the published bytes, and how the ledger makes, keeps and refuses them."""

import hashlib
from collections.abc import Iterator

import pytest

from adapters.signature_check import verify_p256, verify_signature
from app.ledger import Ledger
from domain.checkpoint import open_checkpoint
from domain.dsse import pae
from domain.errors import DeedbookError
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.log_entry import check_entry
from domain.merkle import leaf_hash
from domain.seal import SEAL_LOG, Head, encode_statement, parse_statement
from domain.sigstore_bundle import encode_bundle, parse_bundle
from domain.trust import LogKey, SealKey, Trust, encode_trust, hint_of, parse_trust, trusted_root
from tests.ledger_samples import make_project, open_ledger
from tests.note_samples import PUBLIC
from tests.seal_samples import (
    BUNDLE_BYTES,
    CHECKPOINT,
    HINT,
    LEAF,
    LEAF_HASH,
    LEDGER,
    PAE_SHA256,
    SEAL,
    SIGNATURE,
    SPKI,
    STATEMENT,
    published_seal_signer,
    published_sidecar,
)

HEAD = Head("3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20", "https://github.com/deedbook/deedbook")


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """A ledger with the project alpha."""
    with open_ledger(database_url) as opened:
        make_project(opened, database_url)
        yield opened


def test_the_published_seal_is_made_to_the_byte() -> None:
    assert encode_statement(SEAL) == STATEMENT
    assert len(STATEMENT) == 484
    assert parse_statement(STATEMENT) == SEAL
    signed = pae(STATEMENT)
    assert (len(signed), hashlib.sha256(signed).hexdigest()) == (527, PAE_SHA256)
    signer = published_seal_signer()
    assert (signer.spki, hint_of(signer.spki)) == (SPKI, HINT)
    assert signer.sign_dsse(signed) == SIGNATURE
    assert SIGNATURE is not None
    assert SPKI is not None
    assert encode_leaf(bytes.fromhex(PAE_SHA256), SIGNATURE, LeafKey(SPKI)) == LEAF
    assert leaf_hash(LEAF) == LEAF_HASH
    sidecar = encode_bundle(published_sidecar())
    assert len(sidecar) == BUNDLE_BYTES
    assert parse_bundle(sidecar) == published_sidecar()
    assert check_entry(published_sidecar().entry, LEAF, [LEDGER], verify_signature).size == 1


def test_a_seal_is_the_export_as_it_is_and_logged(ledger: Ledger) -> None:
    position = ledger.position("alpha", None)
    sealed = ledger.seals.seal("alpha", position, "project", HEAD)
    record = ledger.exports.layout("alpha", position)
    whole = b"".join(ledger.exports.stream(record))
    said = parse_statement(sealed.statement)
    assert said.zip_sha256 == hashlib.sha256(whole).digest()
    assert (said.position, said.scope, said.head) == (position, "project", HEAD)
    sidecar = parse_bundle(sealed.sidecar)
    assert sidecar.statement == sealed.statement
    key = ledger.seals.trust().seal_key(sidecar.hint)
    assert key is not None
    assert verify_p256(key.spki, pae(sidecar.statement), sidecar.signature)
    signed = open_checkpoint(sidecar.entry.checkpoint, [LEDGER], verify_signature)
    assert signed.size == 1
    assert ledger.checkpoints.latest(SEAL_LOG).note == sidecar.entry.checkpoint


def test_the_same_export_sealed_again_has_the_same_sidecar_and_another_head_another(
    ledger: Ledger,
) -> None:
    position = ledger.position("alpha", None)
    first = ledger.seals.seal("alpha", position, "project", None)
    assert ledger.seals.seal("alpha", position, "project", None) == first
    other = ledger.seals.seal("alpha", position, "project", HEAD)
    assert other.index == first.index + 1
    assert ledger.seals.find("alpha", position, "project", HEAD.commit) == other
    assert ledger.seals.find("alpha", position, "project", None) == first
    with pytest.raises(DeedbookError) as caught:
        ledger.seals.find("alpha", position, "project", "0" * 40)
    assert caught.value.code == "seal-not-found"


def test_every_entry_of_the_seal_log_can_be_proved_later(ledger: Ledger) -> None:
    position = ledger.position("alpha", None)
    for number in range(40):
        head = Head(f"{number:040x}", HEAD.repository)
        sealed = ledger.seals.seal("alpha", position, "project", head)
        entry = parse_bundle(sealed.sidecar).entry
        assert check_entry(entry, entry.body, [LEDGER], verify_signature).size == number + 1
    for index in range(40):
        ledger.checkpoints.inclusion(SEAL_LOG, index + 1)
        ledger.checkpoints.consistency(SEAL_LOG, index + 1)


def test_the_keys_of_a_ledger_are_written_and_read_alike() -> None:
    assert SPKI is not None
    trust = Trust(
        "ledger.example",
        (LogKey(PUBLIC, until={"*": 0, "alpha.ledger.example": 3}), LogKey(PUBLIC[::-1])),
        (SealKey(SPKI, 0, 4),),
    )
    assert parse_trust(encode_trust(trust)) == trust
    assert b'"rawBytes":"MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="' in (
        trusted_root(trust)
    )
    assert trust.log_keys[0].valid("alpha.ledger.example", 3)
    assert not trust.log_keys[0].valid("alpha.ledger.example", 4)
    assert not trust.log_keys[0].valid("new.ledger.example", 1)
    assert trust.seal_keys[0].valid(3)
    assert not trust.seal_keys[0].valid(4)
    assert CHECKPOINT.startswith("ledger.example\n")
