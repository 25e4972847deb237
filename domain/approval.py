"""Approvals: what one allows, and the statement that an approver can sign with a key of their own."""

from typing import Literal

import msgspec

from domain import canonical
from domain.errors import Conflict
from domain.policy import Policy

NAMESPACE = "deedbook-approval"
"""Of an OpenSSH signature (PROTOCOL.sshsig), so that one made for another purpose does not count."""

Decision = Literal["approved", "rejected"]


class Approval(msgspec.Struct, frozen=True):
    """What is known of one approval of a run.

    Attributes:
        asked_by: The actor of the request; empty when nobody asked.
        decided_by: The actor of the decision.
        effect: The only side effect that it is for; None: any in its scope.
    """

    scope: str
    asked_by: str = ""
    effect: str | None = None
    decision: Decision | None = None
    decided_by: str = ""

    def allows(self, scope: str, effect: str, actor: str, policy: Policy) -> bool:
        """Whether the actor may do this side effect by it."""
        return (
            self.decision == "approved"
            and self.scope == scope
            and self.effect in {None, effect}
            and not (policy.four_eyes and self.decided_by == actor)
        )


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    schema: Literal["deedbook/approval/v1"]
    origin: str
    run: str
    approval: str
    scope: str
    decision: Decision


def statement(*, origin: str, run: str, approval: str, scope: str, decision: Decision) -> bytes:
    """The bytes that an approver signs: canonical JSON, without a newline.

    Args:
        origin: Of the project's log, so that the signature holds for this ledger only.
        run: The run's id.
        approval: The approval's id.
        scope: What it is for.
        decision: What was decided.
    """
    return canonical.write(
        _Statement(
            schema="deedbook/approval/v1",
            origin=origin,
            run=run,
            approval=approval,
            scope=scope,
            decision=decision,
        )
    )


def missing(
    scope: str,
    effect: str,
    cited: str | None,
    approvals: dict[str, Approval],
    actor: str,
    policy: Policy,
) -> Conflict:
    """What to say when nothing allows a side effect: what is missing, and what to do."""
    found = approvals.get(cited) if cited is not None else None
    if cited is not None and found is None:
        why = f"the run has no approval {cited}"
    elif found is not None and found.scope != scope:
        why = f"approval {cited} is for {found.scope}"
    elif found is not None and found.effect not in {None, effect}:
        why = f"approval {cited} is for the side effect {found.effect} only"
    elif found is not None and found.decision is None:
        why = f"approval {cited} is not decided yet"
    elif found is not None and found.decision == "rejected":
        why = f"approval {cited} was rejected by {found.decided_by}"
    elif any(one.allows(scope, effect, "", policy) for one in approvals.values()):
        why = f"it was approved by {actor}, who would also do it, and this project wants four eyes"
    else:
        asked = sorted(
            name
            for name, one in approvals.items()
            if one.scope == scope and one.decision is None and one.effect in {None, effect}
        )
        why = f"approval {asked[0]} is not decided yet" if asked else "nobody approved it"
    return Conflict(
        "approval-missing",
        f"Side effect {effect} needs a granted approval for {scope}: {why}. Record ApprovalRequested, and go on "
        "when ApprovalRecorded has granted it.",
        pointer="/approval" if cited is not None else "/scope",
        members={"scope": scope, "effect": effect},
    )
