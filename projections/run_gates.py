"""The gates of a run: what must hold before its change may go on, each with what is missing.

They are decided from the log alone, again and from the beginning: that an append was let through
once proves nothing about a log that came from elsewhere.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from domain import run
from domain.errors import Conflict
from domain.events import Recorded, SideEffectIntended
from domain.policy import Policy
from projections.timeline import Timeline

NAMED = 3
"""So many failures are named in a detail; the rest are counted."""


class Gate(msgspec.Struct, frozen=True):
    """One demand, whether it holds, and why."""

    name: str
    holds: bool
    detail: str


class Gates(msgspec.Struct, frozen=True):
    """All gates of a run at a position; `holds`: every one does."""

    run: str
    position: int
    holds: bool
    gates: tuple[Gate, ...]


def unapproved(events: Iterable[Recorded], policy_at: Callable[[int], Policy]) -> tuple[str, ...]:
    """The side effects that were begun without the approval that the policy then demanded.

    Args:
        events: Of the run, in order.
        policy_at: The project's policy before a position.
    """
    state, found = run.RunState(), []
    for event in events:
        if isinstance(event.data, SideEffectIntended):
            try:
                run.decide(state, event.data, event.actor, policy_at(event.position))
            except Conflict as error:
                if error.code == "approval-missing":
                    found.append(error.detail.partition(". Record")[0])
        state = run.evolve(state, event.data, event.actor)
    return tuple(found)


def gates_of(
    shown: Timeline, policy: Policy, without_approval: Sequence[str], commit: str | None = None
) -> Gates:
    """The gates of a run.

    Args:
        shown: The run.
        policy: The project's, now.
        without_approval: What `unapproved` found.
        commit: The checks must have been made on this commit; None: on any.
    """
    gates = (
        _state(shown),
        _steps(shown),
        _verification(shown, commit),
        _approvals(shown, without_approval, policy),
        _effects(shown),
        _deployments(shown, policy),
        _contents(shown),
    )
    return Gates(shown.run, shown.position, all(gate.holds for gate in gates), gates)


def _state(shown: Timeline) -> Gate:
    bad = shown.phase in {"failed", "canceled"} or shown.phase in run.WAITING
    return Gate("state", not bad, f"The run is {shown.phase.replace('_', ' for ')}.")


def _steps(shown: Timeline) -> Gate:
    wrong = [
        f"step {one.step} {one.outcome or 'is under way'}"
        for one in shown.steps
        if one.outcome != "succeeded"
    ]
    return _gate("steps", wrong, f"{len(shown.steps)} steps, none failed or open.")


def _verification(shown: Timeline, commit: str | None) -> Gate:
    checks = [one for one in shown.checks if one.in_force]
    wrong = [f"check {one.name} {one.result}" for one in checks if one.result == "FAILED"]
    if commit is not None:
        wrong += [
            f"check {one.name} was made on {(one.commit or 'no commit')[:12]}, not on {commit[:12]}"
            for one in checks
            if one.commit is None or not _same_commit(one.commit, commit)
        ]
    if not checks:
        wrong = ["no verification is recorded"]
    warned = sum(one.result == "WARNED" for one in checks)
    return _gate(
        "verification",
        wrong,
        f"{len(checks)} checks passed" + (f", {warned} warn." if warned else "."),
    )


def _approvals(shown: Timeline, without_approval: Sequence[str], policy: Policy) -> Gate:
    wrong = [one.rstrip(".") for one in without_approval]
    wrong += [
        f"approval {one.approval} for {one.scope} is not decided"
        for one in shown.approvals
        if one.decision is None
    ]
    granted = [one for one in shown.approvals if one.decision == "approved"]
    unsigned = [one for one in granted if one.evidence != "signed"]
    if policy.signed_approvals:
        wrong += [
            f"approval {one.approval} for {one.scope} must be signed, and is {one.vouched}"
            for one in unsigned
        ]
    word = f", {len(unsigned)} of them only recorded by the ledger" if unsigned else ""
    return _gate(
        "approvals", wrong, f"{len(granted)} granted{word}; no guarded side effect lacks one."
    )


def _effects(shown: Timeline) -> Gate:
    wrong = [
        f"the outcome of {one.effect} ({one.scope}) is {one.outcome or 'not recorded'}"
        for one in shown.effects
        if one.outcome in {None, "unknown"}
    ]
    return _gate("effects", wrong, f"{len(shown.effects)} side effects, each with its outcome.")


def _deployments(shown: Timeline, policy: Policy) -> Gate:
    deploying = {one.effect for one in shown.effects if one.scope.startswith("deploy.")}
    wrong = [
        f"the deployment to {one.environment} at position {one.position} names no side effect in "
        "a scope deploy.*"
        for one in shown.deployments
        if one.environment in policy.production and one.backed_by_effect not in deploying
    ]
    return _gate(
        "deployments", wrong, f"{len(shown.deployments)} deployments, those to production backed."
    )


def _contents(shown: Timeline) -> Gate:
    contents = [content for item in shown.items for content in item.contents]
    missing = sorted({one.digest for one in contents if not one.held and not one.erased})
    # What an administrator erased is no gap: an event says so, and no result depends on its bytes.
    erased = sum(one.erased for one in contents)
    return _gate(
        "contents",
        [f"content {digest} is missing" for digest in missing],
        f"All {len(contents)} contents are held."
        if not erased
        else f"{len(contents) - erased} contents are held, {erased} were erased.",
    )


def _gate(name: str, wrong: Sequence[str], right: str) -> Gate:
    if not wrong:
        return Gate(name, True, right)
    more = f", and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    text = "; ".join(wrong[:NAMED]) + more
    return Gate(name, False, text[0].upper() + text[1:] + ".")


def _same_commit(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
