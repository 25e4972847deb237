"""`verifier`: take the verifier away as one file."""

from pathlib import Path

import click

from app.cli.choices import Command


@click.command("verifier", cls=Command)
@click.option(
    "-o",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("deedbook-verify.pyz"),
    help="Default: deedbook-verify.pyz here.",
    metavar="FILE",
)
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def verifier_command(file: Path, force: bool) -> None:
    """Write the verifier as one file, for machines without Deedbook.

    It runs on Python 3.11 or newer with the package `cryptography`, takes the options of
    `deedbook verify`, and is the same code. The same release gives the same bytes.
    """
    import hashlib

    from app.cli.output import remark, show_one
    from app.offline.verifier.pack import packed, write_packed

    content = packed()
    if not write_packed(file, content, overwrite=force):
        remark(f"{file} is there already, byte for byte.")
    show_one(
        {
            "path": str(file),
            "size_bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
    )
    remark(f"Run it anywhere: python3 {file.name} EXPORT.zip")
