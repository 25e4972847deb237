"""The gates of a run from its events alone: also of a log that no door has guarded."""

from domain.events import (
    ApprovalRecorded,
    EventData,
    Recorded,
    RunCreated,
    RunStarted,
    SideEffectFinished,
    SideEffectIntended,
)
from domain.policy import Policy
from projections.run_gates import gates_of, unapproved
from projections.timeline import TimelineFold

STRICT = Policy()
OPEN = Policy(guarded_scopes=())
PUSH = SideEffectIntended(effect="e1", scope="repo.push", intent="Push")
GRANT = ApprovalRecorded(decision="approved", scope="repo.push", approval="a1")


def log(*events: EventData) -> list[Recorded]:
    return [
        Recorded(
            position=place,
            stream="run/r1",
            version=place,
            type=type(data).__name__,
            id=f"00000000-0000-7000-8000-{place:012}",
            actor="agent:x",
            time=f"2026-11-20T10:00:{place:02}.000000Z",
            data=data,
        )
        for place, data in enumerate((RunCreated(title="t"), RunStarted(), *events), start=1)
    ]


def test_a_guarded_side_effect_without_approval_is_found_in_a_log_from_elsewhere() -> None:
    done = SideEffectFinished(effect="e1", outcome="succeeded")
    events = log(PUSH, GRANT, done)
    found = unapproved(events, lambda _position: STRICT)
    assert found == ("Side effect e1 needs a granted approval for repo.push: nobody approved it",)
    fold = TimelineFold()
    for event in events:
        fold.event(event)
    gates = gates_of(fold.finish("r1", 5, set()), STRICT, found)
    assert not gates.holds
    [approvals] = [gate for gate in gates.gates if gate.name == "approvals"]
    assert approvals.detail == f"{found[0]}."


def test_an_approval_before_it_or_a_policy_without_guard_lets_it_pass() -> None:
    assert unapproved(log(GRANT, PUSH), lambda _position: STRICT) == ()
    assert unapproved(log(PUSH), lambda _position: OPEN) == ()


def test_what_counts_is_the_policy_of_its_own_time() -> None:
    loosened_at = 3

    def policy_at(position: int) -> Policy:
        return OPEN if position > loosened_at else STRICT

    assert unapproved(log(PUSH), policy_at) != ()
    assert unapproved(log(GRANT, PUSH), policy_at) == ()
    second = SideEffectIntended(effect="e2", scope="repo.merge", intent="Merge")
    assert len(unapproved(log(PUSH, second), policy_at)) == 1


def test_nothing_else_that_contradicts_the_rules_is_taken_for_a_missing_approval() -> None:
    assert unapproved(log(GRANT, PUSH, PUSH), lambda _position: STRICT) == ()
