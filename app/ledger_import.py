"""Import into the ledger of this process."""

from collections.abc import Sequence

from app.door import EventInput
from app.git_versions import Document, NewVersion, Recorded, recorded_in, source_path
from app.ledger import Ledger
from domain.errors import NotFound

PAGE = 1_000


class LedgerAppender:
    """The `Appender` for a ledger that is open here.

    Args:
        actor: On whose behalf the events are recorded.
        title: Of the project, should it be opened.
    """

    def __init__(self, ledger: Ledger, *, actor: str, title: str | None = None) -> None:
        self._ledger = ledger
        self._actor = actor
        self._title = title

    def open(self, project: str) -> None:
        """Make sure that the project exists."""
        try:
            self._ledger.log.head(project)
        except NotFound:
            self._ledger.create_project(project, title=self._title or project, actor=self._actor)

    def recorded(self, project: str) -> Recorded:
        """What the project holds; nothing when there is none."""
        try:
            position = self._ledger.position(project, None)
        except NotFound:
            return Recorded()
        found: list[Document] = []
        after: tuple[str, str] | None = None
        while page := self._ledger.views.artifacts(project, position, after=after, limit=PAGE):
            found += [Document(row.kind, row.key, row.position, row.digest) for row in page]
            after = (page[-1].kind, page[-1].key)
        return recorded_in(found)

    def path_of(self, project: str, document: Document) -> str | None:
        """The path in a repository that the document's latest version came from, if from one."""
        at = document.position
        return next(
            (source_path(entry.line) for entry in self._ledger.log.read(project, at - 1, at)), None
        )

    def stage(self, project: str, content: bytes) -> None:
        """Upload a large content before the events that name it."""
        self._ledger.stage_blob(project, content)

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        """Record them all or none; answers the last position."""
        receipt = self._ledger.append(
            project,
            [
                EventInput(
                    stream=version.stream,
                    type="ArtifactWritten",
                    data=version.data,
                    id=version.id,
                    content=version.content,
                )
                for version in versions
            ],
            actor=self._actor,
        )
        return receipt.entries[-1].position
