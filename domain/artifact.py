"""What may happen to an artifact. Read this file first: the other rules are written like it.

An artifact is named by kind and key inside a project. Each write is one event in its stream, so its
version is the stream's version: 1, 2, 3 … without a gap.
"""

import msgspec

from domain.citation import Citation
from domain.citing import check_links
from domain.errors import Invalid
from domain.events import ArtifactWritten, Content, Source

MARKDOWN = "text/markdown"
MAX_TITLE_CHARACTERS = 300
IMPLEMENTATION_KINDS = frozenset(
    {
        "IMPLEMENTATION_PLAN",
        "PATCHSET",
        "VERIFICATION_REPORT",
        "DEPLOYMENT_PROVENANCE",
        "IMPLEMENTATION_AUDIT_BUNDLE",
    }
)
"""Kinds whose content is typed JSON."""


class ArtifactState(msgspec.Struct, frozen=True):
    """All that the rules need to know of an artifact: its latest version and digest."""

    version: int = 0
    digest: str | None = None


class WriteArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Write the next version.

    Attributes:
        text: The content as text when it is Markdown, so that its citation links can be checked.
        original: The uploaded file whose text this is.
        unless_same: Write nothing when the latest version has this digest, whatever its original.
    """

    digest: str
    size_bytes: int
    media_type: str
    title: str | None = None
    citations: tuple[Citation, ...] = ()
    source: Source | None = None
    original: Content | None = None
    text: str | None = None
    unless_same: bool = False


def evolve(state: ArtifactState, event: ArtifactWritten) -> ArtifactState:
    """The state after one more write."""
    return ArtifactState(version=state.version + 1, digest=event.digest)


def decide(state: ArtifactState, command: WriteArtifact) -> tuple[ArtifactWritten, ...]:
    """The events that the command leads to.

    Raises:
        Invalid: `validation-failed`, or `citation-unresolved` for a `citation:n` link in the
            Markdown that names no citation.
    """
    if command.unless_same and state.digest == command.digest:
        return ()
    if command.title is not None and len(command.title) > MAX_TITLE_CHARACTERS:
        raise Invalid(
            "validation-failed",
            f"A title has at most {MAX_TITLE_CHARACTERS} characters.",
            pointer="/title",
        )
    if command.text is not None:
        check_links(command.text, command.citations)
    return (
        ArtifactWritten(
            digest=command.digest,
            size_bytes=command.size_bytes,
            media_type=command.media_type,
            title=command.title,
            citations=command.citations,
            source=command.source,
            original=command.original,
        ),
    )
