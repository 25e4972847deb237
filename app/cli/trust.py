"""`trusted-root`: the ledger's public keys, for those who check what it sealed."""

from pathlib import Path

import click

from app.cli.choices import Command, chosen
from app.cli.written_file import write_whole


@click.command("trusted-root", cls=Command)
@click.option(
    "-o",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write trusted_root.json, trust.json and seal.pub here.",
    metavar="FOLDER",
)
@click.option("--trust", is_flag=True, help="Print trust.json instead.")
def trusted_root_command(folder: Path | None, trust: bool) -> None:
    """Take the ledger's public keys, to check seals with.

    \b
    trusted_root.json  for Sigstore's clients: the logs that vouch for seals
    trust.json         for `deedbook verify --trust`: the same, and which key is valid where
    seal.pub           for openssl: the key that seals now, as PEM

    Take them once, over a connection that you trust, and keep them: what is checked never brings its
    own. After a change of keys (`deedbook key rotate`) take them anew, on purpose.
    """  # noqa: D301 -- click's mark for a block that is kept as it is
    from app.cli.output import remark, show_one
    from app.keys.public_keys import public_files
    from domain.signed_note import NoteKey, format_key
    from domain.trust import parse_trust

    choices = chosen()
    with choices.client() as client:
        raw, _ = client.content("/v1/trust")
    known = parse_trust(raw)
    files = public_files(known)
    for key in known.log_keys:
        remark(f"log key   {format_key(NoteKey(known.ledger, key.public_key))}")
    for sealing in known.seal_keys:
        remark(f"seal key  {sealing.hint}")
    if folder is None:
        click.echo(files["trust.json" if trust else "trusted_root.json"], nl=False)
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(folder / name, content)
    show_one({name.partition(".")[0]: str(folder / name) for name in files})
    remark(f"Check an export with them: deedbook verify FILE.zip --trust {folder / 'trust.json'}")
