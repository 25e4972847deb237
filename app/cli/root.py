"""The first word of the command line: finds the command, runs it, and says how it ended."""

import os
import sys
from collections.abc import Mapping, Sequence

import click

from app.cli import failure
from app.cli.choices import Choices, global_options
from app.cli.lazy_group import LazyGroup
from domain.errors import DeedbookError

COMMANDS: Mapping[str, tuple[str, str]] = {
    "up": ("operations", "Start a whole ledger here: database, first import, service."),
    "serve": ("operations", "Serve the API."),
    "migrate": ("operations", "Bring the database's schema up to date."),
    "rebuild": ("operations", "Replay everything into fresh views and compare."),
    "doctor": ("operations", "Examine this ledger and say what is wrong."),
    "project": ("projects", "Open, list and change projects."),
    "artifact": ("artifacts", "Write and read artifacts."),
    "run": ("run", "Begin, watch and finish an implementation run."),
    "record": ("record", "Record what is done in a run."),
    "check": ("check", "Check that the gates of a run hold."),
    "policy": ("policy", "Show or set what the project demands of its runs."),
    "append": ("events", "Append events from standard input."),
    "log": ("events", "Show the audit trail."),
    "replay": ("events", "Write the stored events up to a position."),
    "search": ("search", "Find in artifacts, citations, runs and transcripts."),
    "export": ("bundles", "Take away a project as a ZIP that proves itself."),
    "verify": ("verify", "Check an export, offline."),
    "verify-fork": ("verify", "Check a proof that a ledger sealed two histories, offline."),
    "verifier": ("verifier", "Write the verifier as one file, for machines without Deedbook."),
    "checkpoint": ("checkpoints", "Take a project's checkpoint: size and root of its log, signed."),
    "proof": ("checkpoints", "Take away the proof that one event is in the log."),
    "verify-proof": ("checkpoints", "Check the proof of one event, offline."),
    "witness": ("witness", "Show how witnesses cosign checkpoints, and clear their alarms."),
    "key": ("keys", "Show or change the keys that sign."),
    "trusted-root": ("trust", "Take the ledger's public keys, to check seals with."),
    "import": ("imports", "Import a git repository, or an export."),
    "secrets": ("secrets", "Look for secrets in files or in a git history."),
    "ci": ("ci", "Record a job of GitHub Actions, and show it on its pull request."),
    "token": ("tokens", "Make, list and revoke API tokens."),
    "sign-in-link": ("sign_in_link", "Print a link that signs a browser in, once."),
    "completion": ("completion", "Print the completion script of a shell."),
}
"""Name → file in this folder, and the line for --help: so that --help imports nothing."""


class Root(LazyGroup):
    """The commands of `COMMANDS`, with the exit codes below."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """The exit codes, as they stand in `failure`."""
        formatter.write_paragraph()
        formatter.write_text(failure.EXIT_CODES_HELP)


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from app.version import VERSION

        click.echo(f"deedbook {VERSION}")
        context.exit()


root = Root(
    COMMANDS,
    name="deedbook",
    help="An event-sourced audit ledger for software delivery.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
root.params = [
    *global_options(hidden=False),
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_version,
        help="Print the version.",
    ),
]


def run(arguments: Sequence[str]) -> int:
    """Run one command line; answers the exit code and lets no exception out."""
    # A convention of terminals (no-color.org), not a setting of ours.
    no_color = bool(os.environ.get("NO_COLOR"))  # noqa: TID251 -- see above
    choices = Choices(no_color=no_color)
    try:
        result = root.main(
            list(arguments), prog_name="deedbook", standalone_mode=False, obj=choices
        )
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return failure.OK if not arguments else failure.USAGE
    except click.ClickException as error:
        failure.report_usage(error, choices)
        return failure.USAGE
    except DeedbookError as error:
        failure.report(error, choices)
        return failure.exit_code_of(error)
    except (click.Abort, KeyboardInterrupt):
        return failure.INTERRUPTED
    except BrokenPipeError:
        return _leave_pipe()
    except SystemExit as leaving:
        # Completion ends so, and click turns a broken pipe into an exit by itself.
        return failure.OK if leaving.code == 0 else _leave_pipe()
    except Exception as error:  # noqa: BLE001 -- the outermost edge of the process
        failure.report_unexpected(error, choices)
        return failure.UNEXPECTED
    return result if isinstance(result, int) else failure.OK


def _leave_pipe() -> int:
    """The reader (such as `head`) has enough: leave quietly, also when Python flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return failure.OK
