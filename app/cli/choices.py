"""What the global options chose, and the options themselves: usable before or after a subcommand."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import click

if TYPE_CHECKING:
    from app.remote.client import Client
    from app.remote.connection import Connection
    from app.settings import Settings

PREFIX = "global_"
"""Before the parameters' names, so that they do not meet a command's own, such as PROJECT."""

Output = Literal["table", "json", "ndjson"]
Function = TypeVar("Function", bound=Callable[..., object])


class Choices:
    """What was chosen so far; options fill it in while the line is parsed."""

    url: str | None = None
    token: str | None = None
    project: str | None = None
    output: Output = "table"
    quiet: bool = False

    def __init__(self, *, no_color: bool = False) -> None:
        self.no_color = no_color

    def settings(self) -> "Settings":
        """The settings of this process."""
        from app.settings import read_settings

        return read_settings()

    def connection(self) -> "Connection":
        """The ledger to talk to: flag, variable, `connection.json`, default, in this order."""
        from app.remote.connection import choose, read_connection

        settings = self.settings()
        return choose(
            settings,
            read_connection(settings.data_folder),
            url=self.url,
            token=self.token,
            project=self.project,
        )

    def client(self) -> "Client":
        """An HTTP client for that ledger; use it as a context manager."""
        from app.remote.client import Client

        connection = self.connection()
        return Client(connection.url, connection.token)

    def named_project(self, given: str | None = None) -> str:
        """The project meant: the argument, else the one of the options or the connection."""
        project = given or self.connection().project
        if project is None:
            raise click.UsageError(
                "Which project? Name it with --project, or set DEEDBOOK_PROJECT."
            )
        return project


def chosen() -> Choices:
    """The choices of the command that is running."""
    return click.get_current_context().ensure_object(Choices)


def _keep(context: click.Context, parameter: click.Parameter, value: object) -> None:
    choices = context.ensure_object(Choices)
    name = (parameter.name or "").removeprefix(PREFIX)
    if name == "json":
        if value:
            choices.output = "json"
    elif value is not None and value is not False:
        setattr(choices, name, value)


def global_options(*, hidden: bool) -> list[click.Parameter]:
    """The global options, fresh, for one command."""

    def option(*names: str, text: str, **rest: object) -> click.Option:
        own_name = PREFIX + names[0].removeprefix("--").replace("-", "_")
        return click.Option(
            [*names, own_name],
            help=text,
            hidden=hidden,
            expose_value=False,
            is_eager=True,
            callback=_keep,
            default=None,
            **rest,  # type: ignore[arg-type]  # click's own keywords, passed through
        )

    return [
        option("--url", text="The ledger's URL.", metavar="URL"),
        option("--token", text="The API token.", metavar="TOKEN"),
        option("--project", text="The project meant.", metavar="SLUG"),
        option(
            "--output",
            text="How results are printed.",
            type=click.Choice(["table", "json", "ndjson"]),
        ),
        option("--json", text="The same as --output json.", is_flag=True),
        option("--quiet", "-q", text="No progress and no remarks.", is_flag=True),
        option("--no-color", text="No colours (also NO_COLOR).", is_flag=True),
    ]


class Command(click.Command):
    """A command that also takes the global options, except where a name is its own."""

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, **keywords)  # type: ignore[arg-type]  # click's own, as given
        own = {name for parameter in self.params for name in parameter.opts}
        self.params.extend(
            option for option in global_options(hidden=True) if own.isdisjoint(option.opts)
        )


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *arguments: object, **keywords: object) -> None:
        super().__init__(*arguments, **keywords)  # type: ignore[arg-type]  # click's own, as given
        self.params.extend(global_options(hidden=True))


def project_argument(function: Function) -> Function:
    """An optional positional PROJECT."""
    return click.argument("project", required=False, metavar="[PROJECT]")(function)


def secret_options(function: Function) -> Function:
    """What is to happen with what looks like a secret, before it leaves this machine."""
    redact = click.option(
        "--redact", is_flag=True, help="Replace what looks like a secret, instead of refusing."
    )
    allow = click.option(
        "--allow-secret",
        "allowed",
        multiple=True,
        help="Let the match with this fingerprint through: it is no secret. Repeatable.",
        metavar="sha256:…",
    )
    return redact(allow(function))


def erase_options(function: Function) -> Function:
    """How what destroys is asked for: why, whether to ask back, whether only to look."""
    reason = click.option("--reason", help="Why; recorded for ever.", metavar="TEXT")
    yes = click.option("--yes", is_flag=True, help="Do not ask back.")
    dry_run = click.option("--dry-run", is_flag=True, help="Show what would go; erase nothing.")
    return reason(yes(dry_run(function)))
