"""`run list` and `run status`: which runs there are, and what is open in one."""

from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen
from app.cli.run_choice import chosen_run, run_argument

if TYPE_CHECKING:
    from domain.run import RunState


@click.command("list", cls=Command)
@click.option("--at", type=click.IntRange(min=0), help="As of this position.", metavar="POSITION")
def list_command(at: int | None) -> None:
    """List the runs, each with its phase."""
    from app.cli.output import show
    from app.remote.client import pages
    from app.remote.runs import runs_path

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        show(
            pages(client, runs_path(slug), "runs", {"at": at}),
            {"run_id": "RUN", "phase": "PHASE", "title": "TITLE", "time": "CHANGED"},
            empty="There is no run yet; `deedbook run start TITLE` begins one.",
        )


@click.command("status", cls=Command)
@run_argument
def status_command(run_id: str | None) -> None:
    """Show a run's phase, and what is open in it: steps, approvals, side effects."""
    from app.cli.output import show_one
    from app.remote.runs import read_run

    with chosen_run(run_id) as chosen_one:
        state = read_run(chosen_one.client, chosen_one.project, chosen_one.run)
    waits = {"waits_for": state.waits_for} if state.waits_for else {}
    show_one({"run": chosen_one.run, "phase": state.phase, **waits, **open_things(state)})


def open_things(state: "RunState") -> dict[str, list[str]]:
    """What keeps a run from having succeeded, by kind."""
    return {
        "open_steps": [
            f"{name} (attempt {step.attempt})"
            for name, step in state.steps.items()
            if step.outcome is None
        ],
        "open_approvals": [
            f"{name} for {one.scope}"
            for name, one in state.approvals.items()
            if one.decision is None
        ],
        "open_effects": [
            f"{name} ({outcome or 'under way'})"
            for name, outcome in state.effects.items()
            if outcome in {None, "unknown"}
        ],
    }
