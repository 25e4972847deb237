"""`ci login` and `ci logout`: a token for as long as a job needs one."""

import click

from app.cli.choices import Command, chosen


@click.command("login", cls=Command)
@click.option(
    "--audience",
    default="",
    help="For whom the identity token is made; the ledger's URL if left away.",
    metavar="URL",
)
def login_command(audience: str) -> None:
    """Exchange the identity token of this job for a short-lived token, and keep it for what follows.

    The job needs `permissions: id-token: write`, and the ledger an entry that fits (`deedbook token trust
    add`). The token is masked in the log and kept in the data folder, for its owner only; it is not put
    into the environment of other steps.
    """
    import time

    from app.cli.ci_words import mask
    from app.cli.output import remark, show_one
    from app.remote.connection import Connection, write_connection
    from app.remote.github_identity import log_in
    from app.remote.github_job import read_job
    from app.settings import environment

    choices = chosen()
    settings, connection = choices.settings(), choices.connection()
    project, variables = choices.named_project(), environment()
    read_job(variables)  # no token for a job that should not have begun
    given = log_in(variables, connection.url, project, audience or connection.url, time.sleep)
    mask(variables, given.token)
    write_connection(
        settings.data_folder, Connection(url=connection.url, token=given.token, project=project)
    )
    actor = given.identity or f"token:{given.name}"
    if choices.output == "table":
        remark(f"{actor} may {', '.join(given.scopes)} in {project} until {given.expires_at}.")
    else:
        show_one({"identity": actor, "scopes": given.scopes, "expires_at": given.expires_at})


@click.command("logout", cls=Command)
def logout_command() -> None:
    """End the token that `ci login` has got, and forget it; nothing to end is no fault."""
    from app.cli.output import remark, warn
    from app.remote.client import Client
    from app.remote.connection import connection_file, read_connection
    from domain.errors import DeedbookError

    folder = chosen().settings().data_folder
    kept = read_connection(folder)
    if kept is None or kept.token is None:
        remark("There is no token here.")
        return
    connection_file(folder).unlink(missing_ok=True)
    try:
        with Client(kept.url, kept.token) as client:
            client.delete("/v1/tokens/self")
    except DeedbookError as error:
        warn(f"The token could not be ended and expires by itself: {error.detail}")
        return
    remark("The token is ended.")
