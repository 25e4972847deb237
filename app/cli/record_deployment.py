"""`record deployment`: something was deployed, promoted or rolled back."""

from typing import Literal

import click

from app.cli.choices import Command
from app.cli.run_choice import chosen_run, run_option

Outcome = Literal["succeeded", "failed", "rolled_back"]


@click.command("deployment", cls=Command)
@run_option
@click.option("--provider", required=True, help="Such as vercel or kubernetes.", metavar="NAME")
@click.option("--environment", required=True, help="Such as production.", metavar="NAME")
@click.option("--commit", help="What was deployed; the head here if left away.", metavar="REV")
@click.option("--id", "ids", multiple=True, help="The provider's id. Repeatable.", metavar="ID")
@click.option("--url", "urls", multiple=True, help="Where it answers. Repeatable.", metavar="URL")
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "failed", "rolled_back"]),
    default="succeeded",
    show_default=True,
    help="How it came out.",
)
@click.option("--effect", help="The side effect by which it happened.", metavar="ID")
@click.option("--promoted-from", help="The deployment that was promoted.", metavar="ID")
@click.option("--rolled-back-from", help="The deployment it took the place of.", metavar="ID")
@click.option(
    "--artifact",
    "artifacts",
    multiple=True,
    help="What was put there, such as an image, by its digest. Repeatable.",
    metavar="NAME@sha256:DIGEST",
)
def deployment_command(
    run_id: str | None,
    provider: str,
    environment: str,
    commit: str | None,
    ids: tuple[str, ...],
    urls: tuple[str, ...],
    outcome: Outcome,
    effect: str | None,
    promoted_from: str | None,
    rolled_back_from: str | None,
    artifacts: tuple[str, ...],
) -> None:
    """Record a deployment, with its provenance as a document.

    One to production must name the side effect by which it happened, or the run's gates do not hold:
    without --effect that is the only one in the scope deploy.ENVIRONMENT that no deployment has named
    yet. Here --url is the deployment's; the ledger's stands before `record`.
    """
    from app.cli.recording import show_recorded
    from app.remote.checkout import resolved
    from app.remote.deployments import effect_behind, prepare_deployment
    from app.remote.runs import content_of, read_timeline, record_document
    from domain.events import DeploymentRecorded
    from domain.typed_documents import MEDIA_TYPE

    sha = resolved(commit) or _head_here()
    document = prepare_deployment(
        provider=provider,
        environment=environment,
        commit=sha,
        outcome=outcome,
        ids=ids,
        urls=urls,
        artifacts=artifacts,
        promoted_from=promoted_from,
        rolled_back_from=rolled_back_from,
    )
    with chosen_run(run_id) as chosen_one:
        client, slug, run = chosen_one.client, chosen_one.project, chosen_one.run
        effect = effect or effect_behind(read_timeline(client, slug, run, None), environment)
        data = DeploymentRecorded(
            provider=provider,
            environment=environment,
            commit=sha,
            outcome=outcome,
            deployment=ids[0] if ids else None,
            url=urls[0] if urls else None,
            effect=effect,
            promoted_from=promoted_from,
            rolled_back_from=rolled_back_from,
            content=content_of(document, MEDIA_TYPE),
        )
        done = record_document(client, slug, run, data, document)
    word = outcome.replace("_", " ")
    by = f", by {effect}" if effect else ""
    sentence = f"Deployment of {sha[:12]} to {environment} {word}{by}."
    show_recorded(done, sentence, commit=sha, effect=effect)


def _head_here() -> str:
    """The commit that is built or checked out here."""
    from app.remote.build_facts import build_facts
    from app.remote.checkout import with_checkout
    from app.settings import environment

    head = with_checkout(build_facts(environment())).head
    if head is None:
        raise click.UsageError("Give --commit: here is no git checkout that says it.")
    return head
