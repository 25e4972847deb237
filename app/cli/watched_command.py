"""A command that is run and watched on behalf of `record transcript` and `record effect run`."""

import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from app.cli.choices import chosen
from app.cli.failure import INTERRUPTED, OK
from app.cli.run_choice import ChosenRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.command_run import CommandRun
    from app.remote.events import Appended
    from app.remote.runs import Event

MAX_SECONDS = 7 * 86_400
DEFAULT_SECONDS = 21_600
SETTINGS = {"allow_interspersed_args": False}
"""Of a command line that ends with another: options behind the first word are not ours."""

Function = TypeVar("Function", bound=Callable[..., object])


def command_options(function: Function) -> Function:
    """The command, and how it is run."""
    for option in (
        click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED),
        click.option(
            "--timeout",
            type=click.IntRange(1, MAX_SECONDS),
            default=DEFAULT_SECONDS,
            show_default=True,
            help="Stop the command after so many seconds.",
            metavar="SECONDS",
        ),
        click.option("--allow-failure", is_flag=True, help="Leave with 0 even if it fails."),
    ):
        function = option(function)
    return function


@dataclass(frozen=True)
class Sent:
    """What became of a transcript: recorded, or saved to a file for the reason of an exit code."""

    recorded: "Appended | None"
    exit_code: int = OK


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


def send(chosen_one: ChosenRun, events: "Sequence[Event]") -> Sent:
    """Record a transcript, and what follows from it, or save what cannot be recorded to a file.

    What the command did is done, so nothing of it may be lost. A transcript that is refused for what
    it says does not keep the events behind it from the log.
    """
    from app.cli.failure import exit_code_of, report
    from app.remote.runs import record
    from app.remote.transcripts import staged
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
    from app.remote.transcripts import save_for_later

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


def code_to_leave_with(done: "CommandRun", sent: Sent, *, allow_failure: bool) -> int:
    """The command's own exit code; where that is 0, whether the record came about."""
    forgiven = allow_failure and not done.interrupted
    return (OK if forgiven else done.exit_code) or sent.exit_code
