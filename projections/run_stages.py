"""How far a run has come, in six stages from its plan to its end, each with a word and a few more."""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from domain.run import OVER, WAITING
from projections.timeline import Timeline

State = Literal["good", "bad", "warn", "now", "none"]
"""Done, gone wrong, to be looked at, under way, not there."""


class Stage(msgspec.Struct, frozen=True):
    """One stage: `name` is also the id of what there is to say about it."""

    name: str
    title: str
    state: State
    detail: str


def run_stages(
    shown: Timeline, *, plans: int, tasks: Sequence[str] = (), patchsets: int, changed: str = ""
) -> tuple[Stage, ...]:
    """The stages of a run.

    Args:
        shown: The run.
        plans: How many plans it recorded.
        tasks: The ids of the last plan's tasks.
        patchsets: How many it recorded.
        changed: What they changed, in words.
    """
    return (
        _plan(shown, plans, tasks),
        Stage("patches", "Patches", "good", changed or _counted(patchsets, "patch set"))
        if patchsets
        else Stage("patches", "Patches", "none", "none yet"),
        _checks(shown),
        _approvals(shown),
        _deployments(shown),
        _end(shown),
    )


def _plan(shown: Timeline, plans: int, tasks: Sequence[str]) -> Stage:
    if not plans:
        return Stage("plan", "Plan", "none", "none recorded")
    done = {one.step for one in shown.steps if one.outcome == "succeeded"}
    finished = sum(task in done for task in tasks)
    detail = _counted(len(tasks), "task") if tasks else "recorded"
    return Stage("plan", "Plan", "good", f"{detail}, {finished} done" if finished else detail)


def _checks(shown: Timeline) -> Stage:
    results = [one.result for one in shown.checks if one.in_force]
    if not results:
        return Stage("checks", "Checks", "none", "none yet")
    words = (("FAILED", "failed"), ("WARNED", "warned"), ("PASSED", "passed"))
    detail = ", ".join(f"{results.count(one)} {word}" for one, word in words if one in results)
    state: State = "bad" if "FAILED" in results else "warn" if "WARNED" in results else "good"
    return Stage("checks", "Checks", state, detail)


def _approvals(shown: Timeline) -> Stage:
    decisions = [one.decision for one in shown.approvals]
    if not decisions:
        return Stage("approvals", "Approvals", "none", "none asked for")
    words = ((None, "open"), ("rejected", "rejected"), ("approved", "granted"))
    detail = ", ".join(f"{decisions.count(one)} {word}" for one, word in words if one in decisions)
    state: State = "warn" if None in decisions else "bad" if "rejected" in decisions else "good"
    return Stage("approvals", "Approvals", state, detail)


def _deployments(shown: Timeline) -> Stage:
    latest = {one.environment: one.outcome for one in shown.deployments}
    if not latest:
        return Stage("deployments", "Deployments", "none", "none yet")
    detail = _listed(f"{name} {word.replace('_', ' ')}" for name, word in latest.items())
    outcomes = set(latest.values())
    state: State = (
        "bad" if "failed" in outcomes else "warn" if "rolled_back" in outcomes else "good"
    )
    return Stage("deployments", "Deployments", state, detail)


def _end(shown: Timeline) -> Stage:
    word = shown.phase.replace("_", " for ")
    if shown.phase in OVER:
        state: State = {"succeeded": "good", "failed": "bad"}.get(shown.phase, "warn")  # type: ignore[assignment]  # literals
        return Stage("done", "Done", state, word)
    return Stage("done", "Done", "warn" if shown.phase in WAITING else "now", word)


def _listed(parts: Iterable[str], most: int = 2) -> str:
    """The last of several texts, and how many there were before."""
    texts = list(parts)
    more = f"{len(texts) - most} more, " if len(texts) > most else ""
    return more + ", ".join(texts[-most:])


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
