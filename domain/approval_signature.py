"""Whose word an approval is: the approver's own, by a signature that holds, or the ledger's."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from domain.approval import NAMESPACE, statement
from domain.attestation_trust import KeyVerifier
from domain.errors import Conflict
from domain.events import ApprovalRecorded, ApproverKey
from domain.policy import Policy
from domain.ssh_signature import parse_key, signer_of

BY_THE_LEDGER = "recorded by the ledger"

Evidence = Literal["ledger", "signed", "unknown-key", "wrong", "unchecked"]


class SignedApproval(msgspec.Struct, frozen=True):
    """What vouches for a decision.

    Attributes:
        evidence: `signed`: by a key that the policy names; `unknown-key`: by another one; `wrong`: its
            signature does not hold; `unchecked`: a format that is not checked; `ledger`: nothing.
        signer: Whose key, and its fingerprint.
    """

    evidence: Evidence = "ledger"
    signer: str | None = None

    @property
    def text(self) -> str:
        """The same for people."""
        match self.evidence:
            case "signed":
                return f"signed by {self.signer}"
            case "unknown-key":
                return f"signed with {self.signer}, which the policy does not name"
            case "wrong":
                return f"{BY_THE_LEDGER}; its signature does not hold"
            case "unchecked":
                return f"{BY_THE_LEDGER}; its signature was not checked"
            case _:
                return BY_THE_LEDGER


def look_at(
    data: ApprovalRecorded,
    *,
    origin: str,
    run: str,
    approval: str,
    scope: str,
    keys: Sequence[ApproverKey],
    verify: KeyVerifier,
) -> SignedApproval:
    """What vouches for a decision.

    Args:
        data: The decision.
        origin: Of the project's log.
        run: The run's id.
        approval: The approval's id.
        scope: What it is for.
        keys: Those of the policy.
        verify: Checks a signature with a key.
    """
    signature = data.signature
    if signature is None:
        return SignedApproval()
    if signature.format != "sshsig":
        return SignedApproval("unchecked")
    message = statement(
        origin=origin, run=run, approval=approval, scope=scope, decision=data.decision
    )
    key = signer_of(signature.value, message, NAMESPACE, verify)
    if key is None:
        return SignedApproval("wrong")
    known = [one for one in keys if parse_key(one.key).blob == key.blob]
    if not known:
        return SignedApproval("unknown-key", key.fingerprint)
    return SignedApproval("signed", f"{known[0].name} {key.fingerprint}".strip())


def demand(policy: Policy, data: ApprovalRecorded, found: SignedApproval) -> None:
    """Refuse a grant that the policy wants signed and that is not; a rejection needs no signature.

    Raises:
        Conflict: `approval-unsigned`.
    """
    if policy.signed_approvals and data.decision == "approved" and found.evidence != "signed":
        raise Conflict(
            "approval-unsigned",
            f"This project wants approvals signed by a key that its policy names; this one is "
            f"{found.text}. Grant it with --sign-with.",
            pointer="/signature",
        )
