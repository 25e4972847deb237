"""Which run the command line means: the one named, else the variable's, else the one started last.

What was started last is kept per project, in a small file in the data folder. It belongs to the
ledger at its URL: in another ledger the id would mean nothing.
"""

from pathlib import Path

import msgspec

from app.private_file import write_private
from domain.errors import Malformed, NotFound

MAX_FILE_BYTES = 4_096


class CurrentRun(msgspec.Struct, frozen=True):
    """A run's id, and the ledger it is in."""

    url: str
    run: str


def current_run_file(data_folder: Path, project: str) -> Path:
    """The file's place in the data folder."""
    return data_folder / f"run-{project}.json"


def remember_run(data_folder: Path, url: str, project: str, run: str) -> Path:
    """Keep the run for later commands."""
    file = current_run_file(data_folder, project)
    write_private(file, msgspec.json.encode(CurrentRun(url, run)) + b"\n")
    return file


def choose_run(
    data_folder: Path, url: str, project: str, *, named: str | None, variable: str | None
) -> str:
    """The run that is meant.

    Raises:
        NotFound: `no-current-run`.
        Malformed: `invalid-parameter`, naming the file.
    """
    if named or variable:
        return named or variable or ""
    file = current_run_file(data_folder, project)
    try:
        with file.open("rb") as opened:
            kept = msgspec.json.decode(opened.read(MAX_FILE_BYTES), type=CurrentRun)
    except FileNotFoundError:
        kept = CurrentRun("", "")
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed("invalid-parameter", f"{file} cannot be used: {error}.") from None
    if kept.url != url or not kept.run:
        raise NotFound(
            "no-current-run",
            f"No run of {project} was started here: name one with --run, or set DEEDBOOK_RUN.",
        )
    return kept.run
