"""What a project demands of its runs and events; changed by events, so it has a history too."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from domain.events import ApproverKey, AttestationIdentity, AttestationKey, EventData, PolicyChanged

ALL_BELOW = ".*"


class Policy(msgspec.Struct, frozen=True):
    """The policy at a position; these are the defaults of a new project.

    Attributes:
        guarded_scopes: A side effect in one of them needs an approval; `destroy.*` is every scope
            below `destroy`.
        four_eyes: Who approves is neither who asked nor who acts.
        production: A deployment to one of these environments must be backed by a side effect.
        secrets: An event with a secret in it is refused, or recorded with a replacement.
        allowed_secrets: Fingerprints (`sha256:…`) of what looks like a secret and is none.
        attestations: One that nobody trusted has signed is recorded as such, or refused.
        attestation_keys: Whose signatures are trusted.
        attestation_identities: Whose certificates are.
        signed_approvals: An approval counts when one of `approver_keys` has signed it.
    """

    guarded_scopes: tuple[str, ...] = (
        "deploy.production",
        "destroy.*",
        "infra.provision",
        "repo.merge",
        "repo.push",
    )
    four_eyes: bool = False
    production: tuple[str, ...] = ("production",)
    secrets: Literal["refuse", "replace"] = "refuse"
    allowed_secrets: tuple[str, ...] = ()
    attestations: Literal["record", "require"] = "record"
    attestation_keys: tuple[AttestationKey, ...] = ()
    attestation_identities: tuple[AttestationIdentity, ...] = ()
    signed_approvals: bool = False
    approver_keys: tuple[ApproverKey, ...] = ()

    def guards(self, scope: str) -> bool:
        """Whether a side effect in this scope needs an approval."""
        return any(
            scope == one
            or (one.endswith(ALL_BELOW) and scope.startswith(one.removesuffix("*")))
            or one == "*"
            for one in self.guarded_scopes
        )


def evolve(policy: Policy, event: EventData) -> Policy:
    """The policy after one more event of the stream `project`."""
    if not isinstance(event, PolicyChanged):
        return policy
    changed = {
        name: value
        for name in PolicyChanged.__struct_fields__
        if (value := getattr(event, name)) is not None
    }
    return msgspec.structs.replace(policy, **changed)


def policy_of(events: Iterable[EventData]) -> Policy:
    """The policy that the stream `project` tells."""
    policy = Policy()
    for event in events:
        policy = evolve(policy, event)
    return policy
