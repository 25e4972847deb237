"""`record plan`: the plan of a run, from Markdown or JSON."""

from functools import partial

import click

from app.cli.choices import Command
from app.cli.run_choice import chosen_run, run_option

MAX_PLAN_BYTES = 4 * 1024 * 1024


@click.command("plan", cls=Command)
@click.argument("file", metavar="FILE")
@run_option
def plan_command(file: str, run_id: str | None) -> None:
    """Record the plan in FILE (- is standard input): Markdown, or JSON in any spelling.

    In Markdown a task is a `- [ ]` item such as `- [ ] T1: what is to be done`, and what is listed
    below it are its acceptance criteria. docs/runs.md says the rest.
    """
    from app.cli.given_file import read_given
    from app.cli.recording import show_recorded
    from app.remote.plans import prepare_plan
    from app.remote.runs import content_of, record_document, resolve_artifact
    from domain.events import PlanRecorded
    from domain.typed_documents import MEDIA_TYPE

    raw = read_given(file, MAX_PLAN_BYTES)
    with chosen_run(run_id) as chosen_one:
        client, slug = chosen_one.client, chosen_one.project
        plan = prepare_plan(file, raw, partial(resolve_artifact, client, slug))
        data = PlanRecorded(content=content_of(plan.document, MEDIA_TYPE), artifacts=plan.artifacts)
        done = record_document(client, slug, chosen_one.run, data, plan.document)
    traced = f", traced to {len(plan.artifacts)} artifact versions" if plan.artifacts else ""
    tasks = "task" if plan.tasks == 1 else "tasks"
    show_recorded(done, f"Plan recorded: {plan.tasks} {tasks}{traced}.", tasks=plan.tasks)
