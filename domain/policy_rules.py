"""What a change of a project's policy may say; apart from the policy, which every run reads."""

import re

import msgspec

from domain import canonical
from domain.attestation_policy import MAX_NAME_CHARACTERS, check_identities, checked_keys
from domain.errors import Invalid
from domain.events import ApproverKey, PolicyChanged
from domain.policy import Policy, evolve
from domain.run_records import SCOPE
from domain.ssh_signature import parse_key

MAX_SCOPES = 64
MAX_ENVIRONMENTS = 16
MAX_APPROVERS = 100
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
    if command.approver_keys is not None:
        approvers = _approvers(command.approver_keys)
        command = msgspec.structs.replace(command, approver_keys=approvers)
    return (command,) if evolve(policy, command) != policy else ()


def _approvers(keys: tuple[ApproverKey, ...]) -> tuple[ApproverKey, ...]:
    """Keys of approvers in the one spelling that is recorded."""
    if len(keys) > MAX_APPROVERS:
        raise Invalid(
            "validation-failed", f"At most {MAX_APPROVERS} are listed.", pointer="/approver_keys"
        )
    found = []
    for index, one in enumerate(keys):
        try:
            key = parse_key(one.key)
            canonical.check(one.name)
        except Invalid as error:
            error.pointer = f"/approver_keys/{index}"
            raise
        if len(one.name) > MAX_NAME_CHARACTERS:
            raise Invalid(
                "validation-failed",
                f"A name has up to {MAX_NAME_CHARACTERS} characters.",
                pointer=f"/approver_keys/{index}/name",
            )
        found.append(ApproverKey(key=key.text, name=one.name))
    return tuple(found)


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
