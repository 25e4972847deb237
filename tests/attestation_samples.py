"""Attestations made by the tests, with keys of their own, and twins of them that are spoilt."""

import base64
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from domain.dsse import IN_TOTO, pae
from domain.events import AttestationKey

Key = ec.EllipticCurvePrivateKey | Ed25519PrivateKey

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PROVENANCE = "https://slsa.dev/provenance/v1"
V3 = "application/vnd.dev.sigstore.bundle.v0.3+json"
V1 = "application/vnd.dev.sigstore.bundle+json;version=0.1"
REKOR = next(
    (
        folder / "shared/data/rekor2"
        for folder in Path(__file__).parents
        if (folder / "shared/data/rekor2").is_dir()
    ),
    None,
)
"""Bundles that others signed and logged (sigstore-conformance); not part of this repository."""
SUBJECT = {"name": "app.tar", "digest": {"sha256": "ab" * 32, "gitCommit": "c0" * 20}}


def p256() -> ec.EllipticCurvePrivateKey:
    """A new key."""
    return ec.generate_private_key(ec.SECP256R1())


def ed25519() -> Ed25519PrivateKey:
    """A new key."""
    return Ed25519PrivateKey.generate()


def spki(key: Key) -> bytes:
    """Its public half, DER."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pem(key: Key) -> bytes:
    """Its public half, PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def trusted(key: Key, *predicate_types: str) -> AttestationKey:
    """As a policy names it."""
    return AttestationKey(spki=text64(spki(key)), predicate_types=predicate_types)


def sign(key: Key, message: bytes) -> bytes:
    """By the algorithm that belongs to the key."""
    if isinstance(key, Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(SHA256()))


def statement(**members: object) -> bytes:
    """An in-toto Statement, some members of it different."""
    value = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [SUBJECT],
        "predicateType": TEST_RESULT,
        "predicate": {"result": "PASSED", "configuration": [], "seconds": 1.5},
    }
    return json.dumps({**value, **members}).encode()


def envelope(
    payload: bytes, *keys: Key, payload_type: str = IN_TOTO, **members: object
) -> dict[str, Any]:
    """A DSSE envelope, signed by these keys."""
    return {
        "payloadType": payload_type,
        "payload": text64(payload),
        "signatures": [
            {"keyid": f"key-{index}", "sig": text64(sign(key, pae(payload, payload_type)))}
            for index, key in enumerate(keys)
        ],
        **members,
    }


def bundle(
    content: Mapping[str, object], media_type: str = V3, **material: object
) -> dict[str, Any]:
    """A Sigstore bundle in key mode around `dsseEnvelope` or `messageSignature`."""
    return {
        "mediaType": media_type,
        "verificationMaterial": material or {"publicKey": {"hint": "k"}, "tlogEntries": []},
        **content,
    }


def message(key: Key, content: bytes) -> dict[str, Any]:
    """A file's signature, as a bundle has it."""
    return {
        "messageSignature": {
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": text64(hashlib.sha256(content).digest()),
            },
            "signature": text64(sign(key, content)),
        }
    }


def raw(value: object) -> bytes:
    """As JSON."""
    return json.dumps(value).encode()


def text64(content: bytes) -> str:
    """In base64."""
    return base64.b64encode(content).decode()
