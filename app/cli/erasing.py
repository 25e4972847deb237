"""Erasing as the commands for artifacts and runs have it: show, ask, erase, and say what is left."""

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from app.cli.choices import chosen

if TYPE_CHECKING:
    from app.remote.client import Client
    from app.remote.erasures import Erased, Named, Previewed

Members = dict[str, object]
MAX_SHOWN = 20


def erase_shown(
    client: "Client",
    project: str,
    target: Members,
    name: str,
    *,
    reason: str | None,
    yes: bool,
    dry_run: bool,
) -> None:
    """Show what would go, have it confirmed, and erase it.

    Args:
        client: Open.
        project: The project's slug.
        target: As the API takes it.
        name: What a person types to confirm.
        reason: Recorded for ever; needed to erase.
        yes: Do not ask.
        dry_run: Only show.
    """
    from app.cli.output import remark, show_one
    from app.remote.erasures import erase, preview

    if not dry_run and reason is None:
        raise click.UsageError("Say why, with --reason; or only look, with --dry-run.")
    if not dry_run and not yes and not sys.stdin.isatty():
        raise click.UsageError("Nobody is there to ask: look with --dry-run, then give --yes.")
    answer, shown = preview(client, project, target)
    if dry_run and chosen().output != "table":
        show_one(answer)
        return
    for line in _lines(shown):
        click.echo(line, err=True)  # also with --quiet: it is about to be destroyed
    if dry_run:
        remark("Nothing was erased.")
        return
    assert reason is not None
    if shown.confirm is not None and not yes:
        typed = click.prompt(
            f"Type {name} to erase this for good", default="", show_default=False, err=True
        )
        if typed.strip() != name:
            raise click.UsageError(f"That is not {name}: nothing was erased.")
    answer, erased = erase(client, project, target, reason=reason, confirm=shown.confirm or "")
    if chosen().output != "table":
        show_one(answer)
    _say_erased(erased, quiet_list=chosen().output != "table")


def _say_erased(erased: "Erased", *, quiet_list: bool) -> None:
    from app.cli.output import remark, warn

    for one in () if quiet_list else erased.erasures:
        click.echo(f"{one.position:>6}  {_clean(one.stream)} version {one.version}  ERASED")
    first = erased.erasures[0]
    if erased.replayed:
        remark(f"It was erased before, by {first.actor} at {first.time}: {first.reason}")
    else:
        remark(f"Exports from position {erased.first_position} on list it as erased.")
    if erased.objects_left:
        warn(
            f"{erased.objects_left} objects in the blob store could not be deleted yet: repeat this "
            "command when the store answers."
        )


def _lines(shown: "Previewed") -> Iterator[str]:
    yield from _listed("To be erased:", shown.contents)
    yield from _listed("The same bytes, so erased too:", shown.also)
    yield from _listed("Erased before:", shown.already)
    if shown.confirm is None:
        yield "Nothing is left to erase."
        return
    yield f"{shown.size_bytes} bytes in all. It cannot be undone."
    if shown.exports:
        yield "Exports that were made with them, which somebody may have:"
        yield from (f"  {_clean(one)}" for one in shown.exports)
    yield (
        "Exports that show them can no longer be made; the first that can is at position "
        f"{shown.first_position}."
    )
    yield "What stays:"
    yield from (f"  {_clean(one)}" for one in shown.remains)
    yield "What this does not reach:"
    yield from (f"  {_clean(one)}" for one in shown.not_reached)


def _listed(heading: str, named: "Sequence[Named]") -> Iterator[str]:
    if not named:
        return
    yield heading
    for one in named[:MAX_SHOWN]:
        what = {"original": "its original, ", "record": "a content, "}.get(one.what, "")
        title = f" “{_clean(one.title)}”" if one.title else ""
        cited = f", {one.citations} citations" if one.citations else ""
        gone = f", at position {one.erased_position}" if one.erased_position else ""
        yield (
            f"  {_clean(one.stream)} version {one.version}{title}: {what}{one.size_bytes} bytes"
            f"{cited}{gone}, {_clean(one.digest)}"
        )
    if len(named) > MAX_SHOWN:
        yield f"  and {len(named) - MAX_SHOWN} more; --dry-run --json shows all"


def _clean(text: str) -> str:
    from app.cli.output import printable

    return printable(text).replace("\n", " ")
