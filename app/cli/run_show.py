"""`run show`: a run on one page."""

import sys

import click

from app.cli.choices import Command, chosen
from app.cli.run_choice import chosen_run, run_argument


@click.command("show", cls=Command)
@run_argument
@click.option("--at", type=click.IntRange(min=1), help="As of this position.", metavar="POSITION")
@click.option("--contents", is_flag=True, help="Name the contents behind each event.")
def show_command(run_id: str | None, at: int | None, contents: bool) -> None:
    """Show what happened in a run: who allowed it, what it changed outside, what backs each claim.

    A ● is a content that the ledger holds, a ○ one that is missing, a ⊘ one that was erased.
    """
    from app.cli.output import show_one
    from app.cli.run_page import page
    from app.remote.runs import read_timeline

    choices = chosen()
    with chosen_run(run_id) as chosen_one:
        shown = read_timeline(chosen_one.client, chosen_one.project, chosen_one.run, at)
    if choices.output != "table":
        show_one(shown)
        return
    colored = sys.stdout.isatty() and not choices.no_color
    for line in page(shown, contents=contents):
        click.echo("".join(_styled(text, color, colored) for text, color in line), color=colored)


def _styled(text: str, color: str, colored: bool) -> str:
    if not colored or not color:
        return text
    if color in {"bold", "dim"}:
        return click.style(text, bold=color == "bold" or None, dim=color == "dim" or None)
    return click.style(text, fg=color)
