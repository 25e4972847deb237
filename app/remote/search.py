"""Searching seen over HTTP, and how the index of a ledger elsewhere stands."""

import msgspec

from app.remote.client import Client, segment
from domain.search import Answer, Mode

Members = dict[str, object]


class BackendState(msgspec.Struct, frozen=True):
    """How one backend's index of a project stands."""

    backend: str
    position: int
    indexed_position: int
    sources: int
    chunks: int
    pending: int
    failed: int
    without_vectors: int
    cut: int
    lag_seconds: float
    reconciled_at: str | None


class Failure(msgspec.Struct, frozen=True):
    """A source that could not be indexed."""

    backend: str
    source: str
    problem: str


class Standing(msgspec.Struct, frozen=True):
    """How a project's search stands, as far as a person is shown it."""

    backends: tuple[BackendState, ...]
    failures: tuple[Failure, ...]
    semantic: bool
    reasons: tuple[str, ...]


def find(
    client: Client,
    projects: tuple[str, ...] | None,
    query: str,
    *,
    mode: Mode,
    kinds: tuple[str, ...],
    limit: int,
) -> Answer:
    """Search in one project, in several, or (None) in all that the token may read.

    Raises:
        Invalid: `query-invalid`, `nul-character`, `semantic-unavailable`.
        NotFound: `project-not-found`.
        Unavailable: `search-unavailable`.
    """
    asked: dict[str, str | int | None] = {
        "q": query,
        "mode": mode,
        "kind": ",".join(kinds) or None,
        "limit": limit,
    }
    if projects is not None and len(projects) == 1:
        return client.get(f"{_path(projects[0])}", Answer, asked)
    return client.get("/v1/search", Answer, {**asked, "project": ",".join(projects or ()) or None})


def standing(client: Client, project: str) -> tuple[Members, Standing]:
    """How a project's index stands: as the ledger says it, and what a person is shown of that.

    Raises:
        NotFound: `project-not-found`.
    """
    answer = client.get(f"{_path(project)}/status", Members)
    return answer, msgspec.convert(answer, Standing)


def order(client: Client, project: str, what: str) -> Members:
    """Have the index of a project worked at: `reindex`, `retry` or `reconcile`.

    Raises:
        NotFound: `project-not-found`.
        Unavailable: `search-unavailable`.
    """
    return client.post(f"{_path(project)}/{what}", None, Members, repeatable=True)


def _path(project: str) -> str:
    return f"/v1/projects/{segment(project)}/search"
