"""What may happen in a run: every pair of phase and event, and no way back from the end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Conflict
from domain.events import (
    ApprovalRequested,
    EventData,
    RunCreated,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    VerificationRecorded,
)
from domain.run import OVER, RunPhase, RunState, decide, evolve

EVENTS: tuple[EventData, ...] = (
    RunCreated(title="t"),
    RunStarted(),
    RunPaused(waiting_for="approval"),
    RunPaused(waiting_for="external"),
    RunResumed(),
    RunFinished(outcome="succeeded"),
    RunFinished(outcome="failed"),
    RunFinished(outcome="canceled"),
    VerificationRecorded(result="PASSED"),
    ApprovalRequested(approval="a", scope="deploy.production", intent="ship"),
)
PHASES: tuple[RunPhase, ...] = (
    "absent", "created", "running", "waiting_approval", "waiting_external",
    "succeeded", "failed", "canceled",
)  # fmt: skip
ALLOWED: dict[RunPhase, set[int]] = {
    "absent": {0},
    "created": {1, 7},
    "running": {2, 3, 5, 6, 7, 8, 9},
    "waiting_approval": {4, 7, 8, 9},
    "waiting_external": {4, 7, 8, 9},
    "succeeded": set(),
    "failed": set(),
    "canceled": set(),
}


@pytest.mark.parametrize(("phase", "index"), list(itertools.product(PHASES, range(len(EVENTS)))))
def test_an_event_happens_only_in_its_phases(phase: RunPhase, index: int) -> None:
    state = RunState(phase=phase, version=3)
    if index in ALLOWED[phase]:
        assert decide(state, EVENTS[index]) is EVENTS[index]
    else:
        with pytest.raises(Conflict) as caught:
            decide(state, EVENTS[index])
        assert caught.value.code == "invalid-transition"
        assert phase in caught.value.detail


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_whatever_is_tried_a_run_that_is_over_stays_over(tried: list[EventData]) -> None:
    state = RunState()
    over: RunPhase | None = None
    for event in tried:
        try:
            state = evolve(state, decide(state, event))
        except Conflict:
            continue
        assert over is None
        if state.phase in OVER:
            over = state.phase
    assert over is None or state.phase == over
