"""`record transcript`: run a command, and record what it wrote and how it ended."""

import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen
from app.cli.failure import INTERRUPTED, OK
from app.cli.run_choice import ChosenRun, chosen_run, run_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.command_run import CommandRun
    from app.remote_events import Appended
    from app.remote_runs import Event

DAY_SECONDS = 86_400
DEFAULT_SECONDS = 21_600


@click.command("transcript", cls=Command, context_settings={"allow_interspersed_args": False})
@run_option
@click.option("--step", help="The step that the command belongs to.", metavar="STEP")
@click.option("--allow-failure", is_flag=True, help="Leave with 0 even if the command fails.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 7 * DAY_SECONDS),
    default=DEFAULT_SECONDS,
    show_default=True,
    help="Stop the command after so many seconds.",
    metavar="SECONDS",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def transcript_command(
    run_id: str | None,
    step: str | None,
    allow_failure: bool,
    timeout: int,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND and record what it wrote: `deedbook record transcript -- pytest -q`.

    Its output and errors are shown as they come (on standard error with --json) and kept in order; of
    more than 8 MiB the beginning and the end. Leaves with the command's own exit code. If the ledger
    is away by then, the transcript is saved to a file and can be sent later.
    """
    from app.remote_runs import read_run
    from app.transcripts import prepare_transcript, transcript_event
    from domain.errors import Conflict

    with chosen_run(run_id) as chosen_one:
        state = read_run(chosen_one.client, chosen_one.project, chosen_one.run)
        check_open(state.phase, chosen_one.run)
        if step is not None and step not in state.steps:
            raise Conflict(
                "unknown-reference", f"The run has no step {step}; `record step start` begins one."
            )
        done = run_shown(command, timeout)
        prepared = prepare_transcript(command, done, step)
        sent = send(chosen_one, [transcript_event(chosen_one.run, prepared)])
    show_transcript(sent, done)
    kept = allow_failure and not done.interrupted
    return (OK if kept else done.exit_code) or sent.exit_code


def check_open(phase: str, run: str) -> None:
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


def run_shown(command: "Sequence[str]", timeout: int) -> "CommandRun":
    """Run a command, and show its output as it comes."""
    from adapters.command_run import run_command

    stream = sys.stdout if chosen().output == "table" else sys.stderr
    stream.flush()

    def show(piece: bytes) -> None:
        try:
            stream.buffer.write(piece)
            stream.buffer.flush()
        except BrokenPipeError:
            # The reader has enough, as `head` does: the command is recorded all the same.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    return run_command(command, show, limit_seconds=float(timeout))


@dataclass(frozen=True)
class Sent:
    """What became of a transcript: recorded, or saved to a file for the reason of an exit code."""

    recorded: "Appended | None"
    exit_code: int = OK


def send(chosen_one: ChosenRun, events: "Sequence[Event]") -> Sent:
    """Record a transcript, and what follows from it, or save what cannot be recorded to a file.

    What the command did is done, so nothing of it may be lost. A transcript that is refused for what
    it says does not keep the events behind it from the log.
    """
    from app.cli.failure import exit_code_of, report
    from app.remote_runs import record
    from app.transcripts import staged
    from domain.errors import DeedbookError, Unavailable

    client, slug = chosen_one.client, chosen_one.project
    lost = events
    try:
        return Sent(record(client, slug, [staged(client, slug, event) for event in events]))
    except DeedbookError as error:
        report(error, chosen())
        code = exit_code_of(error)
        if len(events) > 1 and not isinstance(error, Unavailable):
            with suppress(DeedbookError):
                record(client, slug, events[1:])
                lost = events[:1]
    except KeyboardInterrupt:
        code = INTERRUPTED
    _save(chosen_one, lost)
    return Sent(None, code)


def _save(chosen_one: ChosenRun, lost: "Sequence[Event]") -> None:
    from app.cli.output import warn
    from app.transcripts import save_for_later

    folders = (Path.cwd(), chosen().settings().data_folder, Path(tempfile.gettempdir()))
    file = save_for_later(folders, chosen_one.run, lost)
    warn(
        f"The transcript was not recorded; it is in {file}. Send it later, as often as it takes: "
        f"deedbook append {chosen_one.project} < {file}"
    )


def show_transcript(sent: Sent, done: "CommandRun") -> None:
    """Say how the command ended, and where that is recorded."""
    from app.cli.recording import show_recorded

    if sent.recorded is None:
        return
    how = "timed out" if done.timed_out else f"exit code {done.exit_code}"
    cut = "; the middle of its output is left out" if done.truncated else ""
    show_recorded(
        sent.recorded,
        f"Transcript recorded: {how}, {done.duration_ms / 1000:.1f} s, "
        f"{len(done.output):,} bytes{cut}.",
        exit_code=done.exit_code,
        duration_ms=done.duration_ms,
        truncated=done.truncated,
    )
