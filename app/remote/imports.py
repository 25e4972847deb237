"""Import into a ledger over HTTP."""

import base64
from collections.abc import Iterator, Sequence

import msgspec

from app.git_versions import Document, NewVersion, Recorded, recorded_in, source_path
from app.remote.artifacts import artifacts_path
from app.remote.client import Client, pages, segment
from app.remote.events import append, lines
from domain.errors import NotFound, Unavailable


class _Project(msgspec.Struct, frozen=True):
    position: int


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

    def open(self, project: str) -> None:
        """Make sure that the project exists.

        Raises:
            NotFound: `project-not-found`, when it is not to be opened.
        """
        try:
            self._position(project)
        except NotFound:
            if not self._create:
                raise
            body = {"slug": project, "title": self._title or project}
            self._client.post("/v1/projects", body, dict[str, object])

    def recorded(self, project: str) -> Recorded:
        """What the project holds; nothing when there is none."""
        try:
            position = self._position(project)
        except NotFound:
            return Recorded()
        return recorded_in(self._artifacts(project, position))

    def path_of(self, project: str, document: Document) -> str | None:
        """The path in a repository that the document's latest version came from, if from one."""
        at = document.position
        return next((source_path(line) for line in lines(self._client, project, at - 1, at)), None)

    def stage(self, project: str, content: bytes) -> None:
        """Upload a large content before the events that name it."""
        self._client.put_blob(project, content)

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        """Record them all or none; answers the last position."""
        answer = append(self._client, project, [_event(version) for version in versions])
        return answer.events[-1].position

    def _position(self, project: str) -> int:
        return self._client.get(f"/v1/projects/{segment(project)}", _Project).position

    def _artifacts(self, project: str, at: int) -> Iterator[Document]:
        for one in pages(self._client, artifacts_path(project), "artifacts", {"at": at}):
            try:
                yield msgspec.convert(one, Document)
            except msgspec.ValidationError as error:
                raise Unavailable(
                    "unexpected-answer", f"The list of artifacts is not one of a ledger: {error}."
                ) from None


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
