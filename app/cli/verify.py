"""`verify`: check an export, offline."""

from pathlib import Path

import click

from app.cli.choices import Command, chosen
from app.cli.failure import EXIT_CODES_HELP, NOT_VERIFIED, OK
from app.cli.given_file import read_given

MAX_GIVEN_BYTES = 16_000_000
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("verify", cls=Command, epilog=EXIT_CODES_HELP)
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE.zip")
@click.option(
    "--trust",
    type=FILE,
    help="The ledger's public keys, as you keep them: `deedbook trusted-root`.",
    metavar="TRUST.json",
)
@click.option(
    "--sidecar",
    type=FILE,
    help="Its seal; default: FILE.zip.sigstore.json, if that is there.",
    metavar="FILE",
)
@click.option(
    "--pin",
    help="A root known from elsewhere: ROOT@SIZE, or a file with that or with a checkpoint.",
    metavar="PIN",
)
@click.option(
    "--consistency",
    type=FILE,
    help="The proof that leads to a pin of a log that has grown since.",
    metavar="FILE",
)
@click.option(
    "--witness-policy",
    type=FILE,
    help="Which witnesses must have cosigned the pin (C2SP tlog-policy).",
    metavar="FILE",
)
@click.option("--head", help="The commit that it must be sealed for.", metavar="SHA")
@click.option(
    "--since",
    type=FILE,
    help="An older export: fail unless its log is the beginning of this one's.",
    metavar="OLD.zip",
)
@click.option(
    "--evidence",
    type=click.Path(dir_okay=False, path_type=Path),
    default="equivocation.json",
    help="Where proof of two histories is kept, if --since finds them.  [equivocation.json]",
    metavar="FILE",
)
@click.option(
    "--require-anchor",
    is_flag=True,
    help="Fail unless something outside the ledger (a pin, witnesses) vouches for it.",
)
def verify_command(
    file: Path,
    trust: Path | None,
    sidecar: Path | None,
    pin: str | None,
    consistency: Path | None,
    witness_policy: Path | None,
    head: str | None,
    since: Path | None,
    evidence: Path,
    require_anchor: bool,
) -> int:
    """Check an export: offline, without a ledger, and without extracting anything.

    \b
    It replays the events, makes every file again, compares every byte, and checks the seal against
    keys that you keep. Results:
      VERIFIED             genuine and complete, vouched for from outside      exit 0
      VERIFIED-UNANCHORED  genuine, and nothing outside the ledger vouches     exit 0
                           (with a warning; exit 3 with --require-anchor)
      INCOMPLETE           nothing contradicts, and something was not given:   exit 3
                           no seal, no keys, no proof that leads to the pin
      FAILED               it was changed, is another one, or is no export     exit 3
    """  # noqa: D301 -- click's mark for a block that is kept as it is
    from app.cli.output import remark, styled, warn
    from app.offline.verify_given import Given, holds, keep_fork, verify_given
    from app.offline.verify_report_text import report_json, report_text, said_beside
    from app.progress import Progress

    choices = chosen()
    given = Given(
        file=file,
        trust=trust,
        sidecar=sidecar,
        pin=pin,
        consistency=consistency,
        witness_policy=witness_policy,
        head=head,
        since=since,
        evidence=evidence,
        require_anchor=require_anchor,
    )
    with Progress("verify", in_bytes=True, hidden=choices.quiet) as progress:
        verified = verify_given(given, progress)
    report, as_text = verified.report, choices.output == "table"
    if as_text:
        click.echo(report_text(report, given, lambda text, color: styled(text, color, choices)))
    else:
        click.echo(report_json(report, on_one_line=choices.output == "ndjson"))
    kept = keep_fork(verified, given)
    if kept is not None:
        warn(kept)
    for kind, text in said_beside(verified, given, as_text=as_text):
        match kind:
            case "remark":
                remark(text)
            case "warning":
                warn(text)
            case _:
                click.echo(f"error: {text}", err=True)
    return OK if holds(report, given) else NOT_VERIFIED


@click.command("verify-fork", cls=Command, epilog=EXIT_CODES_HELP)
@click.argument("file", type=FILE, metavar="FILE")
@click.option(
    "--trust", type=FILE, required=True, help="The ledger's public keys.", metavar="TRUST.json"
)
def verify_fork_command(file: Path, trust: Path) -> int:
    """Check a proof that a ledger sealed two histories: what `verify --since` wrote."""
    from app.cli.output import show_one
    from app.offline.fork_evidence import check_fork
    from app.offline.signatures import SIGNATURES
    from domain.trust import parse_trust

    said = check_fork(_read(file), parse_trust(_read(trust)), SIGNATURES)
    show_one({"proved": said})
    return OK


def _read(file: Path) -> bytes:
    return read_given(str(file), MAX_GIVEN_BYTES)
