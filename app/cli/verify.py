"""`verify`: check an export, offline."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Choices, Command, chosen
from app.cli.failure import EXIT_CODES_HELP, NOT_VERIFIED, OK
from app.cli.given_file import read_given
from app.cli.written_file import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from projections.verify_evidence import Evidence, Quorum, Signatures
    from projections.verify_report import Report

MAX_PIN_CHARACTERS = 70_000
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
    from app.progress import Progress
    from app.verify import beside, verify_file
    from domain.errors import NotFound

    choices = chosen()
    if not file.is_file():
        raise NotFound("file-not-found", f"There is no file {file}.")
    if consistency is not None and pin is None:
        raise click.UsageError("--consistency leads to a --pin.")
    given = _evidence(trust, sidecar or beside(file), pin, consistency, witness_policy, head)
    older = None if since is None else beside(since)
    since_sidecar = None if older is None else _read(older)
    with Progress("verify", in_bytes=True, hidden=choices.quiet) as progress:
        report = verify_file(
            file, progress=progress, evidence=given, since=since, since_sidecar=since_sidecar
        )
    print_report(report, file, choices)
    if report.forked and since is not None:
        _keep_fork(file, report, (since_sidecar, given.sidecar), evidence)
    anchored = report.state == "VERIFIED" or not require_anchor
    if not anchored and report.state == "VERIFIED-UNANCHORED":
        click.echo("error: nothing outside the ledger vouches for it (anchor-required)", err=True)
    good = report.state in {"VERIFIED", "VERIFIED-UNANCHORED"} and anchored
    return OK if good else NOT_VERIFIED


@click.command("verify-fork", cls=Command, epilog=EXIT_CODES_HELP)
@click.argument("file", type=FILE, metavar="FILE")
@click.option(
    "--trust", type=FILE, required=True, help="The ledger's public keys.", metavar="TRUST.json"
)
def verify_fork_command(file: Path, trust: Path) -> int:
    """Check a proof that a ledger sealed two histories: what `verify --since` wrote."""
    from app.cli.output import show_one
    from app.fork_evidence import check_fork
    from domain.trust import parse_trust

    said = check_fork(_read(file), parse_trust(_read(trust)), _signatures())
    show_one({"proved": said})
    return OK


def _evidence(
    trust: Path | None,
    sidecar: Path | None,
    pin: str | None,
    consistency: Path | None,
    witness_policy: Path | None,
    head: str | None,
) -> "Evidence":
    """What the reader brings, read and checked for its form."""
    from domain.tlog_proof import parse_consistency
    from domain.trust import parse_trust
    from projections.verify_evidence import Evidence, check_commit, read_pin

    return Evidence(
        signatures=None if trust is None else _signatures(),
        trust=None if trust is None else parse_trust(_read(trust)),
        sidecar=None if sidecar is None else _read(sidecar),
        pin=None if pin is None else read_pin(_pin_text(pin)),
        consistency=None
        if consistency is None
        else parse_consistency(_read(consistency).decode("utf-8", "replace")),
        witnesses=None if witness_policy is None else _witnesses(witness_policy),
        head=None if head is None else check_commit(head),
    )


def _witnesses(file: Path) -> "Callable[[str], Quorum]":
    """Counts cosignatures by the reader's policy."""
    from domain.witness_policy import check_quorum, parse_policy
    from projections.verify_evidence import Quorum

    policy, verifier = parse_policy(_read(file)), _signatures().ed25519

    def count(note: str) -> Quorum:
        found = check_quorum(note, policy, verifier)
        by = ", ".join(found.names) or "none of its witnesses"
        if not found.ok:
            return Quorum(False, f"{by} cosigned the pin, which is not what the policy asks for")
        return Quorum(True, f"{by} cosigned the pin, as the policy asks")

    return count


def _signatures() -> "Signatures":
    from app.signatures import SIGNATURES  # its library takes longer to load than a small export

    return SIGNATURES


def _read(file: Path) -> bytes:
    return read_given(str(file), MAX_GIVEN_BYTES)


def _pin_text(pin: str) -> str:
    """The pin itself, or the text of the file that is named."""
    file = Path(pin)
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_PIN_CHARACTERS)
    except (OSError, ValueError):
        return pin


def _keep_fork(
    file: Path, report: "Report", sidecars: tuple[bytes | None, bytes | None], evidence: Path
) -> None:
    from app.cli.output import warn
    from app.fork_evidence import make_fork

    assert report.forked is not None
    write_whole(evidence, make_fork(file, report.forked, sidecars))
    sealed = "" if None not in sidecars else " It proves nothing to others while one has no seal."
    warn(f"{evidence} holds both seals: keep it, with both exports.{sealed}")


def print_report(report: "Report", file: Path, choices: Choices) -> None:
    """Print each check, the state, and what no check can show."""
    import msgspec

    from app.cli.output import printable, remark, show_one, styled, warn

    if choices.output != "table":
        show_one(msgspec.to_builtins(report))
        return
    words = {True: ("ok", "green"), False: ("FAIL", "red"), None: ("-", "yellow")}
    for check in report.checks:
        word, color = words[check.ok]
        mark = styled(word.ljust(4), color, choices)
        click.echo(f"{mark} {check.step:>2} {check.id:<9} {printable(check.detail)}")
    good = report.state.startswith("VERIFIED")
    click.echo(f"\n{styled(report.state, 'green' if good else 'red', choices)}  {file}")
    for name, value in msgspec.to_builtins(report.summary).items():
        if value is not None:
            click.echo(f"  {name:<9} {printable(str(value))}")
    if report.zip_sha256 is not None:
        click.echo(f"  {'sha256':<9} {report.zip_sha256}")
    if report.state in {"VERIFIED-UNANCHORED", "INCOMPLETE"}:
        warn(" ".join(report.notes))
    else:
        for note in report.notes:
            remark(note)
