"""The artifacts of a project seen over HTTP: write a version, read contents."""

import base64

import msgspec

from app.cli.randomness import new_id
from app.remote.client import Client, segment
from domain.citation import CitationInput
from domain.log import STAGED_ABOVE_BYTES


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A version to write: everything but its bytes; citations in the order of their numbers."""

    kind: str
    key: str
    media_type: str
    title: str | None = None
    citations: tuple[CitationInput, ...] = ()


class Original(msgspec.Struct, frozen=True):
    """The file whose text an artifact is."""

    content: bytes
    media_type: str


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


def put_artifact(
    client: Client,
    project: str,
    proposal: Proposal,
    content: bytes,
    *,
    original: Original | None = None,
    expected: int | None,
    unless_same: bool,
) -> dict[str, object] | None:
    """Write the next version, safe to repeat; None when `unless_same` and it is the latest already.

    `expected` is the version that the artifact must have now: 0 for none yet, None for any.

    Raises:
        StaleVersion: `version-conflict`.
        Invalid: The kind, key, media type, citations or text break a rule.
    """
    body: dict[str, object] = {
        "media_type": proposal.media_type,
        "citations": proposal.citations,
        "unless_same": unless_same,
        **_content(client, project, content),
    }
    if original is not None:
        body["original"] = {
            "digest": client.put_blob(project, original.content),
            "size_bytes": len(original.content),
            "media_type": original.media_type,
        }
    if proposal.title is not None:
        body["title"] = proposal.title
    headers = {"Idempotency-Key": new_id()}
    if expected == 0:
        headers["If-None-Match"] = "*"
    elif expected is not None:
        headers["If-Match"] = f'"{expected}"'
    answer = client.post(
        versions_path(project, proposal.kind, proposal.key),
        body,
        dict[str, object],
        headers=headers,
        repeatable=True,
    )
    written = answer.pop("written", True)
    answer.pop("replayed", None)  # that the answer came at the second attempt is of no interest
    return answer if written else None


def latest_version(client: Client, project: str, kind: str, key: str, at: int | None) -> int:
    """The number of the latest version.

    Raises:
        NotFound: `artifact-not-found`.
    """
    return client.get(artifact_path(project, kind, key), LatestVersion, {"at": at}).version


def read_content(
    client: Client,
    project: str,
    kind: str,
    key: str,
    version: int,
    at: int | None,
    *,
    original: bool = False,
) -> tuple[bytes, str]:
    """The content of a version, or its original, and the media type.

    Raises:
        NotFound: `artifact-not-found`, `version-not-found`, `original-not-found`.
        Gone: `content-erased`.
    """
    what = "original" if original else "content"
    path = f"{versions_path(project, kind, key)}/{version}/{what}"
    return client.content(path, params={"at": at})


def _content(client: Client, project: str, content: bytes) -> dict[str, object]:
    """The members of a request that say what the content is; a large one is uploaded first."""
    if len(content) > STAGED_ABOVE_BYTES:
        return {"digest": client.put_blob(project, content), "size_bytes": len(content)}
    try:
        return {"content": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {"content_base64": base64.b64encode(content).decode("ascii")}
