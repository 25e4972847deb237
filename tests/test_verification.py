"""Verification reports: golden bytes, what a result follows from, and a strict reader."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import canonical
from domain.errors import Damaged, DeedbookError, Invalid, TooLarge
from domain.repository_path import MAX_PATH_CHARACTERS, is_repository_path, repository_path
from domain.verification import (
    MAX_CHECKS,
    MAX_LISTED_FINDINGS,
    MAX_LISTED_TOGETHER,
    Check,
    CheckSummary,
    Counts,
    Finding,
    ReportSource,
    Result,
    merged,
    read_verification,
    result_of,
    result_of_check,
    summary_of,
    verification_document,
    verification_report,
)

TESTS = Check(
    name="pytest",
    category="test",
    result="FAILED",
    tool="pytest",
    tool_version="9.2.0",
    command=("pytest", "-q"),
    exit_code=1,
    duration_ms=1_234,
    counts=Counts(total=3, passed=1, failed=1, errors=0, skipped=1),
    findings=(
        Finding(level="error", message="assert 1 == 2", path="a.py", line=3, test="t", suite="s"),
    ),
    findings_total=1,
    sources=(ReportSource(format="junit", digest="sha256:" + "a" * 64, size_bytes=9),),
)
LINT = Check(name="ruff", category="lint", result="PASSED", counts=Counts(errors=0, warnings=0))
GOLDEN = (
    '{"checks":[{"category":"test","command":["pytest","-q"],"counts":{"errors":0,"failed":1,'
    '"passed":1,"skipped":1,"total":3},"duration_ms":1234,"exit_code":1,"findings":[{"level":'
    '"error","line":3,"message":"assert 1 == 2","path":"a.py","suite":"s","test":"t"}],'
    '"findings_total":1,"name":"pytest","result":"FAILED","sources":[{"digest":"sha256:'
    + "a"
    * 64
    + '","format":"junit","size_bytes":9}],"tool":"pytest","tool_version":"9.2.0"},'
    '{"category":"lint","counts":{"errors":0,"warnings":0},"name":"ruff","result":"PASSED"}],'
    '"commit":"' + "c" * 40 + '","result":"FAILED","schema":"deedbook/verification/v1"}'
).encode()


def many(count: int) -> Check:
    listed = tuple(Finding(level="warning", line=line) for line in range(1, count + 1))
    return Check(
        name="lint",
        category="lint",
        result="WARNED",
        counts=Counts(errors=0, warnings=count),
        findings=listed,
        findings_total=count,
    )


def test_a_report_is_these_bytes() -> None:
    raw = verification_document(verification_report([TESTS, LINT], "c" * 40))
    assert raw == GOLDEN
    assert canonical.write(canonical.read(raw)) == raw


def test_a_report_is_read_back() -> None:
    found = read_verification(GOLDEN)
    assert found.checks == (TESTS, LINT)
    assert found.result == "FAILED"


@pytest.mark.parametrize(
    "raw",
    [
        GOLDEN + b"\n",
        GOLDEN.replace(b'{"checks"', b'{ "checks"'),
        GOLDEN.replace(b"verification/v1", b"verification/v2"),
        GOLDEN.replace(b'"name":"ruff"', b'"name":""'),
        GOLDEN.replace(b'"name":"ruff"', b'"name":"ruff","x":1'),
        GOLDEN.replace(b'"passed":1', b'"passed":-1'),
        GOLDEN.replace(b'"passed":1', b'"passed":1.0'),
        GOLDEN[:-1],
        b"\xff",
        b"[" * 100_000,
        b"null",
        # In canonical form, and contradicting themselves:
        GOLDEN.replace(b'"result":"FAILED","schema"', b'"result":"PASSED","schema"'),
        GOLDEN.replace(b'"result":"FAILED","sources"', b'"result":"PASSED","sources"'),
        GOLDEN.replace(b'"total":3', b'"total":4'),
        GOLDEN.replace(b'"findings_total":1', b'"findings_total":2'),
        GOLDEN.replace(b'"path":"a.py"', b'"path":"../a.py"'),
        b'{"checks":[],"result":"PASSED","schema":"deedbook/verification/v1"}',
    ],
)
def test_another_spelling_of_a_report_is_refused(raw: bytes) -> None:
    assert raw != GOLDEN
    with pytest.raises(Damaged) as caught:
        read_verification(raw)
    assert caught.value.code == "verification-malformed"


@pytest.mark.parametrize(
    ("counts", "exit_code", "claimed", "result"),
    [
        (Counts(), 0, None, "PASSED"),
        (Counts(), 1, None, "FAILED"),
        (Counts(), -9, None, "FAILED"),
        (Counts(total=1, passed=1, failed=0, errors=0, skipped=0), None, None, "PASSED"),
        (Counts(total=1, passed=1, failed=0, errors=0, skipped=0), 1, None, "FAILED"),
        (Counts(total=2, passed=1, failed=1), 0, None, "FAILED"),
        (Counts(total=2, passed=1, errors=1), 0, None, "FAILED"),
        (Counts(total=2, passed=2, flaky=1), 0, None, "WARNED"),
        (Counts(total=0), 0, None, "WARNED"),
        (Counts(total=2, passed=0, skipped=2), 0, None, "WARNED"),
        (Counts(errors=0, warnings=0, notes=5, suppressed=3), None, None, "PASSED"),
        (Counts(errors=0, warnings=1), 0, None, "WARNED"),
        (Counts(errors=1, warnings=1), 0, None, "FAILED"),
        (Counts(total=1, passed=1), 0, Counts(total=2), "WARNED"),
        (Counts(total=1, passed=1), 0, Counts(total=2, failed=1), "FAILED"),
    ],
)
def test_the_result_of_a_check_follows_from_what_was_counted(
    counts: Counts, exit_code: int | None, claimed: Counts | None, result: Result
) -> None:
    assert result_of_check(counts, exit_code=exit_code, claimed=claimed) == result


@given(st.lists(st.sampled_from(get_args(Result)), min_size=1))
def test_the_result_of_a_report_is_its_worst_check(results: list[Result]) -> None:
    order: list[Result] = ["PASSED", "WARNED", "FAILED"]
    assert result_of(results) == max(results, key=order.index)


def test_a_report_without_checks_or_with_too_many_is_refused() -> None:
    with pytest.raises(Invalid):
        verification_report([])
    verification_report([LINT] * MAX_CHECKS)
    with pytest.raises(TooLarge) as caught:
        verification_report([LINT] * (MAX_CHECKS + 1))
    assert caught.value.code == "too-many-checks"


def test_findings_are_cut_and_counts_are_not() -> None:
    whole, cut = many(MAX_LISTED_FINDINGS), many(MAX_LISTED_FINDINGS + 1)
    report = verification_report([whole, cut])
    assert [check.findings_cut for check in report.checks] == [False, True]
    assert [len(check.findings) for check in report.checks] == [MAX_LISTED_FINDINGS] * 2
    assert report.checks[1].counts.warnings == MAX_LISTED_FINDINGS + 1
    assert report.checks[1].findings_total == MAX_LISTED_FINDINGS + 1
    assert read_verification(verification_document(report)) == report


def test_many_checks_share_the_room_for_findings() -> None:
    report = verification_report([many(MAX_LISTED_FINDINGS)] * MAX_CHECKS)
    assert sum(len(check.findings) for check in report.checks) <= MAX_LISTED_TOGETHER
    assert all(check.findings_total == MAX_LISTED_FINDINGS for check in report.checks)


def test_merged_checks_add_up_and_say_when_findings_are_left_out() -> None:
    both = merged([many(3), many(4)], "lint")
    assert (both.counts.warnings, both.findings_total, len(both.findings)) == (7, 7, 7)
    assert not both.findings_cut
    both = merged([many(300), many(300)], "lint")
    assert (both.findings_total, len(both.findings)) == (600, MAX_LISTED_FINDINGS)
    assert both.findings_cut
    [cut] = verification_report([many(MAX_LISTED_FINDINGS + 1)]).checks
    assert merged([cut, many(1)], "lint").findings_total == MAX_LISTED_FINDINGS + 2
    for check in (both, merged([cut], "lint")):
        report = verification_report([check])
        assert read_verification(verification_document(report)) == report
    failed, passed = TESTS, msgspec.structs.replace(TESTS, exit_code=0, counts=Counts(total=0))
    assert merged([passed, failed], "t").exit_code == 1
    assert merged([passed], "t").exit_code == 0
    with pytest.raises(Invalid):
        merged([TESTS, LINT], "mixed")
    with pytest.raises(Invalid):
        merged([], "nothing")


def test_a_summary_is_the_check_without_its_findings() -> None:
    summary = summary_of(TESTS)
    assert summary.counts == TESTS.counts
    assert summary == CheckSummary(
        name="pytest",
        category="test",
        result="FAILED",
        tool="pytest",
        exit_code=1,
        duration_ms=1_234,
        counts=TESTS.counts,
    )
    largest = CheckSummary(
        name="n" * 200,
        category="migrations",
        result="FAILED",
        tool="t" * 200,
        exit_code=-canonical.MAX_INTEGER,
        duration_ms=canonical.MAX_INTEGER,
        counts=Counts(**dict.fromkeys(Counts.__struct_fields__, canonical.MAX_INTEGER)),
    )
    assert MAX_CHECKS * len(msgspec.json.encode(largest)) < 50_000  # all of them fit in one event


ROOTS = ("/home/ada/work", "C:\\build")


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("src/a.py", "src/a.py"),
        ("./src//a.py", "src/a.py"),
        (".\\src\\a.ts", "src/a.ts"),
        ("/home/ada/work/src/a.py", "src/a.py"),
        ("C:\\build\\src\\a.ts", "src/a.ts"),
        ("C:/build/src/a.ts", "src/a.ts"),
        ("å/日本 1.md", "å/日本 1.md"),
        ("..a/b..", "..a/b.."),
        ("app/[id]/page.tsx", "app/[id]/page.tsx"),
    ],
)
def test_a_path_is_kept_in_one_spelling(path: str, kept: str) -> None:
    assert repository_path(path, ROOTS) == kept
    assert is_repository_path(kept)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "/",
        "..",
        "../x",
        "a/../../x",
        "a/..",
        "..\\x",
        "/etc/passwd",
        "//host/share",
        "\\\\host\\share",
        "/home/ada/work/../x",
        "/home/ada/worker/x",
        "/home/ada/work",
        "C:\\Windows\\x",
        "c:x",
        "file:///etc/passwd",
        "http://example.com/x",
        "javascript:alert(1)",
        "a\0b",
        "a\nb",
        "a\x1b[31mb",
        "a\u202eb",
        "a\ud800",
        "x" * (MAX_PATH_CHARACTERS + 1),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(Invalid) as caught:
        repository_path(path, ROOTS)
    assert caught.value.code == "path-outside-repository"
    assert caught.value.detail.isprintable()
    assert len(caught.value.detail) < 700


@given(st.text(st.sampled_from("ab./\\:C\0~"), max_size=12))
def test_every_path_is_kept_or_refused_and_what_is_kept_stays_so(path: str) -> None:
    try:
        kept = repository_path(path, ("/a", "C:/a"))
    except DeedbookError:
        return
    assert is_repository_path(kept)
    assert repository_path(kept) == kept
