"""`checkpoint`, `proof`, `verify-proof`: what a log was, signed, and that one event is in it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from app.cli.choices import Choices, Command, chosen, project_argument
from app.cli.failure import EXIT_CODES_HELP, NOT_VERIFIED, OK
from app.cli.given_file import read_given
from app.cli.written_file import write_whole

if TYPE_CHECKING:
    from app.offline.verify_proof import ProofReport
    from app.remote.client import Client
    from domain.checkpoint import Checkpoint
    from domain.signed_note import NoteKey

    Params = dict[str, str | int | None]

MAX_FILE_BYTES = 1_000_000
KEY_HELP = "The log's verifier key (NAME+ID+KEY), or a file with it; repeatable."


class _Kept(NamedTuple):
    """How a kept checkpoint is treated: as a whole with its evidence, and against which new one."""

    whole: bool
    witnessed: bool


@click.command("checkpoint", cls=Command)
@project_argument
@click.option(
    "--since",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An older checkpoint: fail unless the log is that one, grown on.",
    metavar="FILE",
)
@click.option(
    "--witness-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Make it if it is not there; else the same as --since and -o with it. For a repository.",
    metavar="FILE",
)
@click.option("--witnessed", is_flag=True, help="The newest that the ledger's witnesses cosigned.")
@click.option(
    "--witness-policy",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Fail unless the witnesses of this policy cosigned it (C2SP tlog-policy).",
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
    project: str | None,
    since: Path | None,
    witness_file: Path | None,
    witnessed: bool,
    witness_policy: Path | None,
    keys: tuple[str, ...],
    file: Path | None,
) -> None:
    """Take the project's checkpoint: size and root of its log, signed.

    Kept somewhere else, it is what nobody can later disagree with: `verify --pin FILE`. With
    --witness-file, or with --since and the same FILE as -o, it only ever moves on. With --key its
    signature is checked.
    """
    from app.cli.output import remark, show_one
    from app.remote.client import segment

    if witness_file is not None:
        if since is not None or file is not None:
            raise click.UsageError("--witness-file is --since and -o in one; give it alone.")
        file = witness_file
        since = witness_file if witness_file.exists() else None
    choices = chosen()
    known = _keys(keys)
    base = f"/v1/projects/{segment(choices.named_project(project))}/log"
    with choices.client() as client:
        params: Params = {"witnessed": "true"} if witnessed else {}
        note = _text(client, f"{base}/checkpoint", params)
        new = _opened(note, known)
        choice = _Kept(whole=witness_file is not None, witnessed=witnessed)
        moved = since is None or _moves_on(client, base, since, note, known, choice)
    if witness_policy is not None:
        _check_witnessed(note, witness_policy)
    if file is not None:
        if moved:
            write_whole(file, note.encode())
        if since is None and witness_file is not None:
            remark("It is the first one here: it is believed, and all later ones are held to it.")
        now = "is" if moved else "stays as it is; the one offered is"
        remark(f"{file} {now} the checkpoint at {new.size} events.")
    elif choices.output == "table":
        click.echo(note, nl=False)
    if choices.output != "table":
        show_one({"origin": new.origin, "size": new.size, "root": new.root.hex(), "note": note})


def _moves_on(
    client: "Client",
    base: str,
    since: Path,
    note: str,
    known: "Sequence[NoteKey]",
    choice: "_Kept",
) -> bool:
    """Hold a new checkpoint to the one that is kept; answers whether it should take its place."""
    from app.cli.kept_checkpoint import check_moves_on, write_evidence
    from domain.errors import Damaged, NotFound

    kept = _read(since).decode("utf-8", "replace")
    old, new = _opened(kept, known), _opened(note, known)
    # The newest that was cosigned may well be older than the one that is kept.
    behind = choice.witnessed and new.size < old.size
    small, large = (new, old) if behind else (old, new)
    proof = None
    if old.origin == new.origin and small.size <= large.size:
        params: Params = {"old": small.size, "size": large.size}
        try:
            proof = _text(client, f"{base}/consistency", params)
        except NotFound:
            if not behind:
                raise  # the kept one is not known there any more: see below
    try:
        check_moves_on(small, large, proof)
    except Damaged as error:
        if not choice.whole or old.origin != new.origin:
            raise
        evidence = write_evidence(since, kept, note, proof)
        raise Damaged(
            error.code, f"{error.detail} {since} is as it was, and {evidence} holds both."
        ) from None
    # A file in a repository has no reason to change while the log has not grown.
    return not behind and (not choice.whole or old.size < new.size)


def _check_witnessed(note: str, file: Path) -> None:
    """Refuse a checkpoint that the witnesses of a policy have not cosigned."""
    from adapters.signature_check import verify_signature
    from domain.errors import Damaged
    from domain.witness_policy import check_quorum, parse_policy

    quorum = check_quorum(note, parse_policy(_read(file)), verify_signature)
    if not quorum.ok:
        by = ", ".join(quorum.names) or "nobody in it"
        raise Damaged(
            "quorum-missing",
            f"The checkpoint was not cosigned as {file} asks: {by} did. The ledger may not have asked "
            "yet; --witnessed takes the newest that its own policy is content with.",
        )


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
    from app.remote.client import segment

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
    from app.offline.verify_proof import verify_proof

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
    from adapters.signature_check import verify_signature
    from domain.checkpoint import open_checkpoint, parse_checkpoint
    from domain.signed_note import parse_note

    if keys:
        return open_checkpoint(note, keys, verify_signature)
    return parse_checkpoint(parse_note(note).text)


def _text(client: "Client", path: str, params: "Params | None" = None) -> str:
    from domain.errors import Damaged

    raw, _ = client.content(path, params=params)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Damaged("note-malformed", "The ledger's answer is not UTF-8.") from None


def _read(file: Path) -> bytes:
    return read_given(str(file), MAX_FILE_BYTES)
