"""`record patchset`: the commits between two, from the git checkout here."""

from functools import partial
from pathlib import Path

import click

from app.cli.choices import Command, secret_options
from app.cli.run_choice import chosen_run, run_option

PATCH_TYPE = "text/x-diff"


@click.command("patchset", cls=Command)
@run_option
@click.option(
    "--base", help="The commit that the work starts from; the run's if left away.", metavar="REV"
)
@click.option(
    "--head", default="HEAD", show_default=True, help="The commit that it ends with.", metavar="REV"
)
@click.option(
    "--in",
    "folder",
    default=".",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder of the repository; here if left away.",
    metavar="FOLDER",
)
@click.option("--repository", help="Its address; the remote's if left away.", metavar="URL")
@click.option("--no-patch", is_flag=True, help="Record the manifest only, without the bytes.")
@secret_options
def patchset_command(
    run_id: str | None,
    base: str | None,
    head: str,
    folder: Path,
    repository: str | None,
    no_patch: bool,
    redact: bool,
    allowed: tuple[str, ...],
) -> None:
    """Record the commits after --base up to --head: who made them, and every file they changed.

    The patch itself (`git diff --binary --full-index`) is kept as well, up to 64 MiB. Where --base is
    not an ancestor of --head, the patch set starts where the two parted. Renames are not guessed.
    What looks like a secret is refused before anything is sent; with --redact it is replaced, and the
    patch is then for reading only.
    """
    from app.cli.output import remark
    from app.cli.recording import show_recorded, warn_of_replaced
    from app.redaction import screened_content
    from app.remote.patchsets import read_range
    from app.remote.runs import content_of, read_timeline, record_document, upload
    from domain.events import PatchSetRecorded
    from domain.patchset import MEDIA_TYPE

    with chosen_run(run_id) as chosen_one:
        client, slug = chosen_one.client, chosen_one.project
        start = base or read_timeline(client, slug, chosen_one.run, None).base_commit
        if start is None:
            raise click.UsageError("Give --base: the run does not say where it starts from.")
        found = read_range(folder, start, head, repository, with_patch=not no_patch)
        screened = partial(screened_content, redact=redact, allowed=allowed)
        document, hidden = screened(found.document, MEDIA_TYPE)
        patch = None
        if found.patch is not None:
            clean, hidden_in_patch = screened(found.patch, PATCH_TYPE)
            hidden += hidden_in_patch
            patch = upload(client, slug, clean, PATCH_TYPE)
        warn_of_replaced(len(hidden))
        data = PatchSetRecorded(
            commits=found.commits,
            content=content_of(document, MEDIA_TYPE),
            repository=found.repository,
            base_commit=found.base,
            head_commit=found.head,
            patch=patch,
        )
        done = record_document(client, slug, chosen_one.run, data, document)
    if found.parted:
        remark(f"{start} is not an ancestor of {head}; they parted at {found.base[:12]}.")
    show_recorded(
        done,
        f"Patch set recorded: {len(found.commits)} commits, {found.files} files, "
        f"{found.base[:12]}..{found.head[:12]}.",
        commits=list(found.commits),
        files=found.files,
    )
