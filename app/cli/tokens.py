"""`token`: make, list and revoke API tokens."""

import click

from adapters.postgres_tokens import SCOPES
from app.cli.choices import Group, chosen
from app.cli.token_trust import trust_command

Members = dict[str, object]


@click.group("token", cls=Group)
def token_command() -> None:
    """Make, list and revoke API tokens."""


token_command.add_command(trust_command)


@token_command.command("create")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What it may do; repeatable. All but admin if left away.",
)
@click.option(
    "--for",
    "projects",
    multiple=True,
    metavar="SLUG",
    help="Only in this project; repeatable. Every project if left away.",
)
@click.option("--days", type=click.IntRange(min=1), help="Expires after so many days.")
@click.option("--direct", is_flag=True, help="Make it in the database, not through the API.")
def create(
    name: str, scopes: tuple[str, ...], projects: tuple[str, ...], days: int | None, direct: bool
) -> None:
    """Make a token; it is shown once, on standard output.

    With --direct, or when no token is at hand to ask with, it is made in the database of this
    machine's settings: that is how the first one comes into being.
    """
    from app.cli.output import remark, show_one

    choices = chosen()
    granted = scopes or tuple(scope for scope in SCOPES if scope != "admin")
    if direct or choices.connection().token is None:
        secret, made = _create_in_database(name, granted, projects, days)
    else:
        body: Members = {"name": name, "scopes": list(granted)}
        if projects:
            body["projects"] = list(projects)
        if days is not None:
            body["expires_in_days"] = days
        with choices.client() as client:
            made = client.post("/v1/tokens", body, Members)
        secret = str(made["token"])
    if choices.output == "table":
        click.echo(secret)
        remark("It is not shown again.")
    else:
        show_one(made)


@token_command.command("list")
def list_tokens() -> None:
    """List the tokens: never the secrets, only their last four characters."""
    from app.cli.output import show
    from app.remote.client import pages

    with chosen().client() as client:
        show(
            pages(client, "/v1/tokens", "tokens"),
            {
                "id": "ID",
                "name": "NAME",
                "identity": "IDENTITY",
                "last_four": "ENDS IN",
                "scopes": "SCOPES",
                "projects": "PROJECTS",
                "expires_at": "EXPIRES",
                "revoked_at": "REVOKED",
                "last_used_at": "LAST USED",
            },
        )


@token_command.command("revoke")
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Revoke a token at once."""
    from app.cli.output import remark
    from app.remote.client import segment

    with chosen().client() as client:
        client.delete(f"/v1/tokens/{segment(token_id)}")
    remark(f"{token_id} is revoked.")


def _create_in_database(
    name: str, scopes: tuple[str, ...], projects: tuple[str, ...], days: int | None
) -> tuple[str, Members]:
    """Make a token without asking a service; one that runs knows it at once."""
    import msgspec

    from app.bootstrap import database, open_ledger

    settings = chosen().settings()
    with database(settings) as url, open_ledger(settings, url) as ledger:
        secret, made = ledger.tokens.create(
            name, scopes=scopes, projects=projects or None, days=days
        )
    members: Members = msgspec.to_builtins(made)
    return secret, {"token": secret, **members}
