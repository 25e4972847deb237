"""What a command says when it fails, and the exit code it leaves with."""

from collections.abc import Mapping

import click

from app.cli.choices import Choices
from app.error_text import other_problem, problem, sentence
from app.exit_codes import (
    AUTHENTICATION,
    CONFLICT,
    EXIT_CODES,
    INTERRUPTED,
    NOT_FOUND,
    NOT_VERIFIED,
    OK,
    SERVER,
    UNEXPECTED,
    USAGE,
    exit_code_of,
)
from domain.errors import DeedbookError

__all__ = [
    "AUTHENTICATION",
    "CONFLICT",
    "EXIT_CODES",
    "EXIT_CODES_HELP",
    "HINTS",
    "INTERRUPTED",
    "NOT_FOUND",
    "NOT_VERIFIED",
    "OK",
    "SERVER",
    "UNEXPECTED",
    "USAGE",
    "exit_code_of",
    "report",
    "report_unexpected",
    "report_usage",
]

EXIT_CODES_HELP = """\b
Exit codes:
  0    done
  1    unexpected: please report it
  2    wrong usage or input
  3    verification failed or incomplete, or a gate does not hold
  4    not authenticated, or not allowed
  5    not found, or erased
  6    conflict: a stale version, or it exists already
  7    the ledger or the network is away
  130  interrupted"""

HINTS: Mapping[str, str] = {
    "unauthenticated": "Give --token or DEEDBOOK_TOKEN; `deedbook token create` makes one.",
    "token-expired": "`deedbook token create` makes a new one.",
    "insufficient-scope": "`deedbook token create --scope …` makes one that may.",
    "server-unreachable": "Does it run? `deedbook up` starts one here; --url names another.",
    "project-not-found": "`deedbook project list` shows what there is.",
    "artifact-not-found": "`deedbook artifact list` shows what there is.",
    "run-not-found": "`deedbook run list` shows what there is; --run names another.",
    "approval-missing": "`deedbook record approval request --scope …` asks for one.",
    "run-incomplete": "`deedbook run status` shows what is open.",
    "version-conflict": "Somebody was faster: read the latest version, then repeat with it.",
    "draft-open": "Go on with it by --resume, or discard it: `deedbook artifact drafts KIND KEY --abandon`.",
    "draft-not-found": "`deedbook artifact drafts` shows what there is.",
    "project-exists": "Choose another slug, or use the project that is there.",
    "position-in-the-future": "Leave --at away to mean the newest position.",
    "digest-mismatch": "The bytes were changed on the way; repeat the command.",
    "secret-detected": "`deedbook secrets scan` names every place; --redact replaces, if it may.",
    "content-erased": "`deedbook log --stream erasures` shows who erased what, and why.",
    "erasure-changed": "Repeat the command, and look at what it shows.",
    "nothing-to-erase": "`deedbook artifact history` shows the versions with their sizes.",
    "database-unavailable": "Repeating is safe; `deedbook doctor` says more.",
}


def report(error: DeedbookError, choices: Choices) -> None:
    """Say what went wrong, on standard error: a line and a hint, or a problem as JSON."""
    if choices.output != "table":
        _report_json(problem(error))
        return
    _line("error:", sentence(error), choices)
    request_id = error.members.get("request_id")
    if exit_code_of(error) == SERVER and request_id:
        from app.printable import printable

        click.echo(f"request: {printable(str(request_id))}", err=True)
    hint = HINTS.get(error.code)
    if hint and not choices.quiet:
        _line("hint:", hint, choices, color="cyan")


def report_usage(error: click.ClickException, choices: Choices) -> None:
    """Say that a command was called wrongly."""
    if choices.output != "table":
        _report_json(other_problem("usage", error.format_message()))
        return
    _line("error:", f"{error.format_message()} (usage)", choices)
    context = getattr(error, "ctx", None)
    if isinstance(context, click.Context):
        click.echo(f"{context.get_usage()}\nhint: {context.command_path} --help", err=True)


def report_unexpected(error: BaseException, choices: Choices) -> None:
    """Say that the fault is ours."""
    detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if choices.output != "table":
        _report_json(other_problem("unexpected", detail))
        return
    _line("error:", f"{detail} (unexpected)", choices)


def _report_json(given: Mapping[str, object]) -> None:
    import msgspec

    click.echo(msgspec.json.encode(given), err=True)


def _line(word: str, text: str, choices: Choices, color: str = "red") -> None:
    click.echo(
        f"{click.style(word, fg=color)} {text}",
        err=True,
        color=False if choices.no_color else None,
    )
