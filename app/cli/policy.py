"""`policy`: what a project demands of its runs and events."""

from typing import Literal

import click

from app.cli.choices import Group, chosen


@click.group("policy", cls=Group)
def policy_command() -> None:
    """Show or set what a project demands of its runs and events."""


@policy_command.command("show")
@click.option("--at", type=click.IntRange(min=1), help="As of this position.", metavar="POSITION")
def show_policy(at: int | None) -> None:
    """Show the policy."""
    from app.cli.output import show_one
    from app.remote_runs import read_policy

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
def set_policy(
    guarded_scopes: tuple[str, ...],
    guard_nothing: bool,
    four_eyes: bool | None,
    production: tuple[str, ...],
    secrets: Literal["refuse", "replace"] | None,
    allowed_secrets: tuple[str, ...],
) -> None:
    """Change the policy; what is not named stays as it is. Only an administrator may."""
    from app.cli.output import show_one
    from app.remote_runs import change_policy, read_policy

    if guard_nothing and guarded_scopes:
        raise click.UsageError("Give --guard or --guard-nothing, not both.")
    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        wished: dict[str, object] = {"four_eyes": four_eyes, "secrets": secrets}
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
