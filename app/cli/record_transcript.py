"""`record transcript`: run a command, and record what it wrote and how it ended."""

import click

from app.cli.choices import Command
from app.cli.run_choice import chosen_run, run_option
from app.cli.watched_command import (
    SETTINGS,
    code_to_leave_with,
    command_options,
    run_shown,
    send,
    show_transcript,
)


@click.command("transcript", cls=Command, context_settings=SETTINGS)
@run_option
@click.option("--step", help="The step that the command belongs to.", metavar="STEP")
@command_options
def transcript_command(
    run_id: str | None,
    step: str | None,
    allow_failure: bool,
    timeout: int,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND and record what it wrote: `deedbook record transcript -- pytest -q`.

    Its output and errors are shown as they come (on standard error with --json) and kept in order; of
    more than 4 MiB the beginning and the end. Secrets in them are replaced before they are sent. Leaves with the command's own exit code. If the ledger
    is away by then, the transcript is saved to a file and can be sent later.
    """
    from app.cli.recording import warn_of_replaced
    from app.remote.runs import read_run
    from app.remote.transcripts import prepare_transcript, transcript_event
    from domain.errors import Conflict

    with chosen_run(run_id) as chosen_one:
        state = read_run(chosen_one.client, chosen_one.project, chosen_one.run)
        _check_open(state.phase, chosen_one.run)
        if step is not None and step not in state.steps:
            raise Conflict(
                "unknown-reference", f"The run has no step {step}; `record step start` begins one."
            )
        done = run_shown(command, timeout)
        prepared = prepare_transcript(command, done, step)
        warn_of_replaced(prepared.replaced)
        sent = send(chosen_one, [transcript_event(chosen_one.run, prepared)])
    show_transcript(sent, done)
    return code_to_leave_with(done, sent, allow_failure=allow_failure)


def _check_open(phase: str, run: str) -> None:
    """Refuse before a command is run what the ledger would refuse after it.

    Raises:
        Conflict: `invalid-transition`.
    """
    from domain.errors import Conflict
    from domain.run import WAITING

    if phase != "running" and phase not in WAITING:
        raise Conflict(
            "invalid-transition", f"Run {run} is {phase}; nothing can be recorded in it."
        )
