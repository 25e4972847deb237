"""`run erase`: contents that a run recorded, such as a transcript with a secret in it."""

import click

from app.cli.choices import Command, chosen, erase_options


@click.command("erase", cls=Command)
@click.argument("run_id", metavar="ID")
@click.option(
    "--version",
    type=click.IntRange(min=1),
    help="Of the record in the run, as `run show` counts; all if left away.",
    metavar="N",
)
@erase_options
def erase_command(
    run_id: str, version: int | None, reason: str | None, yes: bool, dry_run: bool
) -> None:
    """Erase the contents of a run's record, or of the whole run: reports, transcripts, patches.

    What would go is shown first, with what it does not reach. It cannot be undone. The log keeps every
    event, and so what the events themselves say, such as a command line. Only an administrator may.
    """
    from app.cli.erasing import erase_shown

    choices = chosen()
    slug = choices.named_project()
    target: dict[str, object] = {"run": run_id, "version": version}
    with choices.client() as client:
        erase_shown(client, slug, target, run_id, reason=reason, yes=yes, dry_run=dry_run)
