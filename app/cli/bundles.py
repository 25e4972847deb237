"""`export`: take a project away, sealed if asked."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.choices import Command, chosen, project_argument
from app.cli.written_file import write_whole

if TYPE_CHECKING:
    from app.remote.client import Client
    from domain.seal import Head


@click.command("export", cls=Command)
@project_argument
@click.option("--at", type=click.IntRange(min=1), help="Up to this position.", metavar="N")
@click.option("--run", "run_id", help="Only what belongs to this run.", metavar="ID")
@click.option("--originals", is_flag=True, help="With the files that artifacts were written from.")
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: <project>-<position>.zip here.",
    metavar="FILE",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
@click.option("--seal", is_flag=True, help="Have it sealed: FILE.sigstore.json beside it.")
@click.option("--head", help="The commit to seal it for, such as HEAD.", metavar="SHA")
@click.option(
    "--repository",
    help="Where that commit is; default: the CI job's, or the remote `origin` of the checkout here.",
    metavar="URL",
)
def export_command(
    project: str | None,
    at: int | None,
    run_id: str | None,
    originals: bool,
    file: Path | None,
    force: bool,
    seal: bool,
    head: str | None,
    repository: str | None,
) -> None:
    """Take a project, or one run, away as a ZIP that proves itself.

    The same position gives the same bytes for ever. A download that breaks off goes on where it
    stopped, in this command or the next; the file appears only when it is whole and its SHA-256 is
    the announced one.

    With --seal the ledger signs what this file is, and logs that; with --head also for which commit.
    Sealing the same again gives the same bytes.
    """
    from app.cli.output import remark
    from app.progress import Progress, readable_size
    from app.remote.client import announced_sha256, segment
    from app.remote.events import position
    from domain.digest import format_digest

    choices = chosen()
    slug = choices.named_project(project)
    if (head is not None or repository is not None) and not seal:
        raise click.UsageError("--head and --repository belong to --seal.")
    commit = _head(head, repository)
    with choices.client() as client:
        upto = position(client, slug, at)
        path = f"/v1/projects/{segment(slug)}/exports/{upto}.zip"
        params = {"run": run_id, "originals": "true" if originals else None}
        name = f"{slug}-{run_id + '-' if run_id else ''}{upto}{'-originals' if originals else ''}"
        target = file or Path(f"{name}.zip")
        there = _digest_of(target) if target.exists() and not force else None
        announced = announced_sha256(client.head(path, params))
        if there is not None and announced is not None:
            _refuse_other(target, there, format_digest(announced))
            digest = there
        else:
            part = target.with_name(target.name + ".part")
            with Progress("export", in_bytes=True, hidden=choices.quiet) as progress:
                done = client.download(path, part, params=params, progress=progress)
            digest = done.digest
            if there is not None:
                part.unlink()
                _refuse_other(target, there, digest)
            else:
                part.replace(target)
            if done.resumed:
                remark(f"The first {readable_size(done.resumed)} were there already.")
        sidecar = None
        if seal:
            asked: dict[str, object] = {"run": run_id, "originals": originals, "head": commit}
            sidecar = _seal(client, f"{path.removesuffix('.zip')}/seal", asked, target, digest)
    _show(target, digest, sidecar)


def _refuse_other(target: Path, there: str, wanted: str) -> None:
    from app.cli.output import remark
    from domain.errors import Conflict

    if there != wanted:
        raise Conflict(
            "file-exists", f"{target} is there and differs; give --force, or another -o."
        )
    remark(f"{target} is there already, byte for byte.")


def _head(commit: str | None, repository: str | None) -> "Head | None":
    """The commit to seal for, with where it is."""
    from app.remote.build_facts import build_facts
    from app.remote.checkout import resolved, with_checkout
    from app.settings import environment
    from domain.seal import Head, check_head

    if commit is None:
        return None
    url = repository or with_checkout(build_facts(environment())).repository
    if url is None:
        raise click.UsageError("Say with --repository URL where the commit of --head is.")
    return check_head(Head(resolved(commit) or commit, url))


def _seal(client: "Client", path: str, asked: dict[str, object], target: Path, digest: str) -> Path:
    """Have it sealed, and keep the sidecar beside it, once it is about this very file."""
    from app.cli.output import remark
    from app.offline.verify import SIDECAR
    from domain.digest import format_digest
    from domain.errors import Damaged
    from domain.seal import parse_statement
    from domain.sigstore_bundle import MEDIA_TYPE, parse_bundle

    raw = client.post_for_content(path, asked, accept=MEDIA_TYPE)
    sealed = parse_statement(parse_bundle(raw).statement)
    if format_digest(sealed.zip_sha256) != digest or sealed.head != asked["head"]:
        raise Damaged("seal-differs", "The ledger sealed something else than was asked for.")
    sidecar = target.with_name(target.name + SIDECAR)
    write_whole(sidecar, raw)
    remark(f"{sidecar} is its seal.")
    return sidecar


def _show(target: Path, digest: str, sidecar: Path | None) -> None:
    from app.cli.output import remark, show_one

    facts: dict[str, object] = {
        "path": str(target),
        "size_bytes": target.stat().st_size,
        "sha256": digest.partition(":")[2],
    }
    if sidecar is not None:
        facts["sidecar"] = str(sidecar)
    show_one(facts)
    trust = " --trust trust.json" if sidecar is not None else ""
    remark(f"Check it, offline: deedbook verify {target}{trust}")


def _digest_of(file: Path) -> str:
    import hashlib

    from domain.digest import format_digest

    with file.open("rb") as opened:
        return format_digest(hashlib.file_digest(opened, "sha256").digest())
