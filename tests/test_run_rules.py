"""What may happen in a run: every pair of phase and event, and every sequence against a plain model."""

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.approval import Approval
from domain.errors import Conflict
from domain.events import (
    RUN_EVENTS,
    ApprovalRecorded,
    ApprovalRequested,
    AttestationRecorded,
    AttestedSubject,
    Content,
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    PatchSetRecorded,
    PlanRecorded,
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
    VerificationRecorded,
)
from domain.policy import Policy
from domain.run import OVER, RunPhase, RunState, Step, decide, evolve

CONTENT = Content(digest="sha256:" + "0" * 64, size_bytes=0, media_type="application/json")
PHASES: tuple[RunPhase, ...] = (
    "absent", "created", "running", "waiting_approval", "waiting_external",
    "succeeded", "failed", "canceled",
)  # fmt: skip
ACTIVE = {"running", "waiting_approval", "waiting_external"}
WAITING = {"waiting_approval", "waiting_external"}

TABLE: tuple[tuple[EventData, set[str]], ...] = (
    (RunCreated(title="t"), {"absent"}),
    (RunStarted(), {"created"}),
    (RunPaused(waiting_for="approval"), {"running"}),
    (RunPaused(waiting_for="external"), {"running"}),
    (RunResumed(), WAITING),
    (RunFinished(outcome="succeeded"), {"running"}),
    (RunFinished(outcome="failed"), {"running"}),
    (RunFinished(outcome="canceled"), {"created", *ACTIVE}),
    (StepStarted(step="new"), {"running"}),
    (StepFinished(step="open", outcome="failed"), ACTIVE),
    (PlanRecorded(content=CONTENT), ACTIVE),
    (PatchSetRecorded(commits=("c0ffee",), content=CONTENT), ACTIVE),
    (VerificationRecorded(result="PASSED"), ACTIVE),
    (TranscriptRecorded(command=("ls",), exit_code=0, duration_ms=1, content=CONTENT), ACTIVE),
    (
        AttestationRecorded(
            content=CONTENT,
            format="dsse",
            verified=False,
            policy_version=1,
            subject_count=1,
            subjects=(AttestedSubject(digests=("sha256:" + "0" * 64,)),),
            reason="no-policy",
        ),
        ACTIVE,
    ),
    (ApprovalRequested(approval="new", scope="s", intent="i"), ACTIVE),
    (ApprovalRecorded(decision="approved", approval="open"), ACTIVE),
    (SideEffectIntended(effect="new", scope="free", intent="i"), {"running"}),
    (SideEffectFinished(effect="open", outcome="succeeded"), ACTIVE),
    (InfrastructureRecorded(provider="p"), ACTIVE),
    (DeploymentRecorded(provider="p", environment="e", commit="c0ffee", outcome="failed"), ACTIVE),
)
"""An event of every type, and the phases in which it can happen."""


def state_in(phase: RunPhase, *, closed: bool = False) -> RunState:
    """A run in which an open step, approval and side effect are there to refer to."""
    if closed:
        return RunState(phase=phase, version=3)
    return RunState(
        phase=phase,
        version=3,
        steps={"open": Step(1)},
        approvals={"open": Approval("s")},
        effects={"open": None},
    )


def test_every_type_of_event_is_in_the_table() -> None:
    assert {type(event) for event, _ in TABLE} == set(RUN_EVENTS)


@pytest.mark.parametrize(
    ("phase", "index"), list(itertools.product(PHASES, range(len(TABLE)))), ids=str
)
def test_an_event_happens_in_its_phases_and_in_no_other(phase: RunPhase, index: int) -> None:
    event, phases = TABLE[index]
    state = state_in(phase, closed=isinstance(event, RunFinished))
    if phase in phases:
        assert decide(state, event) is event
    else:
        with pytest.raises(Conflict) as caught:
            decide(state, event)
        assert (caught.value.code, caught.value.members) == ("invalid-transition", {"phase": phase})
        assert phase in caught.value.detail


LEFT_OPEN: dict[str, RunState] = {
    "step": RunState(phase="running", steps={"x": Step(1)}),
    "side effect": RunState(phase="running", effects={"x": None}),
    "approval": RunState(phase="running", approvals={"x": Approval("s")}),
}


@pytest.mark.parametrize("what", LEFT_OPEN)
def test_a_run_has_not_succeeded_with_something_open_but_may_have_failed(what: str) -> None:
    with pytest.raises(Conflict, match=f"{what} x is still open") as caught:
        decide(LEFT_OPEN[what], RunFinished(outcome="succeeded"))
    assert caught.value.code == "run-incomplete"
    failed = RunFinished(outcome="failed")
    assert decide(LEFT_OPEN[what], failed) is failed


REFUSED: dict[str, tuple[list[EventData], EventData, str]] = {
    "a step that is under way begins": (
        [StepStarted(step="x")], StepStarted(step="x", attempt=2), "invalid-transition"),
    "an attempt is left out": (
        [StepStarted(step="x"), StepFinished(step="x", outcome="failed")],
        StepStarted(step="x", attempt=3), "invalid-transition"),
    "a step that succeeded is tried again": (
        [StepStarted(step="x"), StepFinished(step="x", outcome="succeeded")],
        StepStarted(step="x", attempt=2), "already-recorded"),
    "a step ends that never began": (
        [], StepFinished(step="x", outcome="failed"), "unknown-reference"),
    "an attempt ends twice": (
        [StepStarted(step="x"), StepFinished(step="x", outcome="failed")],
        StepFinished(step="x", outcome="succeeded"), "invalid-transition"),
    "a transcript is of an unknown step": (
        [], TranscriptRecorded(command=("ls",), exit_code=0, duration_ms=1, content=CONTENT,
                               step="x"), "unknown-reference"),
    "an approval is asked for twice": (
        [ApprovalRequested(approval="x", scope="s", intent="i")],
        ApprovalRequested(approval="x", scope="s", intent="i"), "already-recorded"),
    "an approval is granted twice": (
        [ApprovalRecorded(decision="approved", approval="x", scope="s")],
        ApprovalRecorded(decision="approved", approval="x"), "already-recorded"),
    "a rejected approval is granted": (
        [ApprovalRecorded(decision="rejected", approval="x", scope="s")],
        ApprovalRecorded(decision="approved", approval="x"), "already-recorded"),
    "an approval for nothing is decided": (
        [], ApprovalRecorded(decision="approved", approval="x"), "unknown-reference"),
    "an approval is granted for more than was asked": (
        [ApprovalRequested(approval="x", scope="s", intent="i")],
        ApprovalRecorded(decision="approved", approval="x", scope="t"), "approval-mismatch"),
    "a pause names an unknown approval": (
        [], RunPaused(waiting_for="approval", approval="x"), "unknown-reference"),
    "a run resumes before its approval": (
        [ApprovalRequested(approval="x", scope="s", intent="i"),
         RunPaused(waiting_for="approval", approval="x")],
        RunResumed(), "invalid-transition"),
    "a side effect is begun twice": (
        [SideEffectIntended(effect="x", scope="free", intent="i")],
        SideEffectIntended(effect="x", scope="free", intent="i"), "already-recorded"),
    "a side effect ends that never began": (
        [], SideEffectFinished(effect="x", outcome="failed"), "unknown-reference"),
    "a side effect ends twice": (
        [SideEffectIntended(effect="x", scope="free", intent="i"),
         SideEffectFinished(effect="x", outcome="succeeded")],
        SideEffectFinished(effect="x", outcome="failed"), "already-recorded"),
    "a deployment names an unknown side effect": (
        [], DeploymentRecorded(provider="p", environment="e", commit="c0ffee",
                               outcome="failed", effect="x"), "unknown-reference"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_it_is_refused_when(what: str) -> None:
    before, event, code = REFUSED[what]
    state = RunState(phase="running")
    for one in before:
        state = evolve(state, decide(state, one, "user:ada"), "user:ada")
    with pytest.raises(Conflict) as caught:
        decide(state, event, "user:bob")
    assert caught.value.code == code


def test_an_unknown_outcome_may_turn_out() -> None:
    state = RunState(phase="running", effects={"x": "unknown"})
    turned_out = SideEffectFinished(effect="x", outcome="succeeded")
    assert decide(state, turned_out) is turned_out


def test_a_failed_step_is_tried_again() -> None:
    state = RunState(phase="running", steps={"x": Step(1, "failed")})
    again = StepStarted(step="x", attempt=2)
    assert decide(state, again) is again


ENOUGH = 8
GUARDED = "deploy.production"
PUSH = SideEffectIntended(effect="e1", scope=GUARDED, intent="ship")
CITING = msgspec.structs.replace(PUSH, approval="a1")
GATE: dict[str, tuple[SideEffectIntended, dict[str, Approval], Policy, str]] = {
    "nobody approved it": (PUSH, {}, Policy(), "nobody approved it"),
    "it is not decided": (
        PUSH, {"a1": Approval(GUARDED)}, Policy(), "a1 is not decided"),
    "the cited one is not decided": (
        CITING, {"a1": Approval(GUARDED)}, Policy(), "a1 is not decided"),
    "it was rejected": (
        CITING, {"a1": Approval(GUARDED, decision="rejected", decided_by="user:eve")},
        Policy(), "rejected by user:eve"),
    "it is for something else": (
        CITING, {"a1": Approval("repo.push", decision="approved")}, Policy(), "is for repo.push"),
    "it is for another effect": (
        CITING, {"a1": Approval(GUARDED, effect="e2", decision="approved")}, Policy(),
        "for the side effect e2 only"),
    "there is no such approval": (CITING, {}, Policy(), "has no approval a1"),
    "who acts approved it": (
        PUSH, {"a1": Approval(GUARDED, decision="approved", decided_by="agent:x")},
        Policy(four_eyes=True), "wants four eyes"),
}  # fmt: skip


@pytest.mark.parametrize("why", GATE)
def test_a_guarded_side_effect_is_refused_when(why: str) -> None:
    event, approvals, policy, says = GATE[why]
    state = RunState(phase="running", approvals=approvals)
    with pytest.raises(Conflict, match=says) as caught:
        decide(state, event, "agent:x", policy)
    assert caught.value.code == "approval-missing"
    assert caught.value.members == {"scope": GUARDED, "effect": "e1"}


@pytest.mark.parametrize("event", [PUSH, CITING])
def test_a_guarded_side_effect_happens_with_a_granted_approval(event: SideEffectIntended) -> None:
    granted = Approval(GUARDED, decision="approved", decided_by="user:bob")
    state = RunState(phase="running", approvals={"a1": granted})
    assert decide(state, event, "agent:x", Policy(four_eyes=True)) is event


def test_a_revoked_approval_allows_nothing_more() -> None:
    state = RunState(phase="running")
    for decision in ("approved", "rejected"):
        event = ApprovalRecorded(decision=decision, approval="a1", scope=GUARDED)
        state = evolve(state, decide(state, event, "user:bob"), "user:bob")
    with pytest.raises(Conflict, match="rejected by user:bob"):
        decide(state, CITING, "agent:x")


def test_who_asked_does_not_decide_where_four_eyes_are_wanted() -> None:
    state = RunState(phase="running", approvals={"a1": Approval(GUARDED, asked_by="agent:x")})
    granting = ApprovalRecorded(decision="approved", approval="a1")
    with pytest.raises(Conflict) as caught:
        decide(state, granting, "agent:x", Policy(four_eyes=True))
    assert caught.value.code == "four-eyes"
    assert decide(state, granting, "user:bob", Policy(four_eyes=True)) is granting


@pytest.mark.parametrize(
    ("guards", "scope", "guarded"),
    [
        (("destroy.*",), "destroy.database", True),
        (("destroy.*",), "destroy.database.main", True),
        (("destroy.*",), "destroy", False),
        (("destroy.*",), "destroyer.x", False),
        (("repo.push",), "repo.push.force", False),
        (("*",), "anything", True),
        ((), "deploy.production", False),
    ],
)
def test_a_scope_is_guarded(guards: tuple[str, ...], scope: str, guarded: bool) -> None:
    assert Policy(guarded_scopes=guards).guards(scope) is guarded


NAMES = ("x", "y")
ACTORS = ("user:ada", "agent:x")
SCOPES = ("repo.push", "free")
OUTCOMES = ("succeeded", "failed", "canceled")
POLICIES = tuple(
    Policy(guarded_scopes=guarded, four_eyes=four_eyes)
    for guarded in (("repo.*",), ())
    for four_eyes in (False, True)
)


def universe() -> list[tuple[EventData, str]]:
    """Every event about two steps, approvals and side effects, by either of two actors."""
    events: list[EventData] = [RunCreated(title="t"), RunStarted(), RunResumed()]
    events += [RunFinished(outcome=outcome) for outcome in OUTCOMES]  # type: ignore[arg-type]  # literals
    events += [RunPaused(waiting_for="external")]
    events += [RunPaused(waiting_for="approval", approval=name) for name in (None, *NAMES)]
    for name in NAMES:
        for attempt in (1, 2, 3):
            events.append(StepStarted(step=name, attempt=attempt))
            for outcome in OUTCOMES:
                events.append(StepFinished(step=name, attempt=attempt, outcome=outcome))  # type: ignore[arg-type]  # literals
        for scope in SCOPES:
            for only in (None, *NAMES):
                events.append(
                    ApprovalRequested(approval=name, scope=scope, intent="i", effect=only)
                )
                events.append(
                    SideEffectIntended(effect=name, scope=scope, intent="i", approval=only)
                )
        for decision in ("approved", "rejected"):
            for asked in (None, *SCOPES):
                events.append(ApprovalRecorded(decision=decision, approval=name, scope=asked))
        for outcome in ("succeeded", "failed", "unknown"):
            events.append(SideEffectFinished(effect=name, outcome=outcome))  # type: ignore[arg-type]  # literals
    events.append(VerificationRecorded(result="PASSED"))
    return [(event, actor) for event in events for actor in ACTORS]


UNIVERSE = universe()


class Model:
    """The rules once more, in another and plainer form: lists of what was said, and no state type."""

    def __init__(self) -> None:
        self.phase = "absent"
        self.awaited: str | None = None
        self.attempts: dict[str, list[str]] = {name: [] for name in NAMES}
        self.scope: dict[str, str] = {}
        self.only: dict[str, str | None] = {}
        self.asker: dict[str, str] = {}
        self.answers: dict[str, list[tuple[str, str]]] = {name: [] for name in NAMES}
        self.outcomes: dict[str, list[str]] = {}

    def anything_open(self) -> bool:
        steps = any(attempts[-1:] == ["open"] for attempts in self.attempts.values())
        effects = any(not outcomes for outcomes in self.outcomes.values())
        return steps or effects or any(not self.answers[name] for name in self.scope)

    def in_force(self, scope: str, effect: str, actor: str, policy: Policy) -> set[str]:
        return {
            name
            for name in self.scope
            if self.answers[name][-1:] and self.answers[name][-1][0] == "approved"
            and self.scope[name] == scope
            and self.only[name] in {None, effect}
            and not (policy.four_eyes and self.answers[name][-1][1] == actor)
        }  # fmt: skip

    def allows(self, event: EventData, actor: str, policy: Policy) -> bool:
        match event:
            case RunCreated():
                return self.phase == "absent"
            case RunStarted():
                return self.phase == "created"
            case RunPaused():
                return self.phase == "running" and event.approval in {None, *self.scope}
            case RunResumed():
                waits = self.phase.startswith("waiting")
                return waits and (self.awaited is None or bool(self.answers[self.awaited]))
            case RunFinished(outcome="canceled"):
                return self.phase in {"created", *ACTIVE}
            case RunFinished(outcome="failed"):
                return self.phase == "running"
            case RunFinished():
                return self.phase == "running" and not self.anything_open()
            case StepStarted():
                so_far = self.attempts[event.step]
                again = not so_far or so_far[-1] in {"failed", "canceled"}
                return self.phase == "running" and again and event.attempt == len(so_far) + 1
            case StepFinished():
                so_far = self.attempts[event.step]
                under_way = so_far[-1:] == ["open"] and event.attempt == len(so_far)
                return self.phase in ACTIVE and under_way
            case ApprovalRequested():
                return self.phase in ACTIVE and event.approval not in self.scope
            case ApprovalRecorded():
                return self.phase in ACTIVE and self.may_answer(event, actor, policy)
            case SideEffectIntended():
                valid = self.in_force(event.scope, event.effect, actor, policy)
                guarded = event.scope == "repo.push" and bool(policy.guarded_scopes)
                approved = event.approval in valid if event.approval else bool(valid) or not guarded
                return self.phase == "running" and event.effect not in self.outcomes and approved
            case SideEffectFinished():
                so_far = self.outcomes.get(event.effect, ["never"])
                return self.phase in ACTIVE and so_far[-1:] in ([], ["unknown"])
            case _:
                return self.phase in ACTIVE

    def may_answer(self, event: ApprovalRecorded, actor: str, policy: Policy) -> bool:
        assert event.approval is not None
        if event.approval not in self.scope:
            return event.scope is not None
        said = [decision for decision, _ in self.answers[event.approval]]
        fits = event.scope in {None, self.scope[event.approval]}
        own = policy.four_eyes and self.asker.get(event.approval) == actor
        return (
            fits and not own and (not said or (said, event.decision) == (["approved"], "rejected"))
        )

    def apply(self, event: EventData, actor: str) -> None:
        match event:
            case RunCreated():
                self.phase = "created"
            case RunStarted() | RunResumed():
                self.phase, self.awaited = "running", None
            case RunPaused():
                self.phase, self.awaited = f"waiting_{event.waiting_for}", event.approval
            case RunFinished():
                self.phase = event.outcome
            case StepStarted():
                self.attempts[event.step].append("open")
            case StepFinished():
                self.attempts[event.step][-1] = event.outcome
            case ApprovalRequested():
                self.scope[event.approval], self.only[event.approval] = event.scope, event.effect
                self.asker[event.approval] = actor
            case ApprovalRecorded():
                assert event.approval is not None
                self.scope.setdefault(event.approval, event.scope or "")
                self.only.setdefault(event.approval, None)
                self.answers[event.approval].append((event.decision, actor))
            case SideEffectIntended():
                self.outcomes[event.effect] = []
            case SideEffectFinished():
                self.outcomes[event.effect].append(event.outcome)
            case _:
                pass


def refused(state: RunState, event: EventData, actor: str, policy: Policy) -> bool:
    try:
        decide(state, event, actor, policy)
    except Conflict:
        return True
    return False


class AnyRun(RuleBasedStateMachine):
    """Walks through runs; at every state, every event of the universe is tried on both."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.model, self.policy = RunState(), Model(), Policy()
        self.history: list[tuple[EventData, str]] = []

    @rule(policy=st.sampled_from(POLICIES))
    def the_policy_changes(self, policy: Policy) -> None:
        self.policy = policy

    @precondition(lambda self: self.model.phase not in OVER)
    @rule(data=st.data(), repeat=st.integers(1, 4))
    def something_happens(self, data: st.DataObject, repeat: int) -> None:
        for _ in range(repeat):
            legal = [
                (event, actor)
                for event, actor in UNIVERSE
                if self.model.allows(event, actor, self.policy)
                # A run that ends early shows little.
                and (not isinstance(event, RunFinished) or len(self.history) > ENOUGH)
            ]
            if not legal:
                return
            event, actor = data.draw(st.sampled_from(legal))
            self.state = evolve(self.state, decide(self.state, event, actor, self.policy), actor)
            self.model.apply(event, actor)
            self.history.append((event, actor))

    @invariant()
    def every_event_is_refused_or_let_through_as_the_model_says(self) -> None:
        for event, actor in UNIVERSE:
            allowed = self.model.allows(event, actor, self.policy)
            assert refused(self.state, event, actor, self.policy) is not allowed, (event, actor)

    @invariant()
    def a_replay_gives_the_same_state_in_the_same_phase(self) -> None:
        replayed = RunState()
        for event, actor in self.history:
            replayed = evolve(replayed, event, actor)
        assert replayed == self.state
        assert (self.state.phase, self.state.version) == (self.model.phase, len(self.history))

    @invariant()
    def nothing_is_open_in_a_success_and_nothing_follows_an_end(self) -> None:
        if self.state.phase == "succeeded":
            assert not self.model.anything_open()
        if self.state.phase in OVER:
            assert isinstance(self.history[-1][0], RunFinished)
            assert all(refused(self.state, event, actor, self.policy) for event, actor in UNIVERSE)


AnyRun.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestNoSequenceContradictsTheModel = AnyRun.TestCase
