"""`--run`, and what every command about a run begins with: its ledger, its project, its id."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import click

from app.cli.choices import chosen

if TYPE_CHECKING:
    from app.remote.client import Client

Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True)
class ChosenRun:
    """A run that is meant, with an open client to its ledger."""

    client: "Client"
    project: str
    run: str


def run_option(function: Function) -> Function:
    """`--run ID`."""
    return click.option(
        "--run", "run_id", help="The run; else DEEDBOOK_RUN, else the last started.", metavar="ID"
    )(function)


def run_argument(function: Function) -> Function:
    """An optional positional ID."""
    return click.argument("run_id", required=False, metavar="[ID]")(function)


@contextmanager
def chosen_run(run_id: str | None) -> Iterator[ChosenRun]:
    """The run that is meant: the one named, the variable's, or the one started last here."""
    from app.remote.current_run import choose_run
    from domain.names import check_run_id

    choices = chosen()
    settings, connection = choices.settings(), choices.connection()
    project = choices.named_project()
    run = choose_run(
        settings.data_folder,
        connection.url,
        project,
        named=run_id,
        variable=settings.deedbook_run,
    )
    check_run_id(run)
    with choices.client() as client:
        yield ChosenRun(client, project, run)
