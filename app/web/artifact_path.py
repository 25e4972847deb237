"""The paths of an artifact: of its pages, and of what the API has of it."""

import msgspec

from app.web.page import Visit
from app.web.site import link, segment


class ArtifactPath(msgspec.Struct, frozen=True):
    """An artifact's name, and where it is found."""

    project: str
    kind: str
    key: str

    @property
    def page(self) -> str:
        """The page of its newest version."""
        return f"/p/{self.project}/artifacts/{segment(self.kind)}/{segment(self.key)}"

    @property
    def diff(self) -> str:
        """The page that compares two versions."""
        return f"{self.page}/diff"

    @property
    def api(self) -> str:
        """The artifact in the API."""
        return f"/v1/projects/{self.project}/artifacts/{segment(self.kind)}/{segment(self.key)}"

    def version(self, version: int, at: int | None = None) -> str:
        """The page of one version."""
        return link(self.page, {"version": version, "at": at})

    def draft(self, draft_id: str) -> str:
        """The page of a draft."""
        return f"{self.page}/drafts/{draft_id}"


def artifact_path(visit: Visit[object]) -> ArtifactPath:
    """The artifact that a visit's path names."""
    return ArtifactPath(visit.project, visit.path["kind"], visit.path["key"])
