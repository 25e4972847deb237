"""What may happen in an implementation run: created → running → … → succeeded, failed or canceled.

While it runs it may wait for an approval or for something outside. Records (plans, patch sets,
verifications, approvals, side effects, deployments) are made while it is neither new nor over.
"""

from typing import Literal

import msgspec

from domain.errors import Conflict
from domain.events import (
    EventData,
    RunCreated,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
)

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


class RunState(msgspec.Struct, frozen=True):
    """All that the rules need to know of a run."""

    phase: RunPhase = "absent"
    version: int = 0


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


def evolve(state: RunState, event: EventData) -> RunState:
    """The state after one more event."""
    return RunState(phase=phase_after(event) or state.phase, version=state.version + 1)


def decide(state: RunState, event: EventData) -> EventData:
    """The proposed event itself, if the run is in a phase in which it can happen.

    Raises:
        Conflict: `invalid-transition`, naming the phase.
    """
    match event:
        case RunCreated():
            allowed = state.phase == "absent"
        case RunStarted():
            allowed = state.phase == "created"
        case RunPaused():
            allowed = state.phase == "running"
        case RunResumed():
            allowed = state.phase in WAITING
        case RunFinished(outcome="canceled"):
            allowed = state.phase not in OVER and state.phase != "absent"
        case RunFinished():
            allowed = state.phase == "running"
        case _:
            allowed = state.phase == "running" or state.phase in WAITING
    if not allowed:
        raise Conflict(
            "invalid-transition",
            f"{type(event).__name__} cannot happen while the run is {state.phase}.",
            members={"phase": state.phase},
        )
    return event
