"""`checkpoint`, `proof`, `verify-proof`: what a log was, signed, and that one event is in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Choices, Command, chosen, project_argument
from app.cli.failure import EXIT_CODES_HELP, NOT_VERIFIED, OK
from app.cli.given_file import read_given
from app.cli.written_file import write_whole

if TYPE_CHECKING:
    from app.client import Client
    from app.verify_proof import ProofReport
    from domain.checkpoint import Checkpoint
    from domain.signed_note import NoteKey

MAX_FILE_BYTES = 1_000_000
KEY_HELP = "The log's verifier key (NAME+ID+KEY), or a file with it; repeatable."


@click.command("checkpoint", cls=Command)
@project_argument
@click.option(
    "--since",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An older checkpoint: fail unless the log is that one, grown on.",
    metavar="FILE",
)
@click.option("--key", "keys", multiple=True, help=KEY_HELP, metavar="VKEY")
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it here.",
    metavar="FILE",
)
def checkpoint_command(
    project: str | None, since: Path | None, keys: tuple[str, ...], file: Path | None
) -> None:
    """Take the project's checkpoint: size and root of its log, signed.

    Kept somewhere else, it is what nobody can later disagree with: `verify --pin FILE`. With --since
    and the same FILE as -o, it only ever moves on. With --key its signature is checked.
    """
    from app.cli.output import remark, show_one
    from app.client import segment
    from app.verify_proof import check_grown
    from domain.errors import Damaged
    from domain.tlog_proof import parse_consistency

    choices = chosen()
    slug = choices.named_project(project)
    known = _keys(keys)
    base = f"/v1/projects/{segment(slug)}/log"
    with choices.client() as client:
        note = _text(client, f"{base}/checkpoint")
        new = _opened(note, known)
        if since is not None:
            old = _opened(_read(since).decode("utf-8", "replace"), known)
            if old.size > new.size:
                raise Damaged(
                    "log-forked",
                    f"The log has {new.size} events, and was signed at {old.size}: keep both "
                    "checkpoints.",
                )
            params: dict[str, str | int | None] = {"old": old.size, "size": new.size}
            proof = parse_consistency(_text(client, f"{base}/consistency", params))
            check_grown(proof, old, new)
    if file is not None:
        write_whole(file, note.encode())
        remark(f"{file} is the checkpoint at {new.size} events.")
    elif choices.output == "table":
        click.echo(note, nl=False)
    if choices.output != "table":
        show_one({"origin": new.origin, "size": new.size, "root": new.root.hex(), "note": note})


@click.command("proof", cls=Command)
@click.argument("words", nargs=-1, required=True, metavar="[PROJECT] POSITION")
@click.option("--size", type=click.IntRange(min=1), help="Of an older checkpoint.", metavar="N")
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: <project>-<position>.tlog-proof here.",
    metavar="FILE",
)
@click.option(
    "--event",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the event, as it is stored.",
    metavar="FILE",
)
def proof_command(
    words: tuple[str, ...], size: int | None, file: Path | None, event: Path | None
) -> None:
    """Take away the proof that one event is in the log (C2SP tlog-proof)."""
    from app.cli.output import remark, show_one
    from app.client import segment

    choices = chosen()
    if len(words) > 2 or not (words[-1].isascii() and words[-1].isdigit()):
        raise click.UsageError("Name a position, and before it the project if need be.")
    slug, position = choices.named_project(words[0] if len(words) == 2 else None), words[-1]
    target = file or Path(f"{slug}-{position}.tlog-proof")
    base = f"/v1/projects/{segment(slug)}"
    with choices.client() as client:
        proof = _text(client, f"{base}/log/proof/{position}", {"size": size})
        if event is not None:
            write_whole(event, client.content(f"{base}/events/{position}")[0])
    write_whole(target, proof.encode())
    show_one({"path": str(target), "position": int(position)})
    remark(f"Check it, offline: deedbook verify-proof {target} --key VKEY --event FILE")


@click.command("verify-proof", cls=Command, epilog=EXIT_CODES_HELP)
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)
@click.option("--key", "keys", multiple=True, help=KEY_HELP, metavar="VKEY")
@click.option(
    "--event",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The event as it is stored: one line of events.jsonl.",
    metavar="FILE",
)
def verify_proof_command(file: Path, keys: tuple[str, ...], event: Path | None) -> int:
    """Check the proof of one event: offline, without a ledger.

    \b
    Results:
      VERIFIED    the event is in the log that the key signed     exit 0
      INCOMPLETE  the key or the event was not given              exit 3
      FAILED      something contradicts                           exit 3
    """  # noqa: D301 -- click's mark for a block that is kept as it is
    from app.verify_proof import verify_proof

    choices = chosen()
    line = None if event is None else _read(event).removesuffix(b"\n")
    report = verify_proof(_read(file).decode("utf-8", "replace"), _keys(keys), line)
    _print_report(report, file, choices)
    return OK if report.state == "VERIFIED" else NOT_VERIFIED


def _print_report(report: "ProofReport", file: Path, choices: Choices) -> None:
    from app.cli.output import printable, show_one, styled

    if choices.output != "table":
        show_one(report)
        return
    words = {True: ("ok", "green"), False: ("FAIL", "red"), None: ("-", "yellow")}
    for check in report.checks:
        word, color = words[check.ok]
        mark = styled(word.ljust(5), color, choices)
        click.echo(f"{mark} {check.id:<10} {printable(check.detail)}")
    good = report.state == "VERIFIED"
    click.echo(f"\n{styled(report.state, 'green' if good else 'red', choices)}  {file}")
    if report.origin is not None:
        click.echo(f"  position  {report.position} of {report.size} of {printable(report.origin)}")
        click.echo(f"  root      {report.root}")


def _keys(given: Sequence[str]) -> "list[NoteKey]":
    from domain.signed_note import parse_key

    keys = []
    for one in given:
        file = Path(one)
        text = one if "+" in one or not file.is_file() else _read(file).decode("utf-8", "replace")
        keys += [parse_key(line) for line in text.strip().split("\n")]
    return keys


def _opened(note: str, keys: "Sequence[NoteKey]") -> "Checkpoint":
    """The checkpoint of a note; its signature is checked where there is a key to do it with."""
    from adapters.ed25519_key import verify_signature
    from domain.checkpoint import open_checkpoint, parse_checkpoint
    from domain.signed_note import parse_note

    if keys:
        return open_checkpoint(note, keys, verify_signature)
    return parse_checkpoint(parse_note(note).text)


def _text(client: "Client", path: str, params: "dict[str, str | int | None] | None" = None) -> str:
    from domain.errors import Damaged

    raw, _ = client.content(path, params=params)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Damaged("note-malformed", "The ledger's answer is not UTF-8.") from None


def _read(file: Path) -> bytes:
    return read_given(str(file), MAX_FILE_BYTES)
