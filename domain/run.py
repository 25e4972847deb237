"""What may happen in an implementation run: created → running → … → succeeded, failed or canceled.

While it runs it may wait for an approval or for something outside. Records (plans, patch sets,
verifications, approvals, side effects, deployments) are made while it is neither new nor over; a
step or a side effect begins only while it does not wait. The approval gate stands here as well.
"""

from typing import Literal

import msgspec

from domain import approval
from domain.approval import Approval
from domain.errors import Conflict
from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    DeploymentRecorded,
    EventData,
    RunCreated,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    SideEffectFinished,
    SideEffectIntended,
    StepFinished,
    StepStarted,
    TranscriptRecorded,
)
from domain.policy import Policy

RunPhase = Literal[
    "absent",
    "created",
    "running",
    "waiting_approval",
    "waiting_external",
    "succeeded",
    "failed",
    "canceled",
]

OVER = frozenset({"succeeded", "failed", "canceled"})
WAITING = frozenset({"waiting_approval", "waiting_external"})
DEFAULT_POLICY = Policy()
UNDER_POLICY = (ApprovalRecorded, SideEffectIntended)
"""The events whose rules depend on the project's policy."""


class Step(msgspec.Struct, frozen=True):
    """The latest attempt of a step; `outcome` is None while it runs."""

    attempt: int
    outcome: str | None = None


class RunState(msgspec.Struct, frozen=True):
    """All that the rules need to know of a run.

    Attributes:
        waits_for: The approval that a paused run named.
        steps: By the step's id.
        approvals: By the approval's id.
        effects: The outcome of each side effect by its id; None while it is under way.
    """

    phase: RunPhase = "absent"
    version: int = 0
    waits_for: str | None = None
    steps: dict[str, Step] = {}
    approvals: dict[str, Approval] = {}
    effects: dict[str, str | None] = {}


def phase_after(event: EventData) -> RunPhase | None:
    """The phase that an event leads to, None when it changes none."""
    match event:
        case RunCreated():
            return "created"
        case RunStarted() | RunResumed():
            return "running"
        case RunPaused(waiting_for="approval"):
            return "waiting_approval"
        case RunPaused():
            return "waiting_external"
        case RunFinished(outcome=outcome):
            return outcome
        case _:
            return None


def evolve(state: RunState, event: EventData, actor: str = "") -> RunState:
    """The state after one more event, which this actor caused."""
    phase, version = phase_after(event) or state.phase, state.version + 1
    waits_for, steps = state.waits_for, state.steps
    approvals, effects = state.approvals, state.effects
    match event:
        case RunPaused():
            waits_for = event.approval
        case RunResumed():
            waits_for = None
        case StepStarted():
            steps = {**steps, event.step: Step(event.attempt)}
        case StepFinished():
            steps = {**steps, event.step: Step(event.attempt, event.outcome)}
        case ApprovalRequested():
            asked = Approval(event.scope, actor, event.effect)
            approvals = {**approvals, event.approval: asked}
        case ApprovalRecorded():
            name = event.approval or f"#{version}"
            known = approvals.get(name) or Approval(event.scope or "")
            decided = msgspec.structs.replace(known, decision=event.decision, decided_by=actor)
            approvals = {**approvals, name: decided}
        case SideEffectIntended():
            effects = {**effects, event.effect: None}
        case SideEffectFinished():
            effects = {**effects, event.effect: event.outcome}
        case _:
            pass
    return RunState(phase, version, waits_for, steps, approvals, effects)


def decide(
    state: RunState, event: EventData, actor: str = "", policy: Policy = DEFAULT_POLICY
) -> EventData:
    """The proposed event itself, if the run is in a state in which it can happen.

    Args:
        state: The run so far.
        event: What is to be recorded.
        actor: Who records it.
        policy: What the project demands.

    Raises:
        Conflict: `invalid-transition`, naming the phase; `unknown-reference` for a step, approval or
            side effect that the run does not have; `already-recorded` for one that it has;
            `run-incomplete` for a success with something left open; `approval-missing`; `four-eyes`.
    """
    if not _has_its_phase(state.phase, event):
        raise Conflict(
            "invalid-transition",
            f"{type(event).__name__} cannot happen while the run is {state.phase}.",
            members={"phase": state.phase},
        )
    match event:
        case RunPaused(approval=str(name)) if name not in state.approvals:
            raise _unknown("approval", name, "/approval")
        case RunResumed():
            _check_resumption(state)
        case RunFinished(outcome="succeeded"):
            _check_complete(state)
        case StepStarted():
            _check_start(state.steps.get(event.step), event)
        case StepFinished():
            _check_end(state.steps.get(event.step), event)
        case TranscriptRecorded(step=str(step)) if step not in state.steps:
            raise _unknown("step", step, "/step")
        case ApprovalRequested():
            if event.approval in state.approvals:
                raise _recorded("approval", event.approval, "/approval")
        case ApprovalRecorded():
            _check_decision(state, event, actor, policy)
        case SideEffectIntended():
            _check_intent(state, event, actor, policy)
        case SideEffectFinished(effect=effect):
            if effect not in state.effects:
                raise _unknown("side effect", effect, "/effect")
            if state.effects[effect] not in {None, "unknown"}:
                raise _recorded("outcome of the side effect", effect, "/effect")
        case DeploymentRecorded(effect=str(effect)) if effect not in state.effects:
            raise _unknown("side effect", effect, "/effect")
        case _:
            pass
    return event


def _has_its_phase(phase: RunPhase, event: EventData) -> bool:
    match event:
        case RunCreated():
            return phase == "absent"
        case RunStarted():
            return phase == "created"
        case RunPaused() | StepStarted() | SideEffectIntended():
            return phase == "running"
        case RunResumed():
            return phase in WAITING
        case RunFinished(outcome="canceled"):
            return phase not in OVER and phase != "absent"
        case RunFinished():
            return phase == "running"
        case _:
            return phase == "running" or phase in WAITING


def _check_resumption(state: RunState) -> None:
    awaited = state.approvals.get(state.waits_for) if state.waits_for is not None else None
    if awaited is not None and awaited.decision is None:
        raise Conflict(
            "invalid-transition",
            f"RunResumed cannot happen while approval {state.waits_for} is not decided.",
            members={"phase": state.phase},
        )


def _check_complete(state: RunState) -> None:
    left = [f"step {name}" for name, step in state.steps.items() if step.outcome is None]
    left += [f"side effect {name}" for name, outcome in state.effects.items() if outcome is None]
    left += [f"approval {name}" for name, one in state.approvals.items() if one.decision is None]
    if left:
        raise Conflict(
            "run-incomplete",
            f"The run cannot have succeeded yet: {left[0]} is still open"
            + (f", and {len(left) - 1} more." if len(left) > 1 else "."),
            members={"open": len(left)},
        )


def _check_start(known: Step | None, event: StepStarted) -> None:
    if known is not None and known.outcome is None:
        raise Conflict(
            "invalid-transition",
            f"Step {event.step} is still in attempt {known.attempt}.",
            pointer="/step",
        )
    if known is not None and known.outcome == "succeeded":
        raise _recorded("success of step", event.step, "/step")
    following = known.attempt + 1 if known is not None else 1
    if event.attempt != following:
        raise Conflict(
            "invalid-transition",
            f"The next attempt of step {event.step} is {following}, not {event.attempt}.",
            pointer="/attempt",
        )


def _check_end(known: Step | None, event: StepFinished) -> None:
    if known is None:
        raise _unknown("step", event.step, "/step")
    if known.outcome is not None or known.attempt != event.attempt:
        raise Conflict(
            "invalid-transition",
            f"Attempt {event.attempt} of step {event.step} is not under way.",
            pointer="/attempt",
        )


def _check_decision(state: RunState, event: ApprovalRecorded, actor: str, policy: Policy) -> None:
    known = state.approvals.get(event.approval) if event.approval is not None else None
    if known is None and event.scope is None and event.approval is not None:
        raise _unknown("approval", event.approval, "/approval")
    if known is None:
        return
    revoked = known.decision == "approved" and event.decision == "rejected"
    if known.decision is not None and not revoked:
        raise _recorded("decision on approval", str(event.approval), "/approval")
    if event.scope not in {None, known.scope}:
        raise Conflict(
            "approval-mismatch",
            f"Approval {event.approval} was asked for {known.scope}, not for {event.scope}.",
            pointer="/scope",
        )
    if policy.four_eyes and known.asked_by == actor:
        raise Conflict(
            "four-eyes",
            f"{actor} asked for approval {event.approval}; this project wants somebody else to "
            "decide on it.",
            pointer="/approval",
        )


def _check_intent(state: RunState, event: SideEffectIntended, actor: str, policy: Policy) -> None:
    if event.effect in state.effects:
        raise _recorded("side effect", event.effect, "/effect")
    if event.approval is None and not policy.guards(event.scope):
        return
    if event.approval is None:
        candidates = list(state.approvals.values())
    else:
        candidates = [one for one in (state.approvals.get(event.approval),) if one is not None]
    if not any(one.allows(event.scope, event.effect, actor, policy) for one in candidates):
        raise approval.missing(
            event.scope, event.effect, event.approval, state.approvals, actor, policy
        )


def _unknown(what: str, name: str, pointer: str) -> Conflict:
    return Conflict("unknown-reference", f"The run has no {what} {name}.", pointer=pointer)


def _recorded(what: str, name: str, pointer: str) -> Conflict:
    return Conflict("already-recorded", f"The run has the {what} {name} already.", pointer=pointer)
