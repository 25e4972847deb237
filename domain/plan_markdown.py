"""Plans as people write them: a Markdown list of tasks, read by a simple mapping (`docs/runs.md`).

A line scanner and not a parser: it knows headings, list items with their indentation, and fences.
It goes over each line once, so hostile input costs what its length costs.

- A task is a `- [ ]` item that is not below another, or a heading that begins with a task's id.
- Items below a task are its acceptance criteria, other text below it is its description.
- `Depends on:`, `Requirements:` and `Traces:` at the beginning of such an item say what they say.
- Ids of requirements (`FR-034`) and traces (`ADR/0004@2`, or a link to an artifact of a ledger) count
  wherever they stand in a task.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote

from domain.documents import title_of
from domain.errors import Invalid, TooLarge
from domain.markdown_links import destinations
from domain.plan import MAX_LISTED, MAX_TASKS

MAX_CHARACTERS = 1024 * 1024
MAX_TEXT_CHARACTERS = 10_000

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*)")
_ITEM = re.compile(r"([ \t]*)(?:[-*+]|[0-9]{1,9}[.)])[ \t]+(\[[ xX]\](?=[ \t]))?[ \t]*(.*)")
_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,})")
# With a colon, in bold, in brackets or as code any id is meant; a bare one has a usual prefix.
_MARKED_ID = re.compile(
    r"(?:\*\*|`|\[)([A-Z]{1,12}-?[0-9]{1,6}(?:\.[0-9]{1,4})*)[:.]?(?:\*\*|`|\])[:.]?[ \t\u2013\u2014-]*"
    r"|([A-Z]{1,12}-?[0-9]{1,6}(?:\.[0-9]{1,4})*):[ \t]*"
)
_BARE_ID = re.compile(
    r"((?:T|TASK|N?FR|REQ|US|UC)-?[0-9]{1,6}(?:\.[0-9]{1,4})*)(?:[ \t\u2013\u2014-]+|$)"
)
_REQUIREMENT = re.compile(r"(?<![\w-])(?:N?FR|REQ|US|UC)-[0-9]{1,6}(?![\w-])")
_TRACE = re.compile(
    r"(?<![\w/])([A-Z][A-Z0-9_]{0,31})/([^\s@,;()\[\]<>/]{1,90})@([1-9][0-9]{0,8})\b"
)
_NAMED = re.compile(r"([A-Z][A-Z0-9_]{0,31})/([^\s@,;()\[\]<>/]{1,90})")
_ADDRESS = re.compile(
    r"(?:https?://[^/]+)?/(?:v1/)?projects/[^/]+/artifacts/([A-Z][A-Z0-9_]{0,31})/([^/?#]+)"
    r"(?:/versions/([1-9][0-9]{0,8})(?:/content)?)?(?:[?#].*)?"
)
_WORD = re.compile(
    r"(?:\*\*)?(depends on|after|requirements?|traces?(?: to)?)(?:\*\*)?:(?:\*\*)?[ \t]*",
    re.IGNORECASE,
)
_CHECKED = re.compile(r"\*\*|`")


class TraceNamed(NamedTuple):
    """An artifact that a task follows from; the version is None where only the artifact is named."""

    kind: str
    key: str
    version: int | None


class TaskWritten(NamedTuple):
    """A task as it was written; its traces are not looked up yet."""

    id: str
    title: str
    description: str
    acceptance: tuple[str, ...]
    traces: tuple[TraceNamed, ...]
    requirements: tuple[str, ...]
    depends_on: tuple[str, ...]


class PlanWritten(NamedTuple):
    """A plan as it was written: its title, and its tasks in order."""

    title: str
    tasks: tuple[TaskWritten, ...]


def read_markdown_plan(text: str) -> PlanWritten:
    """The plan that a Markdown text holds.

    Raises:
        Invalid: `validation-failed`: it has no task, or two of one id.
        TooLarge: `plan-too-large`.
    """
    if len(text) > MAX_CHARACTERS:
        raise TooLarge("plan-too-large", f"A plan has at most {MAX_CHARACTERS:,} characters.")
    tasks = _tasks(text)
    if not tasks:
        raise Invalid(
            "validation-failed",
            "This plan has no task; a task is a line like `- [ ] T1: what is to be done`.",
        )
    if len(tasks) > MAX_TASKS:
        raise TooLarge("plan-too-large", f"A plan has at most {MAX_TASKS} tasks.")
    taken = {task.id for task in tasks if task.id}
    number = 0
    for task in tasks:
        while not task.id:
            number += 1
            task.id = "" if f"T{number}" in taken else f"T{number}"
    return PlanWritten(title_of(text) or "", tuple(task.written() for task in tasks))


class _Task:
    """A task while its lines are read."""

    def __init__(self, text: str, *, indent: int, level: int = 0) -> None:
        self.id, self.title = _id_and_title(text)
        self.indent = indent
        self.level = level
        self.said = [text]
        self.description: list[str] = []
        self.acceptance: list[str] = []
        self.requirements: list[str] = []
        self.traces: list[TraceNamed] = []
        self.depends_on: list[str] = []

    def item(self, text: str) -> None:
        """Take in an item below the task."""
        self.said.append(text)
        if (word := _WORD.match(text)) is None:
            if text:
                self.acceptance.append(text[:MAX_TEXT_CHARACTERS])
            return
        names = [
            name for name in re.split(r"[,;\s]+", _CHECKED.sub("", text[word.end() :])) if name
        ]
        if word[1].lower() in {"depends on", "after"}:
            self.depends_on += [name for name in names if name != "and"]
        elif word[1].lower().startswith("requirement"):
            self.requirements += names
        else:
            whole = (_NAMED.fullmatch(name) for name in names)
            self.traces += [TraceNamed(one[1], one[2], None) for one in whole if one]

    def go_on(self, text: str) -> None:
        """Take in a line that belongs to the item before it."""
        self.said.append(text)
        if self.acceptance:
            self.acceptance[-1] = f"{self.acceptance[-1]} {text}"[:MAX_TEXT_CHARACTERS]
        else:
            self.description.append(text)

    def written(self) -> TaskWritten:
        """The task, when all its lines are read."""
        said = "\n".join(self.said)
        found = [
            name for name in _REQUIREMENT.findall(said) if name not in {self.id, *self.depends_on}
        ]
        return TaskWritten(
            self.id,
            self.title[:MAX_TEXT_CHARACTERS],
            "\n".join(self.description).strip(),
            tuple(self.acceptance[:MAX_LISTED]),
            tuple(dict.fromkeys([*self.traces, *_traces(said)])),
            tuple(dict.fromkeys([*self.requirements, *found])),
            tuple(dict.fromkeys(self.depends_on)),
        )


def _tasks(text: str) -> list[_Task]:
    tasks: list[_Task] = []
    current: _Task | None = None
    for kind, depth, line in _marks(text):
        if kind == "heading":
            marked = _MARKED_ID.match(line) or _BARE_ID.match(line)
            if marked is not None:
                current = _Task(line, indent=-1, level=depth)
                tasks.append(current)
            elif current is not None and not (current.level and depth > current.level):
                current = None
        elif kind == "task" and (current is None or depth <= current.indent):
            current = _Task(line, indent=depth)
            tasks.append(current)
        elif current is None:
            continue
        elif kind in {"task", "item"} and depth > current.indent:
            current.item(line)
        elif kind == "text" and depth > current.indent and line:
            current.go_on(line)
        elif kind == "item":
            current = None
    return tasks


def _marks(text: str) -> Iterator[tuple[str, int, str]]:
    """(heading, task, item or text; its level or indentation; what it says) for each line."""
    fence = ""
    for line in re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff")):
        opened = _FENCE.match(line)
        if fence:
            fence = "" if opened and opened[1].startswith(fence) else fence
        elif opened:
            fence = opened[1]
        elif heading := _HEADING.fullmatch(line):
            yield "heading", len(heading[1]), re.sub(r"[ \t]+#+$", "", heading[2]).strip()
        elif item := _ITEM.fullmatch(line):
            yield "task" if item[2] else "item", _width(item[1]), item[3].strip()
        else:
            yield "text", _width(line[: len(line) - len(line.lstrip())]), line.strip()


def _width(blank: str) -> int:
    return len(blank.expandtabs(4))


def _id_and_title(text: str) -> tuple[str, str]:
    marked = _MARKED_ID.match(text) or _BARE_ID.match(text)
    if marked is None:
        return "", text or "(untitled)"
    title = text[marked.end() :].strip()
    return marked[1] or marked[2], title or text


def _traces(said: str) -> Iterator[TraceNamed]:
    for kind, key, version in _TRACE.findall(said):
        yield TraceNamed(kind, key, int(version))
    for target, _ in destinations(said):
        if found := _ADDRESS.fullmatch(target):
            version = int(found[3]) if found[3] else None
            yield TraceNamed(found[1], unquote(found[2]), version)
