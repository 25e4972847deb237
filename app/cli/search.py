"""`search`: find in artifacts and runs; how the index stands, and what an operator does about it."""

import sys
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, Group, chosen, project_argument
from app.cli.failure import EXIT_CODES_HELP

if TYPE_CHECKING:
    from app.remote.search import BackendState
    from domain.search import Answer, Hit, Mode, Passage

FIND = "find"
WARNINGS = {
    "pgvector-missing": "its Postgres has no pgvector, so it was searched by words only",
    "embedder-missing": "it has no model for meanings, so it was searched by words only",
    "embeddings-pending": "some texts are found by their words only, until they have vectors",
    "remote-unavailable": "the hosted index is away; the one in Postgres answered",
    "non-hybrid-index": "the hosted index is not a hybrid one",
    "index-behind": "what was recorded last may be missing",
    "truncated": "only the first words of the query were used",
}


class _FindGroup(Group):
    """`search WORDS` is `search find WORDS`, unless the first word is a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `find` in front of what is no command."""
        words = [one for one in args if not one.startswith("-")]
        if (
            args
            and args[0] not in {"--help", "-h"}
            and (not words or words[0] not in self.commands)
        ):
            args = [FIND, *args]
        return super().parse_args(ctx, args)


@click.group("search", cls=_FindGroup)
def search_command() -> None:
    """Find in artifacts, citations, runs and transcripts: `search WORDS`.

    To search for one of the commands' names, write `search find status`.
    """


@search_command.command(FIND, cls=Command, epilog=EXIT_CODES_HELP)
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--mode",
    type=click.Choice(["hybrid", "lexical", "semantic"]),
    default="hybrid",
    show_default=True,
    help="By words and meaning, or by one of them.",
)
@click.option("--kind", "kinds", multiple=True, help="Only passages of this kind; repeatable.")
@click.option(
    "--limit", type=click.IntRange(1, 50), default=10, show_default=True, help="Hits at most."
)
@click.option("--all", "everywhere", is_flag=True, help="In all projects that the token may read.")
def find_command(
    words: tuple[str, ...], mode: "Mode", kinds: tuple[str, ...], limit: int, everywhere: bool
) -> None:
    """Find the newest artifacts and runs that fit best.

    Identifiers alone (FR-014, a commit) find the thing that is called so first.
    """
    from app.cli.output import remark, show_one
    from app.remote.search import find

    choices = chosen()
    projects = None if everywhere else (choices.named_project(),)
    with choices.client() as client:
        found = find(client, projects, " ".join(words), mode=mode, kinds=kinds, limit=limit)
    if choices.output != "table":
        show_one(found)
        return
    colored = sys.stdout.isatty() and not choices.no_color
    for hit in found.hits:
        for line in _lines(hit, colored=colored, named=everywhere):
            click.echo(line, color=colored)
    if not found.hits:
        remark("Nothing fits.")
    _say_warnings(found)


@search_command.command("status", cls=Command, epilog=EXIT_CODES_HELP)
@project_argument
def status_command(project: str | None) -> None:
    """Show how far the index of a project has come, and what it lacks."""
    from app.cli.output import remark, show, show_one, warn
    from app.remote.search import standing

    choices = chosen()
    name = choices.named_project(project)
    with choices.client() as client:
        answer, shown = standing(client, name)
    if choices.output != "table":
        show_one(answer)
        return
    columns = (
        *("backend", "indexed", "behind", "sources", "chunks", "pending", "failed", "no vectors"),
        *("cut", "compared"),
    )
    show(
        [dict(zip(columns, _row(one), strict=True)) for one in shown.backends],
        {name: name.upper() for name in columns},
        empty="Nothing is indexed yet.",
    )
    for one in shown.failures:
        warn(f"{one.backend}: {one.source}: {one.problem}")
    if shown.failures:
        remark("Once the reason is mended: deedbook search retry")
    for reason in shown.reasons:
        remark(f"Searches find less than they could: {reason}.")


@search_command.command("reindex", cls=Command, epilog=EXIT_CODES_HELP)
@project_argument
def reindex_command(project: str | None) -> None:
    """Have a project indexed anew, while what is there can be found."""
    _order(project, "reindex", "{sources} sources are indexed anew; see: deedbook search status")


@search_command.command("retry", cls=Command, epilog=EXIT_CODES_HELP)
@project_argument
def retry_command(project: str | None) -> None:
    """Have tried again what could not be indexed."""
    _order(project, "retry", "{sources} sources are tried again; see: deedbook search status")


@search_command.command("reconcile", cls=Command, epilog=EXIT_CODES_HELP)
@project_argument
def reconcile_command(project: str | None) -> None:
    """Compare what the index holds with what it should, and mend the difference."""
    _order(
        project,
        "reconcile",
        "{sources} sources looked at: {missing} were missing, {stale} should not have been there",
    )


def _order(project: str | None, what: str, said: str) -> None:
    from app.cli.output import show_one
    from app.remote.search import order

    choices = chosen()
    name = choices.named_project(project)
    with choices.client() as client:
        answer = order(client, name, what)
    if choices.output != "table":
        show_one(answer)
    else:
        click.echo(said.format_map(answer))


def _lines(hit: "Hit", *, colored: bool, named: bool) -> list[str]:
    from app.printable import printable

    where = f"{hit.project}  {hit.stream}" if named else hit.stream
    lines = [
        f"{hit.rank:>2}  {_marked(printable(hit.title), 'bold', colored)}",
        f"    {_marked(f'{printable(where)}  version {hit.version}', 'dim', colored)}",
    ]
    for passage in (hit.passage, *hit.also):
        if passage.heading:
            lines.append(f"    {printable(' > '.join(passage.heading))}")
        lines.append(f"    {_snippet(passage, colored)}")
    return [*lines, ""]


def _snippet(passage: "Passage", colored: bool) -> str:
    from app.printable import printable

    pieces, done = [], 0
    for first, stop in passage.marks:
        pieces.append(printable(passage.snippet[done:first]))
        pieces.append(_marked(printable(passage.snippet[first:stop]), "yellow", colored))
        done = stop
    return "".join([*pieces, printable(passage.snippet[done:])])


def _marked(text: str, how: str, colored: bool) -> str:
    if not colored:
        return text
    if how == "yellow":
        return click.style(text, fg=how, bold=True)
    return click.style(text, bold=how == "bold" or None, dim=how == "dim" or None)


def _say_warnings(found: "Answer") -> None:
    from app.cli.output import remark

    for one in found.warnings:
        behind = f" (up to position {found.indexed_position} of {found.position})"
        remark(f"{WARNINGS[one]}{behind if one == 'index-behind' and found.position else ''}.")


def _row(one: "BackendState") -> tuple[object, ...]:
    return (
        one.backend,
        f"{one.indexed_position} of {one.position}",
        f"{one.lag_seconds:,.0f} s",
        one.sources,
        one.chunks,
        one.pending,
        one.failed,
        one.without_vectors,
        one.cut,
        one.reconciled_at or "never",
    )
