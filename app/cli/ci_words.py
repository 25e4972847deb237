"""How a job speaks to its runner: outputs for later steps, masks, and text that must command nothing."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click

_NAME = re.compile(r"[a-z0-9-]{1,40}")


def write_outputs(variables: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Hand values on to later steps; a value of several lines would be several outputs."""
    for name, value in outputs.items():
        assert _NAME.fullmatch(name), name
        assert value.isprintable(), name
    file = variables.get("GITHUB_OUTPUT")
    if file:
        with Path(file).open("a", encoding="utf-8") as opened:
            opened.writelines(f"{name}={value}\n" for name, value in outputs.items())


def mask(variables: Mapping[str, str], secret: str) -> None:
    """Have the runner show `***` wherever the secret would stand in a log."""
    if variables.get("GITHUB_ACTIONS") == "true":
        click.echo(f"::add-mask::{secret}", err=True)


@contextmanager
def literal_output(variables: Mapping[str, str]) -> Iterator[None]:
    """Let the runner take no line for a command: names of tests are written by others."""
    from app.cli.randomness import new_word

    if variables.get("GITHUB_ACTIONS") != "true":
        yield
        return
    word = new_word(24)
    click.echo(f"::stop-commands::{word}", err=True)
    try:
        yield
    finally:
        click.echo(f"::{word}::", err=True)
