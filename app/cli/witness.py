"""`witness`: how witnesses cosign this ledger's checkpoints, and what an operator does about an alarm."""

from typing import TYPE_CHECKING

import click

from app.cli.choices import Choices, Group, chosen, project_argument
from app.cli.failure import EXIT_CODES_HELP, NOT_VERIFIED, OK

if TYPE_CHECKING:
    from app.witness_status import LogRow

MAX_REASON_CHARACTERS = 1_000


@click.group("witness", cls=Group)
def witness_command() -> None:
    """Show how witnesses cosign checkpoints, and clear their alarms."""


@witness_command.command("status", epilog=EXIT_CODES_HELP)
@project_argument
def status_command(project: str | None) -> int:
    """Show what each witness has cosigned of each log, or of the one that is named.

    Reads the database and DEEDBOOK_WITNESS_POLICY. Ends with exit code 3 while an alarm stands: a witness
    contradicts a log, and that log is not signed.
    """
    from app.bootstrap import admin_url
    from app.cli.output import show, warn
    from app.witness_setting import read_policy
    from app.witness_status import witness_status

    choices = chosen()
    settings = choices.settings()
    policy = read_policy(settings.deedbook_witness_policy)
    if policy is None:
        warn("DEEDBOOK_WITNESS_POLICY is not set here: this shows alarms alone.")
    with admin_url(settings) as url:
        logs = witness_status(url, project, policy)
    if choices.output == "table":
        _print(logs, choices)
    else:
        show(logs, {})
    return NOT_VERIFIED if any(log.stopped for log in logs) else OK


@witness_command.command("clear", epilog=EXIT_CODES_HELP)
@project_argument
@click.option("--seals", is_flag=True, help="The seal log, and not a project's.")
@click.option("--reason", required=True, help="What was found; it is kept for ever.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show what would be cleared; change nothing.")
def clear_command(project: str | None, seals: bool, reason: str, yes: bool, dry_run: bool) -> None:
    """Clear the alarms of a project's log, or of the seal log, so that it is signed again.

    For an operator, who works on the database as its owner. Look first: what a witness contradicts may be
    a forged or cut log. If it still contradicts, the alarm is raised again at once.
    """
    from adapters.witness_alarms import clear_alarms
    from app.bootstrap import admin_url, now
    from app.cli.output import printable, remark, show
    from app.witness_status import witness_status
    from domain.errors import Invalid, NotFound
    from domain.seal import SEAL_LOG

    if seals == (project is not None):
        raise click.UsageError("Name a project, or give --seals.")
    if not reason.strip() or len(reason) > MAX_REASON_CHARACTERS:
        raise Invalid(
            "invalid-parameter", f"Give a reason of 1 to {MAX_REASON_CHARACTERS} characters."
        )
    log, name = (SEAL_LOG, "the seal log") if project is None else (project, project)
    choices = chosen()
    with admin_url(choices.settings()) as url:
        logs = witness_status(url, log, None)
        standing = [one for row in logs for one in row.alarms if one.cleared_at is None]
        if not standing:
            raise NotFound("alarm-not-found", f"No alarm of {name[:40]} stands.")
        if choices.output == "table":
            for one in standing:
                click.echo(
                    f"{one.ordinal}  {one.raised_at:%Y-%m-%d %H:%M:%S}Z  {printable(one.detail)}"
                )
        else:
            show(standing, {})
        if dry_run:
            remark("Not cleared.")
            return
        if not yes:
            click.confirm(f"Clear, and sign {name} again?", abort=True, err=True)
        cleared = clear_alarms(url, log, reason.strip(), now())
    remark(f"{len(cleared)} cleared; {name} is signed again.")


def _print(logs: "list[LogRow]", choices: Choices) -> None:
    from app.cli.output import printable, remark, show, styled

    rows = [
        {
            "log": log.project or "(seals)",
            "checkpoint": log.checkpoint,
            "witness": one.witness,
            "cosigned": one.cosigned,
            "problem": one.problem,
        }
        for log in logs
        for one in log.witnesses
    ]
    headings = ("log", "checkpoint", "witness", "cosigned", "problem")
    show(rows, {name: name.upper() for name in headings}, empty="Nothing has been signed yet.")
    for log in logs:
        for alarm in log.alarms:
            if alarm.cleared_at is None:
                name = log.project or "(seals)"
                click.echo(f"{styled('ALARM', 'red', choices)}  {name}: {printable(alarm.detail)}")
    if any(log.stopped for log in logs):
        remark("A log with an alarm is not signed. See docs/witnesses.md before you clear it.")
