"""`up`, `serve`, `migrate`, `rebuild`, `doctor`: what an operator does, on the database itself."""

from typing import TYPE_CHECKING

import click

from app.cli import failure
from app.cli.choices import Command, chosen, project_argument

if TYPE_CHECKING:
    from app.settings import Settings


LISTEN_HELP = "Address to listen on; also DEEDBOOK_LISTEN."
PORT_HELP = "Port to listen on, 0 for any free one; also DEEDBOOK_PORT."


@click.command("up", cls=Command)
@click.option("--listen", help=LISTEN_HELP, metavar="ADDRESS")
@click.option("--port", type=click.IntRange(0, 65_535), help=PORT_HELP)
@click.option("--no-import", is_flag=True, help="Do not import the repository at the first start.")
def up_command(listen: str | None, port: int | None, no_import: bool) -> int:
    """Start a whole ledger here: database, first import, service.

    Ends with Ctrl-C or SIGTERM, which also stop the database: exit code 130 or 143.
    """
    from app.up import up

    return up(_listening(listen, port), first_import=not no_import, quiet=chosen().quiet)


@click.command("serve", cls=Command)
@click.option("--listen", help=LISTEN_HELP, metavar="ADDRESS")
@click.option("--port", type=click.IntRange(0, 65_535), help=PORT_HELP)
def serve_command(listen: str | None, port: int | None) -> int:
    """Serve the API on the database of the settings, which must be migrated.

    Ends with Ctrl-C or SIGTERM: exit code 130 or 143.
    """
    from app.up import serve

    return serve(_listening(listen, port))


@click.command("migrate", cls=Command)
@click.option("--dry-run", is_flag=True, help="Show what would be applied; change nothing.")
def migrate_command(dry_run: bool) -> None:
    """Bring the database's schema up to date."""
    from adapters.migrate import migrate, pending
    from app.bootstrap import admin_url
    from app.cli.output import remark, show

    settings = chosen().settings()
    with admin_url(settings) as url:
        names = pending(url) if dry_run else migrate(url)
    show([{"migration": name} for name in names], {"migration": "MIGRATION"}, empty="Up to date.")
    if names:
        remark("Not applied yet." if dry_run else "Applied.")


@click.command("rebuild", cls=Command)
@project_argument
@click.option("--repair", is_flag=True, help="Put the rebuilt views in the place of wrong ones.")
def rebuild_command(project: str | None, repair: bool) -> int:
    """Replay everything into fresh views, and compare them with those in use.

    All projects, unless one is named. Ends with exit code 3 when they differ (and are not repaired).
    """
    from adapters.rebuild import rebuild
    from app.bootstrap import admin_url
    from app.cli.output import printable, show_one
    from app.progress import Progress

    choices = chosen()
    with (
        admin_url(choices.settings()) as url,
        Progress("rebuild", hidden=choices.quiet) as progress,
    ):
        report = rebuild(url, project, repair=repair, progress=progress)
    if choices.output == "table":
        show_one(report.summary())
        for one in report.differences:
            click.echo(f"{one.what.ljust(9)}  {printable(one.place)}")
    else:
        show_one(report)
    return failure.OK if report.equal or repair else failure.NOT_VERIFIED


@click.command("doctor", cls=Command)
@project_argument
@click.option("--verify", is_flag=True, help="Also check every row of every event and content.")
def doctor_command(project: str | None, verify: bool) -> int:
    """Examine this ledger: settings, database, migrations, service; with --verify every row.

    Ends with exit code 3 when something is wrong.
    """
    from app.cli.examination import examine_all
    from app.cli.output import printable, show, styled

    choices = chosen()
    findings = examine_all(choices, project, verify=verify)
    if choices.output == "table":
        colors = {"good": "green", "odd": "yellow", "wrong": "red"}
        for one in findings:  # whole lines: half a place would be of no use
            result = styled(one.result.ljust(5), colors[one.result], choices)
            click.echo(f"{result}  {printable(f'{one.subject}: {one.detail}')}")
    else:
        show(findings, {})
    return failure.NOT_VERIFIED if any(one.result == "wrong" for one in findings) else failure.OK


def _listening(listen: str | None, port: int | None) -> "Settings":
    """The settings, with the address that was given on the line."""
    import msgspec

    settings = chosen().settings()
    return msgspec.structs.replace(
        settings,
        deedbook_listen=settings.deedbook_listen if listen is None else listen,
        deedbook_port=settings.deedbook_port if port is None else port,
    )
