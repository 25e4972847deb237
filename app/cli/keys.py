"""`key`: the keys with which this ledger signs, the words by which others know them, and their change."""

from typing import TYPE_CHECKING, Literal, cast

import click

from app.cli.choices import Group, chosen, project_argument

if TYPE_CHECKING:
    from app.keys.key_rotation import Rotation

Role = Literal["log", "seal"]


@click.group("key", cls=Group)
def key_command() -> None:
    """Show or change the keys that sign checkpoints and seals."""


@key_command.command("show")
@project_argument
def show_key(project: str | None) -> None:
    """Print the verifier key of each project's log, or of the one that is named.

    Reads the database and the keys of this machine's settings, and shows no secret. Hand the words on
    by a way that does not lead through the ledger: `checkpoint --key`, `verify-proof --key`. The public
    keys for seals are printed by `trusted-root`.
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


@key_command.command("rotate")
@click.argument("role", type=click.Choice(["log", "seal"]))
@click.option("--reason", required=True, help="Why, for those who read the log.", metavar="TEXT")
@click.option(
    "--last-good",
    type=click.IntRange(min=-1),
    help="After a theft of the seal key: the index of the last seal known to be good; -1: none.",
    metavar="INDEX",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def rotate_key(role: str, reason: str, last_good: int | None, dry_run: bool, yes: bool) -> None:
    """Let a new key follow on the current one: the one that signs checkpoints (log) or seals.

    The change is a statement in the seal log, signed by the seal key, and tells where the old key ends
    and the new one begins: by size and index, never by date. The old key's file is kept beside. Services
    that run sign nothing more with the old key: start them anew. Readers take the public keys anew, on
    purpose: `deedbook trusted-root`.

    With --last-good, seals after that index are not valid any more: export --seal makes them again.
    """
    from app.bootstrap import admin_url
    from app.cli.output import remark, show_one

    choices = chosen()
    settings = choices.settings()
    with admin_url(settings) as url:
        which = cast("Role", role)
        planned = _rotate(url, which, reason, last_good, preview=True)
        if not planned.finished_only:
            seals = len(planned.resealed)
            _tell(planned)
            if dry_run:
                return
            question = f"Retire the {role} key"
            question += f" and end the validity of {seals} seals" if seals else ""
            if not yes:
                click.confirm(f"{question}?", abort=True, err=True)
        elif dry_run:
            remark("The change is logged already; only the files are left to exchange.")
            return
        done = _rotate(url, which, reason, last_good, preview=False)
    show_one(
        {
            "role": done.role,
            "index": done.index,
            "key": str(done.file),
            "retired": str(done.retired),
            "invalid_seals": list(done.resealed),
        }
    )
    remark("Start the services anew, and hand out the public keys: deedbook trusted-root.")


def _tell(planned: "Rotation") -> None:
    from app.cli.output import remark

    remark(f"The change will stand at index {planned.index} of the seal log.")
    remark(f"The old key goes to {planned.retired}, the new one to {planned.file}.")
    if planned.resealed:
        first, last = planned.resealed[0], planned.resealed[-1]
        remark(f"The seals at indexes {first} to {last} will not be valid any more.")


def _rotate(
    url: str, role: Role, reason: str, last_good: int | None, *, preview: bool
) -> "Rotation":
    from adapters.postgres_owner import open_owner
    from app.keys.key_rotation import rotate
    from app.keys.public_keys import write_public_files

    with open_owner(url) as connection:
        return rotate(
            connection,
            chosen().settings(),
            role,
            reason=reason,
            last_good=last_good,
            preview=preview,
            write_public=write_public_files,
        )
