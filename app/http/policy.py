"""The policy of a project: what it demands of its runs and events."""

from typing import Literal

import msgspec
from starlette.responses import Response

from app.http.answers import answer
from app.http.call import At, Call
from app.http.conditions import etag
from app.http.endpoint import Endpoints, json_body
from domain.events import ApproverKey, AttestationIdentity, AttestationKey, PolicyChanged
from domain.policy import Policy

endpoints = Endpoints("policy")


class PolicyChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; what is left away stays. A key's `spki` may be given in PEM as well."""

    guarded_scopes: tuple[str, ...] | None = None
    four_eyes: bool | None = None
    production: tuple[str, ...] | None = None
    secrets: Literal["refuse", "replace"] | None = None
    allowed_secrets: tuple[str, ...] | None = None
    attestations: Literal["record", "require"] | None = None
    attestation_keys: tuple[AttestationKey, ...] | None = None
    attestation_identities: tuple[AttestationIdentity, ...] | None = None
    signed_approvals: bool | None = None
    approver_keys: tuple[ApproverKey, ...] | None = None


@endpoints.add(
    "GET",
    "/v1/projects/{project}/policy",
    scope="events:read",
    query=At,
    answers={200: Policy},
    problems=("project-not-found", "position-in-the-future"),
)
def get_policy(call: Call[At, None]) -> Response:
    """Read what the project demands of its runs and events."""
    position = call.position(call.query.at)
    version, policy = call.ledger.policy(call.project, position)
    return answer(policy, headers={"ETag": etag(version), "Deedbook-Position": str(position)})


@endpoints.add(
    "PATCH",
    "/v1/projects/{project}/policy",
    scope="admin",
    accepted=json_body(PolicyChange),
    answers={200: Policy},
    problems=("project-not-found", "version-conflict", "validation-failed", "secret-detected"),
    headers=("If-Match", "Idempotency-Key"),
)
def change_policy(call: Call[None, PolicyChange]) -> Response:
    """Change what the project demands; the change is an event as well."""
    given = call.body
    call.ledger.change_policy(
        call.project,
        PolicyChanged(
            guarded_scopes=given.guarded_scopes,
            four_eyes=given.four_eyes,
            production=given.production,
            secrets=given.secrets,
            allowed_secrets=given.allowed_secrets,
            attestations=given.attestations,
            attestation_keys=given.attestation_keys,
            attestation_identities=given.attestation_identities,
            signed_approvals=given.signed_approvals,
            approver_keys=given.approver_keys,
        ),
        actor=call.actor,
        expected=call.expected_version,
        key=call.key,
    )
    version, policy = call.ledger.policy(call.project)
    return answer(policy, headers={"ETag": etag(version)})
