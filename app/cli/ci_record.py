"""`ci begin` and `ci record`: a job of GitHub Actions as a run, by the commands that are there for runs."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen, secret_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from app.remote.github_job import Job

MAX_REPORTS = 200


@click.command("begin", cls=Command)
@click.option("--run", "run_id", default="", help="Its id; made of the job's if left away.")
@click.option("--title", default="", help="Its title; the pull request's if left away.")
def begin_command(run_id: str, title: str) -> None:
    """Start a run for this job, about the commit that GitHub names.

    Commit, base and pull request come from the event that began the job; after `workflow_run` the pull
    request is looked up with `gh api`. Writes the outputs run, head, base, repository and pull-request.
    A run that is there already, from an earlier attempt at this step, goes on.
    """
    from adapters.github_api import GitHubApi
    from app.cli.ci_words import literal_output, write_outputs
    from app.cli.output import remark, show_one
    from app.remote.current_run import remember_run
    from app.remote.github_job import find_pull_request, read_job, run_title
    from app.remote.runs import record, run_event
    from app.settings import environment
    from domain.errors import Conflict
    from domain.events import RunCreated, RunStarted
    from domain.names import check_run_id

    choices, variables = chosen(), environment()
    slug = choices.named_project()
    job = find_pull_request(read_job(variables), GitHubApi())
    run = run_id or job.run
    check_run_id(run)
    created = RunCreated(
        title=title or run_title(job),
        repository=job.repository_url,
        base_commit=job.base,
        head_commit=job.head,
        pull_request=job.pull_request_url,
    )
    with literal_output(variables), choices.client() as client:
        try:
            record(client, slug, [run_event(run, created), run_event(run, RunStarted())])
        except Conflict as error:
            if error.code not in {"invalid-transition", "already-recorded"}:
                raise
            remark(f"Run {run} is there already.")
    remember_run(choices.settings().data_folder, choices.connection().url, slug, run)
    outputs = {
        "run": run,
        "head": job.head,
        "base": job.base or "",
        "repository": job.repository_url,
        "pull-request": str(job.pull_request or ""),
    }
    write_outputs(variables, outputs)
    if choices.output == "table":
        click.echo(run)
    else:
        show_one(outputs)


@click.command("record", cls=Command)
@click.option("--run", "run_id", required=True, help="The run that `ci begin` has started.")
@click.option("--head", required=True, help="The commit that was checked.", metavar="SHA")
@click.option("--base", default="", help="Where the work starts; without it no patch set.")
@click.option("--no-patch-set", is_flag=True, help="Record no patch set.")
@click.option(
    "--reports",
    multiple=True,
    help="Files of tools' reports, as patterns such as out/**/*.xml, one a line. Repeatable.",
    metavar="PATTERNS",
)
@click.option("--environment", "place", default="", help="What was deployed to.", metavar="NAME")
@click.option("--provider", default="", help="By whom; github if left away.", metavar="NAME")
@click.option("--deployment-id", default="", help="The provider's id.", metavar="ID")
@click.option("--deployment-url", default="", help="Where it answers.", metavar="URL")
@click.option(
    "--outcome",
    default="",
    help="How the job ended, in GitHub's word; that of the run before it, or success, if left away.",
    metavar="WORD",
)
@secret_options
def record_command(
    run_id: str,
    head: str,
    base: str,
    no_patch_set: bool,
    reports: tuple[str, ...],
    place: str,
    provider: str,
    deployment_id: str,
    deployment_url: str,
    outcome: str,
    redact: bool,
    allowed: tuple[str, ...],
) -> None:
    """Record what this job did, and finish its run.

    The patch set from the git checkout here, a verification for the reports, and a deployment where an
    environment is named: as `record patchset`, `record verification`, `record deployment` and `run finish`
    do it. A report may lie in this folder only, and is no symbolic link.
    """
    from app.cli.ci_words import literal_output
    from app.cli.output import warn
    from app.cli.record_deployment import deployment_command
    from app.cli.record_patchset import patchset_command
    from app.cli.record_verification import verification_command
    from app.cli.run_phases import finish_command
    from app.remote.github_job import OUTCOMES, read_job
    from app.settings import environment

    variables = environment()
    job = read_job(variables)
    files = found_reports(reports, Path.cwd())
    context = click.get_current_context()
    with literal_output(variables):
        if base and base != head and not no_patch_set:
            context.invoke(
                patchset_command,
                run_id=run_id,
                base=base,
                head=head,
                repository=job.repository_url,
                redact=redact,
                allowed=allowed,
            )
        if files:
            context.invoke(verification_command, files=files, run_id=run_id, commit=head)
        elif any(text.strip() for text in reports):
            warn("No report was found: no verification is recorded.")
        if place:
            context.invoke(
                deployment_command,
                run_id=run_id,
                provider=provider or "github",
                environment=place,
                commit=head,
                ids=(deployment_id,) if deployment_id else (),
                urls=(deployment_url,) if deployment_url else (),
                outcome="succeeded" if _ended(outcome, job, OUTCOMES) == "succeeded" else "failed",
            )
        context.invoke(
            finish_command,
            run_id=run_id,
            outcome=_ended(outcome, job, OUTCOMES),
            reason=job.url,
        )


def found_reports(patterns: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The files that fit the patterns, each once, in order.

    They may have come from a fork: what leads out of the folder is passed over, so that no file of the
    machine is taken for a report.
    """
    from domain.errors import Malformed, TooLarge

    root = folder.resolve()
    found: dict[str, None] = {}
    for pattern in (line.strip() for text in patterns for line in text.splitlines()):
        if not pattern:
            continue
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise Malformed("invalid-parameter", f"{pattern!r} leads out of this folder.")
        for file in sorted(folder.glob(pattern)):
            straight = root / file.relative_to(folder)
            if file.is_file() and file.resolve() == straight:
                found[str(file.relative_to(folder))] = None
            if len(found) > MAX_REPORTS:
                raise TooLarge("event-too-large", f"There are more than {MAX_REPORTS} reports.")
    return tuple(found)


def _ended(outcome: str, job: "Job", outcomes: "Mapping[str, str]") -> str:
    return outcomes.get(outcome or job.ended or "success", "failed")
