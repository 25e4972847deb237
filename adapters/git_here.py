"""Where a command stands: the repository around a folder, and the commit that is checked out."""

from pathlib import Path
from typing import NamedTuple

from adapters.git_process import Git
from domain.errors import Unavailable


class Here(NamedTuple):
    """The repository's root and the commit at HEAD; None where there is none."""

    root: str | None
    head: str | None


def look_around(folder: Path) -> Here:
    """What git says about a folder; without git, or outside a repository, there is nothing to say.

    Raises:
        Unavailable: `git-timeout`.
    """
    try:
        git = Git()
    except Unavailable:
        return Here(None, None)
    place = str(folder.resolve())
    status, output, _ = git.answer("-C", place, "rev-parse", "--show-toplevel")
    if status != 0:
        return Here(None, None)
    root = output.decode("utf-8", "surrogateescape").rstrip("\n")
    status, output, _ = git.answer("-C", place, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    return Here(root, output.decode("ascii", "replace").strip() if status == 0 else None)
