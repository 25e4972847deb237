"""Import of a git repository: every commit as a patch set, every Markdown version as an artifact.

Event ids are derived from project, commit and path, a commit's patch set is recorded after its
documents, and batches hold whole commits: so an import that was broken off goes on where it stopped,
and one that is repeated adds only the commits that are new.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from adapters.git_repository import GitRepository
from app.git_batches import batches
from app.git_versions import Appender, Commits, NewVersion, Redacted, Skipped
from domain.errors import Conflict, DeedbookError, Gone, Invalid, TooLarge

Progress = Callable[[int, int | None], None]

_ABOUT_ONE = frozenset({"body-too-large", "content-erased", "event-id-conflict", "event-too-large"})
"""Refusals of a batch that do not say which of its events they are about."""


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, or with `dry_run` would do.

    Attributes:
        commits: In the repository.
        new_commits: Of these, not recorded before.
        versions: New artifact versions by kind, patch sets among them.
        redacted: Of these, the ones in which secrets were replaced.
        position: Of the last event recorded; None when there was none.
        shallow: The clone lacks older commits.
    """

    commits: int
    new_commits: int
    versions: dict[str, int]
    skipped: list[Skipped]
    redacted: list[Redacted] = []
    position: int | None = None
    dry_run: bool = False
    shallow: bool = False


def import_git(
    target: Appender,
    repository: Path,
    project: str,
    *,
    progress: Progress = lambda _done, _total: None,
    dry_run: bool = False,
) -> ImportReport:
    """Record what the repository holds and the project does not yet, oldest commit first.

    A document version that cannot be an artifact is skipped and named in the report. Secrets in
    documents, commit messages and names are replaced before anything is sent, and named likewise. Of commits that
    only recorded ones reach, as after a shallow clone was deepened, the patch set alone is recorded:
    their documents would come after newer versions.

    Raises:
        NotFound: `git-not-a-repository`, `git-empty`, `git-blob-missing`, `project-not-found`.
        Unavailable: `git-missing`, `git-timeout`.
        Damaged: `git-failed`.
    """
    with GitRepository(repository) as source:
        total = source.count()
        if not dry_run:
            target.open(project)
        recorded = target.recorded(project)
        commits = Commits(source, target, project, recorded, dry_run=dry_run)
        writer = _Writer(target, project, commits.skipped)
        progress(0, total)
        for batch in batches(commits.versions()):
            if dry_run:
                writer.count(batch)
            else:
                writer.record(batch)
            progress(commits.number, total)
        progress(total, total)
        return ImportReport(
            commits=total,
            new_commits=commits.new,
            versions=dict(sorted(writer.counts.items())),
            skipped=commits.skipped,
            redacted=commits.redacted,
            position=writer.position,
            dry_run=dry_run,
            shallow=source.shallow,
        )


class _Writer:
    """Records batches, leaving out the versions that the ledger refuses; an import never ends there."""

    def __init__(self, target: Appender, project: str, skipped: list[Skipped]) -> None:
        self._target = target
        self._project = project
        self._skipped = skipped
        self.counts: Counter[str] = Counter()
        self.position: int | None = None

    def record(self, batch: Sequence[NewVersion]) -> None:
        """Record what of the batch can be, in its order."""
        left = [batch]
        while left:
            part = left.pop()
            try:
                self.position = self._target.append(self._project, part)
            except (Conflict, Gone, Invalid, TooLarge) as error:
                left.extend(reversed(self._without_refused(part, error)))
                continue
            self.count(part)

    def count(self, versions: Sequence[NewVersion]) -> None:
        """These are new."""
        self.counts.update(version.kind for version in versions)

    def _without_refused(
        self, part: Sequence[NewVersion], error: DeedbookError
    ) -> list[Sequence[NewVersion]]:
        """What is to be tried instead of a part that was refused, in order."""
        at = _index_of(error.pointer)
        if at is None or at >= len(part):
            if error.code not in _ABOUT_ONE:
                raise error
            if len(part) > 1:
                half = len(part) // 2
                return [part[:half], part[half:]]
            at = 0
        refused = part[at]
        if error.code != "event-id-conflict":
            self._skipped.append(Skipped(refused.commit, refused.path, error.detail))
        # Else it is recorded already, by somebody else or as another kind: that one stays.
        return [one for one in (part[:at], part[at + 1 :]) if one]


def _index_of(pointer: str | None) -> int | None:
    """The event that a pointer such as `/events/3/data` is about."""
    parts = (pointer or "").split("/")
    if len(parts) > 2 and parts[1] == "events" and parts[2].isascii() and parts[2].isdigit():
        return int(parts[2])
    return None
