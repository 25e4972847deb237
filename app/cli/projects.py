"""`project`: open, list, show and change projects."""

import click

from app.cli.choices import Group, chosen, project_argument

COLUMNS = {"slug": "PROJECT", "title": "TITLE", "position": "POSITION"}

Members = dict[str, object]


@click.group("project", cls=Group)
def project_command() -> None:
    """Open, list and change projects."""


@project_command.command("create")
@click.argument("slug")
@click.option("--title", help="A title for people; the slug if left away.", metavar="TEXT")
@click.option("--description", default="", help="What it is about.", metavar="TEXT")
def create(slug: str, title: str | None, description: str) -> None:
    """Open a project: a log of its own, named by SLUG (a-z, 0-9 and -, at most 32)."""
    from app.cli.output import show_one

    body = {"slug": slug, "title": title or slug, "description": description}
    with chosen().client() as client:
        show_one(client.post("/v1/projects", body, Members))


@project_command.command("list")
def list_projects() -> None:
    """List the projects that the token may see."""
    from app.cli.output import show
    from app.remote.client import pages

    with chosen().client() as client:
        show(pages(client, "/v1/projects", "projects"), COLUMNS, empty="There is no project yet.")


@project_command.command("show")
@project_argument
@click.option("--at", type=click.IntRange(min=0), help="As of this position.", metavar="N")
def show_project(project: str | None, at: int | None) -> None:
    """Show one project."""
    from app.cli.output import show_one
    from app.remote.client import segment

    choices = chosen()
    slug = choices.named_project(project)
    with choices.client() as client:
        show_one(client.get(f"/v1/projects/{segment(slug)}", Members, {"at": at}))


@project_command.command("edit")
@project_argument
@click.option("--title", help="The new title.", metavar="TEXT")
@click.option("--description", help="The new description.", metavar="TEXT")
@click.option("--expect", type=click.IntRange(min=1), help="Refuse unless at this version.")
def edit(
    project: str | None, title: str | None, description: str | None, expect: int | None
) -> None:
    """Change a project's title or description."""
    from app.cli.output import show_one
    from app.remote.client import segment

    if title is None and description is None:
        raise click.UsageError("Give --title or --description.")
    choices = chosen()
    slug = choices.named_project(project)
    given = {"title": title, "description": description}
    body = {name: text for name, text in given.items() if text is not None}
    headers = {} if expect is None else {"If-Match": f'"{expect}"'}
    with choices.client() as client:
        show_one(client.patch(f"/v1/projects/{segment(slug)}", body, Members, headers=headers))
