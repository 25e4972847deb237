"""`check run`: whether the gates of a run hold, for a CI job to require."""

import click

from app.cli.choices import Group, chosen
from app.cli.failure import NOT_VERIFIED, OK
from app.cli.run_choice import chosen_run, run_argument


@click.group("check", cls=Group)
def check_command() -> None:
    """Check that the gates of a run hold."""


@check_command.command("run")
@run_argument
@click.option("--commit", help="The checks must have been made on this commit.", metavar="REV")
@click.option("--at", type=click.IntRange(min=1), help="As of this position.", metavar="POSITION")
def check_run(run_id: str | None, commit: str | None, at: int | None) -> int:
    """Check what must hold of a run before its change may go on.

    Its state and steps, its checks, the approvals of what it changed outside, the outcomes, the
    deployments, and the contents behind all of it. Exits with 3 when one of these gates does not hold.
    """
    from app.cli.output import printable, show_one, styled
    from app.remote.checkout import resolved
    from app.remote.runs import read_gates

    choices = chosen()
    with chosen_run(run_id) as chosen_one:
        found = read_gates(
            chosen_one.client, chosen_one.project, chosen_one.run, commit=resolved(commit), at=at
        )
    if choices.output != "table":
        show_one(found)
    else:
        width = max((len(gate.name) for gate in found.gates), default=0)
        for gate in found.gates:
            mark = styled("✓", "green", choices) if gate.holds else styled("✗", "red", choices)
            click.echo(f"{mark} {printable(gate.name).ljust(width)}  {printable(gate.detail)}")
        failed = sum(not gate.holds for gate in found.gates)
        verdict = (
            styled("All gates hold.", "green", choices)
            if found.holds
            else styled(f"{failed} of {len(found.gates)} gates do not hold.", "red", choices)
        )
        click.echo(f"{verdict}  run {found.run} at position {found.position}")
    return OK if found.holds else NOT_VERIFIED
