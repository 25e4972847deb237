"""Implementation plans: tasks, what makes each of them done, and which documents they come from.

A plan is the content of a `PlanRecorded`, or of an artifact of kind IMPLEMENTATION_PLAN: canonical
JSON, so equal plans give equal bytes.
"""

from typing import Annotated, Final, Literal

import msgspec

from domain import canonical
from domain.errors import Damaged

SCHEMA: Final = "deedbook/plan/v1"
KIND = "IMPLEMENTATION_PLAN"
MAX_TASKS = 1_000
MAX_LISTED = 200

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=10_000)]
TaskId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]


class _Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class Trace(_Fact, frozen=True, kw_only=True):
    """The version of an artifact that a task follows from; `digest` where it is known."""

    kind: str
    key: str
    version: Annotated[int, msgspec.Meta(ge=1)]
    digest: str | None = None


class Task(_Fact, frozen=True, kw_only=True):
    """One thing to do.

    Attributes:
        acceptance: The criteria by which a reviewer sees that it is done.
        traces: What it follows from, such as a requirement's document.
        requirements: Their ids, such as `FR-034`.
        depends_on: The tasks that come before it.
    """

    id: TaskId
    title: Text
    description: str = ""
    acceptance: tuple[Text, ...] = ()
    traces: tuple[Trace, ...] = ()
    requirements: tuple[Text, ...] = ()
    depends_on: tuple[TaskId, ...] = ()


class Plan(_Fact, frozen=True, kw_only=True):
    """All tasks of a run, in the order in which they are read."""

    schema: Literal["deedbook/plan/v1"]
    title: str = ""
    tasks: tuple[Task, ...]


def plan_document(tasks: tuple[Task, ...], title: str = "") -> bytes:
    """A plan as canonical JSON."""
    return canonical.write(Plan(schema=SCHEMA, title=title, tasks=tasks))


def read_plan(raw: bytes) -> Plan:
    """The plan in a document; refuses bytes that would not be written so, and tasks in a circle.

    Raises:
        Damaged: `plan-malformed`.
    """
    try:
        found = msgspec.json.decode(raw, type=Plan)
        if canonical.write(found) != raw:
            raise _malformed("is not in canonical form")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged("plan-malformed", f"This is not a plan: {error}.") from None
    if not 0 < len(found.tasks) <= MAX_TASKS:
        raise _malformed(f"has {len(found.tasks)} tasks, not 1 to {MAX_TASKS}")
    for task in found.tasks:
        for listed in (task.acceptance, task.traces, task.requirements, task.depends_on):
            if len(listed) > MAX_LISTED:
                raise _malformed(f"lists more than {MAX_LISTED} things in task {task.id}")
    _check_order(found)
    return found


def _check_order(plan: Plan) -> None:
    """Every task is there once, and what it depends on comes to an end."""
    waiting = {task.id: set(task.depends_on) for task in plan.tasks}
    if len(waiting) != len(plan.tasks):
        raise _malformed("has two tasks of one id")
    followers: dict[str, list[str]] = {name: [] for name in waiting}
    for name, before in waiting.items():
        for other in before:
            if other not in waiting:
                raise _malformed(f"has no task {other}, on which {name} depends")
            followers[other].append(name)
    ready = [name for name, before in waiting.items() if not before]
    done = 0
    while ready:
        name = ready.pop()
        done += 1
        for follower in followers[name]:
            waiting[follower].discard(name)
            if not waiting[follower]:
                ready.append(follower)
    if done < len(waiting):
        raise _malformed("has tasks that depend on each other in a circle")


def _malformed(what: str) -> Damaged:
    return Damaged("plan-malformed", f"The plan {what}.")
