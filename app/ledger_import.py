"""Import into the ledger of this process."""

from collections.abc import Sequence

from app.git_import import PATCHSET, NewVersion
from app.ledger import EventInput, Ledger
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

    def recorded_commits(self, project: str) -> set[str]:
        """The commits whose patch set is recorded; opens the project when there is none."""
        try:
            position = self._ledger.position(project, None)
        except NotFound:
            self._ledger.create_project(project, title=self._title or project, actor=self._actor)
            return set()
        found: set[str] = set()
        after: tuple[str, str] | None = None
        while page := self._ledger.views.artifacts(
            project, position, kind=PATCHSET, after=after, limit=PAGE
        ):
            found.update(row.key for row in page)
            after = (page[-1].kind, page[-1].key)
        return found

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
