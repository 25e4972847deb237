"""How results are printed: a table for people, JSON or NDJSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

import click
import msgspec

from app.cli.choices import Choices, chosen
from app.printable import printable

__all__ = [
    "MAX_CELL_CHARACTERS",
    "binary_output",
    "printable",
    "refuse_terminal",
    "remark",
    "show",
    "show_one",
    "styled",
    "table",
    "warn",
]

MAX_CELL_CHARACTERS = 72


def show(
    rows: Iterable[object], columns: Mapping[str, str], *, empty: str = "nothing there"
) -> None:
    """Print rows (structs or dicts): a table with the columns {member: heading}, or all as JSON."""
    choices = chosen()
    values = [_members(row) for row in rows]
    if choices.output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(values), indent=2))
    elif choices.output == "ndjson":
        for value in values:
            click.echo(msgspec.json.encode(value))
    elif not values:
        remark(empty)
    else:
        cells = [[_cell(value.get(name)) for name in columns] for value in values]
        click.echo("\n".join(table([list(columns.values()), *cells])))


def show_one(value: object) -> None:
    """Print one thing: its members line by line, or as JSON."""
    members = _members(value)
    output = chosen().output
    if output == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(members), indent=2))
    elif output == "ndjson":
        click.echo(msgspec.json.encode(members))
    else:
        width = max(len(name) for name in members)
        for name, member in members.items():
            click.echo(f"{name.replace('_', ' ').ljust(width)}  {_cell(member)}")


def remark(text: str) -> None:
    """Say something beside the data; not with --quiet."""
    if not chosen().quiet:
        click.echo(printable(text), err=True)


def warn(text: str) -> None:
    """Say something that should be seen, also with --quiet."""
    choices = chosen()
    click.echo(
        f"{click.style('warning:', fg='yellow')} {printable(text)}",
        err=True,
        color=False if choices.no_color else None,
    )


def styled(text: str, color: str, choices: Choices) -> str:
    """Text in a colour, unless colours are off."""
    return text if choices.no_color else click.style(text, fg=color)


def binary_output() -> BinaryIO:
    """Standard output for bytes as they are."""
    sys.stdout.flush()
    return sys.stdout.buffer


def refuse_terminal(media_type: str) -> None:
    """Bytes that are no text would garble a terminal."""
    is_text = media_type.startswith("text/") or media_type == "application/json"
    if not is_text and sys.stdout.isatty():
        raise click.UsageError(f"This is {media_type}; name a file with -o, or pipe it.")


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as aligned lines; the first row holds the headings."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _members(row: object) -> dict[str, object]:
    value = msgspec.to_builtins(row)
    assert isinstance(value, dict)
    return value


def _cell(value: object) -> str:
    match value:
        case None:
            return "-"
        case str():
            text = printable(value).replace("\n", " ")
        case list() | tuple():
            text = ", ".join(_cell(item) for item in value) or "-"
        case bool():
            text = "yes" if value else "no"
        case int():
            text = str(value)
        case _:
            text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 1] + "…"
