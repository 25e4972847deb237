"""The patch set between two commits of a checkout, ready to be recorded."""

from pathlib import Path

import msgspec

from adapters.git_repository import GitRepository
from domain.errors import NotFound, TooLarge
from domain.log import MAX_BLOB_BYTES
from domain.patchset import range_document


class PreparedRange(msgspec.Struct, frozen=True):
    """Commits after `base` up to `head`; `parted`: the base given was not their ancestor."""

    base: str
    head: str
    commits: tuple[str, ...]
    files: int
    document: bytes
    patch: bytes | None
    repository: str | None
    parted: bool


def read_range(
    folder: Path,
    base: str,
    head: str,
    address: str | None = None,
    *,
    with_patch: bool = True,
    limit: int = MAX_BLOB_BYTES,
) -> PreparedRange:
    """Read the commits between two revisions, what they changed, and the patch.

    Args:
        folder: In the repository.
        base: Where the work starts.
        head: Where it ends.
        address: Of the repository; that of its remote `origin` if None.
        with_patch: Whether the bytes of the difference are wanted as well.
        limit: Of each of the two contents, in bytes.

    Raises:
        NotFound: The folder, a revision or a common ancestor is not there, or nothing lies between.
        TooLarge: `git-range-too-large`, `patch-too-large`.
        Damaged: `git-failed`.
        Unavailable: `git-missing`, `git-timeout`.
    """
    with GitRepository(folder) as repository:
        start, end = repository.commit(base), repository.commit(head)
        ancestor = repository.merge_base(start, end)
        if ancestor is None:
            raise NotFound(
                "git-revision-not-found",
                f"{base} and {head} have no common ancestor in this clone"
                + ("; it is shallow: fetch the whole history." if repository.shallow else "."),
            )
        if ancestor == end:
            raise NotFound(
                "git-range-empty", f"{base} has every commit of {head}: there is nothing to record."
            )
        found = repository.between(ancestor, end)
        named = address or repository.origin()
        document = range_document(found.commits, found.files, base=ancestor, repository=named)
        patch = repository.patch(ancestor, end, limit) if with_patch else None
    if with_patch and patch is None:
        raise TooLarge(
            "patch-too-large",
            f"The patch has more than {limit:,} bytes; record its manifest alone with --no-patch, "
            "or the commits in parts.",
        )
    if len(document) > limit:
        raise TooLarge(
            "git-range-too-large",
            f"The patch set's manifest has more than {limit:,} bytes; record it in parts.",
        )
    return PreparedRange(
        base=ancestor,
        head=end,
        commits=tuple(commit.sha for commit in found.commits),
        files=len(found.files),
        document=document,
        patch=patch,
        repository=named,
        parted=ancestor != start,
    )
