"""`run pause`, `run resume`, `run finish` and `run bundle`: how a run goes on and ends."""

from typing import TYPE_CHECKING, Literal

import click

from app.cli.choices import Command
from app.cli.run_choice import ChosenRun, chosen_run, run_argument, run_option

if TYPE_CHECKING:
    from domain.events import EventData

Outcome = Literal["succeeded", "failed", "canceled"]


@click.command("pause", cls=Command)
@run_option
@click.option(
    "--for",
    "waiting_for",
    type=click.Choice(["approval", "external"]),
    required=True,
    help="What the run waits for.",
)
@click.option("--approval", help="The approval it waits for.", metavar="ID")
@click.option("--reason", default="", help="Why, for people.", metavar="TEXT")
def pause_command(
    run_id: str | None,
    waiting_for: Literal["approval", "external"],
    approval: str | None,
    reason: str,
) -> None:
    """Say that the run waits for an approval, or for something outside."""
    from domain.events import RunPaused

    paused = RunPaused(waiting_for=waiting_for, reason=reason, approval=approval)
    with chosen_run(run_id) as chosen_one:
        _record(chosen_one, paused, f"waits for {waiting_for}")


@click.command("resume", cls=Command)
@run_option
def resume_command(run_id: str | None) -> None:
    """Say that what the run waited for has come."""
    from domain.events import RunResumed

    with chosen_run(run_id) as chosen_one:
        _record(chosen_one, RunResumed(), "goes on")


@click.command("finish", cls=Command)
@run_option
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed", "canceled"]),
    default="succeeded",
    show_default=True,
    help="How it ended.",
)
@click.option("--reason", default="", help="Why, for people.", metavar="TEXT")
@click.option("--no-bundle", is_flag=True, help="Do not write the audit bundle.")
def finish_command(run_id: str | None, outcome: Outcome, reason: str, no_bundle: bool) -> None:
    """Say how the run ended, and write its audit bundle.

    A run has succeeded only when nothing is open in it; `run status` shows what is.
    """
    from app.cli.output import warn
    from domain.errors import DeedbookError
    from domain.events import RunFinished

    with chosen_run(run_id) as chosen_one:
        _record(chosen_one, RunFinished(outcome=outcome, reason=reason), outcome)
        if no_bundle:
            return
        try:
            _write_bundle(chosen_one)
        except DeedbookError:
            warn(
                "The run is finished, its audit bundle is not written: `deedbook run bundle` does."
            )
            raise


@click.command("bundle", cls=Command)
@run_argument
def bundle_command(run_id: str | None) -> None:
    """Write the run's audit bundle: an artifact that names everything in the run by its SHA-256.

    When nothing has changed since it was written last, nothing is written.
    """
    with chosen_run(run_id) as chosen_one:
        _write_bundle(chosen_one, shown=True)


def _record(chosen_one: ChosenRun, data: "EventData", what: str) -> None:
    from app.cli.recording import show_recorded
    from app.remote.runs import record, run_event

    done = record(chosen_one.client, chosen_one.project, [run_event(chosen_one.run, data)])
    show_recorded(done, f"Run {chosen_one.run} {what}.")


def _write_bundle(chosen_one: ChosenRun, *, shown: bool = False) -> None:
    from app.cli.output import remark, show_one
    from app.remote.runs import write_bundle

    written = write_bundle(chosen_one.client, chosen_one.project, chosen_one.run)
    if shown:
        show_one(written)
    else:
        remark(f"Audit bundle: {written.kind} {written.key} version {written.version}")
