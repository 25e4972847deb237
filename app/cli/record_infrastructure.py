"""`record infrastructure`: the resources that a run has or made."""

import click

from app.cli.choices import Command
from app.cli.run_choice import chosen_run, run_option

MAX_FILE_BYTES = 16 * 1024 * 1024


@click.command("infrastructure", cls=Command)
@run_option
@click.option("--provider", required=True, help="Such as neon or aws.", metavar="NAME")
@click.option(
    "--resource",
    "resources",
    multiple=True,
    help="A resource by the provider's id. Repeatable.",
    metavar="KIND=ID[,url=URL][,region=REGION]",
)
@click.option("--file", help="A description as JSON, without secrets (- is standard input).")
def infrastructure_command(
    run_id: str | None, provider: str, resources: tuple[str, ...], file: str | None
) -> None:
    """Record what the run's infrastructure is: resources by their ids, never a secret."""
    from app.cli.given_file import read_given
    from app.cli.recording import resource, show_recorded
    from app.remote.runs import content_of, record, record_document, run_event
    from domain import canonical
    from domain.events import InfrastructureRecorded
    from domain.typed_documents import MEDIA_TYPE

    found = tuple(resource(text) for text in resources)
    raw = None if file is None else read_given(file, MAX_FILE_BYTES)
    if raw is not None:
        canonical.read(raw)
    with chosen_run(run_id) as chosen_one:
        client, slug, run = chosen_one.client, chosen_one.project, chosen_one.run
        if raw is None:
            data = InfrastructureRecorded(provider=provider, resources=found)
            done = record(client, slug, [run_event(run, data)])
        else:
            data = InfrastructureRecorded(
                provider=provider, resources=found, content=content_of(raw, MEDIA_TYPE)
            )
            done = record_document(client, slug, run, data, raw)
    show_recorded(done, f"{len(found)} resources of {provider} recorded.")
