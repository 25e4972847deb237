"""How far a run has come: six stages, each with its state and what it comes to."""

from collections.abc import Sequence
from typing import Literal

import pytest

from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    DeploymentRecorded,
    EventData,
    RunFinished,
    RunPaused,
    StepFinished,
    StepStarted,
    VerificationRecorded,
)
from projections.run_stages import run_stages
from tests.test_run_page import timeline


def stage(name: str, *events: EventData, plans: int = 0, tasks: Sequence[str] = (), patchsets: int = 0, changed: str = "") -> tuple[str, str]:  # fmt: skip
    """State and words of one stage."""
    stages = run_stages(
        timeline(*events), plans=plans, tasks=tasks, patchsets=patchsets, changed=changed
    )
    assert [one.name for one in stages] == [
        "plan", "patches", "checks", "approvals", "deployments", "done",
    ]  # fmt: skip
    [found] = [one for one in stages if one.name == name]
    return found.state, found.detail


def checked(name: str, result: Literal["PASSED", "WARNED", "FAILED"]) -> VerificationRecorded:
    return VerificationRecorded(result=result, name=name)


def deployed(
    environment: str, outcome: Literal["succeeded", "failed", "rolled_back"] = "succeeded"
) -> DeploymentRecorded:
    return DeploymentRecorded(
        provider="here", environment=environment, commit="c0ffee", outcome=outcome
    )


ASKED = ApprovalRequested(approval="a", scope="repo.push", intent="Push")
GRANTED = ApprovalRecorded(decision="approved", scope="repo.push")


def test_nothing_recorded_is_not_there_and_nothing_wrong() -> None:
    for name in ("plan", "patches", "checks", "approvals", "deployments"):
        assert stage(name)[0] == "none"
    assert stage("done") == ("now", "running")


def test_a_plan_counts_the_tasks_whose_step_succeeded() -> None:
    assert stage("plan", plans=1) == ("good", "recorded")
    assert stage("plan", plans=1, tasks=["a"]) == ("good", "1 task")
    events = (
        StepStarted(step="a"),
        StepFinished(step="a", outcome="succeeded"),
        StepStarted(step="b"),
        StepFinished(step="b", outcome="failed"),
        StepStarted(step="other"),
        StepFinished(step="other", outcome="succeeded"),
    )
    assert stage("plan", *events, plans=1, tasks=["a", "b", "c"]) == ("good", "3 tasks, 1 done")


def test_patches_say_what_they_changed_where_that_is_known() -> None:
    assert stage("patches", patchsets=2) == ("good", "2 patch sets")
    assert stage("patches", patchsets=2, changed="3 files") == ("good", "3 files")


def test_one_failed_check_in_force_is_what_counts() -> None:
    assert stage("checks", checked("a", "PASSED")) == ("good", "1 passed")
    some = (checked("a", "PASSED"), checked("b", "WARNED"))
    assert stage("checks", *some) == ("warn", "1 warned, 1 passed")
    assert stage("checks", *some, checked("c", "FAILED")) == ("bad", "1 failed, 1 warned, 1 passed")
    assert stage("checks", checked("a", "FAILED"), checked("a", "PASSED")) == ("good", "1 passed")


def test_an_open_request_is_to_be_looked_at_before_anything_else() -> None:
    rejected = ApprovalRecorded(decision="rejected", approval="b", scope="repo.merge")
    assert stage("approvals", GRANTED) == ("good", "1 granted")
    assert stage("approvals", GRANTED, rejected) == ("bad", "1 rejected, 1 granted")
    assert stage("approvals", GRANTED, rejected, ASKED) == ("warn", "1 open, 1 rejected, 1 granted")


def test_a_deployment_counts_as_it_went_last_in_its_environment() -> None:
    assert stage("deployments", deployed("production", "failed")) == ("bad", "production failed")
    assert stage("deployments", deployed("a", "failed"), deployed("a")) == ("good", "a succeeded")
    assert stage("deployments", deployed("a", "rolled_back")) == ("warn", "a rolled back")
    many = [deployed(name) for name in "abcd"]
    assert stage("deployments", *many) == ("good", "2 more, c succeeded, d succeeded")


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (RunFinished(outcome="succeeded"), ("good", "succeeded")),
        (RunFinished(outcome="failed"), ("bad", "failed")),
        (RunFinished(outcome="canceled"), ("warn", "canceled")),
        (RunPaused(waiting_for="external"), ("warn", "waiting for external")),
    ],
)
def test_the_end_is_how_the_run_ended_or_what_it_waits_for(
    event: EventData, expected: tuple[str, str]
) -> None:
    assert stage("done", event) == expected
