"""`key`: the key that signs this ledger's checkpoints, and the words by which others know it."""

import click

from app.cli.choices import Group, chosen, project_argument


@click.group("key", cls=Group)
def key_command() -> None:
    """Show the key that signs checkpoints."""


@key_command.command("show")
@project_argument
def show_key(project: str | None) -> None:
    """Print the verifier key of each project's log, or of the one that is named.

    Reads the database and the key of this machine's settings, and shows no secret. Hand the words on
    by a way that does not lead through the ledger: `checkpoint --key`, `verify-proof --key`.
    """
    from adapters.ed25519_key import open_key
    from adapters.key_file import key_file
    from adapters.postgres_keys import origins_and_keys
    from app.bootstrap import admin_url
    from app.cli.output import remark, show, warn
    from domain.errors import Conflict, NotFound
    from domain.signed_note import NoteKey, format_key

    choices = chosen()
    settings = choices.settings()
    with admin_url(settings) as url:
        origins, keys = origins_and_keys(url, project)
    file = key_file(settings.log_key)
    try:
        own = open_key(file).public_key
    except NotFound:
        warn(f"There is no key at {file}: this machine signs nothing.")
    else:
        if keys and own != keys[-1]:
            raise Conflict(
                "signing-key-mismatch",
                f"The key at {file} is not the one with which this ledger's checkpoints are signed.",
            )
        remark(f"The key lies at {file}.")
    rows = [
        {"log": origin, "key": format_key(NoteKey(origin, key))}
        for origin in origins
        for key in keys
    ]
    if choices.output == "table":
        for row in rows:
            click.echo(row["key"])
        if not keys:
            remark("No service has started on this database yet: the first one makes the key.")
    else:
        show(rows, {})
