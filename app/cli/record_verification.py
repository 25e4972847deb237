"""`record verification`: what tools found, read from their own files."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen
from app.cli.run_choice import chosen_run, run_option

if TYPE_CHECKING:
    from app.remote.record_verification import ReportFile
    from domain.verification import Category, CheckSummary, Counts

FORMATS = ("junit", "sarif", "pytest", "ruff", "mypy", "tsc", "eslint")
CATEGORIES = ("lint", "typecheck", "test", "build", "migrations", "security", "other")


@click.command("verification", cls=Command)
@click.argument("files", nargs=-1, metavar="[FILE]...")
@run_option
@click.option("--name", metavar="NAME", help="What the check is called; else as its tool.")
@click.option("--category", type=click.Choice(CATEGORIES), help="Else as the format says.")
@click.option("--format", "format_name", type=click.Choice(FORMATS), help="Else told by the bytes.")
@click.option("--command", metavar="COMMAND", help="The command line that was run, quoted.")
@click.option("--exit-code", type=int, metavar="N", help="How it ended: not 0 has failed.")
@click.option("--duration", metavar="SECONDS", help="How long it took, such as 12.5.")
@click.option("--commit", metavar="SHA", help="What was checked; else HEAD of the repository here.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="FOLDER",
    help="The repository's folder where the tool ran, if not here. Repeatable.",
)
@click.option("--merge", is_flag=True, help="Make one check of all files, which are of one tool.")
@click.option("--dry-run", is_flag=True, help="Read and show; record nothing.")
def verification_command(
    files: tuple[str, ...],
    run_id: str | None,
    name: str | None,
    category: "Category | None",
    format_name: str | None,
    command: str | None,
    exit_code: int | None,
    duration: str | None,
    commit: str | None,
    roots: tuple[str, ...],
    merge: bool,
    dry_run: bool,
) -> None:
    """Record a verification from the reports in FILE, with - for standard input.

    Reads JUnit XML, SARIF 2.1.0, and the own formats of pytest (pytest-json-report), ruff, mypy,
    tsc and ESLint. Each file gives a check, each run of a SARIF log one. What was counted is
    recorded, with the gravest findings, and the files, with any secret in them replaced. Without a FILE, --exit-code says
    how the check ended.
    """
    from adapters.git_here import look_around
    from app.cli.output import remark, show, warn
    from app.cli.randomness import new_id
    from app.cli.recording import warn_of_replaced
    from app.remote.record_verification import Stated, prepare, send

    here = look_around(Path.cwd())
    stated = Stated(
        name=name,
        category=category,
        command=_words(command),
        exit_code=exit_code,
        duration_ms=_milliseconds(duration),
        commit=commit or here.head,
        merge=merge,
    )
    folders = [_absolute(root) for root in roots]
    folders += [*([here.root] if here.root else []), str(Path.cwd())]
    read = [_file(one) for one in files]
    prepared = prepare(read, stated, format_name=format_name, roots=folders)
    warn_of_replaced(prepared.replaced)
    rows = [_row(check) for check in prepared.data.checks]
    columns = {"name": "CHECK", "category": "CATEGORY", "result": "RESULT", "counts": "COUNTS"}
    for check in prepared.report.checks:
        if check.claimed is not None:
            claims, found = _in_words(check.claimed), _in_words(check.counts)
            warn(f"{check.name}: the file states {claims}; it contains {found}.")
    if dry_run:
        show(rows, columns)
        remark(f"{prepared.report.result}: would be recorded; nothing was.")
        return
    with chosen_run(run_id) as chosen_one:
        slug = chosen_one.project
        answer = send(chosen_one.client, slug, chosen_one.run, prepared, new_id)
    show(rows, columns)
    [event] = answer.events
    remark(f"{prepared.report.result}: recorded at position {event.position} of {slug}.")


def _row(check: "CheckSummary") -> dict[str, object]:
    """A check as a row: its counts in words for people, as they are for programs."""
    import msgspec

    members = msgspec.to_builtins(check)
    assert isinstance(members, dict)
    if chosen().output == "table":
        members["counts"] = _in_words(check.counts)
    return members


def _in_words(counts: "Counts") -> str:
    """The counts in the order in which people ask for them."""
    named = ((name, getattr(counts, name)) for name in counts.__struct_fields__)
    return ", ".join(f"{count} {name}" for name, count in named if count is not None)


def _file(name: str) -> "ReportFile":
    from app.remote.record_verification import read_file

    if name == "-":
        return read_file("standard input", sys.stdin.buffer)
    try:
        with Path(name).open("rb") as opened:
            return read_file(name, opened)
    except OSError as error:
        raise click.UsageError(f"{name} cannot be read: {error.strerror}.") from None


def _absolute(root: str) -> str:
    """A folder here as an absolute one; one of another machine, with a drive, as it is."""
    from domain.repository_path import is_absolute

    return root if is_absolute(root.replace("\\", "/")) else str(Path(root).resolve())


def _words(command: str | None) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(command)) if command else ()
    except ValueError as error:
        raise click.UsageError(f"--command is not quoted as a shell would: {error}.") from None


def _milliseconds(duration: str | None) -> int | None:
    from adapters.report_check import milliseconds

    if duration is None:
        return None
    found = milliseconds(duration)
    if found is None:
        raise click.UsageError(f"--duration is in seconds, such as 12.5, not {duration!r}.")
    return found
