"""Import of a git repository: every commit as a patch set, every Markdown version as an artifact.

Event ids are derived from project, commit and path, a commit's patch set is recorded after its
documents, and batches hold whole commits: so an import that was broken off goes on where it stopped,
and one that is repeated adds only the commits that are new.
"""

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from adapters.git_repository import GitRepository
from domain.errors import Invalid, TooLarge
from domain.log import MAX_BATCH_EVENTS, STAGED_ABOVE_BYTES
from domain.names import artifact_stream

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Of contents that travel with the events; in base64 and JSON still below the body limit."""
PATCHSET = "PATCHSET"

Progress = Callable[[int, int | None], None]


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact version to record; `content` is None when it was staged."""

    id: str
    kind: str
    key: str
    data: dict[str, object]
    content: bytes | None

    @property
    def stream(self) -> str:
        """The artifact's stream."""
        return artifact_stream(self.kind, self.key)


class Appender(Protocol):
    """Where the import goes: the ledger in this process, or one over HTTP."""

    def recorded_commits(self, project: str) -> set[str]:
        """The commits whose patch set is recorded; opens the project when there is none."""

    def stage(self, project: str, content: bytes) -> None:
        """Upload a large content before the events that name it."""

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        """Record them all or none; the same ids again change nothing. Answers the last position.

        Raises:
            Invalid: One breaks a rule; the pointer begins with `/events/<index>`.
        """


class Skipped(msgspec.Struct, frozen=True):
    """A document version that cannot be an artifact, and why."""

    commit: str
    path: str
    reason: str


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, or with `dry_run` would do.

    Attributes:
        commits: In the repository.
        new_commits: Of these, not recorded before.
        versions: New artifact versions by kind, patch sets among them.
        position: Of the last event recorded; None when there was none.
    """

    commits: int
    new_commits: int
    versions: dict[str, int]
    skipped: list[Skipped]
    position: int | None = None
    dry_run: bool = False


def import_git(
    target: Appender,
    repository: Path,
    project: str,
    *,
    progress: Progress = lambda _done, _total: None,
    dry_run: bool = False,
) -> ImportReport:
    """Record what the repository holds and the project does not yet, oldest commit first.

    A document version that cannot be an artifact is skipped and named in the report.

    Raises:
        NotFound: `repository-not-found`.
    """
    source = GitRepository(repository)
    commits = source.commits()
    recorded = target.recorded_commits(project)
    new = [commit for commit in commits if commit.sha not in recorded]
    counts: Counter[str] = Counter()
    skipped: list[Skipped] = []
    position: int | None = None
    done = len(commits) - len(new)
    progress(done, len(commits))
    versions_by_commit = (_versions(source, commit, project, skipped) for commit in new)
    for batch in batches(versions_by_commit):
        sent = batch.versions
        if not dry_run:
            sent, position = _append(target, project, batch.versions, skipped, position)
        counts.update(version.kind for version in sent)
        done += batch.commits
        progress(done, len(commits))
    return ImportReport(
        commits=len(commits),
        new_commits=len(new),
        versions=dict(sorted(counts.items())),
        skipped=skipped,
        position=position,
        dry_run=dry_run,
    )


class Batch(msgspec.Struct, frozen=True):
    """Versions to record together, and how many commits end with them."""

    versions: tuple[NewVersion, ...]
    commits: int


def batches(commits: Iterable[Sequence[NewVersion]]) -> Iterator[Batch]:
    """Group whole commits up to the limits; a commit above them is split, always in the same way.

    Were a large commit to share a batch with others, a repeated import might cut it elsewhere, and
    meet its own ids in a batch that is not the one recorded.
    """
    held: list[NewVersion] = []
    held_commits = 0
    held_bytes = 0
    for versions in commits:
        size = _bytes_of(versions)
        if held and (
            len(held) + len(versions) > MAX_BATCH_EVENTS or held_bytes + size > MAX_BATCH_BYTES
        ):
            yield Batch(tuple(held), held_commits)
            held, held_commits, held_bytes = [], 0, 0
        if len(versions) > MAX_BATCH_EVENTS or size > MAX_BATCH_BYTES:
            parts = list(_parts(versions))
            for index, part in enumerate(parts, start=1):
                yield Batch(part, int(index == len(parts)))
        else:
            held.extend(versions)
            held_commits += 1
            held_bytes += size
    if held:
        yield Batch(tuple(held), held_commits)


def event_id(project: str, commit: str, path: str) -> str:
    """The same UUID for the same version, whoever imports it: version 8 (RFC 9562, section 5.8)."""
    named = f"deedbook git import\0{project}\0{commit}\0{path}"
    value = int.from_bytes(
        hashlib.sha256(named.encode("utf-8", "surrogateescape")).digest()[:16], "big"
    )
    value = (value & ~(0xF << 76)) | (8 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=value))


def _parts(versions: Sequence[NewVersion]) -> Iterator[tuple[NewVersion, ...]]:
    part: list[NewVersion] = []
    size = 0
    for version in versions:
        added = _bytes_of([version])
        if part and (len(part) == MAX_BATCH_EVENTS or size + added > MAX_BATCH_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(version)
        size += added
    yield tuple(part)


def _bytes_of(versions: Iterable[NewVersion]) -> int:
    """Contents that travel along; larger ones are staged."""
    sizes = (len(version.content or b"") for version in versions)
    return sum(size for size in sizes if size <= STAGED_ABOVE_BYTES)


def _append(
    target: Appender,
    project: str,
    versions: Sequence[NewVersion],
    skipped: list[Skipped],
    position: int | None,
) -> tuple[Sequence[NewVersion], int | None]:
    """Record a batch, leaving out the versions that the ledger refuses; an import never ends there."""
    left = list(versions)
    while left:
        try:
            return left, target.append(project, left)
        except (Invalid, TooLarge) as error:
            index = _index_of(error.pointer)
            if index is None or index >= len(left):
                raise
            refused = left.pop(index)
            skipped.append(_skip(refused, error.detail))
    return left, position


def _index_of(pointer: str | None) -> int | None:
    """The event that a pointer such as `/events/3/data` is about."""
    parts = (pointer or "").split("/")
    if len(parts) > 2 and parts[1] == "events" and parts[2].isascii() and parts[2].isdigit():
        return int(parts[2])
    return None
