"""The use cases: what HTTP, the command line and the import ask the ledger to do.

Each takes a named project, decides with the rules of `domain`, and appends. It knows no protocol.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import msgspec

from adapters.attestation_key import verify_attested
from adapters.commit_signal import CommitSignal
from adapters.postgres_blobs import PostgresBlobs
from adapters.postgres_drafts import PostgresDrafts
from adapters.postgres_events import PostgresEvents
from adapters.postgres_sessions import PostgresSessions
from adapters.postgres_tokens import PostgresTokens, Token
from adapters.postgres_uploads import PostgresUploads
from adapters.postgres_views import PostgresViews
from adapters.schema_state import SchemaState
from app.checkpoints import Checkpoints
from app.door import (
    Checked,
    EventInput,
    check_actor,
    check_event,
    check_stream,
    check_title,
    pointed,
)
from app.erasures import Erasures
from app.exports import Exports
from app.identity_exchange import IdentityExchange
from app.seals import Seals
from app.search.index_jobs import IndexJobs
from app.search.searching import Searches
from app.secret_door import PolicyOf, refuse, screen_content, screen_name, screen_value
from app.witnesses import Witnesses
from domain import artifact, canonical, run
from domain.approval_signature import demand, look_at
from domain.attestation_trust import IdentityVerifier
from domain.citation import Citation
from domain.digest import digest_of, format_digest, parse_digest
from domain.errors import DeedbookError, Invalid, NotFound, StaleVersion, TooLarge
from domain.events import (
    ApprovalRecorded,
    ArtifactWritten,
    Content,
    EventData,
    PolicyChanged,
    ProjectChanged,
    ProjectCreated,
    Recorded,
    Source,
    contents_of,
    parse,
)
from domain.log import (
    MAX_BATCH_EVENTS,
    STAGED_ABOVE_BYTES,
    Append,
    Blob,
    EventLog,
    Proposed,
    Receipt,
)
from domain.names import (
    RunStream,
    artifact_stream,
    check_project,
    parse_stream,
)
from domain.policy import Policy, policy_of
from domain.policy_rules import decide as decide_policy
from domain.secret_places import Redaction
from domain.secret_policy import SecretPolicy

APPEND_ATTEMPTS = 64
"""Of an append to a run: of several callers at once one is first, and the others decide anew."""
APPEND_SECONDS = 30.0
STREAM_PAGE = 1_000


class RequestKey(msgspec.Struct, frozen=True):
    """An idempotency key, already the caller's own, and the SHA-256 of the request it stands for."""

    key: str
    request_sha256: bytes


class Uploaded(msgspec.Struct, frozen=True):
    """Names content that was uploaded before: its digest and size in bytes."""

    digest: str
    size_bytes: int


class Ledger:
    """One ledger, open: its log, its views and its exports.

    Args:
        guest: What whoever has not signed in may read; None: nothing.
        identities: Checks certificates of attestations; None: the operator gave no trusted root.
        new_id: Gives a random UUID; the only randomness here.
        monotonic: Gives seconds for deadlines.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        views: PostgresViews,
        events: PostgresEvents,
        uploads: PostgresUploads,
        blobs: PostgresBlobs,
        search: Searches,
        index_jobs: IndexJobs,
        drafts: PostgresDrafts,
        exports: Exports,
        checkpoints: Checkpoints,
        seals: Seals,
        witnesses: Witnesses,
        erasures: Erasures,
        tokens: PostgresTokens,
        sessions: PostgresSessions,
        guest: Token | None,
        jobs: IdentityExchange,
        schema: SchemaState,
        signal: CommitSignal,
        identities: IdentityVerifier | None,
        new_id: Callable[[], str],
        monotonic: Callable[[], float],
    ) -> None:
        self.log = log
        self.views = views
        self.events = events
        self.uploads = uploads
        self.blobs = blobs
        self.search = search
        self.index_jobs = index_jobs
        self.drafts = drafts
        self.exports = exports
        self.checkpoints = checkpoints
        self.seals = seals
        self.witnesses = witnesses
        self.erasures = erasures
        self.tokens = tokens
        self.sessions = sessions
        self.guest = guest
        self.jobs = jobs
        self.schema = schema
        self.signal = signal
        self.identities = identities
        self.new_id = new_id
        self._monotonic = monotonic

    def create_project(
        self,
        slug: str,
        *,
        title: str,
        description: str = "",
        actor: str,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Open a project's log.

        Raises:
            Conflict: `project-exists`.
        """
        check_project(slug)
        check_title(title)
        data = ProjectCreated(title=title, description=description)
        return self.log.create(
            self._request(
                slug, [self._checked("project", data, refuse)], actor, {"project": 0}, key
            )
        )

    def change_project(
        self,
        slug: str,
        *,
        title: str | None = None,
        description: str | None = None,
        actor: str,
        expected: int | None = None,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Change a project's title or description."""
        if title is None and description is None:
            raise Invalid("validation-failed", "Give a title or a description to change.")
        if title is not None:
            check_title(title)
        data = ProjectChanged(title=title, description=description)
        preconditions = {} if expected is None else {"project": expected}
        checked = self._checked("project", data, partial(self.secret_policy, slug))
        receipt = self.log.append(self._request(slug, [checked], actor, preconditions, key))
        return _with_redactions(receipt, checked.redactions)

    def append(
        self,
        project: str,
        events: Sequence[EventInput],
        *,
        actor: str,
        preconditions: Mapping[str, int] | None = None,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Record a batch: all of it, next to each other, or nothing.

        Raises:
            Invalid: An event breaks a rule; the pointer says which one.
            Conflict: `invalid-transition`, `event-id-conflict`.
            StaleVersion: `version-conflict`.
            TooLarge: `batch-too-large`, `body-too-large`, `event-too-large`.
        """
        if not 1 <= len(events) <= MAX_BATCH_EVENTS:
            raise TooLarge(
                "batch-too-large", f"A batch has 1 to {MAX_BATCH_EVENTS} events, not {len(events)}."
            )
        uploaded = partial(self.uploads.read, project)
        policy = partial(self.secret_policy, project)
        checked = [
            pointed(f"/events/{index}", partial(check_event, given, uploaded, self.new_id, policy))
            for index, given in enumerate(events)
        ]
        versions = dict(preconditions or {})
        for name in versions:
            check_stream(name, "/preconditions")
        return self.append_checked(project, checked, actor=actor, preconditions=versions, key=key)

    def append_checked(
        self,
        project: str,
        checked: Sequence[Checked],
        *,
        actor: str,
        preconditions: Mapping[str, int],
        key: RequestKey | None = None,
    ) -> Receipt:
        """Record events that were held to the door's rules; else like `append`."""
        request = self._request(project, checked, actor, preconditions, key)
        if any(isinstance(one.stream, RunStream) for one in checked):
            receipt = self._append_to_runs(request, checked, actor, preconditions)
        else:
            receipt = self.log.append(request)
        return _with_redactions(
            receipt,
            [
                Redaction(f"/events/{index}{each.pointer}", each.rule)
                for index, one in enumerate(checked)
                for each in one.redactions
            ],
        )

    def write_artifact(
        self,
        project: str,
        kind: str,
        key: str,
        content: bytes | Uploaded,
        *,
        media_type: str = artifact.MARKDOWN,
        title: str | None = None,
        citations: tuple[Citation, ...] = (),
        source: Source | None = None,
        original: Content | None = None,
        actor: str,
        expected: int | None = None,
        event_id: str | None = None,
        unless_same: bool = False,
        derived: bool = False,
        request_key: RequestKey | None = None,
    ) -> Receipt:
        """Write the next version of an artifact; no entries when `unless_same` and it is the same.

        A `derived` content is made of what is recorded, and not looked through once more for secrets.

        Raises:
            StaleVersion: `version-conflict`.
            Invalid: The kind, key, media type, citations or text break a rule.
        """
        stream = artifact_stream(kind, key)
        redactions: tuple[Redaction, ...] = ()
        if unless_same and not isinstance(content, Uploaded):
            # What is compared is what would be recorded.
            policy = partial(self.secret_policy, project)
            content, redactions = screen_content(content, media_type, policy)
        if isinstance(content, Uploaded):
            digest, size_bytes = content.digest, content.size_bytes
        else:
            digest, size_bytes = digest_of(content), len(content)
        state = artifact.ArtifactState()
        if unless_same:
            latest = self.views.latest_digest(project, kind, key)
            state = artifact.ArtifactState(*latest) if latest else state
        proposed = artifact.decide(
            state,
            artifact.WriteArtifact(
                digest=digest,
                size_bytes=size_bytes,
                media_type=media_type,
                title=title,
                citations=citations,
                source=source,
                original=original,
                unless_same=unless_same,
            ),
        )
        if not proposed:
            return self.first_answer(project, request_key) or Receipt(entries=())
        data = msgspec.to_builtins(proposed[0])
        if not isinstance(content, Uploaded):
            # The door says what they are, once it has looked for secrets.
            del data["digest"], data["size_bytes"]
        event = EventInput(
            stream=stream,
            type="ArtifactWritten",
            data=data,
            id=event_id,
            content=None if isinstance(content, Uploaded) else content,
            derived=derived,
        )
        try:
            receipt = self.append(
                project,
                [event],
                actor=actor,
                preconditions={} if expected is None else {stream: expected},
                key=request_key,
            )
            return _with_redactions(
                receipt,
                [
                    *redactions,
                    *(Redaction(_own(one.pointer), one.rule) for one in receipt.redactions),
                ],
            )
        except DeedbookError as error:
            # Its caller gave no list of events.
            if error.pointer is not None:
                error.pointer = _own(error.pointer)
            raise

    def original(self, project: str, kind: str, key: str, version: int, position: int) -> Content:
        """What the original of a version is.

        Raises:
            NotFound: `original-not-found`.
        """
        stream = artifact_stream(kind, key)
        for entry in self.log.stream(project, stream, version - 1, 1, position):
            data = parse(entry.line).data
            if isinstance(data, ArtifactWritten) and data.original is not None:
                return data.original
        raise NotFound(
            "original-not-found",
            f"Version {version} of {kind} {key} was written without an original.",
        )

    def first_answer(self, project: str, key: RequestKey | None) -> Receipt | None:
        """What a repeat is told: it may itself have written what is the latest version now."""
        if key is None:
            return None
        return self.log.recall(
            Append(project=project, events=(), key=key.key, request_sha256=key.request_sha256)
        )

    def stage_blob(self, project: str, content: bytes) -> str:
        """Take content in before the append that names it; answers its digest.

        Raises:
            Invalid: `secret-detected`: a content under its own digest cannot be rewritten.
        """
        self.log.head(project)
        policy = partial(self.secret_policy, project)
        screen_content(content, "application/octet-stream", policy, named=True)
        return format_digest(self.uploads.stage(project, content))

    def secret_policy(self, project: str) -> SecretPolicy:
        """What the project does with a secret that comes to its door."""
        _, policy = self.policy(project)
        return SecretPolicy(policy.secrets, frozenset(policy.allowed_secrets))

    def position(self, project: str, at: int | None) -> int:
        """The position to read at: `at`, or the newest one.

        Raises:
            NotFound: `project-not-found`, `position-in-the-future`.
        """
        size = self.log.head(project).size
        if at is None:
            return size
        if at > size:
            raise NotFound(
                "position-in-the-future",
                f"The log of {project} ends at position {size}; {at} is still to come.",
                members={"position": size},
            )
        return at

    def _append_to_runs(
        self,
        request: Append,
        checked: Sequence[Checked],
        actor: str,
        preconditions: Mapping[str, int],
    ) -> Receipt:
        """Decide on each run's present state, and try again when somebody was faster."""
        for attempt in range(APPEND_ATTEMPTS):
            recalled = self.log.recall(request)
            if recalled is not None:
                return recalled
            expected = dict(preconditions)
            states: dict[str, run.RunState] = {}
            policy = run.DEFAULT_POLICY
            if any(isinstance(one.data, run.UNDER_POLICY) for one in checked):
                # A policy that becomes stricter meanwhile is not slipped past: decide anew.
                version, policy = self.policy(request.project)
                expected.setdefault("project", version)
            for index, one in enumerate(checked):
                if isinstance(one.stream, RunStream):
                    state = states.get(one.name) or self._run_state(request.project, one.name)
                    expected.setdefault(one.name, state.version)
                    decide = partial(_decide, state, one.data, actor, policy)
                    event = pointed(f"/events/{index}", decide)
                    if isinstance(event, ApprovalRecorded) and policy.signed_approvals:
                        check = partial(
                            self._demand, request.project, one.stream, state, event, policy
                        )
                        pointed(f"/events/{index}/data", check)
                    states[one.name] = run.evolve(state, event, actor)
            try:
                return self.log.append(
                    msgspec.structs.replace(request, expected=tuple(sorted(expected.items())))
                )
            except StaleVersion as stale:
                if stale.members.get("stream") in preconditions or attempt == APPEND_ATTEMPTS - 1:
                    raise
        raise AssertionError

    def _demand(
        self,
        project: str,
        stream: RunStream,
        state: run.RunState,
        event: ApprovalRecorded,
        policy: Policy,
    ) -> None:
        """Hold a decision to the policy's demand that approvers sign."""
        name = event.approval or ""
        known = state.approvals.get(name)
        found = look_at(
            event,
            origin=self.log.head(project).origin,
            run=stream.run_id,
            approval=name,
            scope=event.scope or (known.scope if known is not None else ""),
            keys=policy.approver_keys,
            verify=verify_attested,
        )
        demand(policy, event, found)

    def policy(self, project: str, at: int | None = None) -> tuple[int, Policy]:
        """The version of the stream `project`, and the policy that it tells at a position."""
        events = [event.data for event in self.stream_events(project, "project", at)]
        return len(events), policy_of(events)

    def change_policy(
        self,
        project: str,
        change: PolicyChanged,
        *,
        actor: str,
        expected: int | None = None,
        key: RequestKey | None = None,
    ) -> Receipt:
        """Change what the project demands; no entries when it demands that already.

        Raises:
            Invalid: `validation-failed`.
            StaleVersion: `version-conflict`.
        """
        version, present = self.policy(project)
        proposed = decide_policy(present, change)
        if not proposed:
            return self.first_answer(project, key) or Receipt(entries=())
        request = self._request(
            project,
            [self._checked("project", proposed[0], refuse)],
            actor,
            {"project": version if expected is None else expected},
            key,
        )
        return self.log.append(request)

    def stream_events(self, project: str, stream: str, at: int | None = None) -> Iterator[Recorded]:
        """The events of one stream up to a position, in order."""
        upto, version = self.position(project, at), 0
        while page := self.log.stream(project, stream, version, STREAM_PAGE, upto):
            for entry in page:
                yield parse(entry.line)
            version = page[-1].version

    def _run_state(self, project: str, stream: str) -> run.RunState:
        state = run.RunState()
        for event in self.stream_events(project, stream):
            state = run.evolve(state, event.data, event.actor)
        return state

    def _checked(self, name: str, data: EventData, policy: PolicyOf) -> Checked:
        value = msgspec.to_builtins(data)
        canonical.check(value)
        screened, redactions = screen_value(value, "", policy)
        data = msgspec.convert(screened, type(data))
        return Checked(parse_stream(name), name, data, self.new_id(), None, redactions=redactions)

    def _request(
        self,
        project: str,
        checked: Sequence[Checked],
        actor: str,
        preconditions: Mapping[str, int],
        key: RequestKey | None,
    ) -> Append:
        check_project(project)
        check_actor(actor)
        if key is not None and not key.key:
            raise Invalid("invalid-parameter", "An idempotency key cannot be empty.")
        if key is not None:
            screen_name(key.key, None)
        blobs, referred = self._contents(project, checked)
        return Append(
            project=project,
            events=tuple(
                Proposed(
                    one.name, type(one.data).__name__, canonical.write(one.data), one.id, actor
                )
                for one in checked
            ),
            expected=tuple(sorted(preconditions.items())),
            blobs=blobs,
            referred=referred,
            key=key.key if key else None,
            request_sha256=key.request_sha256 if key else b"",
            deadline=self._monotonic() + APPEND_SECONDS,
        )

    def _contents(
        self, project: str, checked: Sequence[Checked]
    ) -> tuple[tuple[Blob, ...], tuple[bytes, ...]]:
        """The blobs to insert, and the ones that must be there already."""
        blobs: dict[bytes, Blob] = {}
        for one in checked:
            if one.content is not None:
                if len(one.content) > STAGED_ABOVE_BYTES:
                    self.uploads.stage(project, one.content)
                blobs[one.sha256] = Blob(
                    one.sha256,
                    len(one.content),
                    zlib.crc32(one.content),
                    None if len(one.content) > STAGED_ABOVE_BYTES else one.content,
                )
        named = {
            parse_digest(content.digest): content
            for one in checked
            for content in contents_of(one.data)
        }
        missing = tuple(sorted(set(named) - set(blobs)))
        if not missing:
            return tuple(blobs.values()), ()
        held = self.uploads.held(project, missing)
        originals = {
            parse_digest(one.data.original.digest)
            for one in checked
            if isinstance(one.data, ArtifactWritten) and one.data.original is not None
        }
        for sha256 in missing:
            known = held.get(sha256)
            if known is None:
                continue  # the log says whether it was erased or never came
            if known.size_bytes != named[sha256].size_bytes:
                raise Invalid(
                    "digest-mismatch",
                    f"{format_digest(sha256)} has {known.size_bytes} bytes, "
                    f"not {named[sha256].size_bytes}.",
                )
            if known.staged:
                if sha256 in originals:
                    self.uploads.send_out(project, sha256)
                blobs[sha256] = Blob(sha256, known.size_bytes, known.crc32, None)
        return tuple(blobs.values()), tuple(sha for sha in missing if sha not in blobs)


def _with_redactions(receipt: Receipt, redactions: Sequence[Redaction]) -> Receipt:
    return msgspec.structs.replace(receipt, redactions=tuple(redactions)) if redactions else receipt


def _own(pointer: str) -> str:
    """A pointer into a batch of one, for a caller who gave no batch."""
    return pointer.removeprefix("/events/0").removeprefix("/data")


def _decide(state: run.RunState, event: EventData, actor: str, policy: Policy) -> EventData:
    """The rules of a run; a pointer of theirs is one into the event's data."""
    try:
        return run.decide(state, event, actor, policy)
    except DeedbookError as error:
        if error.pointer is not None:
            error.pointer = f"/data{error.pointer}"
        raise
