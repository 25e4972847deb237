"""The audit trail for people: every type of event is a sentence, whatever it says."""

import pytest

from domain.events import (
    EVENT_TYPES,
    ApprovalRecorded,
    ArtifactErased,
    ArtifactWritten,
    DeploymentRecorded,
    EventData,
    InfrastructureRecorded,
    PolicyChanged,
    ProjectChanged,
    ProjectCreated,
    Recorded,
    RecordErased,
    Resource,
    RunFinished,
    SideEffectFinished,
    StepFinished,
    StepStarted,
    VerificationRecorded,
)
from domain.verification import CheckSummary
from projections.trail import MAX_CHARACTERS, parted, sentence
from tests.test_run_rules import TABLE

DIGEST = "sha256:" + "0" * 64
OTHERS: tuple[EventData, ...] = (
    ProjectCreated(title="Alpha"),
    ProjectChanged(title="Beta"),
    PolicyChanged(four_eyes=True, guarded_scopes=()),
    ArtifactWritten(digest=DIGEST, size_bytes=1_234, media_type="text/plain", title="T"),
    ArtifactErased(artifact="artifact/PRD/main", artifact_version=1, digest=DIGEST, reason="asked"),
    RecordErased(record="run/r1", record_version=6, digest=DIGEST, reason="a password"),
)
LINT = CheckSummary(name="ruff", category="lint", result="PASSED")
SAID: tuple[tuple[str, EventData, str], ...] = (
    ("run/r1", StepStarted(step="build", attempt=2, title="Build"),
     "run r1: began step build, attempt 2: Build"),
    ("run/r1", StepFinished(step="build", outcome="failed", error="disk full"),
     "run r1: step build failed: disk full"),
    ("run/r1", VerificationRecorded(result="WARNED", checks=(LINT, LINT)),
     "run r1: verification ruff, ruff WARNED"),
    ("run/r1", ApprovalRecorded(decision="rejected", scope="repo.push", approval="a1",
                                approver="Ada", reason="too late"),
     "run r1: rejected repo.push a1 in the name of Ada: too late"),
    ("run/r1", SideEffectFinished(effect="e1", outcome="failed", error="no route"),
     "run r1: side effect e1 failed: no route"),
    ("run/r1", InfrastructureRecorded(provider="p", resources=(Resource(kind="vm", id="1"),)),
     "run r1: recorded 1 resources of p"),
    ("run/r1", DeploymentRecorded(provider="p", environment="e", commit="c0ffee", deployment="d2",
                                  outcome="succeeded", promoted_from="d1", rolled_back_from="d0"),
     "run r1: promoted c0ffee to e: succeeded, in place of d0"),
    ("erasures", OTHERS[5], "erased a content of run/r1 version 6: a password"),
    ("project", OTHERS[2], "changed the policy: guarded scopes, four eyes"),
)  # fmt: skip


def recorded(data: EventData, stream: str = "run/r1") -> Recorded:
    return Recorded(
        position=1,
        stream=stream,
        version=1,
        type=type(data).__name__,
        id="00000000-0000-7000-8000-000000000001",
        actor="user:ada",
        time="2026-11-20T10:00:00.000000Z",
        data=data,
    )


def test_every_type_of_event_is_a_sentence() -> None:
    events = [*OTHERS, *(event for event, _ in TABLE)]
    assert {type(event).__name__ for event in events} == set(EVENT_TYPES)
    for event in events:
        said = sentence(recorded(event))
        assert said.strip() == said
        assert said.isprintable()
        assert 3 < len(said) <= MAX_CHARACTERS


@pytest.mark.parametrize(("stream", "data", "said"), SAID)
def test_a_sentence_says_what_counts(stream: str, data: EventData, said: str) -> None:
    assert sentence(recorded(data, stream)) == said


@pytest.mark.parametrize(
    ("stream", "data", "about"),
    [
        ("run/r1", SAID[0][1], "run r1"),
        ("artifact/PRD/a: b", OTHERS[3], "PRD/a: b version 1"),
        ("erasures", OTHERS[4], "erased artifact/PRD/main version 1"),
        ("erasures", OTHERS[5], "erased a content of run/r1 version 6"),
        ("project", OTHERS[0], ""),
        ("project", OTHERS[2], ""),  # its colon is no subject's
    ],
)
def test_a_sentence_in_two_is_the_sentence(stream: str, data: EventData, about: str) -> None:
    event = recorded(data, stream)
    found, said = parted(event)
    assert found == about
    assert (f"{about}: {said}" if about else said) == sentence(event)


def test_a_subject_that_fills_the_sentence_leaves_it_whole() -> None:
    endless = ArtifactErased(
        artifact=f"artifact/PRD/{'a' * 300}", artifact_version=1, digest=DIGEST, reason="asked"
    )
    assert parted(recorded(endless, "erasures")) == ("", sentence(recorded(endless, "erasures")))


def test_no_control_character_and_no_length_gets_through() -> None:
    said = sentence(recorded(RunFinished(outcome="failed", reason="\x1b[2J\n" * 100)))
    assert said.isprintable()
    assert len(said) == MAX_CHARACTERS
    assert said.endswith("…")
