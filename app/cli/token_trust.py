"""`token trust`: whose jobs get a token without a secret, by their identity tokens (OpenID Connect)."""

import click

from app.cli.choices import Group, chosen
from domain.identity import GITHUB
from domain.trusted_issuer import DEFAULT_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS, SCOPES

Members = dict[str, object]

COLUMNS = {
    "id": "ID",
    "name": "NAME",
    "issuer": "ISSUER",
    "audience": "AUDIENCE",
    "claims": "CLAIMS",
    "projects": "PROJECTS",
    "scopes": "SCOPES",
    "lifetime_seconds": "SECONDS",
    "removed_at": "REMOVED",
}


@click.group("trust", cls=Group)
def trust_command() -> None:
    """Say whose jobs get a short-lived token without a secret.

    A job of GitHub Actions shows the token by which GitHub says who it is; whoever fits an entry here
    gets a token of this ledger for it. `deedbook ci login` does that within a job.
    """


@trust_command.command("add")
@click.argument("name")
@click.option("--repository-id", help="Only this repository, by its number.", metavar="NUMBER")
@click.option("--owner-id", help="Only this owner's repositories, by number.", metavar="NUMBER")
@click.option("--repository", help="Only this repository, by its name.", metavar="OWNER/NAME")
@click.option("--workflow", help="Only this workflow (job_workflow_ref).", metavar="PATH@REF")
@click.option("--ref", help="Only for this ref, such as refs/heads/main.", metavar="REF")
@click.option("--environment", help="Only jobs of this environment.", metavar="NAME")
@click.option("--event", help="Only runs begun by this event, such as push.", metavar="EVENT")
@click.option(
    "--for", "projects", multiple=True, metavar="SLUG", help="For this project; repeatable."
)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What the token may do; repeatable. All of these if left away.",
)
@click.option(
    "--minutes",
    type=click.IntRange(1, MAX_LIFETIME_SECONDS // 60),
    default=DEFAULT_LIFETIME_SECONDS // 60,
    show_default=True,
    help="How long a token is good.",
)
@click.option("--issuer", default=GITHUB, show_default=True, metavar="URL", help="Who vouches.")
@click.option(
    "--audience",
    metavar="URL",
    help="For whom the identity token must be made; this ledger's URL if left away.",
)
@click.option("--dry-run", is_flag=True, help="Show the entry, and add nothing.")
def add(
    name: str,
    repository_id: str | None,
    owner_id: str | None,
    repository: str | None,
    workflow: str | None,
    ref: str | None,
    environment: str | None,
    event: str | None,
    projects: tuple[str, ...],
    scopes: tuple[str, ...],
    minutes: int,
    issuer: str,
    audience: str | None,
    dry_run: bool,
) -> None:
    """Give tokens to the jobs whose claims are exactly these.

    At least one of --repository-id, --owner-id and --repository is needed. Prefer the numbers: a name that
    becomes free can be taken by somebody else. `gh api repos/OWNER/NAME --jq .id` prints one.
    """
    import msgspec

    from app.cli.output import remark, show_one
    from domain.trusted_issuer import Trust

    choices = chosen()
    claims = {
        "repository_id": repository_id,
        "repository_owner_id": owner_id,
        "repository": repository,
        "job_workflow_ref": workflow,
        "ref": ref,
        "environment": environment,
        "event_name": event,
    }
    trust = Trust(
        name=name,
        issuer=issuer,
        audience=audience or choices.connection().url,
        claims={claim: value for claim, value in claims.items() if value is not None},
        projects=projects or (choices.named_project(),),
        scopes=scopes or SCOPES,
        lifetime_seconds=minutes * 60,
    )
    trust.check()
    if dry_run:
        show_one(trust)
        remark("Nothing was added.")
        return
    with choices.client() as client:
        show_one(client.post("/v1/trusted-issuers", msgspec.to_builtins(trust), Members))


@trust_command.command("list")
@click.option("--all", "removed_too", is_flag=True, help="Removed entries too.")
def list_entries(removed_too: bool) -> None:
    """List the entries."""
    from app.cli.output import show
    from app.remote.client import pages

    with chosen().client() as client:
        found = [
            entry
            for entry in pages(client, "/v1/trusted-issuers", "trusted_issuers")
            if removed_too or entry.get("removed_at") is None
        ]
    show(found, COLUMNS, empty="Nobody is trusted: only tokens that were made by hand are good.")


@trust_command.command("remove")
@click.argument("entry_id", metavar="ID")
@click.option("--dry-run", is_flag=True, help="Show the entry, and remove nothing.")
def remove(entry_id: str, dry_run: bool) -> None:
    """Trust an entry no more; the tokens that it has given out end at once."""
    from app.cli.output import remark, show_one
    from app.remote.client import segment

    choices = chosen()
    path = f"/v1/trusted-issuers/{segment(entry_id)}"
    with choices.client() as client:
        if dry_run:
            show_one(client.get(path, Members))
            remark("Nothing was removed.")
            return
        removed = client.remove(path, Members)
    if choices.output == "table":
        remark(f"{entry_id} is trusted no more; {removed['ended_tokens']} tokens ended with it.")
    else:
        show_one(removed)


@trust_command.command("log")
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
def exchanges(limit: int) -> None:
    """List the tokens that were given out, the newest first: who an actor was, and by which claims."""
    from app.cli.output import show

    with chosen().client() as client:
        page = client.get("/v1/token-exchanges", Members, {"limit": limit})
    found = page["exchanges"]
    assert isinstance(found, list)
    show(
        found,
        {
            "exchanged_at": "WHEN",
            "identity": "ACTOR",
            "project": "PROJECT",
            "token_id": "TOKEN",
            "trusted_issuers": "ENTRIES",
        },
    )
