"""Bundles that others signed and logged (Rekor v2), with the verdict that each must get.

They are no part of this repository: they lie in `shared/data/rekor2` beside it or above, or below the folder
that DEEDBOOK_TEST_SHARED_DATA names.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.signature_check import verify_p256, verify_signature
from domain.base64_text import decode64
from domain.dsse import pae
from domain.errors import DeedbookError
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.log_entry import LogEntry, check_entry
from domain.signed_note import NoteKey
from domain.trust import ED25519_SPKI
from tests.outside_programs import ROOT, Case, Root, sigstore

NAMED = os.environ.get("DEEDBOOK_TEST_SHARED_DATA")
FOLDERS = [Path(NAMED)] if NAMED else [one / "shared" / "data" for one in ROOT.parents]
FOLDER = next((one / "rekor2" for one in FOLDERS if (one / "rekor2").is_dir()), ROOT / "rekor2")

pytestmark = pytest.mark.skipif(
    not (FOLDER / "expected.tsv").is_file(),
    reason="the Rekor v2 vectors are not here: no folder shared/data/rekor2 beside it or above",
)


class Vector(msgspec.Struct, frozen=True):
    """A bundle as it is read here: what the log layer is about."""

    signed: bytes
    signature: bytes
    certificate: bytes
    entry: LogEntry

    @property
    def leaf(self) -> bytes:
        """The leaf's data, made anew."""
        return encode_leaf(
            hashlib.sha256(self.signed).digest(),
            self.signature,
            LeafKey(self.certificate, "x509Certificate"),
        )


def rows() -> list[dict[str, str]]:
    with (FOLDER / "expected.tsv").open(newline="") as opened:
        return list(csv.DictReader(opened, delimiter="\t"))


def case(row: dict[str, str], name: str) -> bytes:
    return (FOLDER / "cases" / row["case"] / name).read_bytes()


def raw(text: str) -> bytes:
    decoded = decode64(text)
    assert decoded is not None
    return decoded


def read(bundle: Any) -> Vector:
    """Of a bundle what the log layer needs; other members are not looked at."""
    material = bundle["verificationMaterial"]
    [entry] = material["tlogEntries"]
    proof = entry["inclusionProof"]
    if "dsseEnvelope" in bundle:
        envelope = bundle["dsseEnvelope"]
        [one] = envelope["signatures"]
        signed, signature = pae(raw(envelope["payload"]), envelope["payloadType"]), raw(one["sig"])
    else:
        message = bundle["messageSignature"]
        signed, signature = (FOLDER / "a.txt").read_bytes(), raw(message["signature"])
        assert raw(message["messageDigest"]["digest"]) == hashlib.sha256(signed).digest()
    return Vector(
        signed,
        signature,
        raw(material["certificate"]["rawBytes"]),
        LogEntry(
            log_id=raw(entry["logId"]["keyId"]),
            index=int(entry["logIndex"]),
            body=raw(entry["canonicalizedBody"]),
            proof_index=int(proof["logIndex"]),
            size=int(proof["treeSize"]),
            root=raw(proof["rootHash"]),
            hashes=tuple(raw(one) for one in proof["hashes"]),
            checkpoint=proof["checkpoint"]["envelope"],
        ),
    )


def logs(trusted_root: Any) -> Iterator[NoteKey]:
    """The logs whose key is Ed25519, under the names with which they sign."""
    for one in trusted_root["tlogs"]:
        key = raw(one["publicKey"]["rawBytes"])
        if key.startswith(ED25519_SPKI):
            name = NoteKey(str(urlsplit(one["baseUrl"]).hostname), key.removeprefix(ED25519_SPKI))
            assert name.log_id == raw(one["logId"]["keyId"])
            yield name


def spki_of(vector: Vector) -> bytes:
    """The key of its certificate; who issued that is not looked at."""
    certificate = x509.load_der_x509_certificate(vector.certificate)
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def log_layer(row: dict[str, str]) -> tuple[str, str]:
    """What the check of the log alone says, and of which layer its refusal is."""
    vector = read(json.loads(case(row, "bundle.sigstore.json")))
    known = list(logs(json.loads(case(row, "trusted_root.json"))))
    try:
        check_entry(vector.entry, vector.leaf, known, verify_signature)
    except DeedbookError as error:
        return "fail", "leaf" if error.code == "entry-wrong" else "checkpoint"
    if not verify_p256(spki_of(vector), vector.signed, vector.signature):
        return "fail", "leaf"
    return "pass", "-"


def test_there_are_thirteen_and_eight_must_fail_somewhere() -> None:
    assert len(rows()) == 13
    assert sum(row["log_layer"] == "fail" for row in rows()) == 4
    assert sum(row["whole_bundle"] == "fail" for row in rows()) == 8
    text = (FOLDER / "a.txt").read_bytes()
    assert hashlib.sha256(text).hexdigest().startswith("a0cfc712")


def test_the_log_layer_says_what_is_stated_and_fails_in_the_layer_that_is_stated() -> None:
    said = {row["case"]: log_layer(row) for row in rows()}
    stated = {
        row["case"]: (
            row["log_layer"],
            "-" if row["log_layer"] == "pass" else row["first_failing_layer"],
        )
        for row in rows()
    }
    assert said == stated


def test_our_encoder_makes_every_leaf_that_others_logged() -> None:
    made = 0
    for row in rows():
        vector = read(json.loads(case(row, "bundle.sigstore.json")))
        if row["first_failing_layer"] != "leaf":
            assert vector.leaf == vector.entry.body, row["case"]
            made += 1
        else:
            assert vector.leaf != vector.entry.body, row["case"]
    assert made == 11


def test_a_second_good_signature_is_refused_because_it_is_not_the_one_in_the_log() -> None:
    """ECDSA has many signatures over one text: what is logged is one of them."""
    held = {}
    for row in rows():
        vector = read(json.loads(case(row, "bundle.sigstore.json")))
        held[row["case"]] = verify_p256(spki_of(vector), vector.signed, vector.signature)
    assert [name for name, holds in held.items() if not holds] == ["rekor2-dsse-invalid-sig_fail"]
    [row] = [row for row in rows() if row["case"] == "rekor2-dsse-mismatch-sig_fail"]
    assert log_layer(row) == ("fail", "leaf")


@pytest.mark.outside
def test_sigstores_own_client_says_what_is_stated_of_each_whole_bundle() -> None:
    artifact = (FOLDER / "a.txt").read_bytes()
    roots = {
        row["case"]: Root(case(row, "trusted_root.json").decode(), timestamps=1) for row in rows()
    }
    cases = [Case(case(row, "bundle.sigstore.json"), row["case"], artifact) for row in rows()]
    said = ["pass" if one.ok else "fail" for one in sigstore(cases, roots)]
    assert said == [row["whole_bundle"] for row in rows()]
