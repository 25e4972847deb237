"""Drafts seen over HTTP: a text sent while it is made, over connections that break, to its commit."""

import hashlib
import time
from collections.abc import Callable, Iterator
from typing import Self

import msgspec

from app.cli.randomness import new_id
from app.remote.artifacts import artifact_path
from app.remote.client import Client, segment
from domain.digest import format_digest
from domain.errors import Conflict, NotFound, Unavailable

WAITS = (0.2, 1.0, 3.0, 5.0, 10.0, 10.0, 10.0)
"""After a lost connection, until it is given up: long enough for a server that starts anew."""

Members = dict[str, object]


class OpenDraft(msgspec.Struct, frozen=True):
    """What of a draft the command line uses."""

    id: str
    state: str
    offset: int


class Listed(msgspec.Struct, frozen=True):
    """The drafts of an artifact, the newest first."""

    drafts: list[OpenDraft]


class DraftWriter:
    """Writes one draft, and knows what it has written.

    Args:
        client: Open.
        project: The project's slug.
        kind: Of the artifact.
        key: Likewise.
        draft: As the ledger has it.
        written: The text that it has already.
        wait: Sleeps for that many seconds.
    """

    def __init__(
        self,
        client: Client,
        project: str,
        kind: str,
        key: str,
        draft: OpenDraft,
        written: bytes = b"",
        *,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.id = draft.id
        self.offset = draft.offset
        self._client = client
        self._path = f"{drafts_path(project, kind, key)}/{segment(draft.id)}"
        self._digest = hashlib.sha256(written)
        self._wait = wait

    @classmethod
    def open(
        cls,
        client: Client,
        project: str,
        kind: str,
        key: str,
        *,
        media_type: str,
        title: str | None,
    ) -> Self:
        """Open a draft; a repeat after a lost answer gets the same one.

        Raises:
            Conflict: `draft-open`, `too-many-drafts`.
        """
        body: Members = {"id": new_id(), "media_type": media_type}
        if title is not None:
            body["title"] = title
        path = drafts_path(project, kind, key)
        draft = client.post(path, body, OpenDraft, repeatable=True)
        return cls(client, project, kind, key, draft)

    @classmethod
    def resume(cls, client: Client, project: str, kind: str, key: str) -> Self:
        """Go on with the artifact's open draft.

        Raises:
            NotFound: `draft-not-found`.
        """
        draft = open_draft_of(client, project, kind, key)
        path = f"{drafts_path(project, kind, key)}/{segment(draft.id)}"
        written, _ = client.content(f"{path}/content")
        draft = msgspec.structs.replace(draft, offset=len(written))
        return cls(client, project, kind, key, draft, written)

    def write(self, piece: bytes) -> None:
        """Add a piece of text; after a lost connection only what has not arrived is sent again.

        Raises:
            Conflict: `offset-mismatch`: somebody else writes in it; and others.
            Unavailable: The ledger does not come back; what it has is kept.
        """
        end = self.offset + len(piece)
        failures = 0
        uncertain = False
        while self.offset < end:
            rest = piece[len(piece) - (end - self.offset) :]
            try:
                if uncertain:
                    self._advance(rest[: self._arrived(len(rest))])
                    uncertain = False
                else:
                    self._client.patch_bytes(self._path, rest, {"Upload-Offset": str(self.offset)})
                    self._advance(rest)
            except Unavailable:
                if failures == len(WAITS):
                    raise
                self._wait(WAITS[failures])
                failures += 1
                uncertain = True

    def commit(self, expected: int | None) -> Members:
        """Make it the next version, if it is the very text that was written here; safe to repeat.

        Raises:
            Invalid: `digest-mismatch`, and whatever keeps a text from being a version.
            StaleVersion: `version-conflict`.
        """
        headers: dict[str, str] = {}
        if expected == 0:
            headers["If-None-Match"] = "*"
        elif expected is not None:
            headers["If-Match"] = f'"{expected}"'
        made = self._client.post(
            f"{self._path}/commit",
            {"sha256": format_digest(self._digest.digest())},
            Members,
            headers=headers,
            repeatable=True,
        )
        made.pop("written", None)
        made.pop("replayed", None)  # that the answer came at the second attempt is of no interest
        return made

    def described(self) -> Members:
        """What the ledger says of it."""
        return self._client.get(self._path, Members)

    def _advance(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.offset += len(piece)

    def _arrived(self, size_bytes: int) -> int:
        """How much of the piece under way the ledger has."""
        given = self._client.head(self._path).get("Upload-Offset", "")
        arrived = int(given) - self.offset if given.isascii() and given.isdigit() else -1
        if not 0 <= arrived <= size_bytes:
            raise Conflict(
                "offset-mismatch",
                f"The draft has {given or 'an unknown number of'} bytes, and {self.offset} to "
                f"{self.offset + size_bytes} were being sent: somebody else writes in it.",
            )
        return arrived


def drafts_path(project: str, kind: str, key: str) -> str:
    """Where the drafts of an artifact are."""
    return f"{artifact_path(project, kind, key)}/drafts"


def drafts_of(client: Client, project: str, kind: str | None, key: str | None) -> Iterator[Members]:
    """The drafts of an artifact, or the open ones of a project."""
    path = f"/v1/projects/{segment(project)}/drafts"
    if kind is not None and key is not None:
        path = drafts_path(project, kind, key)
    yield from client.get(path, dict[str, list[Members]])["drafts"]


def open_draft_of(client: Client, project: str, kind: str, key: str) -> OpenDraft:
    """The open draft of an artifact.

    Raises:
        NotFound: `draft-not-found`.
    """
    for one in client.get(drafts_path(project, kind, key), Listed).drafts:
        if one.state in {"open", "committing"}:
            return one
    raise NotFound("draft-not-found", f"{kind} {key} has no open draft.")


def abandon(client: Client, project: str, kind: str, key: str) -> OpenDraft:
    """Discard the open draft of an artifact; answers which one that was."""
    draft = open_draft_of(client, project, kind, key)
    client.delete(f"{drafts_path(project, kind, key)}/{segment(draft.id)}")
    return draft
