"""Attestations by others: what is read of them, who is trusted, and what is refused."""

import csv
import hashlib
import json
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from adapters.attestation_key import verify_attested
from adapters.sigstore_identity import identity_of
from app import bootstrap
from app.settings import Settings
from domain import canonical
from domain.attestation import MAX_ATTESTATION_BYTES, Attestation, read_attestation
from domain.attestation_record import MAX_LISTED, follows_from, record_of
from domain.attestation_trust import Identity, NotVerified, Verdict, judge, matches
from domain.digest import digest_of
from domain.dsse import pae
from domain.errors import DeedbookError, Invalid, Unavailable
from domain.events import (
    MAX_LINE_BYTES,
    AttestationIdentity,
    AttestationKey,
    AttestationRecorded,
    AttestationSigner,
    AttestedSubject,
    Content,
    PolicyChanged,
)
from domain.policy import Policy
from domain.policy_rules import decide
from domain.seal import SEAL_TYPE
from domain.sigstore_bundle import encode_bundle
from tests.attestation_samples import (
    PROVENANCE,
    REKOR,
    SUBJECT,
    TEST_RESULT,
    V1,
    V3,
    Key,
    bundle,
    ed25519,
    envelope,
    message,
    p256,
    pem,
    raw,
    sign,
    spki,
    statement,
    text64,
    trusted,
)
from tests.seal_samples import published_seal_signer, published_sidecar

ID = AttestationIdentity(identity="ada@example.com", issuer="https://accounts.example")


def verdict_on(value: object, *keys: AttestationKey, **policy: Any) -> Verdict:
    content = raw(value)
    trust = Policy(attestation_keys=keys, **policy)
    return judge(content, read_attestation(content), trust, verify_attested, None)


def refusal(content: bytes) -> DeedbookError:
    with pytest.raises(DeedbookError) as caught:
        read_attestation(content)
    return caught.value


# What is read


def test_an_envelope_says_what_it_is_about() -> None:
    found = read_attestation(raw(envelope(statement(), p256())))
    assert (found.format, found.predicate_type, found.certified) == ("dsse", TEST_RESULT, False)
    assert found.payload == statement()
    assert found.subjects == (
        AttestedSubject(digests=("gitCommit:" + "c0" * 20, "sha256:" + "ab" * 32), name="app.tar"),
    )
    assert [one.hint for one in found.signatures] == ["key-0"]


@pytest.mark.parametrize(
    "media_type",
    [V1, V1.replace("0.1", "0.2"), V1.replace("0.1", "0.3"), V3],
)
def test_bundles_of_every_version_are_read(media_type: str) -> None:
    value = bundle({"dsseEnvelope": envelope(statement(), p256())}, media_type)
    found = read_attestation(raw(value))
    assert (found.format, found.predicate_type) == ("sigstore", TEST_RESULT)


def test_a_file_s_signature_is_about_its_digest() -> None:
    found = read_attestation(raw(bundle(message(p256(), b"a file"))))
    assert found.predicate_type is None
    digest = hashlib.sha256(b"a file").hexdigest()
    assert found.subjects == (AttestedSubject(digests=(f"sha256:{digest}",)),)


def test_base64_of_either_alphabet_is_read_and_a_mixture_is_not() -> None:
    payload = statement(
        predicate={"text": "".join(c * n + "." for n in range(1, 9) for c in "?>~")}
    )
    value = envelope(payload, p256())
    url_safe = value["payload"].replace("+", "-").replace("/", "_")
    assert url_safe != value["payload"]
    assert read_attestation(raw({**value, "payload": url_safe})).payload == payload
    mixed = value["payload"].replace("+", "-")
    assert "/" in mixed
    assert "-" in mixed
    assert refusal(raw({**value, "payload": mixed})).code == "attestation-malformed"


def test_members_that_are_not_known_are_passed_over() -> None:
    value = bundle({"dsseEnvelope": envelope(statement(later=1), p256(), later=2)})
    assert read_attestation(raw({**value, "later": 3})).predicate_type == TEST_RESULT


BROKEN: tuple[tuple[str, bytes, str, str], ...] = (
    ("no JSON", b"{", "malformed-json", ""),
    ("not UTF-8", b'{"a":"\xff"}', "malformed-json", ""),
    ("a list", b"[]", "attestation-malformed", ""),
    ("something else", b'{"a":1}', "attestation-malformed", ""),
    ("not a number", b'{"payloadType":NaN}', "malformed-json", ""),
    ("a member twice", b'{"payloadType":"a","payloadType":"b"}', "malformed-json", ""),
    ("deep", b'{"payloadType":' + b"[" * 70 + b"]" * 70 + b"}", "json-too-deep", ""),
    ("very deep", b"[" * 100_000, "json-too-deep", ""),
    ("too large", b" " * (MAX_ATTESTATION_BYTES + 1), "body-too-large", ""),
)


@pytest.mark.parametrize(
    ("content", "code"), [one[1:3] for one in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_what_is_no_json_of_ours_is_refused(content: bytes, code: str) -> None:
    assert refusal(content).code == code


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"payloadType": "application/json"}, "/payloadType"),
        ({"payloadType": 1}, "/payloadType"),
        ({"payload": "%%%"}, "/payload"),
        ({"payload": text64(b"no json")}, "/payload"),
        ({"payload": text64(b'{"a":1,"a":2}')}, "/payload"),
        ({"payload": text64(b"[]")}, "/payload"),
        ({"payload": text64(statement(_type="https://in-toto.io/Statement/v0.1"))}, "/payload"),
        ({"payload": text64(statement(predicateType="test results"))}, "/payload"),
        ({"payload": text64(statement(predicateType="x:" + "y" * 600))}, "/payload"),
        ({"payload": text64(statement(predicate=[]))}, "/payload"),
        ({"payload": text64(statement(subject=[]))}, "/payload"),
        ({"payload": text64(statement(subject=[SUBJECT] * 10_001))}, "/payload"),
        ({"payload": text64(statement(subject=[{"name": "x"}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{"digest": {}}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{"digest": {"sha256": "AB" * 32}}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{"digest": {"sha256": "ab"}}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{"digest": {"ö": "ab"}}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{**SUBJECT, "name": "n" * 1_025}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{**SUBJECT, "name": "\0"}]))}, "/payload"),
        ({"payload": text64(statement(subject=[{**SUBJECT, "name": "\ud800"}]))}, "/payload"),
        ({"signatures": []}, "/signatures"),
        ({"signatures": [{"sig": "AA=="}] * 9}, "/signatures"),
        ({"signatures": [{"sig": ""}]}, "/signatures/0/sig"),
        ({"signatures": [{"sig": "A"}]}, "/signatures/0/sig"),
        ({"signatures": [{"sig": text64(b"x" * 5_000)}]}, "/signatures/0/sig"),
        ({"signatures": [{"sig": "AA==", "keyid": "k" * 257}]}, "/signatures/0/keyid"),
        ({"signatures": [{"sig": "AA==", "keyid": "\0"}]}, "/signatures/0/keyid"),
        ({"signatures": [{"keyid": "k"}]}, "/signatures/0"),
    ],
)
def test_a_broken_envelope_is_refused_at_its_place(changed: dict[str, Any], pointer: str) -> None:
    value = {**envelope(statement(), p256()), **changed}
    for content, place in ((value, ""), (bundle({"dsseEnvelope": value}), "/dsseEnvelope")):
        error = refusal(raw(content))
        assert isinstance(error, Invalid)
        allowed = {f"{place}{pointer}", f"{place}/signatures"}
        assert error.pointer in allowed, error.detail


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.4"}, "/mediaType"),
        ({"mediaType": ""}, "/mediaType"),
        ({"messageSignature": message(p256(), b"x")["messageSignature"]}, None),
        ({"dsseEnvelope": None}, None),
        ({"verificationMaterial": {}}, "/verificationMaterial"),
        (
            {"verificationMaterial": {"publicKey": {}, "certificate": {"rawBytes": ""}}},
            "/verificationMaterial",
        ),
        (
            {"verificationMaterial": {"x509CertificateChain": {"certificates": []}}},
            "/verificationMaterial",
        ),
        (
            {"verificationMaterial": {"publicKey": {}, "tlogEntries": [{}] * 17}},
            "/verificationMaterial",
        ),
        (
            {"verificationMaterial": {"publicKey": {}, "timestampVerificationData":
                                      {"rfc3161Timestamps": [{}] * 17}}},
            "/verificationMaterial",
        ),
    ],
)  # fmt: skip
def test_a_broken_bundle_is_refused_at_its_place(
    changed: dict[str, Any], pointer: str | None
) -> None:
    value = {**bundle({"dsseEnvelope": envelope(statement(), p256())}), **changed}
    error = refusal(raw(value))
    assert (error.code, error.pointer) == ("attestation-malformed", pointer)


@pytest.mark.parametrize(
    "digest",
    [
        {"algorithm": "SHA2_512", "digest": text64(b"x" * 64)},
        {"algorithm": "SHA3_256", "digest": text64(b"x" * 32)},
        {"algorithm": "SHA2_256", "digest": text64(b"x" * 31)},
        {"algorithm": "SHA2_256", "digest": "?"},
    ],
)
def test_a_file_s_digest_is_a_sha256(digest: dict[str, str]) -> None:
    value = bundle(message(p256(), b"x"))
    value["messageSignature"]["messageDigest"] = digest
    assert refusal(raw(value)).pointer == "/messageSignature/messageDigest"


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["payloadType", "payload", "signatures", "mediaType", "sig", "keyid",
                         "dsseEnvelope", "verificationMaterial", "messageSignature"]), inner),
    max_leaves=12,
))  # fmt: skip
def test_whatever_comes_is_read_or_refused(value: object) -> None:
    try:
        read_attestation(raw(value))
    except DeedbookError as error:
        assert error.code in {"attestation-malformed", "nul-character", "validation-failed"}


# Who is trusted, by a key


@pytest.mark.parametrize("key", [p256(), ed25519()], ids=["P-256", "Ed25519"])
def test_a_trusted_key_s_signature_is_verified(key: Key) -> None:
    for value in (
        envelope(statement(), key),
        bundle({"dsseEnvelope": envelope(statement(), key)}),
    ):
        found = verdict_on(value, trusted(p256()), trusted(key), trusted(key))
        name = "sha256:" + hashlib.sha256(spki(key)).hexdigest()
        assert found == Verdict(signers=(AttestationSigner(key=name),))


def test_a_seal_of_a_ledger_is_an_attestation_too() -> None:
    content = encode_bundle(published_sidecar())
    key = AttestationKey(spki=text64(published_seal_signer().spki))
    policy = Policy(attestation_keys=(key,))
    found = read_attestation(content)
    assert found.predicate_type == SEAL_TYPE
    assert judge(content, found, policy, verify_attested, None).verified


def test_a_file_s_signature_is_verified_over_its_digest() -> None:
    key = p256()
    assert verdict_on(bundle(message(key, b"a file")), trusted(key)).verified
    twin = bundle(message(key, b"a file"))
    twin["messageSignature"]["messageDigest"] = message(key, b"another")["messageSignature"][
        "messageDigest"
    ]
    assert verdict_on(twin, trusted(key)).reason == "no-match"


def test_an_ed25519_signature_of_a_file_cannot_be_verified_without_the_file() -> None:
    key = ed25519()
    assert verdict_on(bundle(message(key, b"a file")), trusted(key)).reason == "no-match"


def test_without_a_policy_nobody_is_trusted() -> None:
    found = verdict_on(envelope(statement(), p256()))
    assert (found.verified, found.reason) == (False, "no-policy")


def test_a_key_is_trusted_for_its_kinds_of_claims_only() -> None:
    key = p256()
    value = envelope(statement(), key)
    assert verdict_on(value, trusted(key, TEST_RESULT)).verified
    assert verdict_on(value, trusted(key, PROVENANCE)).reason == "not-allowed"
    assert verdict_on(value, trusted(key, PROVENANCE), trusted(key, TEST_RESULT)).verified
    assert verdict_on(bundle(message(key, b"x")), trusted(key, TEST_RESULT)).reason == "not-allowed"


@pytest.mark.parametrize("key", [p256(), ed25519()], ids=["P-256", "Ed25519"])
def test_every_bit_of_payload_and_signature_counts(key: Key) -> None:
    payload = statement()
    good = envelope(payload, key)
    signature = sign(key, pae(payload))
    for at in range(len(signature)):
        spoilt = bytearray(signature)
        spoilt[at] ^= 1
        value = {**good, "signatures": [{"sig": text64(bytes(spoilt))}]}
        assert not verdict_on(value, trusted(key)).verified, at
    for at in range(0, len(payload), 7):
        changed = bytearray(payload)
        changed[at] ^= 1
        value = {**good, "payload": text64(bytes(changed))}
        try:
            assert not verdict_on(value, trusted(key)).verified, at
        except DeedbookError:
            continue  # it is no statement any more


# T12: no signature is taken for another


def test_t12_another_key_s_signature_does_not_count_whatever_the_hint_says() -> None:
    mine, other = p256(), p256()
    value = envelope(statement(), other)
    value["signatures"][0]["keyid"] = hashlib.sha256(spki(mine)).hexdigest()
    assert verdict_on(value, trusted(mine)).reason == "no-match"


def test_t12_the_policy_s_record_of_a_key_says_the_algorithm_and_the_input_does_not() -> None:
    key = p256()
    message_bytes = pae(statement())
    for signature in (
        key.sign(message_bytes, ec.ECDSA(SHA384())),
        key.sign(statement(), ec.ECDSA(SHA256())),  # without the encoding of DSSE
        ec.generate_private_key(ec.SECP384R1()).sign(message_bytes, ec.ECDSA(SHA256())),
        sign(ed25519(), message_bytes),
    ):
        value = envelope(statement())
        value["signatures"] = [{"keyid": "ES384", "sig": text64(signature), "alg": "ES384"}]
        assert verdict_on(value, trusted(key)).reason == "no-match"


def test_t12_a_signature_over_another_payload_type_does_not_count() -> None:
    key = p256()
    value = envelope(statement(), key, payload_type="application/vnd.in-toto.other+json")
    assert refusal(raw(value)).pointer == "/payloadType"
    relabelled = {**value, "payloadType": "application/vnd.in-toto+json"}
    assert verdict_on(relabelled, trusted(key)).reason == "no-match"


def test_t12_of_two_signatures_only_the_trusted_one_is_named() -> None:
    mine, other = p256(), ed25519()
    name = "sha256:" + hashlib.sha256(spki(mine)).hexdigest()
    both = envelope(statement(), other, mine)
    assert verdict_on(both, trusted(mine)).signers == (AttestationSigner(key=name),)
    assert len(verdict_on(both, trusted(mine), trusted(other)).signers) == 2
    twice = envelope(statement(), mine, mine)
    assert verdict_on(twice, trusted(mine)).signers == (AttestationSigner(key=name),)
    assert refusal(raw(bundle({"dsseEnvelope": both}))).pointer == "/dsseEnvelope/signatures"


def test_t12_a_signature_of_a_file_is_none_of_a_statement() -> None:
    key = p256()
    value = envelope(statement())
    value["signatures"] = [{"sig": message(key, statement())["messageSignature"]["signature"]}]
    assert verdict_on(value, trusted(key)).reason == "no-match"


def test_a_certificate_s_own_key_counts_for_nothing_by_itself() -> None:
    key = p256()
    value = bundle(
        {"dsseEnvelope": envelope(statement(), key)},
        certificate={"rawBytes": text64(spki(key))},
        publicKey=None,
    )
    assert verdict_on(value, trusted(p256())).reason == "no-match"
    found = verdict_on(value, attestation_identities=(ID,))
    assert (found.verified, found.reason) == (False, "no-trusted-root")


# Who is trusted, by an identity


@pytest.mark.parametrize(
    ("identity", "found", "expected"),
    [
        ("ada@example.com", "ada@example.com", True),
        ("ada@example.com", "ada@example.com.evil.example", False),
        ("https://git.example/org/*", "https://git.example/org/repo/ci.yml@refs/heads/main", True),
        ("https://git.example/org/*", "https://git.example/org-evil/repo", False),
        ("https://git.example/org/*", "https://git.example/org/", False),
        ("https://git.example/o/r/ci.yml@*", "https://git.example/o/r/ci.yml@refs/tags/v1", True),
        ("https://git.example/o/r/ci.yml@*", "https://git.example/o/r/ci.yml2@refs/tags/v1", False),
    ],
)
def test_an_identity_is_matched_whole_or_behind_its_open_end(
    identity: str, found: str, expected: bool
) -> None:
    one = AttestationIdentity(identity=identity, issuer="https://i.example")
    assert matches(one, Identity(found, "https://i.example")) is expected
    assert not matches(one, Identity(found, "https://j.example"))


def test_what_an_identity_verifier_says_is_held_to_the_policy() -> None:
    value = raw(bundle(
        {"dsseEnvelope": envelope(statement(), p256())}, certificate={"rawBytes": "AA=="},
    ))  # fmt: skip

    class Says:
        trusted_root = "sha256:" + "1" * 64

        def __call__(self, raw: bytes, attestation: Attestation) -> Identity:
            assert (raw, attestation.payload) == (value, statement())
            if self.trusted_root.endswith("2"):
                raise NotVerified("\x1b[2Jno\nproof ä" + "x" * 400)
            return Identity(ID.identity, ID.issuer)

    def judged(*identities: AttestationIdentity, says: Says = Says()) -> Verdict:
        policy = Policy(attestation_identities=identities)
        return judge(value, read_attestation(value), policy, verify_attested, says)

    signer = AttestationSigner(identity=ID.identity, issuer=ID.issuer)
    assert judged(ID) == Verdict(signers=(signer,), trusted_root=Says.trusted_root)
    other = msgspec.structs.replace(ID, issuer="https://other.example")
    assert judged(other).reason == "no-match"
    restricted = msgspec.structs.replace(ID, predicate_types=(PROVENANCE,))
    assert judged(restricted).reason == "not-allowed"
    assert judged(restricted, ID).verified
    failing = Says()
    failing.trusted_root = "sha256:" + "2" * 64
    found = judged(ID, says=failing)
    assert (found.verified, found.reason) == (False, "signature-wrong")
    assert found.detail.startswith("?[2Jno proof ?xxx")
    assert len(found.detail) == 300


def utf8(text: str) -> bytes:
    """DER of a UTF8String."""
    raw_text = text.encode()
    size = len(raw_text)
    head = bytes([size]) if size < 128 else b"\x81" + bytes([size]) if size < 256 else b""
    return b"\x0c" + (head or b"\x82" + size.to_bytes(2, "big")) + raw_text


def certificate(names: list[x509.GeneralName], *issuers: tuple[str, bytes]) -> x509.Certificate:
    key = p256()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 2, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
    )
    for oid, value in issuers:
        extension = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value)
        made = made.add_extension(extension, critical=False)
    return made.sign(key, SHA256())


V1_ISSUER, V2_ISSUER = "1.3.6.1.4.1.57264.1.1", "1.3.6.1.4.1.57264.1.8"
ADA = x509.RFC822Name("ada@example.com")
OTHER_NAME = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7"), utf8("ada!"))


@pytest.mark.parametrize(
    ("names", "issuers", "expected"),
    [
        ([ADA], [(V2_ISSUER, utf8("https://i"))], Identity("ada@example.com", "https://i")),
        ([ADA], [(V1_ISSUER, b"https://i")], Identity("ada@example.com", "https://i")),
        (
            [x509.UniformResourceIdentifier("https://w")],
            [(V1_ISSUER, b"https://i"), (V2_ISSUER, utf8("https://i"))],
            Identity("https://w", "https://i"),
        ),
        ([OTHER_NAME], [(V1_ISSUER, b"i")], Identity("ada!", "i")),
        ([ADA], [(V2_ISSUER, utf8("i" * 127))], Identity("ada@example.com", "i" * 127)),
        ([ADA], [(V2_ISSUER, utf8("i" * 128))], Identity("ada@example.com", "i" * 128)),
        ([ADA], [(V2_ISSUER, utf8("i" * 300))], Identity("ada@example.com", "i" * 300)),
        ([ADA], [(V1_ISSUER, b"https://i"), (V2_ISSUER, utf8("https://j"))], None),
        ([ADA], [], None),
        ([ADA, x509.RFC822Name("bob@example.com")], [(V1_ISSUER, b"i")], None),
        ([ADA, x509.DNSName("example.com")], [(V1_ISSUER, b"i")], None),
        ([x509.DNSName("example.com")], [(V1_ISSUER, b"i")], None),
        ([ADA], [(V2_ISSUER, b"\x0c\x81\x01i")], None),
        ([ADA], [(V2_ISSUER, b"\x13\x01i")], None),
        ([ADA], [(V2_ISSUER, utf8("i") + b"j")], None),
        ([ADA], [(V2_ISSUER, utf8("i" * 2_001))], None),
    ],
    ids=[str(number) for number in range(16)],
)
def test_a_certificate_names_one_identity_and_one_issuer(
    names: list[x509.GeneralName], issuers: list[tuple[str, bytes]], expected: Identity | None
) -> None:
    found = certificate(names, *issuers)
    if expected is not None:
        assert identity_of(found) == expected
        return
    with pytest.raises(NotVerified):
        identity_of(found)


def test_a_key_of_another_kind_verifies_nothing() -> None:
    for message_bytes, sha256 in ((b"m", None), (None, b"0" * 32)):
        assert not verify_attested(b"\x30\x00", b"s", message=message_bytes, sha256=sha256)
    key = ed25519()
    x25519 = spki(key).replace(b"\x2b\x65\x70", b"\x2b\x65\x6e")
    assert verify_attested(spki(key), sign(key, b"m"), message=b"m", sha256=None)
    assert not verify_attested(x25519, sign(key, b"m"), message=b"m", sha256=None)


def rekor_cases() -> Iterator[Any]:
    if REKOR is None:
        yield pytest.param(None, marks=pytest.mark.skip("the recorded bundles are not here"))
        return
    with (REKOR / "expected.tsv").open() as opened:
        for row in csv.DictReader(opened, delimiter="\t"):
            yield pytest.param(row, id=row["case"])


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("row", list(rekor_cases()))
def test_recorded_bundles_get_the_verdict_of_the_whole(row: dict[str, str]) -> None:
    assert REKOR is not None
    folder = REKOR / "cases" / row["case"]
    settings = Settings(deedbook_sigstore_trusted_root=str(folder / "trusted_root.json"))
    verifier = bootstrap.open_identities(settings)
    assert verifier is not None
    content = (folder / "bundle.sigstore.json").read_bytes()
    attestation = read_attestation(content)
    identity = AttestationIdentity(
        identity="https://github.com/sigstore-conformance/*",
        issuer="https://token.actions.githubusercontent.com",
    )
    policy = Policy(attestation_identities=(identity,))
    found = judge(content, attestation, policy, verify_attested, verifier)
    assert found.verified is (row["whole_bundle"] == "pass"), found
    assert found.trusted_root == digest_of((folder / "trusted_root.json").read_bytes())
    if not found.verified:
        assert found.reason == "signature-wrong"
        return
    [signer] = found.signers
    assert str(signer.identity).startswith("https://github.com/sigstore-conformance/")
    # Nobody else's policy trusts it, and no other trusted root.
    stranger = Policy(attestation_identities=(ID,))
    assert not judge(content, attestation, stranger, verify_attested, verifier).verified
    assert not judge(content, attestation, policy, verify_attested, None).verified


@pytest.mark.usefixtures("no_network")
@pytest.mark.skipif(REKOR is None, reason="the recorded bundles are not here")
def test_tampered_twins_of_a_recorded_bundle_are_not_verified() -> None:
    assert REKOR is not None
    folder = REKOR / "cases" / "rekor2-dsse-happy-path"
    verifier = bootstrap.open_identities(
        Settings(deedbook_sigstore_trusted_root=str(folder / "trusted_root.json"))
    )
    assert verifier is not None
    good = json.loads((folder / "bundle.sigstore.json").read_bytes())

    def twin(*path: str | int, value: object) -> bytes:
        changed = json.loads(json.dumps(good))
        at = changed
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value
        return raw(changed)

    entry = ("verificationMaterial", "tlogEntries", 0)
    for content in (
        twin("dsseEnvelope", "payload", value=text64(statement())),
        twin("dsseEnvelope", "signatures", 0, "sig", value=text64(b"0" * 70)),
        twin("verificationMaterial", "certificate", "rawBytes", value=text64(b"no certificate")),
        twin("verificationMaterial", "certificate", "rawBytes", value="?"),
        twin("verificationMaterial", "timestampVerificationData", value={"rfc3161Timestamps": []}),
        twin("verificationMaterial", "tlogEntries", value=[]),
        twin(*entry, "inclusionProof", "rootHash", value=text64(b"1" * 32)),
        twin(*entry, "inclusionProof", "hashes", value=[]),
        twin(*entry, "inclusionProof", "treeSize", value="x"),
        twin(*entry, "canonicalizedBody", value=text64(b"{}")),
        twin(*entry, "canonicalizedBody", value=None),
    ):
        with pytest.raises(NotVerified):
            verifier(content, read_attestation(content))
    # What the library verified must be what was read here.
    content = (folder / "bundle.sigstore.json").read_bytes()
    other = msgspec.structs.replace(read_attestation(content), payload=statement())
    with pytest.raises(NotVerified, match="not what was read"):
        verifier(content, other)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b" " * 4_000_001])
def test_a_trusted_root_that_is_none_keeps_a_ledger_from_opening(
    content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "trusted_root.json"
    settings = Settings(deedbook_sigstore_trusted_root=str(file))
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:  # first there is no file at all
            bootstrap.open_identities(settings)
        assert caught.value.code == "trusted-root-unusable"
        file.write_bytes(content)


# What is recorded


def test_what_follows_from_the_bytes_is_recorded_and_can_be_derived_again() -> None:
    key = p256()
    content = raw(envelope(statement(), key))
    name = Content(
        digest=digest_of(content), size_bytes=len(content), media_type="application/json"
    )
    policy = Policy(attestation_keys=(trusted(key),))
    verdict = judge(content, read_attestation(content), policy, verify_attested, None)
    data = record_of(read_attestation(content), name, verdict, 3)
    assert (data.verified, data.policy_version, data.key_hints) == (True, 3, ("key-0",))
    assert follows_from(data, content)
    for change in (
        {"predicate_type": PROVENANCE},
        {"subjects": ()},
        {"subject_count": 2},
        {"format": "sigstore"},
        {"key_hints": ()},
        {"verified": False},
    ):
        assert not follows_from(msgspec.structs.replace(data, **change), content), change
    assert not follows_from(data, raw(envelope(statement(predicateType=PROVENANCE), key)))


def test_of_many_or_long_subjects_the_first_are_recorded_so_that_the_event_fits() -> None:
    for name, count in (("n", 5_000), ("ü" * 1_000, 200), ("\U0001f600" * 1_024, 50)):
        subjects = [{**SUBJECT, "name": name}] * count
        content = raw(envelope(statement(subject=subjects), p256()))
        blob = Content(digest=digest_of(content), size_bytes=1, media_type="application/json")
        data = record_of(read_attestation(content), blob, Verdict(reason="no-policy"), 1)
        assert data.subject_count == count
        assert 1 <= len(data.subjects) <= MAX_LISTED
        assert len(canonical.write(data)) < MAX_LINE_BYTES * 3 // 4
        assert follows_from(data, content)


# What a policy may say


def test_a_key_in_pem_is_recorded_in_one_spelling() -> None:
    for key in (p256(), ed25519()):
        [change] = decide(
            Policy(), PolicyChanged(attestation_keys=(AttestationKey(spki=pem(key).decode()),))
        )
        assert change.attestation_keys == (trusted(key),)
        assert decide(Policy(attestation_keys=(trusted(key),)), change) == ()


def bad_keys() -> list[str]:
    good = bytearray(spki(p256()))
    good[-1] ^= 1  # not on the curve
    numbers = rsa.generate_private_key(65537, 2048).public_key()
    return [
        "",
        "no key",
        text64(bytes(good)),
        text64(spki(p256())[:-1]),
        text64(spki(p256())) + "\n",
        text64(numbers.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN PUBLIC KEY-----\n?\n-----END PUBLIC KEY-----\n",
        pem(p256()).decode() * 2,
        "x" * 3_000,
    ]


@pytest.mark.parametrize("which", range(10))
def test_what_is_no_public_key_of_a_known_kind_is_refused(which: int) -> None:
    spelling = bad_keys()[which]
    with pytest.raises(Invalid) as caught:
        decide(Policy(), PolicyChanged(attestation_keys=(AttestationKey(spki=spelling),)))
    assert caught.value.pointer == "/attestation_keys/0/spki"


@pytest.mark.parametrize(
    ("identity", "sound"),
    [
        ("ada@example.com", True),
        ("https://git.example/org/repo/.ci/x.yml@refs/heads/main", True),
        ("https://git.example/org/*", True),
        ("https://git.example/org/repo/x.yml@*", True),
        ("https://git.example/org*", False),
        ("https://git.example/*", False),
        ("https://*", False),
        ("*", False),
        ("*@example.com", False),
        ("https://*/org/*", False),
        ("https://git.example/*/repo/*", False),
        ("a b", False),
        ("", False),
        ("x" * 1_001, False),
    ],
)
def test_only_the_end_of_an_identity_may_be_left_open(identity: str, sound: bool) -> None:
    wished = PolicyChanged(
        attestation_identities=(AttestationIdentity(identity=identity, issuer="https://i.example"),)
    )
    if sound:
        assert decide(Policy(), wished) == (wished,)
        return
    with pytest.raises(Invalid) as caught:
        decide(Policy(), wished)
    assert caught.value.pointer == "/attestation_identities/0/identity"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"attestation_keys": (trusted(p256()),) * 33}, "/attestation_keys"),
        (
            {"attestation_keys": (AttestationKey(spki=text64(spki(p256())), name="n" * 201),)},
            "/attestation_keys/0/name",
        ),
        (
            {"attestation_keys": (trusted(p256(), "no uri"),)},
            "/attestation_keys/0/predicate_types/0",
        ),
        (
            {"attestation_keys": (trusted(p256(), *["x:y"] * 17),)},
            "/attestation_keys/0/predicate_types",
        ),
        ({"attestation_identities": (ID,) * 65}, "/attestation_identities"),
        (
            {"attestation_identities": (AttestationIdentity(identity="a", issuer="b"),)},
            "/attestation_identities/0/issuer",
        ),
        (
            {"attestation_identities": (msgspec.structs.replace(ID, predicate_types=("x",)),)},
            "/attestation_identities/0/predicate_types/0",
        ),
    ],
)
def test_a_policy_s_trust_has_limits(change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        decide(Policy(), PolicyChanged(**change))
    assert caught.value.pointer == pointer


def test_an_event_s_defaults_are_left_away() -> None:
    data = AttestationRecorded(
        content=Content(digest="sha256:" + "0" * 64, size_bytes=1, media_type="application/json"),
        format="dsse",
        verified=False,
        policy_version=1,
        subject_count=0,
        subjects=(),
    )
    assert b"signers" not in canonical.write(data)


def test_a_trusted_root_without_the_package_that_reads_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "adapters.sigstore_identity", None)
    with pytest.raises(Unavailable) as caught:
        bootstrap.open_identities(Settings(deedbook_sigstore_trusted_root="trusted_root.json"))
    assert caught.value.code == "sigstore-absent"
    assert "pip install" in caught.value.detail
