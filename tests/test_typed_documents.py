"""Documents with a schema: each reads back what it writes, and refuses every other spelling."""

from collections.abc import Callable

import msgspec
import pytest

from domain import canonical
from domain.audit_bundle import SCHEMA, AuditBundle, Entry, read_audit_bundle
from domain.deployment import DeploymentProvenance, deployment_document, read_deployment
from domain.errors import Damaged, Invalid
from domain.events import (
    ApprovalRecorded,
    ApprovalSignature,
    Content,
    DeploymentRecorded,
    EventData,
    Resource,
    SideEffectIntended,
    TranscriptRecorded,
)
from domain.plan import Plan, Task, Trace, plan_document, read_plan
from domain.run_records import MAX_LISTED, check_record
from domain.typed_documents import check_document

TASK = Task(id="t1", title="Do it", acceptance=("It is done.",), depends_on=("t2",),
            traces=(Trace(kind="PRD", key="main", version=1),))  # fmt: skip
PLAN = plan_document((TASK, Task(id="t2", title="First")), "A plan")
DEPLOYMENT = deployment_document(
    DeploymentProvenance(
        schema="deedbook/deployment/v1",
        provider="here",
        environment="production",
        commit="c0ffee",
        outcome="succeeded",
        urls=("https://alpha.example/",),
    )
)
ENTRY = Entry(
    kind="RUN", key="r1", version=1, position=2, type="RunCreated", actor="user:ada",
    time="2026-11-20T10:00:00.000000Z", leaf_hash="sha256:" + "0" * 64,
)  # fmt: skip


def bundle(*versions: int) -> bytes:
    return canonical.write(
        AuditBundle(
            schema=SCHEMA,
            run="r1",
            origin="alpha.ledger.example",
            title="T",
            phase="created",
            entries=tuple(msgspec.structs.replace(ENTRY, version=version) for version in versions),
        )
    )


READERS: dict[str, tuple[Callable[[bytes], object], bytes]] = {
    "plan": (read_plan, PLAN),
    "deployment": (read_deployment, DEPLOYMENT),
    "audit-bundle": (read_audit_bundle, bundle(1, 2)),
}


@pytest.mark.parametrize("name", READERS)
def test_a_document_reads_back_and_no_other_spelling_does(name: str) -> None:
    read, raw = READERS[name]
    assert canonical.write(read(raw)) == raw
    for wrong in (b"", b"{}", b"[]", b"\xff", raw + b" ", raw.replace(b":", b": ", 1), raw[:-1]):
        with pytest.raises(Damaged) as caught:
            read(wrong)
        assert caught.value.code == f"{name}-malformed"


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ((), "has 0 tasks"),
        ((Task(id="a", title="t"), Task(id="a", title="t")), "two tasks of one id"),
        ((Task(id="a", title="t", depends_on=("b",)),), "has no task b"),
        ((Task(id="a", title="t", depends_on=("b",)), Task(id="b", title="t", depends_on=("a",))),
         "in a circle"),
        ((Task(id="a", title="t", acceptance=("x",) * 201),), "more than 200 things in task a"),
        (tuple(Task(id=f"t{n}", title="t") for n in range(1_001)), "has 1001 tasks"),
    ],
)  # fmt: skip
def test_a_plan_that_does_not_hold_together_is_refused(tasks: tuple[Task, ...], says: str) -> None:
    with pytest.raises(Damaged, match=says):
        read_plan(plan_document(tasks))


def test_an_audit_bundle_leaves_out_no_version_of_its_run() -> None:
    with pytest.raises(Damaged, match="leaves out a version"):
        read_audit_bundle(bundle(1, 3))


def test_a_deployment_lists_a_bounded_number_of_things() -> None:
    found = msgspec.json.decode(DEPLOYMENT, type=DeploymentProvenance)
    many = msgspec.structs.replace(found, deployments=("d",) * 201)
    with pytest.raises(Damaged, match="more than 200"):
        read_deployment(deployment_document(many))


def test_at_the_door_a_document_may_be_spaced_as_people_do() -> None:
    check_document("IMPLEMENTATION_PLAN", msgspec.json.format(PLAN, indent=2))
    with pytest.raises(Invalid, match="This is no IMPLEMENTATION_PLAN"):
        check_document("IMPLEMENTATION_PLAN", DEPLOYMENT)
    check_document("NOTE", b'{"anything": 1}')
    assert msgspec.json.decode(PLAN, type=Plan).title == "A plan"


CONTENT = Content(digest="sha256:" + "0" * 64, size_bytes=0, media_type="text/plain")
WRONG: tuple[tuple[EventData, str], ...] = (
    (SideEffectIntended(effect="e", scope="s", intent="i", target=Resource(kind="VM", id="1")),
     "/target/kind"),
    (SideEffectIntended(effect="e", scope="s", intent="i", target=Resource(kind="vm", id="")),
     "/target/id"),
    (TranscriptRecorded(command=("ls",), exit_code=0, duration_ms=-1, content=CONTENT),
     "/duration_ms"),
    (TranscriptRecorded(command=("x",) * (MAX_LISTED + 1), exit_code=0, duration_ms=1,
                        content=CONTENT), "/command"),
    (ApprovalRecorded(decision="approved", signature=ApprovalSignature(format="dsse", value="")),
     "/signature/value"),
    (ApprovalRecorded(decision="approved", scope="Not.A.Scope"), "/scope"),
    (DeploymentRecorded(provider="p", environment="e", commit="HEAD", outcome="failed"), "/commit"),
    (DeploymentRecorded(provider="p", environment="e", commit="c0ffee", outcome="failed",
                        url="https://h/" + "x" * 2_048), "/url"),
)  # fmt: skip


@pytest.mark.parametrize(("data", "pointer"), WRONG)
def test_a_record_is_held_to_the_grammar(data: EventData, pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_record(data)
    assert (caught.value.code, caught.value.pointer) == ("validation-failed", pointer)
