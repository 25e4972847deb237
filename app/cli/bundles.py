"""`export` and `verify`: take a project away, and check what was taken."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Choices, Command, chosen, project_argument
from app.cli.failure import EXIT_CODES_HELP, NOT_VERIFIED, OK

if TYPE_CHECKING:
    from projections.verify_report import Report

MAX_PIN_CHARACTERS = 10_000


@click.command("export", cls=Command)
@project_argument
@click.option("--at", type=click.IntRange(min=1), help="Up to this position.", metavar="N")
@click.option("--run", "run_id", help="Only what belongs to this run.", metavar="ID")
@click.option("--originals", is_flag=True, help="With the files that artifacts were written from.")
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: <project>-<position>.zip here.",
    metavar="FILE",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def export_command(
    project: str | None,
    at: int | None,
    run_id: str | None,
    originals: bool,
    file: Path | None,
    force: bool,
) -> None:
    """Take a project, or one run, away as a ZIP that proves itself.

    The same position gives the same bytes for ever. A download that breaks off goes on where it
    stopped, in this command or the next; the file appears only when it is whole and its SHA-256 is
    the announced one.
    """
    from app.cli.output import remark
    from app.client import announced_sha256, segment
    from app.progress import Progress, readable_size
    from app.remote_events import position
    from domain.digest import format_digest

    choices = chosen()
    slug = choices.named_project(project)
    with choices.client() as client:
        upto = position(client, slug, at)
        path = f"/v1/projects/{segment(slug)}/exports/{upto}.zip"
        params = {"run": run_id, "originals": "true" if originals else None}
        name = f"{slug}-{run_id + '-' if run_id else ''}{upto}{'-originals' if originals else ''}"
        target = file or Path(f"{name}.zip")
        there = _digest_of(target) if target.exists() and not force else None
        announced = announced_sha256(client.head(path, params))
        if there is not None and announced is not None:
            _refuse_other(target, there, format_digest(announced))
            _show(target, there)
            return
        part = target.with_name(target.name + ".part")
        with Progress("export", in_bytes=True, hidden=choices.quiet) as progress:
            done = client.download(path, part, params=params, progress=progress)
    if there is not None:
        part.unlink()
        _refuse_other(target, there, done.digest)
    else:
        part.replace(target)
    if done.resumed:
        remark(f"The first {readable_size(done.resumed)} were there already.")
    _show(target, done.digest)


def _refuse_other(target: Path, there: str, wanted: str) -> None:
    from app.cli.output import remark
    from domain.errors import Conflict

    if there != wanted:
        raise Conflict(
            "file-exists", f"{target} is there and differs; give --force, or another -o."
        )
    remark(f"{target} is there already, byte for byte.")


def _show(target: Path, digest: str) -> None:
    from app.cli.output import remark, show_one

    show_one(
        {
            "path": str(target),
            "size_bytes": target.stat().st_size,
            "sha256": digest.partition(":")[2],
        }
    )
    remark(f"Check it, offline: deedbook verify {target}")


def _digest_of(file: Path) -> str:
    import hashlib

    from domain.digest import format_digest

    with file.open("rb") as opened:
        return format_digest(hashlib.file_digest(opened, "sha256").digest())


@click.command("verify", cls=Command, epilog=EXIT_CODES_HELP)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.zip")
@click.option(
    "--pin",
    help="A root known from elsewhere: ROOT@SIZE, or a file with that or with a checkpoint.",
    metavar="PIN",
)
@click.option(
    "--require-anchor",
    is_flag=True,
    help="Fail unless something outside the file (a pin) vouches for it.",
)
def verify_command(file: Path, pin: str | None, require_anchor: bool) -> int:
    """Check an export: offline, without a ledger, and without extracting anything.

    \b
    It replays the events, makes every file again and compares every byte. Results:
      VERIFIED             genuine and complete, vouched for from outside      exit 0
      VERIFIED-UNANCHORED  all fits together, nothing outside vouches for it   exit 0
                           (with a warning; exit 3 with --require-anchor)
      INCOMPLETE           something that belongs to it is not there           exit 3
      FAILED               it was changed, or is no export                     exit 3
    """  # noqa: D301 -- click's mark for a block that is kept as it is
    from app.progress import Progress
    from app.verify import verify_file
    from domain.errors import NotFound
    from projections.verify_report import read_pin

    choices = chosen()
    if not file.is_file():
        raise NotFound("file-not-found", f"There is no file {file}.")
    known = None if pin is None else read_pin(_pin_text(pin))
    with Progress("verify", in_bytes=True, hidden=choices.quiet) as progress:
        report = verify_file(file, pin=known, progress=progress)
    anchored = report.state == "VERIFIED" or not require_anchor
    _print_report(report, file, choices)
    if not anchored and report.state == "VERIFIED-UNANCHORED":
        click.echo("error: nothing outside the file vouches for it (anchor-required)", err=True)
    good = report.state in {"VERIFIED", "VERIFIED-UNANCHORED"} and anchored
    return OK if good else NOT_VERIFIED


def _pin_text(pin: str) -> str:
    """The pin itself, or the text of the file that is named."""
    file = Path(pin)
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_PIN_CHARACTERS)
    except (OSError, ValueError):
        return pin


def _print_report(report: "Report", file: Path, choices: Choices) -> None:
    import msgspec

    from app.cli.output import printable, remark, show_one, styled, warn

    if choices.output != "table":
        show_one(msgspec.to_builtins(report))
        return
    words = {True: ("ok", "green"), False: ("FAIL", "red"), None: ("-", "yellow")}
    for check in report.checks:
        word, color = words[check.ok]
        mark = styled(word.ljust(5), color, choices)
        click.echo(f"{mark} {check.step} {check.id:<8} {printable(check.detail)}")
    good = report.state.startswith("VERIFIED")
    click.echo(f"\n{styled(report.state, 'green' if good else 'red', choices)}  {file}")
    for name, value in msgspec.to_builtins(report.summary).items():
        if value is not None:
            click.echo(f"  {name:<9} {printable(str(value))}")
    if report.zip_sha256 is not None:
        click.echo(f"  {'sha256':<9} {report.zip_sha256}")
    if report.state == "VERIFIED-UNANCHORED":
        warn(" ".join(report.notes))
    else:
        for note in report.notes:
            remark(note)
