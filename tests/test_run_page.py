"""A run's page on a terminal: what stands where, in which colour, and that nothing foreign acts."""

import msgspec
import pytest

from app.cli.run_page import aligned, page, seen_width
from app.durations import readable_duration
from domain.events import (
    ApprovalRecorded,
    ApprovalRequested,
    Content,
    DeploymentRecorded,
    EventData,
    PlanRecorded,
    Recorded,
    Resource,
    RunCreated,
    RunFinished,
    RunPaused,
    RunStarted,
    SideEffectFinished,
    SideEffectIntended,
    VerificationRecorded,
)
from domain.verification import CheckSummary
from projections.timeline import Timeline, TimelineFold

DIGEST = "sha256:" + "0" * 64
CONTENT = Content(digest=DIGEST, size_bytes=2_048, media_type="application/json")


def timeline(
    *events: EventData,
    held: frozenset[str] = frozenset(),
    erased: frozenset[str] = frozenset(),
) -> Timeline:
    fold = TimelineFold()
    for number, data in enumerate((RunCreated(title="Add a login"), RunStarted(), *events), 1):
        fold.event(
            Recorded(
                position=number,
                stream="run/r1",
                version=number,
                type=type(data).__name__,
                id=f"00000000-0000-4000-8000-{number:012d}",
                actor="token:ci",
                time=f"2026-11-25T10:{number:02d}:00.000000Z",
                data=data,
            )
        )
    return fold.finish("r1", 99, held, erased)


def shown(made: Timeline, *, contents: bool = False) -> list[str]:
    return ["".join(text for text, _ in line) for line in page(made, contents=contents)]


def color_of(made: Timeline, text: str) -> str:
    [found] = {piece.color for line in page(made) for piece in line if text in piece.text}
    return found


def test_the_first_line_says_what_it_is_and_how_it_ended() -> None:
    done = timeline(RunFinished(outcome="succeeded"))
    first, second, third, *_ = shown(done)
    assert first.startswith("Add a login  ")
    assert first.endswith("✓ succeeded")
    assert second == "r1 · 2026-11-25 10:01:00Z · 2 min 00 s"
    assert third == "by token:ci"
    assert color_of(done, "✓ succeeded") == "green"
    assert shown(timeline())[0].endswith("▶ running")
    assert shown(timeline())[1].endswith("1 min 00 s so far")
    failed = timeline(RunFinished(outcome="failed", reason="No disk"))
    assert color_of(failed, "✗ failed") == "red"
    waiting = timeline(RunPaused(waiting_for="approval", reason="Friday"))
    assert shown(waiting)[0].endswith("… waiting for approval")
    assert "waits: Friday" in shown(waiting)


def test_a_claim_without_its_content_is_marked_with_a_word() -> None:
    missing = timeline(PlanRecorded(content=CONTENT))
    text = "\n".join(shown(missing, contents=True))
    assert "recorded the plan  ○ 1 missing" in text
    assert f"○ missing {DIGEST}  2.0 KiB  application/json" in text
    assert "1 contents are missing" in text
    assert color_of(missing, "1 missing") == "red"
    erased = timeline(PlanRecorded(content=CONTENT), erased=frozenset({DIGEST}))
    text = "\n".join(shown(erased, contents=True))
    assert "recorded the plan  ⊘ 1 erased" in text
    assert f"⊘ erased {DIGEST}  2.0 KiB  application/json" in text
    assert "⊘ 1 contents were erased, 0 are held" in text
    assert "missing" not in text
    held = timeline(PlanRecorded(content=CONTENT), held=frozenset({DIGEST}))
    text = "\n".join(shown(held, contents=True))
    assert "recorded the plan  ●" in text
    assert f"● {DIGEST}" in text
    assert "missing" not in text


def test_checks_in_force_stand_with_what_they_counted() -> None:
    def verified(result: str, **counts: int) -> VerificationRecorded:
        summary = {"name": "unit", "category": "test", "result": result, "tool": "pytest"}
        check = msgspec.convert({**summary, "counts": counts, "duration_ms": 61_000}, CheckSummary)
        return VerificationRecorded(result=check.result, commit="cafebabe" * 5, checks=(check,))

    made = timeline(
        verified("FAILED", passed=9, failed=1), verified("PASSED", passed=10, skipped=0)
    )
    lines = shown(made)
    at = lines.index("Checks")
    assert lines[at + 1] == "  ✓  unit  test  pytest  10 passed  1 min 01 s  at cafebabecafe"
    assert lines[at + 2] == ""


def test_who_allowed_what_and_what_it_changed_can_be_read() -> None:
    made = timeline(
        ApprovalRequested(approval="a1", scope="deploy.production", intent="Ship it"),
        ApprovalRequested(approval="a2", scope="repo.push", intent="Push it"),
        ApprovalRecorded(decision="approved", approval="a1", approver="Grace"),
        SideEffectIntended(effect="e1", scope="deploy.production", intent="Ship", approval="a1"),
        SideEffectFinished(
            effect="e1",
            outcome="succeeded",
            resources=(Resource(kind="database", id="db1", region="eu", url="https://x.example"),),
            external_ids=("7",),
        ),
        SideEffectIntended(effect="e2", scope="mail.send", intent="Tell"),
        DeploymentRecorded(
            provider="p", environment="production", commit="abcd1234", outcome="rolled_back",
            deployment="d2", rolled_back_from="d1",
        ),
    )  # fmt: skip
    text = "\n".join(line for line in shown(made))
    granted = "✓  deploy.production  granted by token:ci in the name of Grace  recorded by the ledger  asked by token:ci"
    assert granted in text
    assert "…  repo.push          not decided" in text
    assert "✓  Ship  deploy.production  by token:ci  allowed by a1" in text
    assert "→ database db1 in eu  https://x.example" in text
    assert "→ 7" in text
    assert "…  Tell" in text
    assert "↩  production  p  abcd1234  d2  by no side effect  in place of d1" in text
    assert color_of(made, "by no side effect") == "yellow"


def test_foreign_text_cannot_command_the_terminal() -> None:
    evil = "\x1b[2J\u202eevil\x07"
    made = timeline(
        ApprovalRequested(approval="a1", scope="x", intent=evil),
        SideEffectIntended(effect="e", scope="x", intent=evil),
        RunPaused(waiting_for="external", reason=evil),
    )
    made = msgspec.structs.replace(
        made, title=evil, repository=evil, pull_request=evil, actors=(evil,)
    )
    text = "\n".join(shown(made, contents=True))
    assert text.replace("\n", "").isprintable()


def test_columns_are_aligned_by_what_is_seen() -> None:
    from app.cli.run_page import Piece

    assert seen_width("日本") == 4
    assert seen_width("e\u0301") == 1
    rows = [[Piece("日本"), Piece(""), Piece("x")], [Piece("abcdef"), Piece(""), Piece("y")]]
    lines = ["".join(text for text, _ in line) for line in aligned(rows)]
    assert lines == ["日本    x", "abcdef  y"]


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_500, "1.5 s"),
        (61_000, "1 min 01 s"),
        (3_661_000, "1 h 01 min"),
        (90_000_000, "1 d 1 h"),
    ],
)
def test_a_duration_is_said_by_its_two_greatest_units(milliseconds: int, said: str) -> None:
    assert readable_duration(milliseconds) == said
