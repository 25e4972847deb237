"""What the commands that record have in common: what they print, and how their options are read."""

import re
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from app.remote.events import Appended
    from domain.events import Parameter, Resource

_RESOURCE = re.compile(r"([a-z][a-z0-9_-]*)=([^,]+)((?:,(?:url|region|provider)=[^,]+)*)")


def show_recorded(
    done: "Appended", sentence: str, *, name: str | None = None, **members: object
) -> None:
    """Say what was recorded: a sentence beside the data for people, places for programs.

    Args:
        done: The ledger's answer.
        sentence: For people, on standard error.
        name: An id that was given, on standard output: `effect=$(deedbook record effect begin …)`.
        members: What a program needs further, such as the id of a side effect.
    """
    from app.cli.choices import chosen
    from app.cli.output import remark, show_one

    last = done.events[-1]
    if chosen().output == "table":
        if name is not None:
            click.echo(name)
        remark(f"{sentence} (position {last.position})")
    else:
        show_one({**members, "stream": last.stream, "position": last.position})


def name_and_value(text: str, option: str) -> tuple[str, str]:
    """`name=value`, taken apart."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.UsageError(f"{option} is written NAME=VALUE, not {text!r}.")
    return name, value


def parameters(given: tuple[str, ...], secret: tuple[str, ...]) -> "tuple[Parameter, ...]":
    """The parameters of a side effect; of a secret one, its name only."""
    from domain.events import Parameter

    named = [name_and_value(text, "--set") for text in given]
    return (
        *(Parameter(name=name, value=value) for name, value in named),
        *(Parameter(name=name.partition("=")[0], redacted=True) for name in secret),
    )


def resource(text: str, option: str = "--resource") -> "Resource":
    """`KIND=ID`, with `,url=…`, `,region=…` and `,provider=…` behind it."""
    from domain.events import Resource

    found = _RESOURCE.fullmatch(text)
    if found is None:
        raise click.UsageError(
            f"{option} is written KIND=ID[,url=URL][,region=REGION][,provider=NAME], not {text!r}."
        )
    further = dict(part.split("=", 1) for part in found[3].split(",") if part)
    return Resource(kind=found[1], id=found[2], **further)


def new_name(scope: str) -> str:
    """An id for what is done in a scope, such as `deploy.production-k7wq2m`."""
    from app.cli.randomness import new_word

    return f"{scope}-{new_word()}"


def warn_of_replaced(count: int) -> None:
    """Say how many secrets were replaced in what is recorded, if there were any."""
    from app.cli.output import warn

    if count:
        warn(f"{count} {'secret was' if count == 1 else 'secrets were'} replaced before sending.")
