"""`ci summary` and `ci comment`: the run on one page of Markdown, for the job and for the pull request."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click
import msgspec

from app.cli.choices import Command, chosen

if TYPE_CHECKING:
    from projections.run_markdown import Verified

MAX_REPORT_BYTES = 16_000_000

Function = TypeVar("Function", bound=Callable[..., object])


class _Check(msgspec.Struct, frozen=True):
    ok: bool | None
    detail: str


class _Said(msgspec.Struct, frozen=True):
    """What `verify --json` prints, as far as it is shown."""

    state: str
    checks: tuple[_Check, ...] = ()
    zip_sha256: str | None = None


def page_options(function: Function) -> Function:
    """What both commands show."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    for option in (
        click.option("--pinned", is_flag=True, help="It was checked with keys that you keep."),
        click.option("--link", default="", help="Where the export can be fetched.", metavar="URL"),
        click.option(
            "--report",
            type=click.Path(dir_okay=False, path_type=Path),
            required=True,
            help="What `verify --json` printed.",
            metavar="FILE",
        ),
        click.option("--bundle", type=file, required=True, help="The export.", metavar="FILE.zip"),
        click.option("--head", required=True, help="The commit it is sealed for.", metavar="SHA"),
        click.option("--run", "run_id", required=True, help="The run.", metavar="ID"),
    ):
        function = option(function)
    return function


@click.command("summary", cls=Command)
@page_options
def summary_command(
    run_id: str, head: str, bundle: Path, report: Path, link: str, pinned: bool
) -> None:
    """Print the run as Markdown: what changed, checks, approvals, and how to verify it.

    In a job: `deedbook ci summary … >> "$GITHUB_STEP_SUMMARY"`.
    """
    from app.cli.output import show_one

    page = _page(run_id, head, bundle, report, link, pinned=pinned)
    if chosen().output == "table":
        click.echo(page, nl=False)
    else:
        show_one({"markdown": page})


@click.command("comment", cls=Command)
@page_options
@click.option("--pull-request", type=click.IntRange(min=1), required=True, metavar="NUMBER")
@click.option(
    "--author",
    default="",
    help="As whom comments are made; github-actions[bot] if left away.",
    metavar="LOGIN",
)
@click.option("--dry-run", is_flag=True, help="Print the comment, and put it nowhere.")
def comment_command(
    run_id: str,
    head: str,
    bundle: Path,
    report: Path,
    link: str,
    pinned: bool,
    pull_request: int,
    author: str,
    dry_run: bool,
) -> None:
    """Put the page on the pull request, as one comment that is changed the next time.

    It goes through `gh api`, whose token (GH_TOKEN) needs `pull-requests: write`.
    """
    from adapters.github_api import GitHubApi
    from app.cli.output import remark, show_one
    from app.remote.github_job import read_job
    from app.remote.sticky_comment import AUTHOR, mark_of, put_comment
    from app.settings import environment

    choices = chosen()
    job = read_job(environment())
    slug = choices.named_project()
    page = _page(run_id, head, bundle, report, link, pinned=pinned)
    if dry_run:
        click.echo(f"{mark_of(slug)}\n{page}", nl=False)
        remark("No comment was made.")
        return
    made = put_comment(
        GitHubApi(), job.repository, pull_request, slug, page, author=author or AUTHOR
    )
    if choices.output == "table":
        remark(f"The comment is at {made.html_url or made.id}.")
    else:
        show_one({"id": made.id, "url": made.html_url})


def _page(run_id: str, head: str, bundle: Path, report: Path, link: str, *, pinned: bool) -> str:
    import hashlib

    from app.remote.github_job import read_job
    from app.remote.runs import read_gates, read_timeline
    from app.settings import environment
    from projections.run_markdown import Export, Origin, run_markdown

    choices = chosen()
    slug = choices.named_project()
    job = read_job(environment())
    with choices.client() as client:
        shown = read_timeline(client, slug, run_id, None)
        gates = read_gates(client, slug, run_id, commit=head, at=None)
    with bundle.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    export = Export(
        name=bundle.name,
        sha256=sha256,
        size_bytes=bundle.stat().st_size,
        verified=_verified(report, sha256),
        link=link or None,
        pinned=pinned,
    )
    origin = Origin(project=slug, head=head, job=job.url, from_fork=job.from_fork)
    return run_markdown(shown, gates, export, origin)


def _verified(report: Path, sha256: str) -> "Verified":
    """What was said of this very file; nothing, where the check did not come so far."""
    from projections.run_markdown import Verified

    try:
        with report.open("rb") as opened:
            said = msgspec.json.decode(opened.read(MAX_REPORT_BYTES), type=_Said)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Verified()
    if said.zip_sha256 != sha256:
        return Verified()
    good = said.state.startswith("VERIFIED")
    details = [
        one.detail for one in said.checks if one.ok is False or (one.ok is None and not good)
    ]
    return Verified(said.state, tuple(details))
