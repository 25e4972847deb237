"""`secrets`: look for secrets before they go anywhere."""

from pathlib import Path

import click

from app.cli.choices import Group
from app.cli.failure import NOT_VERIFIED


@click.group("secrets", cls=Group)
def secrets_command() -> None:
    """Look for secrets, as the ledger does, without a ledger."""


@secrets_command.command("scan")
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--git", is_flag=True, help="Everything that a git repository ever held.")
def scan(paths: tuple[Path, ...], git: bool) -> int:
    """Name what looks like a secret in PATHS (here, if left away); nothing leaves this machine.

    Ends with 3 when there is something.
    """
    from app.cli.output import remark, show
    from app.secret_scan import Scan

    looked = Scan()
    places = paths or (Path(),)
    if git:
        found = [one for path in places for one in looked.history(path)]
    else:
        found = list(looked.files(places))
    columns = {"rule": "RULE", "path": "PATH", "line": "LINE", "fingerprint": "FINGERPRINT"}
    show(found, columns, empty="Nothing looks like a secret.")
    texts = len({(one.path, one.object) for one in found})
    remark(
        f"{len(found)} in {texts} of {looked.texts:,} texts, {looked.size_bytes:,} bytes looked at."
    )
    return NOT_VERIFIED if found else 0
