"""A plan as a person wrote it, made into the document that is recorded."""

from collections.abc import Callable

import msgspec

from domain import canonical
from domain.documents import is_markdown
from domain.errors import Invalid
from domain.events import ArtifactVersionName
from domain.plan import KIND, Plan, Task, Trace, plan_document, read_plan
from domain.plan_markdown import PlanWritten, read_markdown_plan
from domain.typed_documents import check_document

Resolve = Callable[[str, str, int | None], ArtifactVersionName]
"""The version of an artifact by kind, key and number (None: the latest), with its digest."""


class PreparedPlan(msgspec.Struct, frozen=True):
    """A plan's document, and the versions of artifacts that it follows from."""

    document: bytes
    tasks: int
    artifacts: tuple[ArtifactVersionName, ...] = ()


def prepare_plan(name: str, raw: bytes, resolve: Resolve) -> PreparedPlan:
    """The plan in a file: Markdown by its name, or JSON in any spelling.

    Raises:
        Malformed: It is no text, or no JSON.
        Invalid: `validation-failed`: it is no plan.
        NotFound: `artifact-not-found`, `version-not-found`: it follows from what is not there.
    """
    if is_markdown(name) or not raw.lstrip().startswith(b"{"):
        return _from_markdown(read_markdown_plan(_text(name, raw)), resolve)
    value = canonical.read(raw)
    check_document(KIND, raw)
    document = canonical.write(msgspec.convert(value, Plan))
    plan = read_plan(document)
    traces = dict.fromkeys(trace for task in plan.tasks for trace in task.traces)
    found = tuple(_held(trace, resolve) for trace in traces)
    return PreparedPlan(document, len(plan.tasks), tuple(dict.fromkeys(found)))


def _from_markdown(written: PlanWritten, resolve: Resolve) -> PreparedPlan:
    wanted = dict.fromkeys(trace for task in written.tasks for trace in task.traces)
    known = {trace: resolve(trace.kind, trace.key, trace.version) for trace in wanted}
    tasks = tuple(
        Task(
            id=task.id,
            title=task.title,
            description=task.description,
            acceptance=task.acceptance,
            traces=tuple(_trace(known[one]) for one in task.traces),
            requirements=task.requirements,
            depends_on=task.depends_on,
        )
        for task in written.tasks
    )
    document = plan_document(tasks, written.title)
    check_document(KIND, document)
    return PreparedPlan(document, len(tasks), tuple(dict.fromkeys(known.values())))


def _trace(found: ArtifactVersionName) -> Trace:
    return Trace(kind=found.kind, key=found.key, version=found.version, digest=found.digest)


def _held(trace: Trace, resolve: Resolve) -> ArtifactVersionName:
    """The version that a trace names, if the ledger has it with that digest."""
    found = resolve(trace.kind, trace.key, trace.version)
    if trace.digest not in {None, found.digest}:
        raise Invalid(
            "validation-failed",
            f"The plan traces to {trace.kind}/{trace.key}@{trace.version} with {trace.digest}, but "
            f"the ledger has it with {found.digest}.",
        )
    return found


def _text(name: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            "validation-failed", f"{name} is not UTF-8: bad byte at offset {error.start}."
        ) from None
