"""Real reports are read without loss of counts, held to counts that were made another way."""

import json
import re
from collections import Counter

import jsonschema  # type: ignore[import-untyped]  # its stubs are a package of their own
import pytest

from adapters.report import READERS, read_report
from domain.verification import (
    Check,
    Counts,
    Finding,
    read_verification,
    verification_document,
    verification_report,
)
from tests.report_samples import ROOTS, names, only, sample

JUNIT = names("*.xml")
SARIF = names("*.sarif")


def elements(raw: bytes, name: str) -> int:
    """How many elements a file has, without a parser: comments and CDATA left out."""
    text = re.sub(rb"<!\[CDATA\[.*?\]\]>|<!--.*?-->", b"", raw, flags=re.DOTALL)
    return len(re.findall(rb"<" + name.encode() + rb"[\s/>]", text))


def results(raw: bytes) -> list[list[dict[str, object]]]:
    """The results of each run of a SARIF log, as plain JSON."""
    return [run["results"] for run in json.loads(raw.removeprefix(b"\xef\xbb\xbf"))["runs"]]


def counted(check: Check) -> int:
    """All results that a SARIF check counts, the suppressed ones as well."""
    counts = check.counts
    kinds = (counts.errors, counts.warnings, counts.notes, counts.suppressed)
    return sum(count or 0 for count in (*kinds, counts.passed, counts.skipped))


def test_there_are_samples_of_every_format() -> None:
    known = {read_report(sample(one), None, ROOTS)[0].sources[0].format for one in (*JUNIT, *SARIF)}
    others = ("pytest-json-report.json", "ruff.json", "mypy.jsonl", "tsc.txt", "eslint.json")
    assert known | {only(sample(one)).sources[0].format for one in others} == set(READERS)


@pytest.mark.parametrize("name", JUNIT)
def test_no_case_of_a_junit_file_is_lost(name: str) -> None:
    raw = sample(name)
    counts = only(raw).counts
    assert counts.total == elements(raw, "testcase") > 0
    ended = (counts.passed, counts.failed, counts.errors, counts.skipped)
    assert counts.total == sum(count or 0 for count in ended)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        # As pytest's last line said of these runs: 4 failed, 5 passed, 1 skipped, 1 xfailed,
        # 1 xpassed, 4 errors; the file counts a pass with a broken end once, as an error.
        ("pytest-xunit1.xml", Counts(total=15, passed=5, failed=4, errors=4, skipped=2)),
        ("pytest-xunit2.xml", Counts(total=15, passed=5, failed=4, errors=4, skipped=2)),
        # As the attributes of these files state.
        ("go-junit-report-012.xml", Counts(total=11, passed=6, failed=4, errors=0, skipped=1)),
        ("go-junit-report-110.xml", Counts(total=3, passed=0, failed=2, errors=0, skipped=1)),
        ("go-junit-report-113.xml", Counts(total=2, passed=2, failed=0, errors=0, skipped=0)),
        ("surefire-circle.xml", Counts(total=8, passed=6, failed=1, errors=1, skipped=0)),
        ("surefire-failing.xml", Counts(total=2, passed=0, failed=2, errors=0, skipped=0)),
        ("surefire-suite.xml", Counts(total=2, passed=2, failed=0, errors=0, skipped=0)),
    ],
)
def test_a_junit_file_that_agrees_with_itself_claims_nothing_else(
    name: str, counts: Counts
) -> None:
    check = only(sample(name))
    assert check.counts == counts
    assert check.claimed is None


@pytest.mark.parametrize(
    ("name", "counts", "claimed"),
    [
        # Surefire counts the test that passed at last, and forgets the other one.
        (
            "surefire-flaky.xml",
            Counts(total=2, passed=2, failed=0, errors=0, skipped=0, flaky=1),
            Counts(total=1, failed=0, errors=0, skipped=0),
        ),
        # GoogleTest states 28 tests; two suites failed outside a test, which are cases here.
        (
            "googletest.xml",
            Counts(total=30, passed=18, failed=7, errors=0, skipped=5),
            Counts(total=28, failed=5, errors=0),
        ),
        # jest-junit adds two cases for a file that could not be run, and counts neither.
        (
            "jest.xml",
            Counts(total=11, passed=5, failed=4, errors=1, skipped=1),
            Counts(total=8, failed=3, errors=1),
        ),
    ],
)
def test_a_junit_file_that_contradicts_itself_keeps_what_it_claims(
    name: str, counts: Counts, claimed: Counts
) -> None:
    check = only(sample(name))
    assert check.counts == counts
    assert check.claimed == claimed
    assert check.result != "PASSED"


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("pytest-xunit2.xml", "pytest"),
        ("jest.xml", "jest"),
        ("googletest.xml", "googletest"),
        ("go-junit-report-012.xml", "go test"),
        ("surefire-suite.xml", "maven-surefire"),
        ("surefire-circle.xml", None),
    ],
)
def test_the_tool_is_named_where_its_file_shows_it(name: str, tool: str | None) -> None:
    assert only(sample(name)).tool == tool


def test_what_a_failing_test_says_is_kept_with_its_place() -> None:
    check = only(sample("pytest-xunit1.xml"))
    assert check.duration_ms == 200
    assert check.category == "test"
    [wrong] = [one for one in check.findings if one.test == "test_wrong"]
    assert wrong == Finding(
        level="error",
        message="assert (1 + 1) == 3",
        path="tests/test_sample.py",
        line=21,
        test="test_wrong",
        suite="tests.test_sample.TestNumbers",
    )
    assert [one.level for one in check.findings] == ["error"] * 8 + ["note"] * 2


def test_a_test_that_passed_when_repeated_is_a_warning() -> None:
    check = only(sample("surefire-flaky.xml"))
    assert check.result == "WARNED"
    assert [(one.test, one.level) for one in check.findings] == [("testFlaky", "warning")]


@pytest.mark.parametrize("name", SARIF)
def test_no_result_of_a_sarif_log_is_lost(name: str) -> None:
    raw = sample(name)
    checks = read_report(raw, None, ROOTS)
    runs = results(raw)
    assert len(checks) == len(runs)
    for check, run in zip(checks, runs, strict=True):
        present = [one for one in run if one.get("baselineState") != "absent"]
        said = sum(1 for one in check.findings if one.path is None and one.rule == "SemgrepError")
        incomplete = sum(1 for one in check.findings if "did not complete" in one.message)
        assert counted(check) == len(present) + said + incomplete


@pytest.mark.parametrize("name", SARIF)
def test_the_sarif_samples_hold_to_the_official_schema(name: str) -> None:
    schema = json.loads(sample("sarif-schema-2.1.0.json"))
    jsonschema.Draft7Validator(schema).validate(
        json.loads(sample(name).removeprefix(b"\xef\xbb\xbf"))
    )


@pytest.mark.parametrize(
    ("name", "levels", "suppressed"),
    [
        ("ruff-run.sarif", {"error": 12}, None),  # "Found 12 errors."
        ("ruff-snapshot.sarif", {"error": 3}, None),
        ("codeql-fingerprinting.input.sarif", {"warning": 2}, None),  # neither level nor rule
        ("codeql-fingerprinting2.input.sarif", {"warning": 1}, None),
        ("codeql-with-invalid-uri.sarif", {"warning": 1}, None),
        ("semgrep-source.sarif", {"error": 2}, None),  # by the rules' default configuration
        ("semgrep-nosemgrep.sarif", {"error": 1}, 1),
        ("semgrep-ci.sarif", {"error": 6}, 5),
        ("semgrep-errors.sarif", {"error": 1}, None),  # no result: a notification
        ("tutorial-Baseline.sarif", {"warning": 3}, None),  # and one that is absent now
        ("tutorial-Suppressions.sarif", {"warning": 4}, 5),
    ],
)
def test_levels_and_suppressions_of_a_sarif_log_are_told(
    name: str, levels: dict[str, int], suppressed: int | None
) -> None:
    check = only(sample(name))
    assert Counter(one.level for one in check.findings) == levels
    assert check.counts.suppressed == suppressed
    assert check.counts.errors == levels.get("error", 0)
    assert check.counts.warnings == levels.get("warning", 0)


def test_a_suppression_that_is_under_review_or_rejected_hides_nothing() -> None:
    *visible, reviewed = only(sample("tutorial-Suppressions.sarif")).findings
    assert all("This result is visible" in one.message for one in visible)
    assert "still under review" in reviewed.message


def test_each_run_of_a_log_is_a_check() -> None:
    checks = read_report(sample("codeql-valid-sarif.sarif"))
    assert [(check.tool, check.counts.notes) for check in checks] == [
        ("LGTM.com", 1),
        ("CodeQL command-line toolchain", 2),
    ]
    assert checks[1].tool_version == "2.0.0"
    assert checks[1].findings[0] == Finding(
        level="note",
        message="Unused variable foo.",
        rule="js/unused-local-variable",
        path="main.js",
        line=2,
        column=7,
    )


def test_bases_of_uris_lead_to_paths_in_the_repository() -> None:
    check = only(sample("tutorial-OriginalUriBaseIds.sarif"))
    assert [one.path for one in check.findings] == ["README.md", "src/io/kb.c", None]


def test_the_plugin_of_pytest_is_read() -> None:
    raw = sample("pytest-json-report.json")
    summary = json.loads(raw)["summary"]
    check = only(raw)
    assert check.counts == Counts(
        total=summary["total"],
        passed=summary["passed"] + summary["xpassed"],
        failed=summary["failed"],
        errors=summary["error"],
        skipped=summary["skipped"] + summary["xfailed"],
    )
    assert (check.exit_code, check.duration_ms, check.tool_version) == (1, 46, "4.1.1")
    assert check.findings[0] == Finding(
        level="error",
        message="assert False",
        path="test_create_report.py",
        line=29,
        test="test_fail_with_fixture",
    )


def test_ruff_says_the_same_in_both_of_its_formats() -> None:
    own, sarif = only(sample("ruff.json")), only(sample("ruff-run.sarif"))
    assert own.counts == sarif.counts == Counts(errors=12, warnings=0, notes=0)
    places = {(one.rule, one.path, one.line, one.column) for one in own.findings}
    assert places == {(one.rule, one.path, one.line, one.column) for one in sarif.findings}
    assert own.category == sarif.category == "lint"


def test_mypy_is_read() -> None:
    check = only(sample("mypy.jsonl"))
    assert check.counts == Counts(errors=6, warnings=0, notes=1)  # "Found 6 errors in 1 file"
    assert check.category == "typecheck"
    assert check.findings[0].column == 12  # its JSON counts from 0
    assert "readthedocs" in check.findings[5].message


def test_tsc_is_read_with_the_lines_that_go_on() -> None:
    check = only(sample("tsc.txt"))
    assert check.counts.errors == len(re.findall(rb"(?m)^\S.*: error TS", sample("tsc.txt"))) == 5
    assert check.findings[4].path == "src/a.ts"
    assert check.findings[4].message.count("\n") == 4
    assert only(sample("tsc-global.txt")).findings[0] == Finding(
        level="error", message="Unknown compiler option '--noSuchOption'.", rule="TS5023"
    )


def test_eslint_is_read() -> None:
    files = json.loads(sample("eslint.json"))
    check = only(sample("eslint.json"))
    assert check.counts == Counts(
        errors=sum(file["errorCount"] for file in files),
        warnings=sum(file["warningCount"] for file in files),
        notes=0,
        suppressed=sum(len(file["suppressedMessages"]) for file in files),
    )
    assert check.claimed is None
    assert {one.path for one in check.findings} == {"src/b.js", "src/broken.js"}
    files[0]["errorCount"] += 1
    assert only(json.dumps(files).encode()).claimed == Counts(errors=6, warnings=1)


@pytest.mark.parametrize(("format_name", "raw"), [("ruff", b"[]"), ("mypy", b""), ("tsc", b"\n")])
def test_a_clean_run_passes_when_its_format_is_named(format_name: str, raw: bytes) -> None:
    check = only(raw, format_name)
    assert check.result == "PASSED"
    assert check.counts == Counts(errors=0, warnings=0, notes=0)


def test_every_sample_makes_a_report_that_is_read_back() -> None:
    others = names("*.json", "*.jsonl", "*.txt")
    for name in (*JUNIT, *SARIF, *others):
        if "schema" not in name:
            report = verification_report(read_report(sample(name), None, ROOTS))
            assert read_verification(verification_document(report)) == report, name
