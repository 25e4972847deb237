"""A run as a person reads it: what happened, who allowed it, what it changed outside, what backs it.

A pure fold of the run's events. Whether a content is held is not in the events: the caller says so.
"""

from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

import msgspec

from domain.approval_signature import Evidence, SignedApproval
from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    AttestationRecorded,
    AttestationSigner,
    AttestedSubject,
    DeploymentRecorded,
    EventData,
    Recorded,
    Resource,
    RunCreated,
    RunFinished,
    RunPaused,
    SideEffectFinished,
    SideEffectIntended,
    StepFinished,
    StepStarted,
    TranscriptRecorded,
    VerificationRecorded,
    named_contents,
)
from domain.run import RunPhase, RunState, evolve
from domain.times import milliseconds_between
from domain.verification import CheckSummary, Counts
from projections.trail import sentence

MAX_ITEMS = 10_000
"""Of one timeline: a run with more events shows its first and says so."""

Tone = Literal["good", "bad", "warn", "neutral"]
WORDS: Mapping[str, Tone] = {
    "succeeded": "good",
    "PASSED": "good",
    "approved": "good",
    "failed": "bad",
    "FAILED": "bad",
    "rejected": "bad",
    "canceled": "warn",
    "unknown": "warn",
    "rolled_back": "warn",
    "WARNED": "warn",
}
"""How results, decisions and outcomes sound."""


class ShownContent(msgspec.Struct, frozen=True):
    """A content behind a claim; `held`: the ledger has its bytes; `erased`: it had, an event says so."""

    place: str
    digest: str
    size_bytes: int
    media_type: str
    held: bool
    erased: bool = False


class Item(msgspec.Struct, frozen=True):
    """One event of the run as a sentence."""

    position: int
    version: int
    time: str
    actor: str
    type: str
    sentence: str
    tone: Tone
    contents: tuple[ShownContent, ...]


class ShownCheck(msgspec.Struct, frozen=True):
    """A check; `in_force`: no later one of the same name has taken its place."""

    name: str
    category: str
    result: str
    position: int
    in_force: bool = True
    tool: str | None = None
    commit: str | None = None
    duration_ms: int | None = None
    counts: Counts = Counts()


class ShownApproval(msgspec.Struct, frozen=True):
    """An approval: asked for, decided, or both.

    Attributes:
        signed: It came with a signature; `evidence` says whether that holds, and `signer` whose it is.
        vouched: The same in words, such as `recorded by the ledger`; empty while nothing is decided.
    """

    approval: str
    scope: str
    position: int
    intent: str = ""
    effect: str | None = None
    asked_by: str | None = None
    decision: str | None = None
    decided_by: str | None = None
    approver: str | None = None
    reason: str = ""
    signed: bool = False
    evidence: Evidence = "ledger"
    signer: str | None = None
    vouched: str = ""


class ShownAttestation(msgspec.Struct, frozen=True):
    """An attestation by others; `verified`: when it came, somebody whom the policy trusted had signed it.

    `signed_by` are keys by their digest, and identities with the issuer that vouched for them.
    """

    predicate_type: str | None
    subjects: tuple[AttestedSubject, ...]
    subject_count: int
    verified: bool
    position: int
    actor: str
    digest: str
    signed_by: tuple[AttestationSigner, ...] = ()
    reason: str | None = None
    detail: str = ""


class ShownEffect(msgspec.Struct, frozen=True):
    """Something that was changed outside, or was about to be: `outcome` None is still open."""

    effect: str
    scope: str
    intent: str
    actor: str
    position: int
    approval: str | None = None
    target: Resource | None = None
    outcome: str | None = None
    error: str = ""
    resources: tuple[Resource, ...] = ()
    external_ids: tuple[str, ...] = ()


class ShownDeployment(msgspec.Struct, frozen=True):
    """A deployment; `backed_by_effect` is the side effect by which it happened."""

    provider: str
    environment: str
    commit: str
    outcome: str
    position: int
    deployment: str | None = None
    url: str | None = None
    backed_by_effect: str | None = None
    promoted_from: str | None = None
    rolled_back_from: str | None = None


class ShownStep(msgspec.Struct, frozen=True):
    """A step by its latest attempt; `outcome` None is still under way."""

    step: str
    title: str
    attempts: int
    outcome: str | None = None
    error: str = ""


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run.

    Attributes:
        position: At which it stands so.
        created: RFC 3339; so is `finished`.
        actors: Everybody who recorded something, in the order of their first event.
        items_cut: There are more events than are shown.
    """

    run: str
    title: str
    phase: RunPhase
    position: int
    created: str
    finished: str | None
    duration_ms: int | None
    repository: str | None
    base_commit: str | None
    head_commit: str | None
    pull_request: str | None
    waiting_for: str | None
    actors: tuple[str, ...]
    steps: tuple[ShownStep, ...]
    checks: tuple[ShownCheck, ...]
    approvals: tuple[ShownApproval, ...]
    attestations: tuple[ShownAttestation, ...] = ()
    effects: tuple[ShownEffect, ...]
    deployments: tuple[ShownDeployment, ...]
    items: tuple[Item, ...]
    items_cut: bool


LookAt = Callable[[ApprovalRecorded, str, str], SignedApproval]


def unchecked(data: ApprovalRecorded, _approval: str, _scope: str) -> SignedApproval:
    """What is known of a decision where no signature is checked."""
    return SignedApproval("ledger" if data.signature is None else "unchecked")


class TimelineFold:
    """Folds a run's events, in order, into what a timeline shows.

    Args:
        look_at: Says what vouches for a decision on an approval of this id and scope.
    """

    def __init__(self, look_at: LookAt = unchecked) -> None:
        self._look_at = look_at
        self.digests: set[str] = set()
        self._state = RunState()
        self._first: Recorded | None = None
        self._created = RunCreated(title="")
        self._finished: str | None = None
        self._waiting: str | None = None
        self._actors: dict[str, None] = {}
        self._steps: dict[str, ShownStep] = {}
        self._checks: list[ShownCheck] = []
        self._approvals: dict[str, ShownApproval] = {}
        self._attestations: list[ShownAttestation] = []
        self._effects: dict[str, ShownEffect] = {}
        self._deployments: list[ShownDeployment] = []
        self._events: list[Recorded] = []
        self._count = 0

    def event(self, event: Recorded) -> None:
        """Take in the run's next event."""
        self._first = self._first or event
        self._state = evolve(self._state, event.data, event.actor)
        self._actors[event.actor] = None
        self._count += 1
        if len(self._events) < MAX_ITEMS:
            self._events.append(event)
            self.digests.update(content.digest for _, content in named_contents(event.data))
        self._waiting = event.data.reason if isinstance(event.data, RunPaused) else self._waiting
        match event.data:
            case RunCreated() as data:
                self._created = data
            case RunFinished():
                self._finished = event.time
            case StepStarted() | StepFinished() as data:
                self._step(data)
            case VerificationRecorded() as data:
                self._check(event.position, data)
            case ApprovalRequested() | ApprovalRecorded() as data:
                self._approval(event, data)
            case AttestationRecorded() as data:
                self._attestations.append(_attestation(event, data))
            case SideEffectIntended() | SideEffectFinished() as data:
                self._effect(event, data)
            case DeploymentRecorded() as data:
                self._deployments.append(_deployment(event.position, data))
            case _:
                pass

    def finish(
        self,
        run: str,
        position: int,
        held: AbstractSet[str],
        erased: AbstractSet[str] = frozenset(),
    ) -> Timeline:
        """The timeline.

        Args:
            run: The run's id.
            position: Up to which the events were read.
            held: Those of `digests` whose bytes the ledger has.
            erased: Those that were erased.
        """
        assert self._first is not None
        created = self._first.time
        ended = self._finished
        waits = self._state.phase in {"waiting_approval", "waiting_external"}
        return Timeline(
            run=run,
            title=self._created.title,
            phase=self._state.phase,
            position=position,
            created=created,
            finished=ended,
            duration_ms=None if ended is None else milliseconds_between(created, ended),
            repository=self._created.repository,
            base_commit=self._created.base_commit,
            head_commit=self._created.head_commit,
            pull_request=self._created.pull_request,
            waiting_for=self._waiting if waits else None,
            actors=tuple(self._actors),
            steps=tuple(self._steps.values()),
            checks=tuple(self._checks),
            approvals=tuple(self._approvals.values()),
            attestations=tuple(self._attestations),
            effects=tuple(self._effects.values()),
            deployments=tuple(self._deployments),
            items=tuple(_item(event, held, erased) for event in self._events),
            items_cut=self._count > len(self._events),
        )

    def _step(self, data: StepStarted | StepFinished) -> None:
        known = self._steps.get(data.step)
        title = (data.title if isinstance(data, StepStarted) else "") or (
            known.title if known else ""
        )
        outcome, error = (None, "") if isinstance(data, StepStarted) else (data.outcome, data.error)
        self._steps[data.step] = ShownStep(data.step, title, data.attempt, outcome, error)

    def _check(self, position: int, data: VerificationRecorded) -> None:
        name = data.name or "verification"
        checks = data.checks or (CheckSummary(name=name, category="other", result=data.result),)
        names = {check.name for check in checks}
        self._checks = [
            msgspec.structs.replace(one, in_force=False) if one.name in names else one
            for one in self._checks
        ]
        self._checks += [
            ShownCheck(
                name=check.name,
                category=check.category,
                result=check.result,
                position=position,
                tool=check.tool,
                commit=data.commit,
                duration_ms=check.duration_ms,
                counts=check.counts,
            )
            for check in checks
        ]

    def _approval(self, event: Recorded, data: ApprovalRequested | ApprovalRecorded) -> None:
        if isinstance(data, ApprovalRequested):
            self._approvals[data.approval] = ShownApproval(
                data.approval, data.scope, event.position, data.intent, data.effect, event.actor
            )
            return
        name = data.approval or f"#{event.version}"
        known = self._approvals.get(name) or ShownApproval(name, data.scope or "", event.position)
        found = self._look_at(data, name, known.scope)
        self._approvals[name] = msgspec.structs.replace(
            known,
            decision=data.decision,
            decided_by=event.actor,
            approver=data.approver,
            reason=data.reason,
            signed=data.signature is not None,
            evidence=found.evidence,
            signer=found.signer,
            vouched=found.text,
        )

    def _effect(self, event: Recorded, data: SideEffectIntended | SideEffectFinished) -> None:
        if isinstance(data, SideEffectIntended):
            self._effects[data.effect] = ShownEffect(
                data.effect,
                data.scope,
                data.intent,
                event.actor,
                event.position,
                data.approval,
                data.target,
            )
        elif data.effect in self._effects:
            self._effects[data.effect] = msgspec.structs.replace(
                self._effects[data.effect],
                outcome=data.outcome,
                error=data.error,
                resources=data.resources,
                external_ids=data.external_ids,
            )


def tone_of(data: EventData) -> Tone:
    """Whether an event is good or bad news."""
    match data:
        case VerificationRecorded(result=word) | ApprovalRecorded(decision=word):
            return WORDS[word]
        case RunFinished(outcome=word) | StepFinished(outcome=word):
            return WORDS[word]
        case SideEffectFinished(outcome=word) | DeploymentRecorded(outcome=word):
            return WORDS[word]
        case TranscriptRecorded(exit_code=code):
            return "neutral" if code == 0 else "bad"
        case AttestationRecorded(verified=verified):
            return "good" if verified else "warn"
        case RunPaused() | ApprovalRequested() | SideEffectIntended():
            return "warn"
        case _:
            return "neutral"


def _item(event: Recorded, held: AbstractSet[str], erased: AbstractSet[str]) -> Item:
    return Item(
        position=event.position,
        version=event.version,
        time=event.time,
        actor=event.actor,
        type=event.type,
        sentence=sentence(event).partition(": ")[2],
        tone=tone_of(event.data),
        contents=tuple(
            ShownContent(
                place,
                content.digest,
                content.size_bytes,
                content.media_type,
                content.digest in held,
                content.digest in erased,
            )
            for place, content in named_contents(event.data)
        ),
    )


def _attestation(event: Recorded, data: AttestationRecorded) -> ShownAttestation:
    return ShownAttestation(
        predicate_type=data.predicate_type,
        subjects=data.subjects,
        subject_count=data.subject_count,
        verified=data.verified,
        position=event.position,
        actor=event.actor,
        digest=data.content.digest,
        signed_by=data.signers,
        reason=data.reason,
        detail=data.detail,
    )


def _deployment(position: int, data: DeploymentRecorded) -> ShownDeployment:
    return ShownDeployment(
        provider=data.provider,
        environment=data.environment,
        commit=data.commit,
        outcome=data.outcome,
        position=position,
        deployment=data.deployment,
        url=data.url,
        backed_by_effect=data.effect,
        promoted_from=data.promoted_from,
        rolled_back_from=data.rolled_back_from,
    )
