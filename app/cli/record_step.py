"""`record step`: a step of the run begins, and ends."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from app.cli.choices import Group
from app.cli.run_choice import ChosenRun, chosen_run, run_option

if TYPE_CHECKING:
    from domain.events import StepValue

VALUE_HELP = "A text, or with @ the content of a file. Repeatable."
Outcome = Literal["succeeded", "failed", "canceled"]


@click.group("step", cls=Group)
def step_command() -> None:
    """Record that a step of the run begins and ends."""


@step_command.command("start")
@run_option
@click.argument("step")
@click.option("--title", default="", help="What it does, for people.", metavar="TEXT")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE|NAME=@FILE", help=VALUE_HELP)
def start(run_id: str | None, step: str, title: str, inputs: tuple[str, ...]) -> None:
    """Begin STEP, or its next attempt after one that failed."""
    from app.cli.recording import show_recorded
    from app.remote.runs import read_run, record, run_event
    from domain.events import StepStarted

    with chosen_run(run_id) as chosen_one:
        client, slug, run = chosen_one.client, chosen_one.project, chosen_one.run
        known = read_run(client, slug, run).steps.get(step)
        attempt = 1 if known is None else known.attempt + (known.outcome is not None)
        data = StepStarted(
            step=step, attempt=attempt, title=title, inputs=_values(chosen_one, inputs, "--input")
        )
        done = record(client, slug, [run_event(run, data)])
    show_recorded(done, f"Step {step}, attempt {attempt}, began.", step=step, attempt=attempt)


@step_command.command("finish")
@run_option
@click.argument("step", required=False, metavar="[STEP]")
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed", "canceled"]),
    default="succeeded",
    show_default=True,
    help="How it ended.",
)
@click.option("--error", default="", help="What went wrong.", metavar="TEXT")
@click.option(
    "--output", "outputs", multiple=True, metavar="NAME=VALUE|NAME=@FILE", help=VALUE_HELP
)
def finish(
    run_id: str | None, step: str | None, outcome: Outcome, error: str, outputs: tuple[str, ...]
) -> None:
    """End STEP, the only open one if left away."""
    from app.cli.recording import show_recorded
    from app.remote.runs import read_run, record, run_event
    from domain.events import StepFinished

    with chosen_run(run_id) as chosen_one:
        client, slug, run = chosen_one.client, chosen_one.project, chosen_one.run
        steps = read_run(client, slug, run).steps
        running = sorted(name for name, one in steps.items() if one.outcome is None)
        if step is None and len(running) != 1:
            raise click.UsageError(
                f"{len(running) or 'No'} steps are open; name the one that ended."
            )
        name = step or running[0]
        attempt = steps[name].attempt if name in steps else 1
        data = StepFinished(
            step=name,
            outcome=outcome,
            attempt=attempt,
            outputs=_values(chosen_one, outputs, "--output"),
            error=error,
        )
        done = record(client, slug, [run_event(run, data)])
    show_recorded(done, f"Step {name}, attempt {attempt}, {outcome}.", step=name, attempt=attempt)


def _values(chosen_one: ChosenRun, given: tuple[str, ...], option: str) -> "tuple[StepValue, ...]":
    """What went in or came out; a file is uploaded."""
    from app.cli.artifacts import MEDIA_TYPES
    from app.cli.given_file import read_given
    from app.cli.recording import name_and_value
    from app.remote.runs import upload
    from domain.events import StepValue
    from domain.log import MAX_BLOB_BYTES

    values = []
    for text in given:
        name, value = name_and_value(text, option)
        if value.startswith("@"):
            file = value[1:]
            raw = read_given(file, MAX_BLOB_BYTES)
            media_type = MEDIA_TYPES.get(Path(file).suffix.lower(), "application/octet-stream")
            content = upload(chosen_one.client, chosen_one.project, raw, media_type)
            values.append(StepValue(name=name, content=content))
        else:
            values.append(StepValue(name=name, value=value))
    return tuple(values)
