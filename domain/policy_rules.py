"""What a change of a project's policy may say; apart from the policy, which every run reads."""

import re

import msgspec

from domain.attestation_policy import check_identities, checked_keys
from domain.errors import Invalid
from domain.events import PolicyChanged
from domain.policy import Policy, evolve
from domain.run_records import SCOPE

MAX_SCOPES = 64
MAX_ENVIRONMENTS = 16
MAX_ALLOWED_SECRETS = 1_000
_GUARD = re.compile(rf"\*|{SCOPE.pattern}(?:\.\*)?")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")


def decide(policy: Policy, command: PolicyChanged) -> tuple[PolicyChanged, ...]:
    """The events that a wished change leads to: none, when everything is so already.

    Raises:
        Invalid: `validation-failed`, with a pointer.
    """
    _check(command.guarded_scopes, "/guarded_scopes", MAX_SCOPES, _GUARD, "a scope or scope.*")
    _check(command.production, "/production", MAX_ENVIRONMENTS, _ENVIRONMENT, "an environment")
    _check(
        command.allowed_secrets, "/allowed_secrets", MAX_ALLOWED_SECRETS, _FINGERPRINT, "sha256:…"
    )
    if command.attestation_keys is not None:
        keys = checked_keys(command.attestation_keys)
        command = msgspec.structs.replace(command, attestation_keys=keys)
    if command.attestation_identities is not None:
        check_identities(command.attestation_identities)
    return (command,) if evolve(policy, command) != policy else ()


def _check(
    names: tuple[str, ...] | None, pointer: str, limit: int, grammar: re.Pattern[str], what: str
) -> None:
    if names is None:
        return
    if len(names) > limit:
        raise Invalid("validation-failed", f"At most {limit} are listed.", pointer=pointer)
    for index, name in enumerate(names):
        if grammar.fullmatch(name) is None:
            raise Invalid(
                "validation-failed", f"{name[:64]!r} is not {what}.", pointer=f"{pointer}/{index}"
            )
