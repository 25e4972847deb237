"""A group of commands of which each is imported when it is asked for, and not for --help."""

import importlib
from collections.abc import Mapping

import click

from app.cli.choices import Group


class LazyGroup(Group):
    """The commands of a table: name → file in this folder, and the line for --help.

    In the file, the command `a-name` is called `a_name_command`.
    """

    def __init__(
        self, table: Mapping[str, tuple[str, str]], *arguments: object, **keywords: object
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """The commands, in the order of a person's day."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Import the one asked for."""
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(f"app.cli.{self.table[cmd_name][0]}")
        command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])
