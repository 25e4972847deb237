"""`run start`: create and start a run."""

import re
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen

if TYPE_CHECKING:
    from app.remote.build_facts import BuildFacts
    from app.remote.client import Client
    from domain.events import ArtifactVersionName

MAX_SLUG_CHARACTERS = 20
_ARTIFACT = re.compile(r"([A-Z][A-Z0-9_]*)/(.+?)(?:@([1-9][0-9]{0,8}))?")


@click.command("start", cls=Command)
@click.argument("title")
@click.option("--id", "run_id", help="Its id: a-z, 0-9 and -, at most 36.", metavar="ID")
@click.option("--repository", help="The repository's address.", metavar="URL")
@click.option("--base", help="The commit that the work starts from.", metavar="REV")
@click.option("--head", help="The commit that the work is at.", metavar="REV")
@click.option("--pull-request", help="Its pull or merge request.", metavar="URL")
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    help="A version that the run follows from; the latest if left away. Repeatable.",
    metavar="KIND/KEY[@VERSION]",
)
def start_command(
    title: str,
    run_id: str | None,
    repository: str | None,
    base: str | None,
    head: str | None,
    pull_request: str | None,
    artifacts: tuple[str, ...],
) -> None:
    """Create a run and start it; prints its id.

    Repository, commits and pull request that are not given are taken from GitHub Actions or GitLab
    CI, else from the git checkout here. The commands that follow mean this run.
    """
    from app.cli.output import remark, show_one, warn
    from app.remote.build_facts import build_facts, how_to_export
    from app.remote.checkout import resolved, with_checkout
    from app.remote.current_run import remember_run
    from app.remote.runs import record, run_event
    from app.settings import environment
    from domain.events import RunCreated, RunStarted
    from domain.names import check_run_id

    run = run_id or new_run_id(title)
    check_run_id(run)
    choices = chosen()
    slug = choices.named_project()
    facts = with_checkout(build_facts(environment()))
    with choices.client() as client:
        created = RunCreated(
            title=title,
            repository=repository or facts.repository,
            base_commit=resolved(base) or facts.base,
            head_commit=resolved(head) or facts.head,
            pull_request=pull_request or facts.pull_request,
            artifacts=tuple(_resolved(client, slug, text) for text in artifacts),
        )
        record(client, slug, [run_event(run, created), run_event(run, RunStarted())])
    try:
        remember_run(choices.settings().data_folder, choices.connection().url, slug, run)
    except OSError as error:
        warn(f"The run is not remembered here ({error.strerror}): set DEEDBOOK_RUN={run}.")
    if choices.output == "table":
        click.echo(run)
        _say_what_was_taken(facts, created.repository, created.base_commit, created.head_commit)
    else:
        show_one({"run": run, "project": slug, **_described(created)})
    hint = how_to_export(facts.service, run)
    if hint is not None:
        remark(hint)


def new_run_id(title: str) -> str:
    """A readable id that nobody else has, such as `add-a-login-261125-k7wq2m`."""
    from app.cli.randomness import new_word, today

    words = re.sub(r"[^a-z0-9]+", "-", title.lower())[:MAX_SLUG_CHARACTERS].strip("-")
    return f"{words or 'run'}-{today()}-{new_word()}"


def _resolved(client: "Client", project: str, text: str) -> "ArtifactVersionName":
    from app.remote.runs import resolve_artifact

    found = _ARTIFACT.fullmatch(text)
    if found is None:
        raise click.UsageError(f"--artifact is written KIND/KEY or KIND/KEY@VERSION, not {text!r}.")
    version = int(found[3]) if found[3] else None
    return resolve_artifact(client, project, found[1], found[2], version)


def _described(created: object) -> dict[str, object]:
    import msgspec

    described = msgspec.to_builtins(created)
    assert isinstance(described, dict)
    return described


def _say_what_was_taken(
    facts: "BuildFacts", repository: str | None, base: str | None, head: str | None
) -> None:
    from app.cli.output import remark

    place = {"github": "GitHub Actions", "gitlab": "GitLab CI"}.get(facts.service or "", "git")
    commits = "..".join(commit[:12] for commit in (base, head) if commit)
    said = " ".join(text for text in (repository, commits) if text)
    if said:
        remark(f"{said} (as {place} says, where not given)")
