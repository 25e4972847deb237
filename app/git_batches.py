"""How an import's versions are grouped into appends: whole commits, within limits, in flat memory."""

from collections.abc import Iterable, Iterator

from app.git_versions import NewVersion
from domain.log import MAX_BATCH_EVENTS

MAX_BATCH_BYTES = 4 * 1024 * 1024
"""Of contents that travel with the events; in base64 and JSON still below the body limit."""

Batch = tuple[NewVersion, ...]


def batches(commits: Iterable[Iterable[NewVersion]]) -> Iterator[Batch]:
    """Group whole commits up to the limits; a commit above them is split, always in the same way.

    Were a large commit to share a batch with others, an import that runs beside this one might cut it
    elsewhere, and each meet the other's ids in a batch that is not its own. Two parts are held at a
    time.
    """
    held: list[NewVersion] = []
    size = 0
    for versions in commits:
        parts = _parts(versions)
        part, following = next(parts), next(parts, None)  # a patch set at the least
        added = sum(map(_size_of, part))
        fits = len(held) + len(part) <= MAX_BATCH_EVENTS and size + added <= MAX_BATCH_BYTES
        if held and (following is not None or not fits):
            yield tuple(held)
            held, size = [], 0
        if following is None:
            held += part
            size += added
        else:
            yield part
            yield following
            yield from parts
    if held:
        yield tuple(held)


def _parts(versions: Iterable[NewVersion]) -> Iterator[Batch]:
    part: list[NewVersion] = []
    size = 0
    for version in versions:
        added = _size_of(version)
        if part and (len(part) == MAX_BATCH_EVENTS or size + added > MAX_BATCH_BYTES):
            yield tuple(part)
            part, size = [], 0
        part.append(version)
        size += added
    yield tuple(part)


def _size_of(version: NewVersion) -> int:
    """What travels along; a larger content was staged."""
    return len(version.content or b"")
