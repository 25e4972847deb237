"""`artifact`: write and read artifacts."""

import sys
from pathlib import Path
from typing import BinaryIO

import click

from app.cli.choices import Group, chosen

MAX_CITATIONS_BYTES = 1024 * 1024

Members = dict[str, object]


@click.group("artifact", cls=Group)
def artifact_command() -> None:
    """Write and read artifacts: documents and records, each with its versions."""


@artifact_command.command("put")
@click.argument("file", metavar="FILE")
@click.option("--kind", help="Its kind, such as PRD or ADR_0001.", metavar="KIND")
@click.option("--key", help="Its key within the kind.", metavar="KEY")
@click.option("--media-type", help="Such as text/markdown.", metavar="TYPE")
@click.option("--title", help="Its title.", metavar="TEXT")
@click.option(
    "--citations",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON array of citations.",
    metavar="FILE.json",
)
@click.option(
    "--expect",
    type=click.IntRange(min=0),
    help="Refuse unless the latest version is N (0: none yet).",
    metavar="N",
)
@click.option("--if-changed", is_flag=True, help="Write nothing if the content is the same.")
def put(
    file: str,
    kind: str | None,
    key: str | None,
    media_type: str | None,
    title: str | None,
    citations: Path | None,
    expect: int | None,
    if_changed: bool,
) -> None:
    """Write FILE (- is standard input) as the next version of an artifact.

    Kind, key, title and media type that are not given are taken from the file's path and front
    matter, and said.
    """
    from app.cli.output import remark, show_one
    from app.remote_artifacts import Proposal, put_artifact

    content = _read(file)
    guessed = _guess(file, content)
    proposal = Proposal(
        kind=kind or guessed.kind,
        key=key or guessed.key,
        media_type=media_type or guessed.media_type,
        title=title or guessed.title,
        citations=_citations(citations),
    )
    if not (kind and key):
        remark(f"{file} is {proposal.kind} {proposal.key} ({proposal.media_type})")
    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        written = put_artifact(
            client, slug, proposal, content, expected=expect, unless_same=if_changed
        )
    if written is None:
        remark(f"{proposal.kind} {proposal.key} has this content already; nothing was written.")
    else:
        show_one(written)


@artifact_command.command("get")
@click.argument("kind")
@click.argument("key")
@click.option("--version", type=click.IntRange(min=1), help="The latest if left away.", metavar="N")
@click.option("--at", type=click.IntRange(min=0), help="As of this position.", metavar="POSITION")
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to FILE instead of standard output.",
    metavar="FILE",
)
def get(kind: str, key: str, version: int | None, at: int | None, file: Path | None) -> None:
    """Write an artifact's content, byte for byte, to standard output or FILE."""
    from app.cli.output import binary_output, refuse_terminal, remark
    from app.remote_artifacts import latest_version, read_content

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        number = version or latest_version(client, slug, kind, key, at)
        content, media_type = read_content(client, slug, kind, key, number, at)
    if file is None:
        refuse_terminal(media_type)
        output = binary_output()
        output.write(content)
        output.flush()
    else:
        part = file.with_name(file.name + ".part")
        part.write_bytes(content)
        part.replace(file)
        remark(f"{kind} {key} version {number} written to {file} ({len(content)} bytes)")


@artifact_command.command("list")
@click.option("--kind", help="Only of this kind.", metavar="KIND")
@click.option("--at", type=click.IntRange(min=0), help="As of this position.", metavar="POSITION")
def list_artifacts(kind: str | None, at: int | None) -> None:
    """List the artifacts with their latest versions."""
    from app.cli.output import show
    from app.client import pages
    from app.remote_artifacts import artifacts_path

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        show(
            pages(client, artifacts_path(slug), "artifacts", {"kind": kind, "at": at}),
            {
                "kind": "KIND",
                "key": "KEY",
                "version": "VERSION",
                "title": "TITLE",
                "size_bytes": "BYTES",
                "time": "WRITTEN",
            },
        )


@artifact_command.command("history")
@click.argument("kind")
@click.argument("key")
@click.option("--at", type=click.IntRange(min=0), help="As of this position.", metavar="POSITION")
def history(kind: str, key: str, at: int | None) -> None:
    """List the versions of one artifact."""
    from app.cli.output import show
    from app.client import pages
    from app.remote_artifacts import versions_path

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        show(
            pages(client, versions_path(slug, kind, key), "versions", {"at": at}),
            {
                "version": "VERSION",
                "position": "POSITION",
                "time": "WRITTEN",
                "actor": "ACTOR",
                "size_bytes": "BYTES",
                "title": "TITLE",
                "digest": "DIGEST",
            },
        )


@artifact_command.command("diff")
@click.argument("kind")
@click.argument("key")
@click.option("--from", "old", type=click.IntRange(min=0), metavar="N", help="The older version.")
@click.option("--to", "new", type=click.IntRange(min=1), metavar="N", help="The newer version.")
def diff(kind: str, key: str, old: int | None, new: int | None) -> None:
    """Show what changed between two versions, the last two if left away."""
    from app.cli.output import binary_output, show_one
    from app.remote_artifacts import artifact_path, latest_version

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        newer = new or latest_version(client, slug, kind, key, None)
        params = {"from": newer - 1 if old is None else old, "to": newer}
        path = f"{artifact_path(slug, kind, key)}/diff"
        if choices.output == "table":
            text, _ = client.content(path, accept="text/x-diff", params=params)
            output = binary_output()
            output.write(text)
            output.flush()
        else:
            show_one(client.get(path, Members, params))


def _read(file: str) -> bytes:
    from domain.errors import Invalid, NotFound, TooLarge
    from domain.log import MAX_BLOB_BYTES

    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_BLOB_BYTES + 1)
        else:
            with Path(file).open("rb") as opened:
                content = _limited(opened, MAX_BLOB_BYTES)
    except FileNotFoundError:
        raise NotFound("file-not-found", f"There is no file {file}.") from None
    except OSError as error:
        raise Invalid("file-unreadable", f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > MAX_BLOB_BYTES:
        raise TooLarge("body-too-large", f"{file} has more than {MAX_BLOB_BYTES} bytes.")
    return content


def _limited(opened: BinaryIO, limit: int) -> bytes:
    return opened.read(limit + 1)
