"""The artifacts of a project seen over HTTP: write a version, read contents."""

from collections.abc import Mapping

import msgspec

from app.client import Client, segment


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A version to write: everything but its bytes."""

    kind: str
    key: str
    media_type: str
    title: str | None = None
    citations: tuple[Mapping[str, object], ...] = ()


class LatestVersion(msgspec.Struct, frozen=True):
    """What of an artifact's description the command line uses."""

    version: int
    digest: str = ""


def artifacts_path(project: str) -> str:
    """Where a project's artifacts are."""
    return f"/v1/projects/{segment(project)}/artifacts"


def artifact_path(project: str, kind: str, key: str) -> str:
    """Where one artifact is."""
    return f"{artifacts_path(project)}/{segment(kind)}/{segment(key)}"


def versions_path(project: str, kind: str, key: str) -> str:
    """Where its versions are."""
    return f"{artifact_path(project, kind, key)}/versions"


def latest_version(client: Client, project: str, kind: str, key: str, at: int | None) -> int:
    """The number of the latest version.

    Raises:
        NotFound: `artifact-not-found`.
    """
    return client.get(artifact_path(project, kind, key), LatestVersion, {"at": at}).version


def read_content(
    client: Client, project: str, kind: str, key: str, version: int, at: int | None
) -> tuple[bytes, str]:
    """The content of a version and its media type.

    Raises:
        NotFound: `artifact-not-found`, `version-not-found`.
        Gone: `content-erased`.
    """
    path = f"{versions_path(project, kind, key)}/{version}/content"
    return client.content(path, params={"at": at})
