"""`artifact stream` and `artifact drafts`: a text that is watched while it is being written."""

import sys
from collections.abc import Iterator
from io import BufferedIOBase
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen

if TYPE_CHECKING:
    from app.remote.drafts import DraftWriter

READ_BYTES = 64 * 1024


@click.command("stream", cls=Command)
@click.argument("kind")
@click.argument("key")
@click.option(
    "--media-type", help="Such as text/plain; text/markdown if left away.", metavar="TYPE"
)
@click.option("--title", help="The title of the version.", metavar="TEXT")
@click.option("--resume", is_flag=True, help="Go on at the end of the artifact's open draft.")
@click.option("--no-commit", is_flag=True, help="Leave the draft open when the input ends.")
@click.option(
    "--expect",
    type=click.IntRange(min=0),
    help="Commit only if the latest version is N (0: none yet).",
    metavar="N",
)
def stream_command(
    kind: str,
    key: str,
    media_type: str | None,
    title: str | None,
    resume: bool,
    no_commit: bool,
    expect: int | None,
) -> None:
    """Write standard input into a live draft while it comes, and commit it at its end.

    Whoever may read the project can watch. A connection that breaks is taken up again at the right byte.
    Ctrl-C keeps the draft; --resume goes on with it, and standard input is then the rest of the text.
    The text is looked through for secrets when it is committed, by the ledger; what is refused stays a
    draft, and can be seen until it is abandoned.
    """
    from app.cli.output import remark, show_one
    from app.progress import Progress
    from app.remote.drafts import DraftWriter

    if resume and (media_type or title):
        raise click.UsageError("The draft has its media type and title: leave them with --resume.")
    if no_commit and expect is not None:
        raise click.UsageError("--expect is for the commit: leave --no-commit away.")
    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        if resume:
            writer = DraftWriter.resume(client, slug, kind, key)
            remark(f"going on with draft {writer.id} at byte {writer.offset}")
        else:
            writer = DraftWriter.open(
                client, slug, kind, key, media_type=media_type or "text/markdown", title=title
            )
            remark(f"draft {writer.id} of {kind} {key} is open")
        try:
            with Progress("written", in_bytes=True, hidden=choices.quiet) as progress:
                for piece in _pieces():
                    writer.write(piece)
                    progress(writer.offset)
        except BaseException:  # also Ctrl-C: it goes on its way
            _say_kept(writer, kind, key)
            raise
        if no_commit:
            show_one(writer.described())
            return
        try:
            made = writer.commit(expect)
        except BaseException:
            _say_kept(writer, kind, key)
            raise
    show_one(made)


@click.command("drafts", cls=Command)
@click.argument("kind", required=False)
@click.argument("key", required=False)
@click.option("--abandon", is_flag=True, help="Discard the open draft of KIND KEY, with its text.")
def drafts_command(kind: str | None, key: str | None, abandon: bool) -> None:
    """List the open drafts; with KIND and KEY also what became of those before."""
    from app.cli.output import remark, show
    from app.remote.drafts import abandon as discard
    from app.remote.drafts import drafts_of

    if (kind is None) != (key is None):
        raise click.UsageError("Give both KIND and KEY, or neither.")
    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        if not abandon:
            show(
                drafts_of(client, slug, kind, key),
                {
                    "kind": "KIND",
                    "key": "KEY",
                    "state": "STATE",
                    "offset": "BYTES",
                    "version": "VERSION",
                    "actor": "ACTOR",
                    "changed_at": "CHANGED",
                    "id": "DRAFT",
                },
                empty="no open drafts",
            )
            return
        if kind is None or key is None:
            raise click.UsageError("Which one is abandoned? Give KIND and KEY.")
        draft = discard(client, slug, kind, key)
    remark(f"draft {draft.id} of {kind} {key} is discarded ({draft.offset} bytes)")


def _pieces() -> Iterator[bytes]:
    """Standard input as it comes: whatever is there, at once, and together what came meanwhile."""
    given = sys.stdin.buffer
    assert isinstance(given, BufferedIOBase)
    while piece := given.read1(READ_BYTES):
        yield piece


def _say_kept(writer: "DraftWriter", kind: str, key: str) -> None:
    """Say what is there and how to go on, on the way out."""
    from shlex import join

    from app.cli.output import remark

    words = join(["deedbook", "artifact", "stream", kind, key, "--resume"])
    remark(f"draft {writer.id} is kept, with {writer.offset} bytes at least; go on: … | {words}")
