"""Every kind of event, and the line in which one is stored.

An event's data is a frozen struct, past tense, whose class name is its stored `type`. Stored events
are for ever: grow one by an optional field with a default, or add a new kind.

One event is one line of canonical JSON (`domain.canonical`): stored, hashed, exported and replayed
as the same bytes. The line's members are actor, data, id, position, stream, time, type, version.
"""

from typing import Literal

import msgspec

from domain import canonical
from domain.citation import Citation
from domain.errors import Damaged, Invalid, TooLarge
from domain.verification import CheckSummary

MAX_LINE_BYTES = 65_535  # a tile entry has a 16-bit length (C2SP tlog-tiles)
MAX_ACTOR_CHARACTERS = 256


class EventData(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What happened; the subclass says which kind of thing."""


class Content(EventData, frozen=True):
    """Bytes kept as a blob: digest, size in bytes and media type (RFC 6838)."""

    digest: str
    size_bytes: int
    media_type: str


class ArtifactVersionName(EventData, frozen=True):
    """Names one version of one artifact, and its digest."""

    kind: str
    key: str
    version: int
    digest: str


class Source(EventData, frozen=True):
    """Where an artifact's text came from: a commit and a path in a repository."""

    commit: str
    path: str
    repository: str | None = None


class ProjectCreated(EventData, frozen=True):
    """A project was opened; the first event of its log."""

    title: str
    description: str = ""


class ProjectChanged(EventData, frozen=True):
    """A project's title or description was changed."""

    title: str | None = None
    description: str | None = None


class ArtifactWritten(Content, frozen=True):
    """A version of an artifact was written; its version is the stream's version.

    Attributes:
        original: The uploaded file whose text this is, such as a PDF.
    """

    title: str | None = None
    citations: tuple[Citation, ...] = ()
    source: Source | None = None
    original: Content | None = None


class ArtifactErased(EventData, frozen=True):
    """The content of an artifact version was erased; in the stream `erasures`."""

    artifact: str
    artifact_version: int
    digest: str
    reason: str


class RecordErased(EventData, frozen=True):
    """A content that a run's record names was erased; in the stream `erasures`.

    Attributes:
        record: The run's stream.
        record_version: The version of the record in it.
    """

    record: str
    record_version: int
    digest: str
    reason: str


AttestationReason = Literal[
    "no-policy", "no-match", "not-allowed", "no-trusted-root", "signature-wrong"
]
"""Why nobody trusted has signed an attestation."""


class AttestationKey(EventData, frozen=True):
    """A key whose signature makes an attestation trusted (`domain.attestation_trust`).

    Attributes:
        spki: SubjectPublicKeyInfo in base64: P-256 or Ed25519.
        name: Whose it is, for people.
        predicate_types: The kinds of claims for which it is trusted; none: for all.
    """

    spki: str
    name: str = ""
    predicate_types: tuple[str, ...] = ()


class AttestationIdentity(EventData, frozen=True):
    """Somebody whose certificate makes an attestation trusted.

    Attributes:
        identity: As certificates have it (the SAN), such as an address or a workflow's; with `/*` or
            `@*` at the end, whatever goes on from there.
        issuer: The OIDC issuer that vouches for it.
        predicate_types: The kinds of claims for which they are trusted; none: for all.
    """

    identity: str
    issuer: str
    predicate_types: tuple[str, ...] = ()


class ApproverKey(EventData, frozen=True):
    """The SSH key of somebody whose signature makes an approval their own word; `key` without a comment."""

    key: str
    name: str = ""


class PolicyChanged(EventData, frozen=True):
    """The project's policy was changed (`domain.policy`); what is left away stays as it was.

    Attributes:
        guarded_scopes: Scopes of side effects that need an approval, such as `destroy.*`.
        four_eyes: Nobody may approve what they asked for, or do what only they approved.
        production: The environments to which a deployment must be backed by a side effect.
        secrets: What becomes of an event in which a secret is found.
        allowed_secrets: Fingerprints of findings that a person has judged to be none.
        attestations: What becomes of an attestation that nobody trusted has signed.
        attestation_keys: Keys that are trusted for attestations; all of them.
        attestation_identities: Identities that are; all of them.
        signed_approvals: An approval must be signed by one of `approver_keys`; all of them.
    """

    guarded_scopes: tuple[str, ...] | None = None
    four_eyes: bool | None = None
    production: tuple[str, ...] | None = None
    secrets: Literal["refuse", "replace"] | None = None
    allowed_secrets: tuple[str, ...] | None = None
    attestations: Literal["record", "require"] | None = None
    attestation_keys: tuple[AttestationKey, ...] | None = None
    attestation_identities: tuple[AttestationIdentity, ...] | None = None
    signed_approvals: bool | None = None
    approver_keys: tuple[ApproverKey, ...] | None = None


class Resource(EventData, frozen=True):
    """A thing outside, by the id that the outside gave it.

    Attributes:
        kind: Such as `pull-request`, `deployment`, `database`.
        provider: Whose id it is, such as `github`.
        region: Where it lies, in the provider's words.
    """

    kind: str
    id: str
    provider: str | None = None
    url: str | None = None
    region: str | None = None


class Parameter(EventData, frozen=True):
    """A parameter by name; of a secret one, only that it was there."""

    name: str
    value: str = ""
    redacted: bool = False


class StepValue(EventData, frozen=True):
    """What went into a step or came out of it: a text, a content, or a version of an artifact."""

    name: str
    value: str | None = None
    content: Content | None = None
    artifact: ArtifactVersionName | None = None


class ApprovalSignature(EventData, frozen=True):
    """An approver's own signature over `domain.approval.statement`.

    Attributes:
        format: `sshsig` (OpenSSH PROTOCOL.sshsig, armored) or `dsse` (an envelope as JSON).
        key_id: As the approver's tool calls the key, such as `SHA256:…`.
    """

    format: Literal["sshsig", "dsse"]
    value: str
    key_id: str | None = None


class RunCreated(EventData, frozen=True):
    """An implementation run was opened."""

    title: str
    repository: str | None = None
    base_commit: str | None = None
    head_commit: str | None = None
    pull_request: str | None = None
    artifacts: tuple[ArtifactVersionName, ...] = ()


class RunStarted(EventData, frozen=True):
    """Work on the run began."""


class RunPaused(EventData, frozen=True):
    """The run waits for an approval, which may be named, or for something outside."""

    waiting_for: Literal["approval", "external"]
    reason: str = ""
    approval: str | None = None


class RunResumed(EventData, frozen=True):
    """What the run waited for has come."""


class RunFinished(EventData, frozen=True):
    """The run ended; nothing more happens in it."""

    outcome: Literal["succeeded", "failed", "canceled"]
    reason: str = ""


class StepStarted(EventData, frozen=True):
    """A step of the run began; `attempt` counts from 1."""

    step: str
    attempt: int = 1
    title: str = ""
    inputs: tuple[StepValue, ...] = ()


class StepFinished(EventData, frozen=True):
    """An attempt of a step ended."""

    step: str
    outcome: Literal["succeeded", "failed", "canceled"]
    attempt: int = 1
    outputs: tuple[StepValue, ...] = ()
    error: str = ""


class PlanRecorded(EventData, frozen=True):
    """The implementation plan of a run, as content (`domain.plan`)."""

    content: Content
    artifacts: tuple[ArtifactVersionName, ...] = ()


class PatchSetRecorded(EventData, frozen=True):
    """Commits made in a run: SHAs in order, a diff manifest as content, the bytes as a patch."""

    commits: tuple[str, ...]
    content: Content
    repository: str | None = None
    base_commit: str | None = None
    head_commit: str | None = None
    patch: Content | None = None


class VerificationRecorded(EventData, frozen=True):
    """Checks were run: lint, types, tests, build, migrations.

    Attributes:
        content: The report (`domain.verification`), with every finding.
        checks: The same in short.
        sources: The files that the tools wrote, as they were.
    """

    result: Literal["PASSED", "WARNED", "FAILED"]
    name: str | None = None
    commit: str | None = None
    content: Content | None = None
    checks: tuple[CheckSummary, ...] = ()
    sources: tuple[Content, ...] = ()


class TranscriptRecorded(EventData, frozen=True):
    """A command was run; its output is the content, or the start of it when `truncated`."""

    command: tuple[str, ...]
    exit_code: int
    duration_ms: int
    content: Content
    truncated: bool = False
    step: str | None = None


class AttestedSubject(EventData, frozen=True):
    """What an attestation is about: digests such as `sha256:…` or `gitCommit:…`, any of which names it."""

    digests: tuple[str, ...]
    name: str = ""


class AttestationSigner(EventData, frozen=True):
    """Who signed an attestation: a key of the policy by its digest, or an identity and its issuer."""

    key: str | None = None
    identity: str | None = None
    issuer: str | None = None


class AttestationRecorded(EventData, frozen=True):
    """An attestation by others arrived, and what came of checking its signature then.

    The ledger takes all of this from the content's bytes and from its policy; no caller says it.

    Attributes:
        content: The DSSE envelope or the Sigstore bundle, as it came.
        verified: Somebody whom the policy trusted signed it; `signers` are they.
        reason: Why it is not verified, in a word; `detail` for people.
        policy_version: The version of the stream `project` whose policy was asked.
        trusted_root: The digest of the Sigstore trusted root by which an identity was checked.
        predicate_type: What kind of claim it is; none for a file's signature.
        subjects: What it is about: the first of them, if there are many.
        subject_count: How many there are.
        key_hints: How the envelope calls the keys; that proves nothing.
    """

    content: Content
    format: Literal["dsse", "sigstore"]
    verified: bool
    policy_version: int
    subject_count: int
    subjects: tuple[AttestedSubject, ...]
    predicate_type: str | None = None
    signers: tuple[AttestationSigner, ...] = ()
    reason: AttestationReason | None = None
    detail: str = ""
    trusted_root: str | None = None
    key_hints: tuple[str, ...] = ()


class ApprovalRequested(EventData, frozen=True):
    """Somebody is asked to allow something; with `effect`, that one side effect only."""

    approval: str
    scope: str
    intent: str
    effect: str | None = None


class ApprovalRecorded(EventData, frozen=True):
    """An approval was granted or rejected; `approver` is who did, where it is not the actor."""

    decision: Literal["approved", "rejected"]
    approval: str | None = None
    scope: str | None = None
    reason: str = ""
    approver: str | None = None
    signature: ApprovalSignature | None = None


class SideEffectIntended(EventData, frozen=True):
    """Something outside is about to be changed; recorded before it happens."""

    effect: str
    scope: str
    intent: str
    approval: str | None = None
    target: Resource | None = None
    parameters: tuple[Parameter, ...] = ()


class SideEffectFinished(EventData, frozen=True):
    """The outcome of an intended side effect, with the ids the outside gave it."""

    effect: str
    outcome: Literal["succeeded", "failed", "unknown"]
    external_ids: tuple[str, ...] = ()
    resources: tuple[Resource, ...] = ()
    error: str = ""


class InfrastructureRecorded(EventData, frozen=True):
    """What the run's infrastructure is: resources by their ids, never a secret."""

    provider: str
    resources: tuple[Resource, ...] = ()
    content: Content | None = None


class DeploymentRecorded(EventData, frozen=True):
    """Something was deployed, promoted or rolled back.

    Attributes:
        deployment: The provider's id.
        effect: The side effect by which it happened.
        promoted_from: The deployment that was promoted, if nothing new was built.
        rolled_back_from: The deployment that this one took the place of.
        content: Its provenance (`domain.deployment`).
    """

    provider: str
    environment: str
    commit: str
    outcome: Literal["succeeded", "failed", "rolled_back"]
    deployment: str | None = None
    url: str | None = None
    effect: str | None = None
    promoted_from: str | None = None
    rolled_back_from: str | None = None
    content: Content | None = None


PROJECT_EVENTS: tuple[type[EventData], ...] = (ProjectCreated, ProjectChanged, PolicyChanged)
ARTIFACT_EVENTS: tuple[type[EventData], ...] = (ArtifactWritten,)
ERASURE_EVENTS: tuple[type[EventData], ...] = (ArtifactErased, RecordErased)
RUN_EVENTS: tuple[type[EventData], ...] = (
    RunCreated,
    RunStarted,
    RunPaused,
    RunResumed,
    RunFinished,
    StepStarted,
    StepFinished,
    PlanRecorded,
    PatchSetRecorded,
    VerificationRecorded,
    TranscriptRecorded,
    AttestationRecorded,
    ApprovalRequested,
    ApprovalRecorded,
    SideEffectIntended,
    SideEffectFinished,
    InfrastructureRecorded,
    DeploymentRecorded,
)

EVENT_TYPES: dict[str, type[EventData]] = {
    kind.__name__: kind
    for kind in (*PROJECT_EVENTS, *ARTIFACT_EVENTS, *ERASURE_EVENTS, *RUN_EVENTS)
}
"""The allow-list: a stored `type` is looked up here and never imported."""


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it stands in the log: its data, and its place."""

    position: int
    stream: str
    version: int
    type: str
    id: str
    actor: str
    time: str
    data: EventData


class StoredLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The members of a stored line in canonical order; `data` is canonical JSON as bytes."""

    actor: str
    data: msgspec.Raw
    id: str
    position: int
    stream: str
    time: str
    type: str
    version: int


_encoder = msgspec.json.Encoder(order="sorted")
_line_decoder = msgspec.json.Decoder(StoredLine)
_data_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}


def encode_line(line: StoredLine) -> bytes:
    """The bytes to store and hash, without a newline.

    Raises:
        TooLarge: `event-too-large`.
    """
    raw = _encoder.encode(line)
    if len(raw) > MAX_LINE_BYTES:
        raise TooLarge(
            "event-too-large",
            f"The event has {len(raw)} bytes, the limit is {MAX_LINE_BYTES}; "
            "put long text into a blob.",
        )
    return raw


def read_line(raw: bytes) -> StoredLine:
    """The members of a stored line; refuses bytes that `encode_line` would not give.

    Raises:
        Damaged: `event-malformed`.
    """
    try:
        line = _line_decoder.decode(raw)
        if len(raw) > MAX_LINE_BYTES or _encoder.encode(line) != raw:
            raise Damaged("event-malformed", "The line is not the canonical form of an event.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged("event-malformed", f"The line is not an event: {error}.") from None
    return line


def parse(raw: bytes) -> Recorded:
    """The event in a stored line, strictly.

    Raises:
        Damaged: `event-malformed`, also for a type that is not in `EVENT_TYPES`.
    """
    line = read_line(raw)
    decoder = _data_decoders.get(line.type)
    if decoder is None:
        raise Damaged("event-malformed", f"The event type {line.type[:64]!r} is unknown.")
    try:
        data = decoder.decode(line.data)
        if canonical.write(data) != bytes(line.data):
            raise Damaged("event-malformed", f"The data of this {line.type} is not canonical.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(
            "event-malformed", f"The data of this {line.type} is malformed: {error}."
        ) from None
    return Recorded(
        position=line.position,
        stream=line.stream,
        version=line.version,
        type=line.type,
        id=line.id,
        actor=line.actor,
        time=line.time,
        data=data,
    )


def read_data(type_name: str, value: object) -> EventData:
    """Foreign event data (already through `canonical.read`) as its struct.

    Raises:
        Invalid: `unknown-event-type` or `validation-failed`, with a pointer below `/data`.
    """
    kind = EVENT_TYPES.get(type_name)
    if kind is None:
        raise Invalid(
            "unknown-event-type",
            f"{type_name[:64]!r} is not an event type; see the table in docs/events.md.",
            pointer="/type",
        )
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        pointer = "/data" + path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise Invalid("validation-failed", f"{sentence}.", pointer=pointer) from None


def contents_of(data: EventData) -> tuple[Content, ...]:
    """The blobs that an event's data refers to, in the order of `named_contents`."""
    return tuple(content for _, content in named_contents(data))


def named_contents(data: EventData) -> tuple[tuple[str, Content], ...]:
    """The blobs that an event's data refers to, each with its place: a JSON Pointer into the data."""
    if isinstance(data, ArtifactWritten):
        return (("", data), ("/original", data.original)) if data.original else (("", data),)
    found: list[tuple[str, Content]] = []
    for name in ("content", "patch"):
        content = getattr(data, name, None)
        if isinstance(content, Content):
            found.append((f"/{name}", content))
    for name in ("sources", "inputs", "outputs"):
        for index, one in enumerate(getattr(data, name, ())):
            content = one if isinstance(one, Content) else one.content
            if content is not None:
                place = f"/{name}/{index}"
                found.append((place if content is one else f"{place}/content", content))
    return tuple(found)
