"""`record effect`: what is changed outside, recorded before it happens and after."""

from typing import TYPE_CHECKING, Literal

import click

from app.cli.choices import Group
from app.cli.run_choice import ChosenRun, chosen_run, run_option
from app.cli.watched_command import (
    SETTINGS,
    code_to_leave_with,
    command_options,
    run_shown,
    send,
    show_transcript,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from domain.events import SideEffectIntended

    Function = TypeVar("Function", bound=Callable[..., object])

Outcome = Literal["succeeded", "failed", "unknown"]


def _intent_options(function: "Function") -> "Function":
    """The options that say what is about to be done."""
    for option in (
        click.option(
            "--secret",
            "secrets",
            multiple=True,
            metavar="NAME",
            help="A secret parameter: only its name is recorded. Repeatable.",
        ),
        click.option(
            "--set", "values", multiple=True, metavar="NAME=VALUE", help="A parameter. Repeatable."
        ),
        click.option("--target", metavar="KIND=ID", help="What is changed, such as database=main."),
        click.option(
            "--approval", metavar="ID", help="The approval; any fitting one if left away."
        ),
        click.option("--effect", metavar="ID", help="Its id; one is made if left away."),
        click.option("--intent", required=True, metavar="TEXT", help="What is done, for people."),
        click.option("--scope", required=True, metavar="SCOPE", help="Such as deploy.production."),
        run_option,
    ):
        function = option(function)
    return function


@click.group("effect", cls=Group)
def effect_command() -> None:
    """Record what is changed outside: the intent before, the outcome after.

    In a guarded scope (`deedbook policy` shows which) the intent is refused without an approval.
    """


@effect_command.command("begin")
@_intent_options
def begin(
    run_id: str | None,
    scope: str,
    intent: str,
    effect: str | None,
    approval: str | None,
    target: str | None,
    values: tuple[str, ...],
    secrets: tuple[str, ...],
) -> None:
    """Record the intent; prints the side effect's id. Do it only if this succeeds."""
    from app.cli.recording import show_recorded
    from app.remote.runs import record, run_event

    data = _intended(scope, intent, effect, approval, target, values, secrets)
    with chosen_run(run_id) as chosen_one:
        data = _with_approval(chosen_one, data)
        done = record(chosen_one.client, chosen_one.project, [run_event(chosen_one.run, data)])
    show_recorded(
        done, f"{data.effect} may go on in {scope}.", name=data.effect, effect=data.effect
    )


@effect_command.command("end")
@run_option
@click.argument("effect", required=False, metavar="[EFFECT]")
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed", "unknown"]),
    default="succeeded",
    show_default=True,
    help="How it came out.",
)
@click.option(
    "--external-id",
    "ids",
    multiple=True,
    metavar="ID",
    help="An id that the outside gave it. Repeatable.",
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="KIND=ID[,url=URL]",
    help="What it made or changed. Repeatable.",
)
@click.option("--error", default="", help="What went wrong.", metavar="TEXT")
def end(
    run_id: str | None,
    effect: str | None,
    outcome: Outcome,
    ids: tuple[str, ...],
    resources: tuple[str, ...],
    error: str,
) -> None:
    """Record the outcome of EFFECT, the only open one if left away."""
    from app.cli.recording import resource, show_recorded
    from app.remote.runs import record, run_event
    from domain.events import SideEffectFinished

    with chosen_run(run_id) as chosen_one:
        name = effect or _only_open(chosen_one)
        data = SideEffectFinished(
            effect=name,
            outcome=outcome,
            external_ids=ids,
            resources=tuple(resource(text) for text in resources),
            error=error,
        )
        done = record(chosen_one.client, chosen_one.project, [run_event(chosen_one.run, data)])
    show_recorded(done, f"{name} {outcome}.", effect=name)


@effect_command.command("run", context_settings=SETTINGS)
@_intent_options
@command_options
def run_effect(
    run_id: str | None,
    scope: str,
    intent: str,
    effect: str | None,
    approval: str | None,
    target: str | None,
    values: tuple[str, ...],
    secrets: tuple[str, ...],
    allow_failure: bool,
    timeout: int,
    command: tuple[str, ...],
) -> int:
    """Record the intent, run COMMAND only if it was accepted, and record how it came out.

    The transcript of the command and the outcome of the side effect are recorded together. A command
    that was interrupted or timed out leaves the outcome `unknown`.
    """
    from app.cli.output import remark
    from app.cli.recording import warn_of_replaced
    from app.remote.runs import record, run_event
    from app.remote.transcripts import prepare_transcript, transcript_event
    from domain.errors import DeedbookError
    from domain.events import SideEffectFinished

    data = _intended(scope, intent, effect, approval, target, values, secrets)
    with chosen_run(run_id) as chosen_one:
        client, slug, run = chosen_one.client, chosen_one.project, chosen_one.run
        data = _with_approval(chosen_one, data)
        record(client, slug, [run_event(run, data)])
        remark(f"{data.effect} may go on in {scope}.")
        try:
            done = run_shown(command, timeout)
        except DeedbookError as error:
            # Nothing was started, so nothing was changed; the intent must not stay open.
            ended = SideEffectFinished(effect=data.effect, outcome="failed", error=error.detail)
            record(client, slug, [run_event(run, ended)])
            raise
        outcome: Outcome = "succeeded" if done.exit_code == 0 else "failed"
        if done.interrupted or done.timed_out:
            outcome = "unknown"
        said = "" if done.exit_code == 0 else f"The command left with exit code {done.exit_code}."
        ended = SideEffectFinished(effect=data.effect, outcome=outcome, error=said)
        prepared = prepare_transcript(command, done, None)
        warn_of_replaced(prepared.replaced)
        transcript = transcript_event(run, prepared)
        sent = send(chosen_one, [transcript, run_event(run, ended)])
    show_transcript(sent, done)
    return code_to_leave_with(done, sent, allow_failure=allow_failure)


def _intended(
    scope: str,
    intent: str,
    effect: str | None,
    approval: str | None,
    target: str | None,
    values: tuple[str, ...],
    secrets: tuple[str, ...],
) -> "SideEffectIntended":
    from app.cli.recording import new_name, parameters, resource
    from domain.events import SideEffectIntended

    return SideEffectIntended(
        effect=effect or new_name(scope),
        scope=scope,
        intent=intent,
        approval=approval,
        target=None if target is None else resource(target, "--target"),
        parameters=parameters(values, secrets),
    )


def _with_approval(chosen_one: ChosenRun, data: "SideEffectIntended") -> "SideEffectIntended":
    """The intent with the approval that allows it, so that the log says which; if only one does."""
    import msgspec

    from app.remote.runs import read_run

    if data.approval is not None:
        return data
    state = read_run(chosen_one.client, chosen_one.project, chosen_one.run)
    fitting = [
        name
        for name, one in state.approvals.items()
        if one.decision == "approved"
        and one.scope == data.scope
        and one.effect in {None, data.effect}
    ]
    return msgspec.structs.replace(data, approval=fitting[0] if len(fitting) == 1 else None)


def _only_open(chosen_one: ChosenRun) -> str:
    from app.remote.runs import read_run

    state = read_run(chosen_one.client, chosen_one.project, chosen_one.run)
    found = [name for name, outcome in state.effects.items() if outcome in {None, "unknown"}]
    if len(found) != 1:
        named = f": {', '.join(sorted(found))}" if found else ""
        raise click.UsageError(
            f"{len(found) or 'No'} side effects are open; name the one that ended{named}."
        )
    return found[0]
