"""Sigstore bundles in certificate mode, checked by Sigstore's own library against one trusted root.

That is: the certificate's chain and its SCT, a signed time within its validity, the log's entry with its
proof and checkpoint, and the signature. The trusted root is the operator's file; no network is asked.
"""

import hashlib
from pathlib import Path

from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    ObjectIdentifier,
    OtherName,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from pydantic import ValidationError
from sigstore.errors import Error
from sigstore.hashes import Hashed
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore_models.common.v1 import HashAlgorithm
from sigstore_models.trustroot.v1 import TrustedRoot as TrustedRootFile

from domain.attestation import Attestation
from domain.attestation_trust import Identity, NotVerified
from domain.digest import format_digest
from domain.dsse import IN_TOTO
from domain.errors import Unavailable

ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
ISSUER_V1 = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
OTHER_NAME = ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
UTF8_STRING = 0x0C
MAX_NAME_BYTES = 2_000
MAX_ROOT_BYTES = 4_000_000


def open_trusted_root(file: Path) -> "SigstoreIdentities":
    """What checks certificates against the trusted root in a file.

    Raises:
        Unavailable: `trusted-root-unusable`.
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_ROOT_BYTES + 1)
    except OSError as error:
        raise _unusable(f"{file} cannot be read: {error.strerror}") from None
    if len(raw) > MAX_ROOT_BYTES:
        raise _unusable(f"{file} has more than {MAX_ROOT_BYTES} bytes")
    return SigstoreIdentities(raw)


class SigstoreIdentities:
    """Says who signed a bundle.

    Args:
        trusted_root: The bytes of a `trusted_root.json`.

    Raises:
        Unavailable: `trusted-root-unusable`.
    """

    def __init__(self, trusted_root: bytes) -> None:
        self._digest = format_digest(hashlib.sha256(trusted_root).digest())
        try:
            self._verifier = Verifier(
                trusted_root=TrustedRoot(TrustedRootFile.from_json(trusted_root))
            )
        except (Error, ValidationError, ValueError) as error:
            raise _unusable(" ".join(str(error).split())[:200]) from None

    @property
    def trusted_root(self) -> str:
        """The digest of the trusted root's file."""
        return self._digest

    def __call__(self, raw: bytes, attestation: Attestation) -> Identity:
        """Who signed a bundle in certificate mode.

        Raises:
            NotVerified: It does not hold, and why.
        """
        seen = _Seen()
        try:
            verified = self._verify(raw, attestation, seen)
            found = None if seen.certificate is None else identity_of(seen.certificate)
        except NotVerified:
            raise
        except Exception as error:  # noqa: BLE001 -- a hostile bundle can fail the library anywhere
            raise _not(str(error) or type(error).__name__) from None
        if found is None or verified != attestation.payload:
            raise _not("what was verified is not what was read")
        return found

    def _verify(self, raw: bytes, attestation: Attestation, seen: "_Seen") -> bytes:
        """The payload that holds; nothing for a file, whose digest is ours."""
        bundle = Bundle.from_json(raw)
        if attestation.sha256 is None:
            kind, payload = self._verifier.verify_dsse(bundle, seen)
            return payload if kind == IN_TOTO else b""
        named = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=attestation.sha256)
        self._verifier.verify_artifact(named, bundle, seen)
        return b""


class _Seen:
    """What the library shows of the certificate, once its chain is verified; who it is, is judged later."""

    def __init__(self) -> None:
        self.certificate: Certificate | None = None

    def verify(self, cert: Certificate) -> None:
        """Take note of it."""
        self.certificate = cert


def identity_of(certificate: Certificate) -> Identity:
    """Who a certificate says signed, and who vouched for that.

    Raises:
        NotVerified: It names other than one of either.
    """
    names = certificate.extensions.get_extension_for_class(SubjectAlternativeName).value
    found = [
        *names.get_values_for_type(RFC822Name),
        *names.get_values_for_type(UniformResourceIdentifier),
        *(
            _text(one.value)
            for one in names.get_values_for_type(OtherName)
            if one.type_id == OTHER_NAME
        ),
    ]
    if len(found) != 1 or len(list(names)) != 1:
        raise _not("its certificate names other than one identity")
    return Identity(found[0], _issuer(certificate))


def _issuer(certificate: Certificate) -> str:
    """The OIDC issuer: in the extension of today as a DER string, in the old one as it is."""
    said = []
    new, old = _extension(certificate, ISSUER_V2), _extension(certificate, ISSUER_V1)
    if new is not None:
        said.append(_text(new))
    if old is not None:
        said.append(old.decode("utf-8"))
    if not said or len(set(said)) != 1:
        raise _not("its certificate names other than one issuer")
    return said[0]


def _extension(certificate: Certificate, oid: ObjectIdentifier) -> bytes | None:
    try:
        found = certificate.extensions.get_extension_for_oid(oid).value
    except ExtensionNotFound:
        return None
    return found.value if isinstance(found, UnrecognizedExtension) else None


def _text(der: bytes) -> str:
    """An ASN.1 UTF8String (X.690), its length in the shortest form."""
    head = 2 if len(der) < 130 else 3 if len(der) < 259 else 4
    text = der[head:]
    size = len(text)
    long = b"" if size < 128 else b"\x81" if size < 256 else b"\x82"
    length = long + size.to_bytes(2 if size > 255 else 1, "big")
    if size > MAX_NAME_BYTES or der != bytes([UTF8_STRING]) + length + text:
        raise _not("a name in its certificate is no UTF-8 string")
    return text.decode("utf-8")


def _unusable(why: str) -> Unavailable:
    return Unavailable(
        "trusted-root-unusable",
        f"DEEDBOOK_SIGSTORE_TRUSTED_ROOT is no usable trusted root of Sigstore: {why.rstrip('.')}.",
    )


def _not(why: str) -> NotVerified:
    return NotVerified(why.strip().rstrip(".") + ".")
