"""`record approval`: ask for one, grant it or reject it."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Group
from app.cli.run_choice import ChosenRun, chosen_run, run_option

if TYPE_CHECKING:
    from domain.approval import Decision
    from domain.run import RunState

SCOPE_HELP = "What it is for, such as deploy.production."


@click.group("approval", cls=Group)
def approval_command() -> None:
    """Ask for an approval, grant it or reject it.

    A side effect in a guarded scope (`deedbook policy` shows which) is refused without one.
    """


@approval_command.command("request")
@run_option
@click.option("--scope", required=True, help=SCOPE_HELP, metavar="SCOPE")
@click.option("--intent", default="", help="What would be done, for people.", metavar="TEXT")
@click.option("--approval", help="Its id; one is made if left away.", metavar="ID")
@click.option("--effect", help="For this side effect only.", metavar="ID")
def request(
    run_id: str | None, scope: str, intent: str, approval: str | None, effect: str | None
) -> None:
    """Ask for an approval; prints its id."""
    from app.cli.recording import new_name, show_recorded
    from app.remote.runs import record, run_event
    from domain.events import ApprovalRequested

    name = approval or new_name(scope)
    data = ApprovalRequested(approval=name, scope=scope, intent=intent or scope, effect=effect)
    with chosen_run(run_id) as chosen_one:
        done = record(chosen_one.client, chosen_one.project, [run_event(chosen_one.run, data)])
    show_recorded(done, f"Asked for approval {name} for {scope}.", name=name, approval=name)


@approval_command.command("grant")
@run_option
@click.option("--scope", help=SCOPE_HELP, metavar="SCOPE")
@click.option("--approval", help="Its id; the only open one if left away.", metavar="ID")
@click.option("--reason", default="", help="Why, for people.", metavar="TEXT")
@click.option("--approver", help="Who granted it, if not the token's.", metavar="NAME")
@click.option(
    "--sign-with",
    "key_file",
    type=click.Path(path_type=Path),
    help="Sign it with this SSH key.",
    metavar="KEYFILE",
)
def grant(
    run_id: str | None,
    scope: str | None,
    approval: str | None,
    reason: str,
    approver: str | None,
    key_file: Path | None,
) -> None:
    """Grant an approval: the one asked for, or with --scope one that nobody asked for."""
    with chosen_run(run_id) as chosen_one:
        _decide(chosen_one, "approved", scope, approval, reason, approver, key_file)


@approval_command.command("reject")
@run_option
@click.option("--scope", help=SCOPE_HELP, metavar="SCOPE")
@click.option("--approval", help="Its id; the only open one if left away.", metavar="ID")
@click.option("--reason", default="", help="Why, for people.", metavar="TEXT")
@click.option("--approver", help="Who rejected it, if not the token's.", metavar="NAME")
@click.option(
    "--sign-with",
    "key_file",
    type=click.Path(path_type=Path),
    help="Sign it with this SSH key.",
    metavar="KEYFILE",
)
def reject(
    run_id: str | None,
    scope: str | None,
    approval: str | None,
    reason: str,
    approver: str | None,
    key_file: Path | None,
) -> None:
    """Reject an approval; one that was granted is revoked by it."""
    with chosen_run(run_id) as chosen_one:
        _decide(chosen_one, "rejected", scope, approval, reason, approver, key_file)


def _decide(
    chosen_one: ChosenRun,
    decision: "Decision",
    scope: str | None,
    approval: str | None,
    reason: str,
    approver: str | None,
    key_file: Path | None,
) -> None:
    from app.cli.recording import show_recorded
    from app.remote.runs import origin_of, read_run, record, run_event
    from domain.approval import NAMESPACE, statement
    from domain.events import ApprovalRecorded

    client, slug, run = chosen_one.client, chosen_one.project, chosen_one.run
    name, meant = _meant(read_run(client, slug, run), decision, scope, approval)
    signature = None
    if key_file is not None:
        from adapters.ssh_signature import sign

        signed = statement(
            origin=origin_of(client, slug), run=run, approval=name, scope=meant, decision=decision
        )
        signature = sign(signed, key_file, NAMESPACE)
    data = ApprovalRecorded(
        decision=decision,
        approval=name,
        scope=meant,
        reason=reason,
        approver=approver,
        signature=signature,
    )
    done = record(client, slug, [run_event(run, data)])
    by = f", signed with {signature.key_id}" if signature is not None else ""
    word = "granted" if decision == "approved" else "rejected"
    show_recorded(done, f"Approval {name} for {meant} {word}{by}.", name=name, approval=name)


def _meant(
    state: "RunState", decision: "Decision", scope: str | None, approval: str | None
) -> tuple[str, str]:
    """Id and scope of the approval that is decided on."""
    from app.cli.recording import new_name

    if approval is not None:
        known = state.approvals.get(approval)
        if known is None and scope is None:
            raise click.UsageError(f"The run has no approval {approval}; give its --scope as well.")
        return approval, scope or (known.scope if known is not None else "")
    fitting = [
        (name, one.scope)
        for name, one in state.approvals.items()
        if one.decision is None and scope in {None, one.scope}
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(sorted(name for name, _ in fitting))
        raise click.UsageError(f"Several approvals are open: name one with --approval: {names}.")
    if scope is None or decision == "rejected":
        raise click.UsageError("No approval is open; name one with --approval.")
    return new_name(scope), scope
