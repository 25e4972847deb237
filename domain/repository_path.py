"""Paths that foreign reports name: only those within the repository are kept, in one spelling.

Nothing is ever opened by such a path. It is refused all the same when it leads elsewhere: whoever
reads the report later may follow it.
"""

import re
from collections.abc import Sequence

from domain.errors import Invalid

MAX_PATH_CHARACTERS = 1_024
_DRIVE = re.compile(r"[A-Za-z]:(?=/|$)")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def is_repository_path(path: str) -> bool:
    """Whether a text is a path within the repository, in the one spelling that is kept.

    That is: relative, with slashes, no empty, `.` or `..` segment, no control characters, not a URL.
    """
    return (
        0 < len(path) <= MAX_PATH_CHARACTERS
        and path.isprintable()
        and "\\" not in path
        and _SCHEME.match(path) is None
        and not any(segment in {"", ".", ".."} for segment in path.split("/"))
    )


def repository_path(path: str, roots: Sequence[str] = ()) -> str:
    r"""The kept spelling of a path that a tool printed: `.\src\a.ts` is `src/a.ts`.

    Args:
        path: As printed, relative or absolute, with slashes or backslashes.
        roots: Absolute folders that stand for the repository's root: where the tool ran.

    Raises:
        Invalid: `path-outside-repository`.
    """
    slashed = path.replace("\\", "/")
    for root in roots if is_absolute(slashed) else ():
        if is_below(slashed, [root]):
            slashed = slashed.removeprefix(_folder(root))
            break
    kept = "/".join(segment for segment in slashed.split("/") if segment not in {"", "."})
    if is_absolute(slashed) or not is_repository_path(kept):
        raise Invalid(
            "path-outside-repository",
            f"{shown(path)} is no path within the repository; if a tool ran elsewhere, name that "
            "folder with --root.",
        )
    return kept


def is_absolute(path: str) -> bool:
    """Whether a path begins at a root or a drive."""
    return path.startswith("/") or _DRIVE.match(path) is not None


def is_below(path: str, roots: Sequence[str]) -> bool:
    """Whether an absolute path, with slashes, begins with one of these folders."""
    folders = [_folder(root) for root in roots]
    return any(folder != "/" and path.startswith(folder) for folder in folders)


def shown(text: str, limit: int = 80) -> str:
    """Foreign text for the sentence of a problem: quoted, escaped, bounded."""
    return ascii(text if len(text) <= limit else text[:limit] + "...")


def _folder(root: str) -> str:
    return root.replace("\\", "/").rstrip("/") + "/"
