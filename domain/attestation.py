"""Attestations by others: an in-toto Statement that arrives signed, or a file's signature.

Either is a DSSE envelope or a Sigstore bundle. Here it is read; `domain.attestation_trust` says whether
it is trusted. What it says is taken from its bytes alone, never from whoever hands it in.
"""

from collections.abc import Sequence
from typing import Literal, TypeVar

import msgspec

from domain import canonical
from domain.base64_text import decode64
from domain.dsse import IN_TOTO, pae
from domain.errors import Invalid, TooLarge
from domain.events import AttestedSubject
from domain.in_toto import Statement, read_statement

MAX_ATTESTATION_BYTES = 8 * 1024 * 1024
MAX_SIGNATURES = 8
MAX_SIGNATURE_BYTES = 4_096
MAX_HINT_CHARACTERS = 256
MAX_CERTIFICATES = 10
MAX_LOG_ENTRIES = 16
MAX_TIMESTAMPS = 16
MEDIA_TYPE = "application/json"
BUNDLE_TYPES = frozenset(
    {
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle.v0.3+json",
    }
)

Kind = TypeVar("Kind")


class Signature(msgspec.Struct, frozen=True):
    """One signature, and how the signer calls the key: a hint, which proves nothing."""

    raw: bytes
    hint: str = ""


class Attestation(msgspec.Struct, frozen=True, kw_only=True):
    """What is in an envelope or a bundle.

    Attributes:
        statement: What was signed; None when it was a file, of which only the digest is here.
        payload: The statement's bytes.
        sha256: Of the file that was signed.
        certified: It brings a certificate, so that an identity may have signed it.
    """

    format: Literal["dsse", "sigstore"]
    signatures: tuple[Signature, ...]
    statement: Statement | None = None
    payload: bytes = b""
    sha256: bytes | None = None
    certified: bool = False

    @property
    def signed(self) -> bytes:
        """The bytes under the signatures of a statement (DSSE's PAE); its type is never the input's."""
        return pae(self.payload, IN_TOTO)

    @property
    def predicate_type(self) -> str | None:
        """What kind of claim it is; a file's signature is none."""
        return None if self.statement is None else self.statement.predicate_type

    @property
    def subjects(self) -> tuple[AttestedSubject, ...]:
        """What it is about."""
        if self.statement is not None:
            return self.statement.subjects
        assert self.sha256 is not None
        return (AttestedSubject(digests=(f"sha256:{self.sha256.hex()}",)),)


def read_attestation(raw: bytes) -> Attestation:
    """The attestation in a DSSE envelope or a Sigstore bundle (v0.1 to v0.3), as JSON.

    Members that are not known are passed over, as both formats demand.

    Raises:
        TooLarge: `body-too-large`.
        Malformed: `malformed-json`, `json-too-deep`.
        Invalid: `attestation-malformed`, with a pointer; `nul-character`.
    """
    if len(raw) > MAX_ATTESTATION_BYTES:
        raise TooLarge(
            "body-too-large",
            f"The attestation has {len(raw)} bytes, the limit is {MAX_ATTESTATION_BYTES}.",
        )
    value = canonical.read_foreign(raw)
    if isinstance(value, dict) and "mediaType" in value:
        return _read_bundle(_convert(value, _Bundle, ""))
    if isinstance(value, dict) and "payloadType" in value:
        return _read_envelope(_convert(value, _Envelope, ""), "dsse", "")
    raise malformed("it is neither a DSSE envelope nor a Sigstore bundle", "")


def malformed(why: str, pointer: str) -> Invalid:
    """What is said of something that is no attestation, or a broken one."""
    return Invalid(
        "attestation-malformed", f"This is no attestation: {why}.", pointer=pointer or None
    )


def _read_bundle(bundle: "_Bundle") -> Attestation:
    if bundle.media_type not in BUNDLE_TYPES:
        raise malformed("it is no Sigstore bundle of version 0.1, 0.2 or 0.3", "/mediaType")
    if (bundle.dsse_envelope is None) == (bundle.message_signature is None):
        raise malformed("a bundle has one of dsseEnvelope and messageSignature", "")
    certified = _certified(bundle.verification_material)
    if bundle.dsse_envelope is not None:
        place = "/dsseEnvelope"
        if len(bundle.dsse_envelope.signatures) != 1:
            raise malformed("a bundle's envelope has one signature", f"{place}/signatures")
        found = _read_envelope(bundle.dsse_envelope, "sigstore", place)
        return msgspec.structs.replace(found, certified=certified)
    assert bundle.message_signature is not None
    place, message = "/messageSignature", bundle.message_signature
    digest = message.message_digest
    sha256 = decode64(digest.digest)
    if digest.algorithm != "SHA2_256" or sha256 is None or len(sha256) != 32:
        raise malformed("the digest is no SHA2_256", f"{place}/messageDigest")
    return Attestation(
        format="sigstore",
        signatures=(Signature(_signature(message.signature, f"{place}/signature")),),
        sha256=sha256,
        certified=certified,
    )


def _certified(material: "_Material") -> bool:
    """Whether the bundle brings a certificate rather than a key's hint."""
    place = "/verificationMaterial"
    chain = material.chain
    given = [one for one in (material.certificate, chain, material.public_key) if one is not None]
    if len(given) != 1:
        raise malformed("it has other than one certificate, chain or public key", place)
    if chain is not None and not 1 <= len(chain.certificates) <= MAX_CERTIFICATES:
        raise malformed(f"a chain has 1 to {MAX_CERTIFICATES} certificates", place)
    if len(material.tlog_entries) > MAX_LOG_ENTRIES:
        raise malformed(f"it has more than {MAX_LOG_ENTRIES} entries of logs", place)
    stamps = material.timestamps
    if stamps is not None and len(stamps.stamps) > MAX_TIMESTAMPS:
        raise malformed(f"it has more than {MAX_TIMESTAMPS} timestamps", place)
    return material.public_key is None


def _read_envelope(
    envelope: "_Envelope", form: Literal["dsse", "sigstore"], place: str
) -> Attestation:
    if envelope.payload_type != IN_TOTO:
        raise malformed(f"its payload type is not {IN_TOTO}", f"{place}/payloadType")
    if not 1 <= len(envelope.signatures) <= MAX_SIGNATURES:
        raise malformed(f"an envelope has 1 to {MAX_SIGNATURES} signatures", f"{place}/signatures")
    payload = _bytes(envelope.payload)
    if payload is None:
        raise malformed("its payload is no base64", f"{place}/payload")
    return Attestation(
        format=form,
        signatures=_signatures(envelope.signatures, f"{place}/signatures"),
        statement=read_statement(payload, f"{place}/payload"),
        payload=payload,
    )


def _signatures(given: "Sequence[_Signature]", place: str) -> tuple[Signature, ...]:
    found = []
    for index, one in enumerate(given):
        hint = one.keyid or ""
        if len(hint) > MAX_HINT_CHARACTERS:
            raise malformed(
                f"a key's id has at most {MAX_HINT_CHARACTERS} characters", f"{place}/{index}/keyid"
            )
        canonical.check(hint, f"{place}/{index}/keyid")
        found.append(Signature(_signature(one.sig, f"{place}/{index}/sig"), hint))
    return tuple(found)


def _signature(text: str, place: str) -> bytes:
    raw = _bytes(text)
    if raw is None or not 1 <= len(raw) <= MAX_SIGNATURE_BYTES:
        raise malformed(f"a signature is base64 of 1 to {MAX_SIGNATURE_BYTES} bytes", place)
    return raw


def _bytes(text: str) -> bytes | None:
    """Base64 in the standard or the URL-safe alphabet; DSSE has readers take both."""
    if "-" in text or "_" in text:
        return (
            None
            if "+" in text or "/" in text
            else decode64(text.replace("-", "+").replace("_", "/"))
        )
    return decode64(text)


def _convert(value: object, kind: type[Kind], place: str) -> Kind:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise malformed(sentence[:200], f"{place}{pointer}") from None


class _Signature(msgspec.Struct, frozen=True):
    sig: str
    keyid: str | None = None


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: str
    signatures: tuple[_Signature, ...]


class _Digest(msgspec.Struct, frozen=True):
    algorithm: str
    digest: str


class _Message(msgspec.Struct, frozen=True, rename="camel"):
    message_digest: _Digest
    signature: str


class _Certificate(msgspec.Struct, frozen=True, rename="camel"):
    raw_bytes: str


class _Chain(msgspec.Struct, frozen=True):
    certificates: tuple[_Certificate, ...]


class _PublicKey(msgspec.Struct, frozen=True):
    hint: str = ""


class _Timestamps(msgspec.Struct, frozen=True, rename={"stamps": "rfc3161Timestamps"}):
    stamps: tuple[dict[str, object], ...] = ()


class _Material(
    msgspec.Struct,
    frozen=True,
    rename={
        "chain": "x509CertificateChain",
        "public_key": "publicKey",
        "tlog_entries": "tlogEntries",
        "timestamps": "timestampVerificationData",
    },
):
    certificate: _Certificate | None = None
    chain: _Chain | None = None
    public_key: _PublicKey | None = None
    tlog_entries: tuple[dict[str, object], ...] = ()
    timestamps: _Timestamps | None = None


class _Bundle(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    verification_material: _Material
    dsse_envelope: _Envelope | None = None
    message_signature: _Message | None = None
