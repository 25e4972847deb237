"""Erasing seen over HTTP: the preview, and the erasure that confirms it."""

import msgspec

from app.remote.client import Client, segment

Members = dict[str, object]


class Named(msgspec.Struct, frozen=True):
    """An event that names a content."""

    what: str
    stream: str
    version: int
    digest: str
    size_bytes: int
    title: str | None = None
    citations: int = 0
    erased_position: int | None = None


class Previewed(msgspec.Struct, frozen=True):
    """What would be erased, as far as a person is shown it."""

    contents: tuple[Named, ...]
    also: tuple[Named, ...]
    already: tuple[Named, ...]
    size_bytes: int
    exports: tuple[str, ...]
    first_position: int
    confirm: str | None
    remains: tuple[str, ...]
    not_reached: tuple[str, ...]


class RecordedErasure(msgspec.Struct, frozen=True):
    """One erasure as it is recorded."""

    position: int
    time: str
    actor: str
    stream: str
    version: int
    digest: str
    reason: str


class Erased(msgspec.Struct, frozen=True):
    """What was erased, now or before."""

    erasures: tuple[RecordedErasure, ...]
    first_position: int
    objects_left: int
    replayed: bool


def erasures_path(project: str) -> str:
    """Where a project's erasures are."""
    return f"/v1/projects/{segment(project)}/erasures"


def preview(client: Client, project: str, target: Members) -> tuple[Members, Previewed]:
    """What erasing would take away: as the ledger says it, and what a person is shown of that.

    Args:
        client: Open.
        project: The project's slug.
        target: `kind` and `key`, or `run`; with a `version` or without.

    Raises:
        NotFound: `artifact-not-found`, `run-not-found`, `version-not-found`.
        Invalid: `nothing-to-erase`.
    """
    path = f"{erasures_path(project)}/preview"
    answer = client.post(path, target, Members, repeatable=True)
    return answer, msgspec.convert(answer, Previewed)


def erase(
    client: Client, project: str, target: Members, *, reason: str, confirm: str
) -> tuple[Members, Erased]:
    """Erase exactly what a preview showed; safe to repeat.

    Raises:
        Conflict: `erasure-changed`.
    """
    body = {**target, "reason": reason, "confirm": confirm}
    answer = client.post(erasures_path(project), body, Members, repeatable=True)
    return answer, msgspec.convert(answer, Erased)
