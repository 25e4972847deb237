"""`artifact`: write and read artifacts."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Group, chosen, erase_options, secret_options
from app.cli.drafting import drafts_command, stream_command

if TYPE_CHECKING:
    from domain.citation import CitationInput

MAX_CITATIONS_BYTES = 1024 * 1024
MEDIA_TYPES = {
    ".csv": "text/csv",
    ".doc": "application/msword",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".html": "text/html",
    ".json": "application/json",
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rtf": "application/rtf",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}
"""By the end of a file's name; a table of the machine's would say something else elsewhere."""

Members = dict[str, object]


@click.group("artifact", cls=Group)
def artifact_command() -> None:
    """Write and read artifacts: documents and records, each with its versions."""


artifact_command.add_command(stream_command)
artifact_command.add_command(drafts_command)


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
    "--original",
    help="The file whose text this is, such as a PDF; kept beside it.",
    metavar="FILE",
)
@click.option(
    "--expect",
    type=click.IntRange(min=0),
    help="Refuse unless the latest version is N (0: none yet).",
    metavar="N",
)
@click.option("--if-changed", is_flag=True, help="Write nothing if the content is the same.")
@secret_options
def put(
    file: str,
    kind: str | None,
    key: str | None,
    media_type: str | None,
    title: str | None,
    citations: Path | None,
    original: str | None,
    expect: int | None,
    if_changed: bool,
    redact: bool,
    allowed: tuple[str, ...],
) -> None:
    """Write FILE (- is standard input) as the next version of an artifact.

    Of a Markdown file, kind, key and title that are not given are taken from its path in the
    repository and its front matter, as `import git` does, and said. What looks like a secret is
    refused before anything is sent.
    """
    from app.cli.given_file import read_given
    from app.cli.output import remark, show_one, warn
    from app.redaction import screened_content
    from app.remote.artifacts import Original, Proposal, put_artifact
    from domain.log import MAX_BLOB_BYTES

    if file == original == "-":
        raise click.UsageError("Standard input is one file: name FILE or the original.")
    content = read_given(file, MAX_BLOB_BYTES)
    beside = None
    if original is not None:
        raw = read_given(original, MAX_BLOB_BYTES)
        beside = Original(raw, _media_type(original, None))
    named_type = media_type or _media_type(file, kind)
    content, found = screened_content(content, named_type, redact=redact, allowed=allowed)
    for one in found:
        warn(f"replaced a secret in line {one.line} of {file}: {one.rule}")
    guessed_kind, guessed_key, guessed_title = _guess(file, content, named_type)
    if not (kind or guessed_kind) or not (key or guessed_key):
        raise click.UsageError(
            "Give --kind and --key: they can be taken from a Markdown file only."
        )
    proposal = Proposal(
        kind=kind or guessed_kind,
        key=key or guessed_key,
        media_type=named_type,
        title=title or guessed_title,
        citations=_citations(citations),
    )
    if not (kind and key):
        remark(f"{file} is {proposal.kind} {proposal.key} ({proposal.media_type})")
    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        written = put_artifact(
            client,
            slug,
            proposal,
            content,
            original=beside,
            expected=expect,
            unless_same=if_changed,
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
@click.option("--original", is_flag=True, help="The file that it was written from, if it has one.")
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to FILE instead of standard output.",
    metavar="FILE",
)
def get(
    kind: str, key: str, version: int | None, at: int | None, original: bool, file: Path | None
) -> None:
    """Write an artifact's content, byte for byte, to standard output or FILE."""
    from app.cli.output import binary_output, refuse_terminal, remark
    from app.remote.artifacts import latest_version, read_content

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        number = version or latest_version(client, slug, kind, key, at)
        content, media_type = read_content(client, slug, kind, key, number, at, original=original)
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
    from app.remote.artifacts import artifacts_path
    from app.remote.client import pages

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
                "erased_position": "ERASED AT",
            },
        )


@artifact_command.command("history")
@click.argument("kind")
@click.argument("key")
@click.option("--at", type=click.IntRange(min=0), help="As of this position.", metavar="POSITION")
def history(kind: str, key: str, at: int | None) -> None:
    """List the versions of one artifact."""
    from app.cli.output import show
    from app.remote.artifacts import versions_path
    from app.remote.client import pages

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
                "erased_position": "ERASED AT",
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
    from app.remote.artifacts import artifact_path, latest_version

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


@artifact_command.command("erase")
@click.argument("kind")
@click.argument("key")
@click.option("--version", type=click.IntRange(min=1), help="All if left away.", metavar="N")
@erase_options
def erase(
    kind: str, key: str, version: int | None, reason: str | None, yes: bool, dry_run: bool
) -> None:
    """Erase the content of a version, with its original; or of all versions.

    What would go is shown first, with what it does not reach. It cannot be undone, and the same bytes
    can never be recorded in this project again. The log keeps every event: the proof stays whole. Only
    an administrator may.
    """
    from app.cli.erasing import erase_shown

    choices = chosen()
    slug = choices.named_project()
    target: Members = {"kind": kind, "key": key, "version": version}
    with choices.client() as client:
        erase_shown(client, slug, target, f"{kind} {key}", reason=reason, yes=yes, dry_run=dry_run)


def _media_type(file: str, kind: str | None) -> str:
    """What a file is, by its name; on standard input, by the kind."""
    from domain.artifact import IMPLEMENTATION_KINDS, MARKDOWN

    if file == "-":
        return "application/json" if kind in IMPLEMENTATION_KINDS else MARKDOWN
    return MEDIA_TYPES.get(Path(file).suffix.lower(), "application/octet-stream")


def _guess(file: str, content: bytes, media_type: str) -> tuple[str, str, str | None]:
    """Kind, key and title of a Markdown document; kind and key are empty when nothing says them."""
    from domain.artifact import MARKDOWN
    from domain.documents import recognise, title_of

    if media_type != MARKDOWN:
        return "", "", None
    text = content.decode("utf-8", "replace")
    if file == "-":
        return "", "", title_of(text)
    return recognise(_path_in_repository(Path(file)), text)


def _path_in_repository(file: Path) -> str:
    """The file's path as a repository around it has it, else the one from the working folder."""
    from domain.patchset import path_text

    place = file.resolve()
    tops = (folder for folder in place.parents if (folder / ".git").exists())
    top = next(tops, Path.cwd().resolve())
    path = place.relative_to(top) if place.is_relative_to(top) else Path(place.name)
    return path_text(os.fsencode(path.as_posix()))


def _citations(file: Path | None) -> "tuple[CitationInput, ...]":
    """The citations in a JSON file, checked as far as that needs no ledger."""
    import msgspec

    from domain import canonical
    from domain.citation import CitationInput
    from domain.citing import cite
    from domain.errors import Invalid, TooLarge

    if file is None:
        return ()
    with file.open("rb") as opened:
        raw = opened.read(MAX_CITATIONS_BYTES + 1)
    if len(raw) > MAX_CITATIONS_BYTES:
        raise TooLarge("body-too-large", f"{file} has more than {MAX_CITATIONS_BYTES} bytes.")
    try:
        given = msgspec.convert(canonical.read(raw), tuple[CitationInput, ...])
    except msgspec.ValidationError as error:
        raise Invalid("validation-failed", f"{file}: {error}.", pointer="/citations") from None
    cite(given)
    return given
