"""Attestations by others as a use case: read, checked against the policy, and recorded as they came."""

import hashlib

import msgspec

from adapters.attestation_key import verify_attested
from app.door import Checked, check_stream
from app.ledger import Ledger, RequestKey
from app.secret_door import screen_content, screen_value
from domain import canonical
from domain.attestation import MEDIA_TYPE, read_attestation
from domain.attestation_record import record_of
from domain.attestation_trust import Verdict, judge
from domain.digest import format_digest
from domain.errors import Invalid, StaleVersion
from domain.events import Content
from domain.log import Receipt
from domain.names import run_stream
from domain.secret_policy import SecretPolicy

POLICY = "project"
"""The stream that tells the policy."""
ATTEMPTS = 8
"""Of recording one while the policy is changed."""


def record_attestation(
    ledger: Ledger,
    project: str,
    run: str,
    raw: bytes,
    *,
    actor: str,
    key: RequestKey | None = None,
) -> Receipt:
    """Record a DSSE envelope or a Sigstore bundle in a run, and what came of checking it.

    Raises:
        TooLarge: `body-too-large`.
        Malformed: `malformed-json`, `json-too-deep`.
        Invalid: `attestation-malformed`; `attestation-unverified`: the policy wants it signed by
            somebody it trusts; `secret-detected`: what is signed cannot be rewritten.
        Conflict: `invalid-transition`.
        NotFound: `project-not-found`.
    """
    stream = run_stream(run)
    parsed = check_stream(stream, None)
    attestation = read_attestation(raw)

    def secrets() -> SecretPolicy:
        # What follows from the bytes cannot be replaced either.
        return SecretPolicy("refuse", ledger.secret_policy(project).allowed)

    screen_content(raw, MEDIA_TYPE, secrets, named=True)
    screen_content(attestation.payload, MEDIA_TYPE, secrets, named=True)
    sha256 = hashlib.sha256(raw).digest()
    content = Content(digest=format_digest(sha256), size_bytes=len(raw), media_type=MEDIA_TYPE)
    for attempt in range(ATTEMPTS):
        version, policy = ledger.policy(project)
        first = ledger.first_answer(project, key)
        if first is not None:
            return first
        verdict = judge(raw, attestation, policy, verify_attested, ledger.identities)
        if policy.attestations == "require" and not verdict.verified:
            raise _unverified(verdict)
        data = record_of(attestation, content, verdict, version)
        value = msgspec.to_builtins(data)
        canonical.check(value)
        screen_value(value, "", secrets)
        checked = Checked(parsed, stream, data, ledger.new_id(), raw, sha256)
        try:
            return ledger.append_checked(
                project, [checked], actor=actor, preconditions={POLICY: version}, key=key
            )
        except StaleVersion as stale:
            # The policy was changed meanwhile: what was found out under the old one does not count.
            if stale.members.get("stream") != POLICY or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError


def _unverified(verdict: Verdict) -> Invalid:
    return Invalid(
        "attestation-unverified",
        f"This project takes only attestations that somebody it trusts has signed. {verdict.detail}",
        members={"reason": verdict.reason or ""},
    )
