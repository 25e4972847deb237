"""`append`, `log`, `replay`: the log itself."""

import sys
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from app.cli.choices import Choices, Command, chosen, project_argument

if TYPE_CHECKING:
    from app.client import Client
    from app.event_lines import FollowedEvent

MAX_DOCUMENT_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 16 * 1024 * 1024
SHOWN_EVENTS = 50


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
def append_command(
    project: str | None, key: str | None, expected: tuple[str, ...], dry_run: bool
) -> None:
    """Append events from standard input.

    Takes one JSON object, a JSON array, or NDJSON; each event has stream, type and data, and
    optionally id, and content (text) or content_base64. Up to 1,000 events are recorded
    as one: all or none. NDJSON that is longer is recorded in batches of 1,000.
    Events get an id before they are sent, so that repeating is safe.
    """
    from app.cli.output import remark, show
    from app.event_lines import preview, read_proposed, with_id
    from domain.log import MAX_BATCH_EVENTS

    choices = chosen()
    preconditions = dict(_stream_version(text) for text in expected)
    events = _numbered(read_proposed(_standard_input()))
    columns = {"position": "POSITION", "stream": "STREAM", "version": "VERSION", "id": "ID"}
    if dry_run:
        rows = [preview(index, event) for index, event in events]
        show(rows, {"stream": "STREAM", "type": "TYPE", "contents": "CONTENTS", "id": "ID"})
        remark(f"{len(rows)} events would be appended; nothing was recorded")
        return
    slug = choices.named_project(project)
    rows = []
    with choices.client() as client:
        batch = list(islice(events, MAX_BATCH_EVENTS))
        if not batch:
            raise click.UsageError("There is no event on standard input.")
        while batch:
            following = list(islice(events, MAX_BATCH_EVENTS))
            if following and (key or preconditions):
                raise click.UsageError(
                    f"--key and --expect hold for one batch of at most {MAX_BATCH_EVENTS} events."
                )
            receipt = client.append(
                slug, [with_id(event) for _, event in batch], preconditions=preconditions, key=key
            )
            rows.extend(receipt.events)
            batch = following
    show(rows, columns)


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

    With --output ndjson, prints the events as they are stored, byte for byte.
    """
    choices = chosen()
    slug = choices.named_project(project)
    filters = {"type": type_name, "stream": stream, "actor": actor}
    with choices.client() as client:
        printer = _EventPrinter(choices)
        last = after or 0
        for event in client.newest(slug, filters, after=after, limit=limit):
            printer.show(event)
            last = event.position
        if not follow:
            printer.end()
            return
        if after is None and last == 0:
            last = client.size(slug)
        for event in client.follow(slug, filters, after=last):
            printer.show(event)


@click.command("replay", cls=Command)
@project_argument
@click.option("--at", type=click.IntRange(min=0), help="Up to this position.", metavar="N")
@click.option("-o", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
def replay_command(project: str | None, at: int | None, file: Path | None) -> None:
    """Write the stored events up to a position as NDJSON, byte for byte.

    Their SHA-256 leaves are the leaves of the project's tree; see docs/events.md.
    """
    from app.cli.output import binary_output, remark
    from app.progress import Progress

    choices = chosen()
    slug = choices.named_project(project)
    with choices.client() as client:
        upto = client.position(slug, at)
        with Progress("replay", hidden=choices.quiet or file is None) as progress:
            if file is None:
                _copy(client, slug, upto, binary_output(), progress)
            else:
                part = file.with_name(file.name + ".part")
                with part.open("wb") as opened:
                    _copy(client, slug, upto, opened, progress)
                part.replace(file)
    remark(f"{upto} events of {slug}" + (f" written to {file}" if file else ""))


class _EventPrinter:
    """Shows events one by one, in the output that was chosen."""

    def __init__(self, choices: Choices) -> None:
        self._output = choices.output
        self._lines: list[bytes] = []

    def show(self, event: "FollowedEvent") -> None:
        from app.cli.output import binary_output, printable

        if self._output == "table":
            click.echo(
                f"{event.position:>6}  {event.time[:19]}Z  {printable(event.actor):<16}  "
                f"{printable(event.sentence)}"
            )
        else:
            # JSON of something without an end is NDJSON.
            output = binary_output()
            output.write(event.line + b"\n")
            output.flush()

    def end(self) -> None:
        """Nothing more comes."""


def _copy(
    client: "Client",
    project: str,
    upto: int,
    output: BinaryIO,
    progress: Callable[[int, int | None], None],
) -> None:
    for done, line in enumerate(client.lines(project, 0, upto), start=1):
        output.write(line + b"\n")
        progress(done, upto)
    output.flush()


def _stream_version(text: str) -> tuple[str, int]:
    stream, _, version = text.rpartition("=")
    if not stream or not (version.isascii() and version.isdigit()):
        raise click.UsageError(f"--expect is written STREAM=N, not {text!r}.")
    return stream, int(version)


def _numbered(events: Iterator[object]) -> Iterator[tuple[int, object]]:
    return enumerate(events)


def _standard_input() -> BinaryIO:
    if sys.stdin.isatty():
        click.echo("reading events from the terminal; end with Ctrl-D", err=True)
    return sys.stdin.buffer


_ = chain
