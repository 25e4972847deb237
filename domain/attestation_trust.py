"""Whether an attestation is trusted: by a key or an identity of the project's policy, and by nothing else.

The policy's record of a key fixes the algorithm; what an envelope says of keys and algorithms is a hint
that is shown and never followed.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from domain.attestation import Attestation
from domain.base64_text import decode64
from domain.events import (
    AttestationIdentity,
    AttestationKey,
    AttestationReason,
    AttestationSigner,
)
from domain.policy import Policy
from domain.trust import hint_of

ANY_BELOW = ("/*", "@*")
"""How an identity ends of which only the beginning is fixed."""
MAX_DETAIL_CHARACTERS = 300


class KeyVerifier(Protocol):
    """Checks a signature with a public key, by the algorithm that belongs to the key."""

    def __call__(
        self, spki: bytes, signature: bytes, *, message: bytes | None, sha256: bytes | None
    ) -> bool:
        """Whether the key signed the message, or a message with this SHA-256; one of them is given."""


class Identity(msgspec.Struct, frozen=True):
    """Who a certificate says signed, and who vouched for that."""

    identity: str
    issuer: str


class NotVerified(Exception):
    """An attestation does not hold by the trusted root, and why: an answer, and no problem of a caller."""


class IdentityVerifier(Protocol):
    """Checks a Sigstore bundle in certificate mode against one trusted root, without a network."""

    @property
    def trusted_root(self) -> str:
        """The digest of the trusted root's file."""

    def __call__(self, raw: bytes, attestation: Attestation) -> Identity:
        """Who signed it.

        Raises:
            NotVerified: It does not hold, and why.
        """


class Verdict(msgspec.Struct, frozen=True):
    """Whether an attestation is trusted.

    Attributes:
        signers: Who of the policy signed it; nobody when it is not trusted.
        reason: Why it is not trusted.
        detail: The same for people.
        trusted_root: The digest of the trusted root by which an identity was checked.
    """

    signers: tuple[AttestationSigner, ...] = ()
    reason: AttestationReason | None = None
    detail: str = ""
    trusted_root: str | None = None

    @property
    def verified(self) -> bool:
        """Whether somebody whom the policy trusts signed it."""
        return bool(self.signers)


def judge(
    raw: bytes,
    attestation: Attestation,
    policy: Policy,
    verify_key: KeyVerifier,
    verify_identity: IdentityVerifier | None,
) -> Verdict:
    """Whether the policy trusts it.

    Args:
        raw: The envelope or bundle.
        attestation: What was read of it.
        policy: The project's.
        verify_key: Checks a signature with a key.
        verify_identity: Checks a certificate; None: the operator gave no trusted root.
    """
    keys, identities = policy.attestation_keys, policy.attestation_identities
    if not keys and not identities:
        return Verdict(reason="no-policy", detail="The policy names no key and no identity.")
    kind = attestation.predicate_type
    signers = tuple(key for key in keys if _signed_by(key, attestation, verify_key))
    allowed = [key for key in signers if _takes(key.predicate_types, kind)]
    if allowed:
        by = dict.fromkeys(key_id(key) for key in allowed)
        return Verdict(signers=tuple(AttestationSigner(key=name) for name in by))
    if attestation.certified and identities:
        return _judge_identity(raw, attestation, identities, verify_identity)
    if signers:
        return Verdict(
            reason="not-allowed",
            detail=f"Key {key_id(signers[0])} signed it, which the policy trusts for other claims.",
        )
    names = "key" if keys else "identity"
    return Verdict(reason="no-match", detail=f"No {names} of the policy signed it.")


def key_id(key: AttestationKey) -> str:
    """How a key is called: the digest of its SubjectPublicKeyInfo."""
    raw = decode64(key.spki)
    assert raw is not None
    return f"sha256:{hint_of(raw)}"


def matches(trusted: AttestationIdentity, found: Identity) -> bool:
    """Whether an identity is one that is trusted; a `*` behind `/` or `@` leaves the rest open."""
    if trusted.issuer != found.issuer:
        return False
    if trusted.identity.endswith(ANY_BELOW):
        begin = trusted.identity.removesuffix("*")
        return found.identity.startswith(begin) and found.identity != begin
    return trusted.identity == found.identity


def _signed_by(key: AttestationKey, attestation: Attestation, verify: KeyVerifier) -> bool:
    spki = decode64(key.spki)
    assert spki is not None
    message = attestation.signed if attestation.statement is not None else None
    return any(
        verify(spki, one.raw, message=message, sha256=attestation.sha256)
        for one in attestation.signatures
    )


def _judge_identity(
    raw: bytes,
    attestation: Attestation,
    identities: Sequence[AttestationIdentity],
    verify: IdentityVerifier | None,
) -> Verdict:
    if verify is None:
        return Verdict(
            reason="no-trusted-root",
            detail="The ledger's operator has set no trusted root, so no certificate is checked.",
        )
    root = verify.trusted_root
    try:
        found = verify(raw, attestation)
    except NotVerified as error:
        return Verdict(reason="signature-wrong", detail=_plain(str(error)), trusted_root=root)
    who = f"{found.identity}, vouched for by {found.issuer},"
    known = [one for one in identities if matches(one, found)]
    if not known:
        return Verdict(
            reason="no-match",
            detail=_plain(f"{who} signed it, whom the policy does not name."),
            trusted_root=root,
        )
    if not any(_takes(one.predicate_types, attestation.predicate_type) for one in known):
        return Verdict(
            reason="not-allowed",
            detail=_plain(f"{who} signed it, whom the policy trusts for other claims."),
            trusted_root=root,
        )
    signer = AttestationSigner(identity=found.identity, issuer=found.issuer)
    return Verdict(signers=(signer,), trusted_root=root)


def _takes(predicate_types: Sequence[str], kind: str | None) -> bool:
    """Whether a trust that may be restricted covers this kind of claim."""
    return not predicate_types or kind in predicate_types


def _plain(text: str) -> str:
    """Words of others as one line of ASCII that can be stored."""
    line = "".join(one if " " <= one <= "~" else "?" for one in " ".join(text.split()))
    return line if len(line) <= MAX_DETAIL_CHARACTERS else line[: MAX_DETAIL_CHARACTERS - 3] + "..."
