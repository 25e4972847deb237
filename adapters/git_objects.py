"""Every commit and every version of every file that a repository's HEAD reaches, as bytes."""

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from adapters.git_process import Git
from domain.errors import Damaged, NotFound

MAX_OBJECT_BYTES = 64 * 1024 * 1024


class GitObject(msgspec.Struct, frozen=True):
    """A commit, or a file's content; a commit has no path."""

    id: str
    path: str
    content: bytes


def git_objects(path: Path) -> Iterator[GitObject]:
    """The commits and contents, each once, in memory that one of them decides.

    A content of more than `MAX_OBJECT_BYTES` is passed over.

    Raises:
        NotFound: `git-not-a-repository`.
        Unavailable: `git-missing`, `git-timeout`.
        Damaged: `git-failed`.
    """
    status, output, said = Git().answer(
        "-C", os.fspath(path.absolute()), "rev-parse", "--absolute-git-dir"
    )
    if status != 0:
        raise NotFound("git-not-a-repository", f"{path} is not in a git repository: {said}.")
    git = Git(output.decode("utf-8", "surrogateescape").removesuffix("\n"))
    with (
        git.start("rev-list", "--objects", "HEAD", "--") as names,
        git.start("cat-file", "--batch") as objects,
    ):
        names.asked()
        while line := names.until(b"\n"):
            name, _, place = line.partition(b" ")
            objects.ask(name)
            header = objects.until(b"\n").split(b" ")
            if len(header) != 3:
                raise Damaged("git-failed", f"git has no object {name.decode('ascii')}.")
            size = int(header[2])
            if header[1] not in {b"blob", b"commit"} or size > MAX_OBJECT_BYTES:
                objects.skip(size + 1)
                continue
            content = objects.take(size)
            objects.skip(1)
            yield GitObject(name.decode("ascii"), place.decode("utf-8", "replace"), content)
        names.finish()
