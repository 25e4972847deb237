"""Plans in Markdown: which lines are tasks, and what is said of each."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.remote.plans import prepare_plan
from domain.errors import DeedbookError, Invalid, Malformed, NotFound, TooLarge
from domain.events import ArtifactVersionName
from domain.plan import read_plan
from domain.plan_markdown import TaskWritten, TraceNamed, read_markdown_plan

SPOKEN = """---
kind: IMPLEMENTATION_PLAN
---
# The gate

Some words before.

## Phase 1

- [x] T1: Refuse what nobody approved (FR-031), see ADR/0004@2
  in the door as well.
  - [ ] A push without an approval is a 409.
  - The problem says
    what is missing.
  - Depends on: T3
- [ ] **T3** Ask
  - Requirements: FR-034, NFR-015
  - Traces: PRD/main, [the security model](/v1/projects/p/artifacts/SECURITY_MODEL/docs.threats/versions/3)
- An item that is no task.
  - And what is below it.

```
- [ ] T9: in a fence
```

1. [ ] Without an id
2. [ ] After: is a word here, T2 is taken
   * Depends on: T1 and T3

### US1 — A story
As somebody I want it.

- [ ] It is seen.
- It is heard.

#### Deeper
- Still of the story.

## Notes
- [ ] `T2`: The last
"""


def tasks(text: str) -> dict[str, TaskWritten]:
    return {task.id: task for task in read_markdown_plan(text).tasks}


def test_the_lines_of_a_plan_become_tasks() -> None:
    plan = read_markdown_plan(SPOKEN)
    assert plan.title == "The gate"
    found = {task.id: task for task in plan.tasks}
    assert list(found) == ["T1", "T3", "T4", "T5", "US1", "T2"]
    one = found["T1"]
    assert one.title == "Refuse what nobody approved (FR-031), see ADR/0004@2"
    assert one.description == "in the door as well."
    assert one.acceptance == (
        "A push without an approval is a 409.",
        "The problem says what is missing.",
    )
    assert one.depends_on == ("T3",)
    assert one.requirements == ("FR-031",)
    assert one.traces == (TraceNamed("ADR", "0004", 2),)
    three = found["T3"]
    assert (three.title, three.acceptance) == ("Ask", ())
    assert three.requirements == ("FR-034", "NFR-015")
    assert three.traces == (
        TraceNamed("PRD", "main", None),
        TraceNamed("SECURITY_MODEL", "docs.threats", 3),
    )
    assert found["T4"].title == "Without an id"
    assert found["T5"].depends_on == ("T1", "T3")
    story = found["US1"]
    assert story.title == "A story"
    assert story.description == "As somebody I want it."
    assert story.acceptance == ("It is seen.", "It is heard.", "Still of the story.")
    assert found["T2"].title == "The last"


@pytest.mark.parametrize(
    ("line", "name", "title"),
    [
        ("- [ ] T1 Do it", "T1", "Do it"),
        ("* [X] FR-034: Do it", "FR-034", "Do it"),
        ("+ [ ] [ABC-12] Do it", "ABC-12", "Do it"),
        ("- [ ] **T1.2:** Do it", "T1.2", "Do it"),
        ("- [ ] T1", "T1", "T1"),
        ("- [ ] T001 [P] [US1] Do it", "T001", "[P] [US1] Do it"),
        ("- [ ] HTTP2 for all", "T1", "HTTP2 for all"),
        ("- [ ] UTF-8 for all", "T1", "UTF-8 for all"),
        ("\t- [ ] T7: Do it\r\n", "T7", "Do it"),
        ("## TASK-3 Do it ##", "TASK-3", "Do it"),
    ],
)
def test_an_id_is_known_by_how_it_stands(line: str, name: str, title: str) -> None:
    [task] = read_markdown_plan(line).tasks
    assert (task.id, task.title) == (name, title)


@pytest.mark.parametrize("text", ["", "# A title", "- an item", "```\n- [ ] T1: x\n```", "- []  x"])
def test_a_text_without_a_task_is_no_plan(text: str) -> None:
    with pytest.raises(Invalid, match="has no task"):
        read_markdown_plan(text)


def test_a_plan_without_end_is_refused() -> None:
    with pytest.raises(TooLarge):
        read_markdown_plan("- [ ] x\n" * 1_001)
    with pytest.raises(TooLarge):
        read_markdown_plan("x" * (1024 * 1024 + 1))


def resolve(kind: str, key: str, version: int | None) -> ArtifactVersionName:
    if kind == "GONE":
        raise NotFound("artifact-not-found", "There is none.")
    return ArtifactVersionName(
        kind=kind, key=key, version=version or 7, digest="sha256:" + "0" * 64
    )


def refused(name: str, raw: bytes, kind: type[DeedbookError] = Invalid) -> str:
    with pytest.raises(kind) as caught:
        prepare_plan(name, raw, resolve)
    return caught.value.detail


def test_a_markdown_plan_becomes_a_document_whose_traces_have_digests() -> None:
    prepared = prepare_plan("plan.md", SPOKEN.encode(), resolve)
    plan = read_plan(prepared.document)
    assert prepared.tasks == len(plan.tasks) == 6
    assert plan.tasks[1].traces[0].version == 7
    assert plan.tasks[1].traces[0].digest == "sha256:" + "0" * 64
    assert [(one.kind, one.version) for one in prepared.artifacts] == [
        ("ADR", 2),
        ("PRD", 7),
        ("SECURITY_MODEL", 3),
    ]


def test_json_in_any_spelling_becomes_the_canonical_document() -> None:
    document = prepare_plan("plan.md", SPOKEN.encode(), resolve).document
    spaced = msgspec.json.format(document, indent=4)
    again = prepare_plan("-", b"\n" + spaced, resolve)
    assert again.document == document
    assert again.document != spaced
    assert again.artifacts == prepare_plan("plan.json", spaced, resolve).artifacts


@pytest.mark.parametrize(
    ("raw", "kind", "said"),
    [
        (b"- [ ] T1: a\n- [ ] T1: b\n", Invalid, "two tasks of one id"),
        (b"- [ ] T1: a\n  - Depends on: T2\n", Invalid, "no task T2"),
        (b"- [ ] T1: a\n  - Depends on: T1\n", Invalid, "in a circle"),
        (b"- [ ] T1: a, GONE/x@1\n", NotFound, "There is none"),
        (b"\xff- [ ] T1: a\n", Invalid, "not UTF-8"),
        (b"- [ ] T1: a\0b\n", Invalid, "NUL"),
        (b"{", Malformed, "not valid JSON"),
        (b'{"schema":"deedbook/plan/v2","tasks":[]}', Invalid, "IMPLEMENTATION_PLAN"),
        (b'{"schema":"deedbook/plan/v1","tasks":[]}', Invalid, "has 0 tasks"),
    ],
)
def test_what_is_no_plan_is_one_clear_problem(
    raw: bytes, kind: type[DeedbookError], said: str
) -> None:
    assert said in refused("-", raw, kind)


def test_a_trace_with_another_digest_than_the_ledgers_is_refused() -> None:
    trace = b'{"kind":"PRD","key":"main","version":1,"digest":"sha256:%s"}' % (b"1" * 64)
    raw = b'{"schema":"deedbook/plan/v1","tasks":[{"id":"T1","title":"x","traces":[%s]}]}' % trace
    assert "but the ledger has it with" in refused("plan.json", raw)


@given(st.text(alphabet="-*#[] xX1.T:@/\n\t`~ABC()<>|", max_size=400))
def test_any_text_is_a_plan_or_a_problem(text: str) -> None:
    try:
        prepared = prepare_plan("plan.md", text.encode(), resolve)
    except DeedbookError:
        return
    assert read_plan(prepared.document).tasks


def test_time_grows_with_the_length_only() -> None:
    hostile: list[Callable[[int], str]] = [
        lambda size: "- [ ] " + "[" * size,
        lambda size: "- [ ] x\n  - " + "A/" * (size // 2),
        lambda size: "- [ ] " + "A" * size + "/",
        lambda size: "#" + " " * size + "x",
        lambda size: "- [ ] " + "FR-" * (size // 3),
    ]
    for make in hostile:
        read_markdown_plan("- [ ] T1: x\n" + make(400_000))
