"""Import into a ledger over HTTP."""

import base64
from collections.abc import Sequence

from app.client import Client, pages, segment
from app.git_import import PATCHSET, NewVersion
from app.remote_artifacts import artifacts_path
from app.remote_events import append
from domain.errors import NotFound


class RemoteAppender:
    """The `Appender` for a ledger elsewhere; who imports is what its token says.

    Args:
        create: Open the project when there is none.
        title: Of the project, should it be opened.
    """

    def __init__(self, client: Client, *, create: bool, title: str | None = None) -> None:
        self._client = client
        self._create = create
        self._title = title

    def recorded_commits(self, project: str) -> set[str]:
        """The commits whose patch set is recorded; opens the project when there is none."""
        try:
            self._client.get(f"/v1/projects/{segment(project)}", dict[str, object])
        except NotFound:
            if self._create:
                body = {"slug": project, "title": self._title or project}
                self._client.post("/v1/projects", body, dict[str, object])
            return set()
        found = pages(self._client, artifacts_path(project), "artifacts", {"kind": PATCHSET})
        return {str(one["key"]) for one in found}

    def stage(self, project: str, content: bytes) -> None:
        """Upload a large content before the events that name it."""
        self._client.put_blob(project, content)

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        """Record them all or none; answers the last position."""
        answer = append(self._client, project, [_event(version) for version in versions])
        return answer.events[-1].position


def _event(version: NewVersion) -> dict[str, object]:
    event: dict[str, object] = {
        "id": version.id,
        "stream": version.stream,
        "type": "ArtifactWritten",
        "data": version.data,
    }
    if version.content is not None:
        event["content_base64"] = base64.b64encode(version.content).decode()
    return event
