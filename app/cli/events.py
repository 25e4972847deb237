"""`append`, `log`, `replay`: the log itself."""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from app.cli.choices import Choices, Command, chosen, project_argument, secret_options

if TYPE_CHECKING:
    from app.remote.events import ShownEvent
    from domain.secret_policy import SecretPolicy

SHOWN_EVENTS = 50
ACTOR_COLUMN = 16


@click.command("append", cls=Command)
@project_argument
@click.option("--key", help="Idempotency key: the same key gets the first answer.", metavar="KEY")
@click.option(
    "--expect",
    "expected",
    multiple=True,
    metavar="STREAM=N",
    help="Refuse unless the stream has version N (0: no event yet). Repeatable.",
)
@click.option("--dry-run", is_flag=True, help="Check and show; record nothing.")
@secret_options
def append_command(
    project: str | None,
    key: str | None,
    expected: tuple[str, ...],
    dry_run: bool,
    redact: bool,
    allowed: tuple[str, ...],
) -> None:
    """Append events from standard input.

    Takes one JSON object, a JSON array, or NDJSON. An event has stream, type and data, and may have
    an id, and content (text) or content_base64. Up to 1,000 events are recorded as one: all or
    none; longer input is recorded in batches of 1,000. Events get an id before they are sent, so
    that a lost answer is no loss: the request is repeated and recorded once. What looks like a secret
    is refused before the batch with it is sent.
    """
    from app.cli.output import remark, show
    from app.cli.randomness import new_id
    from app.event_input import preview, read_events, with_id
    from app.remote.events import append
    from domain.log import MAX_BATCH_EVENTS
    from domain.secret_policy import SecretPolicy

    choices = chosen()
    preconditions = dict(_stream_version(text) for text in expected)
    policy = SecretPolicy("replace" if redact else "refuse", frozenset(allowed))
    events = _without_secrets(read_events(_standard_input()), policy)
    if dry_run:
        rows = [preview(index, event) for index, event in enumerate(events)]
        show(rows, {"stream": "STREAM", "type": "TYPE", "contents": "CONTENTS", "id": "ID"})
        remark(f"{len(rows)} events would be appended; nothing was recorded.")
        return
    slug = choices.named_project(project)
    batch = list(islice(events, MAX_BATCH_EVENTS))
    if not batch:
        raise click.UsageError("There is no event on standard input.")
    recorded = []
    with choices.client() as client:
        while batch:
            following = list(islice(events, MAX_BATCH_EVENTS))
            if following and (key or preconditions):
                raise click.UsageError(
                    f"--key and --expect hold for one batch of at most {MAX_BATCH_EVENTS} events."
                )
            with_ids = [with_id(event, new_id) for event in batch]
            answer = append(client, slug, with_ids, preconditions=preconditions, key=key)
            recorded.extend(answer.events)
            batch = following
    show(
        recorded,
        {"position": "POSITION", "stream": "STREAM", "version": "VERSION", "id": "ID"},
    )


@click.command("log", cls=Command)
@project_argument
@click.option("--follow", "-f", is_flag=True, help="Go on showing events as they are recorded.")
@click.option("--type", "type_name", help="Only events of this type.", metavar="TYPE")
@click.option("--stream", help="Only events of this stream.", metavar="STREAM")
@click.option("--actor", help="Only events of this actor.", metavar="ACTOR")
@click.option("--after", type=click.IntRange(min=0), help="Begin after this position.", metavar="N")
@click.option(
    "--limit",
    "-n",
    type=click.IntRange(min=1),
    default=SHOWN_EVENTS,
    show_default=True,
    help="At most so many: the newest, or with --after the first.",
)
def log_command(
    project: str | None,
    follow: bool,
    type_name: str | None,
    stream: str | None,
    actor: str | None,
    after: int | None,
    limit: int,
) -> None:
    """Show the audit trail: who did what, and when; oldest first.

    With --output ndjson it prints the events as they are stored, byte for byte.
    """
    from app.remote import events as remote_events

    choices = chosen()
    slug = choices.named_project(project)
    filters = {"type": type_name, "stream": stream, "actor": actor}
    with choices.client() as client:
        size = remote_events.position(client, slug, None)
        last = min(after or 0, size)
        for event in remote_events.some(client, slug, filters, after=after, limit=limit, upto=size):
            _print(event, choices)
            last = event.position
        if follow:
            # Whatever --limit left out before `size` is not of interest; what comes after it is.
            start = last if after is not None else size
            for event in remote_events.follow(client, slug, filters, after=start):
                _print(event, choices)


@click.command("replay", cls=Command)
@project_argument
@click.option("--at", type=click.IntRange(min=0), help="Up to this position.", metavar="N")
@click.option("-o", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
def replay_command(project: str | None, at: int | None, file: Path | None) -> None:
    """Write the stored events up to a position as NDJSON, byte for byte.

    Each line is one leaf of the project's tree: what an export carries as events.jsonl.
    """
    from app.cli.output import binary_output, remark
    from app.progress import Progress
    from app.remote import events as remote_events

    choices = chosen()
    slug = choices.named_project(project)
    with choices.client() as client:
        upto = remote_events.position(client, slug, at)
        lines = remote_events.lines(client, slug, 0, upto)
        if file is None:
            hidden = choices.quiet or sys.stdout.isatty()
            with Progress("replay", hidden=hidden) as progress:
                _copy(lines, upto, binary_output(), progress)
        else:
            part = file.with_name(file.name + ".part")
            with Progress("replay", hidden=choices.quiet) as progress, part.open("wb") as opened:
                _copy(lines, upto, opened, progress)
            part.replace(file)
            remark(f"{upto} events of {slug} written to {file}")


def _without_secrets(
    events: "Iterator[dict[str, object]]", policy: "SecretPolicy"
) -> "Iterator[dict[str, object]]":
    from app.cli.output import warn
    from app.event_input import without_secrets

    for index, event in enumerate(events):
        clean, redactions = without_secrets(index, event, policy)
        for one in redactions:
            warn(f"replaced a secret at {one.pointer}: {one.rule}")
        yield clean


def _print(event: "ShownEvent", choices: Choices) -> None:
    from app.cli.output import binary_output, printable

    if choices.output == "table":
        actor = printable(event.actor).ljust(ACTOR_COLUMN)
        click.echo(f"{event.position:>6}  {event.time[:19]}Z  {actor}  {printable(event.sentence)}")
    else:
        output = binary_output()
        output.write(event.line + b"\n")
        output.flush()


def _copy(
    lines: Iterator[bytes],
    upto: int,
    output: BinaryIO,
    progress: Callable[[int, int | None], None],
) -> None:
    for done, line in enumerate(lines, start=1):
        output.write(line)
        output.write(b"\n")
        progress(done, upto)
    output.flush()


def _stream_version(text: str) -> tuple[str, int]:
    stream, _, version = text.rpartition("=")
    if not stream or not (version.isascii() and version.isdigit()):
        raise click.UsageError(f"--expect is written STREAM=N, not {text!r}.")
    return stream, int(version)


def _standard_input() -> BinaryIO:
    if sys.stdin.isatty():
        click.echo("Reading events from the terminal; end with Ctrl-D.", err=True)
    return sys.stdin.buffer
