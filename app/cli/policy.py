"""`policy`: what a project demands of its runs and events."""

from typing import Literal

import click

from app.cli.choices import Group, chosen

MAX_KEY_BYTES = 16_384


@click.group("policy", cls=Group)
def policy_command() -> None:
    """Show or set what a project demands of its runs and events."""


@policy_command.command("show")
@click.option("--at", type=click.IntRange(min=1), help="As of this position.", metavar="POSITION")
def show_policy(at: int | None) -> None:
    """Show the policy."""
    from app.cli.output import show_one
    from app.remote.runs import read_policy

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        show_one(read_policy(client, slug, at))


@policy_command.command("set")
@click.option(
    "--guard",
    "guarded_scopes",
    multiple=True,
    help="A scope that needs an approval, such as destroy.*: all of them are given. Repeatable.",
    metavar="SCOPE",
)
@click.option("--guard-nothing", is_flag=True, help="No scope needs an approval.")
@click.option(
    "--four-eyes/--no-four-eyes",
    default=None,
    help="Who approves is neither who asked nor who acts.",
)
@click.option(
    "--production",
    multiple=True,
    help="An environment whose deployments must be backed: all of them are given. Repeatable.",
    metavar="ENVIRONMENT",
)
@click.option(
    "--secrets",
    type=click.Choice(["refuse", "replace"]),
    help="What becomes of an event with a secret in it.",
)
@click.option(
    "--allow-secret",
    "allowed_secrets",
    multiple=True,
    help="The fingerprint of what looks like a secret and is none; added. Repeatable.",
    metavar="FINGERPRINT",
)
@click.option(
    "--attestations",
    type=click.Choice(["record", "require"]),
    help="An attestation that nobody trusted has signed is recorded as such, or refused.",
)
@click.option(
    "--trust-key",
    "key_files",
    multiple=True,
    help="A file with a public key (PEM, P-256 or Ed25519) to trust for attestations; added. Repeatable.",
    metavar="FILE",
)
@click.option(
    "--trust-identity",
    "identities",
    type=(str, str),
    multiple=True,
    help="Whom to trust by a Sigstore certificate, and the OIDC issuer that vouches; added. Repeatable.",
    metavar="IDENTITY ISSUER",
)
@click.option(
    "--for-predicate",
    "predicate_types",
    multiple=True,
    help="Trust what is added now for these kinds of claims only. Repeatable.",
    metavar="TYPE",
)
@click.option(
    "--signed-approvals/--no-signed-approvals",
    default=None,
    help="An approval counts only when a key of the policy has signed it.",
)
@click.option(
    "--approver-key",
    "approver_files",
    multiple=True,
    help="A file with an approver's public SSH key, such as id_ed25519.pub; added. Repeatable.",
    metavar="FILE",
)
@click.option("--trust-nobody", is_flag=True, help="Drop the keys and identities trusted before.")
def set_policy(
    guarded_scopes: tuple[str, ...],
    guard_nothing: bool,
    four_eyes: bool | None,
    production: tuple[str, ...],
    secrets: Literal["refuse", "replace"] | None,
    allowed_secrets: tuple[str, ...],
    attestations: Literal["record", "require"] | None,
    key_files: tuple[str, ...],
    identities: tuple[tuple[str, str], ...],
    predicate_types: tuple[str, ...],
    signed_approvals: bool | None,
    approver_files: tuple[str, ...],
    trust_nobody: bool,
) -> None:
    """Change the policy; what is not named stays as it is. Only an administrator may."""
    from app.cli.given_file import read_given
    from app.cli.output import show_one
    from app.remote.runs import approver_key, change_policy, read_policy, trusting
    from domain.policy import Policy

    if guard_nothing and guarded_scopes:
        raise click.UsageError("Give --guard or --guard-nothing, not both.")
    if predicate_types and not key_files and not identities:
        raise click.UsageError("Give --for-predicate with --trust-key or --trust-identity.")
    approvers = [
        approver_key(read_given(file, MAX_KEY_BYTES).decode("utf-8", "replace"))
        for file in approver_files
    ]
    keys = [read_given(file, MAX_KEY_BYTES) for file in key_files]
    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        wished: dict[str, object] = {
            "four_eyes": four_eyes,
            "secrets": secrets,
            "attestations": attestations,
            "signed_approvals": signed_approvals,
        }
        if approvers:
            known_keys = read_policy(client, slug, None).approver_keys
            wished["approver_keys"] = [*known_keys, *approvers]
        if keys or identities or trust_nobody:
            present = Policy() if trust_nobody else read_policy(client, slug, None)
            wished |= trusting(present, keys, identities, predicate_types)
        if guarded_scopes or guard_nothing:
            wished["guarded_scopes"] = guarded_scopes
        if production:
            wished["production"] = production
        if allowed_secrets:
            known = read_policy(client, slug, None).allowed_secrets
            wished["allowed_secrets"] = tuple(dict.fromkeys([*known, *allowed_secrets]))
        changes = {name: value for name, value in wished.items() if value is not None}
        if not changes:
            raise click.UsageError("Name what to change, such as --four-eyes.")
        show_one(change_policy(client, slug, changes))
