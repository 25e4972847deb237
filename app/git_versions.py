"""What a git repository holds as artifact versions: which artifact, with which event id and content."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import msgspec

from adapters.git_repository import DocumentVersion, GitRepository, Step
from app.redaction import redact_bytes, redact_members
from domain import patchset
from domain.artifact import MARKDOWN
from domain.citing import check_links
from domain.digest import digest_of
from domain.documents import key_of, recognise, title_of
from domain.errors import Invalid, TooLarge
from domain.events import ArtifactWritten, parse
from domain.log import STAGED_ABOVE_BYTES
from domain.names import artifact_stream


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact version to record.

    Attributes:
        id: Of its event.
        data: Of its event, as `domain.events.ArtifactWritten` reads it.
        content: None when it was staged.
        commit: That it comes from.
        path: Of the document, as `path_text` spells it; empty for a patch set.
    """

    id: str
    kind: str
    key: str
    data: dict[str, object]
    content: bytes | None
    commit: str
    path: str = ""

    @property
    def stream(self) -> str:
        """The artifact's stream."""
        return artifact_stream(self.kind, self.key)


class Skipped(msgspec.Struct, frozen=True):
    """A version that cannot be an artifact, and why; a patch set has no path."""

    commit: str
    path: str
    reason: str


class Redacted(msgspec.Struct, frozen=True):
    """Secrets that were replaced in a version before it was sent; a patch set has no path."""

    commit: str
    path: str
    rules: tuple[str, ...]


class Document(msgspec.Struct, frozen=True):
    """A document as the project has it: its artifact, and the latest version's place and digest."""

    kind: str
    key: str
    position: int
    digest: str


class Recorded(msgspec.Struct, frozen=True):
    """What a project holds before the import: commits by patch set, and documents."""

    commits: frozenset[str] = frozenset()
    documents: tuple[Document, ...] = ()


def recorded_in(artifacts: Iterable[Document]) -> Recorded:
    """What a list of all artifacts, patch sets among them, says."""
    commits: set[str] = set()
    documents: list[Document] = []
    for one in artifacts:
        if one.kind == patchset.KIND:
            commits.add(one.key)
        else:
            documents.append(one)
    return Recorded(frozenset(commits), tuple(documents))


def source_path(line: bytes) -> str | None:
    """The path in a repository from which a stored event's artifact came, if from one."""
    data = parse(line).data
    return data.source.path if isinstance(data, ArtifactWritten) and data.source else None


class Appender(Protocol):
    """Where the import goes: the ledger in this process, or one over HTTP."""

    def open(self, project: str) -> None:
        """Make sure that the project exists.

        Raises:
            NotFound: `project-not-found`, where it may not be opened.
        """

    def recorded(self, project: str) -> Recorded:
        """What the project holds; nothing when there is none."""

    def path_of(self, project: str, document: Document) -> str | None:
        """The path in a repository that the document's latest version came from, if from one."""

    def stage(self, project: str, content: bytes) -> None:
        """Upload a large content before the events that name it."""

    def append(self, project: str, versions: Sequence[NewVersion]) -> int:
        """Record them all or none; the same ids again change nothing. Answers the last position.

        Raises:
            Invalid: One breaks a rule; the pointer begins with `/events/<index>`.
            Conflict: `event-id-conflict`: one is recorded already, with other content.
            Gone: `content-erased`.
            TooLarge: `event-too-large`, `body-too-large`.
        """


class Commits:
    """The commits of a repository that a project lacks, as versions, read one document at a time.

    A document keeps its artifact: its key is that of its path, its kind the one under which the path
    is recorded, else the one that it has at HEAD.

    Attributes:
        number: Of the commit read last, in the whole history.
        new: How many were read.
        skipped: Documents that cannot be artifacts, so far.
        redacted: Versions in which secrets were replaced, so far.
    """

    def __init__(
        self,
        source: GitRepository,
        target: Appender,
        project: str,
        recorded: Recorded,
        *,
        dry_run: bool,
    ) -> None:
        self._source = source
        self._target = target
        self._project = project
        self._dry_run = dry_run
        self._recorded = recorded.commits
        self._known: dict[str, list[Document]] = {}
        for one in recorded.documents:
            self._known.setdefault(one.key, []).append(one)
        self._latest = {(one.kind, one.key): one.digest for one in recorded.documents}
        self._kinds: dict[str, str] = {}
        self._repository = source.origin()
        self.number = 0
        self.new = 0
        self.skipped: list[Skipped] = []
        self.redacted: list[Redacted] = []

    def versions(self) -> Iterator[Iterator[NewVersion]]:
        """For each new commit its documents' versions, then its patch set."""
        at_head = {one.path: one.blob for one in self._source.documents()}
        for step in self._source.history(self._recorded):
            yield self._of(step, at_head)
            self.number = step.number
            self.new += 1

    def _of(self, step: Step, at_head: dict[str, str]) -> Iterator[NewVersion]:
        sha = step.commit.sha
        for document in step.documents:
            try:
                version = self._version(sha, document, at_head[document.path])
            except (Invalid, TooLarge) as error:
                self.skipped.append(Skipped(sha, document.path, error.detail))
                continue
            if version is not None:
                yield version
        commit = self._without_secrets(step.commit)
        content = patchset.patchset_document(commit, self._repository)
        title = patchset.subject_of(commit.message)
        yield self._new(
            patchset.KIND,
            sha,
            content,
            {"media_type": patchset.MEDIA_TYPE, **({"title": title} if title else {})},
            sha,
        )

    def _version(self, commit: str, document: DocumentVersion, head: str) -> NewVersion | None:
        """A document's version; None when it is the latest one already.

        Raises:
            Invalid: `validation-failed`, `nul-character`, `citation-unresolved`.
            TooLarge: `git-blob-too-large`.
        """
        content = self._source.content(document.blob)
        content, found = redact_bytes(content, MARKDOWN)
        if found:
            rules = tuple(one.rule for one in found)
            self.redacted.append(Redacted(commit, document.path, rules))
        text = _text(content)
        check_links(text, ())
        key = key_of(document.path)
        kind = self._kind(document.path, key, head)
        digest = digest_of(content)
        if self._latest.get((kind, key)) == digest:
            return None
        self._latest[kind, key] = digest
        source = {"commit": commit, "path": document.path}
        if self._repository is not None:
            source["repository"] = self._repository
        data: dict[str, object] = {"media_type": MARKDOWN, "source": source}
        title = title_of(text)
        if title is not None:
            data["title"] = title
        return self._new(kind, key, content, data, commit, document.path)

    def _without_secrets(self, commit: patchset.Commit) -> patchset.Commit:
        """The commit with the secrets in its message, names and paths replaced."""
        clean, found = redact_members(msgspec.to_builtins(commit))
        if not found:
            return commit
        self.redacted.append(Redacted(commit.sha, "", tuple(one.rule for one in found)))
        return msgspec.convert(clean, patchset.Commit)

    def _new(
        self,
        kind: str,
        key: str,
        content: bytes,
        data: dict[str, object],
        commit: str,
        path: str = "",
    ) -> NewVersion:
        held: bytes | None = content
        if len(content) > STAGED_ABOVE_BYTES and not self._dry_run:
            self._target.stage(self._project, content)
            held = None
        return NewVersion(
            id=event_id(self._project, commit, path),
            kind=kind,
            key=key,
            data={**data, "digest": digest_of(content), "size_bytes": len(content)},
            content=held,
            commit=commit,
            path=path,
        )

    def _kind(self, path: str, key: str, head: str) -> str:
        if path not in self._kinds:
            try:
                text = self._source.content(head).decode("utf-8", "replace")
            except TooLarge:
                text = ""  # its name says what it is
            found = recognise(path, text).kind
            known = self._known.get(key, [])
            if any(one.kind != found for one in known):
                mine = [one for one in known if self._target.path_of(self._project, one) == path]
                if mine:
                    found = max(mine, key=lambda one: one.position).kind
            self._kinds[path] = found
        return self._kinds[path]


def event_id(project: str, commit: str, path: str) -> str:
    """The same UUID for the same version, whoever imports it: version 8 (RFC 9562, section 5.8)."""
    named = f"deedbook git import\0{project}\0{commit}\0{path}"
    value = int.from_bytes(hashlib.sha256(named.encode()).digest()[:16], "big")
    value = (value & ~(0xF << 76)) | (8 << 76)
    value = (value & ~(0x3 << 62)) | (2 << 62)
    return str(uuid.UUID(int=value))


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            "validation-failed", f"The text is not UTF-8: bad byte at offset {error.start}."
        ) from None
    if "\0" in text:
        raise Invalid("nul-character", "Text must not contain the NUL character.")
    return text
