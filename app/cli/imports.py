"""`import`: from a git repository, or from an export."""

from pathlib import Path

import click

from app.cli.choices import Group, chosen

Members = dict[str, object]
SHOWN_REDACTIONS = 50
"""More are counted, not named."""


@click.group("import", cls=Group)
def import_command() -> None:
    """Import a git repository, or an export."""


@import_command.command("git")
@click.argument("path", default=".", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--create", is_flag=True, help="Open the project if there is none.")
@click.option("--dry-run", is_flag=True, help="Show what would be imported; record nothing.")
def import_git_command(path: Path, create: bool, dry_run: bool) -> None:
    """Import the git repository at PATH (here, if left away) into the project.

    Every commit becomes a PATCHSET, every version of every Markdown document an artifact. Repeat it
    as often as you like: what is recorded already is left alone. What looks like a secret is replaced
    before it leaves this machine, and its place is said.
    """
    from app.cli.output import remark, show, warn
    from app.git_import import import_git
    from app.progress import Progress
    from app.remote.imports import RemoteAppender

    choices = chosen()
    slug = choices.named_project()
    with choices.client() as client:
        target = RemoteAppender(client, create=create)
        with Progress("commits", hidden=choices.quiet) as progress:
            report = import_git(target, path, slug, progress=progress, dry_run=dry_run)
    if report.shallow:
        warn("The clone is shallow: what is older than it holds is not imported.")
    for one in report.skipped:
        warn(f"skipped {one.path or 'the patch set'} at {one.commit[:12]}: {one.reason}")
    for part in report.redacted[:SHOWN_REDACTIONS]:
        place = part.path or "the commit itself"
        warn(f"replaced {', '.join(part.rules)} in {place} at {part.commit[:12]}")
    if report.redacted:
        secrets = sum(len(part.rules) for part in report.redacted)
        warn(f"{secrets} secrets were replaced, in {len(report.redacted)} versions: revoke them.")
    show(
        [{"kind": kind, "versions": count} for kind, count in report.versions.items()],
        {"kind": "KIND", "versions": "VERSIONS"},
        empty="Everything is recorded already.",
    )
    verb = "would be imported" if dry_run else "imported"
    remark(f"{report.new_commits} of {report.commits} commits {verb} into {slug}.")


@import_command.command("bundle")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_bundle_command(file: Path) -> None:
    """Open a project from an export: the same events at the same positions, the same tree.

    The export is verified first; nothing of it is recorded unless all of it is good.
    """
    from app.cli.output import show_one

    with chosen().client() as client, file.open("rb") as opened:
        show_one(client.post_file("/v1/imports/bundle", opened, "application/zip", Members))
