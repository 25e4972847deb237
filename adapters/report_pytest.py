"""The JSON of the plugin pytest-json-report: tests with their stages, collectors, a summary."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from adapters.report_check import (
    FindingList,
    decoded,
    from_one,
    kept_path,
    malformed,
    milliseconds,
    one_line,
    plain,
)
from domain.verification import Check, Counts, Finding, Level

FORMAT = "pytest-json-report"
_ENDS: dict[str, tuple[str, Level | None]] = {
    "passed": ("passed", None),
    "xpassed": ("passed", None),
    "failed": ("failed", "error"),
    "error": ("errors", "error"),
    "skipped": ("skipped", "note"),
    "xfailed": ("skipped", "note"),
}
"""As pytest's own JUnit file has it: a failure that was expected counts as skipped."""


class _Crash(msgspec.Struct, frozen=True):
    message: str = ""


class _Stage(msgspec.Struct, frozen=True):
    outcome: str
    crash: _Crash | None = None
    longrepr: str | None = None


class _Test(msgspec.Struct, frozen=True):
    nodeid: str
    outcome: str
    lineno: int | None = None
    setup: _Stage | None = None
    call: _Stage | None = None
    teardown: _Stage | None = None


class _Collector(msgspec.Struct, frozen=True):
    nodeid: str
    outcome: str
    longrepr: str | None = None


class _Environment(msgspec.Struct, frozen=True):
    Packages: dict[str, str] = {}


class _Report(msgspec.Struct, frozen=True):
    created: float
    exitcode: int
    summary: dict[str, int]
    duration: float | None = None
    root: str = ""
    environment: _Environment = _Environment()
    tests: list[_Test] | None = None
    collectors: list[_Collector] = []


def read_pytest(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The one check in the plugin's JSON.

    Raises:
        Invalid: `report-malformed`, or `path-outside-repository`.
    """
    report = decoded(raw, _Report, FORMAT)
    if report.tests is None and report.summary.get("total", 0):
        raise malformed(FORMAT, "it is a summary without tests; leave --json-report-summary off")
    findings = FindingList(FORMAT)
    outcomes = Counter(test.outcome for test in report.tests or ())
    ended: Counter[str] = Counter()
    for index, test in enumerate(report.tests or ()):
        place = f"/tests/{index}"
        if test.outcome not in _ENDS:
            raise malformed(FORMAT, "an outcome is not known", f"{place}/outcome")
        how, level = _ENDS[test.outcome]
        ended[how] += 1
        if level is not None:
            findings.add(_finding(test, level, roots, place))
    for index, collector in enumerate(report.collectors):
        if collector.outcome == "failed":  # a file that could not be read: its tests never ran
            ended["errors"] += 1
            place = f"/collectors/{index}/nodeid"
            findings.add(
                Finding(
                    level="error",
                    message=plain(collector.longrepr or "not collected"),
                    path=kept_path(collector.nodeid.partition("::")[0], roots, place),
                    suite=one_line(collector.nodeid) or None,
                )
            )
    counts = Counts(
        total=sum(ended.values()),
        passed=ended["passed"],
        failed=ended["failed"],
        errors=ended["errors"],
        skipped=ended["skipped"],
    )
    return [
        findings.check(
            name="pytest",
            category="test",
            tool="pytest",
            tool_version=report.environment.Packages.get("pytest"),
            exit_code=report.exitcode,
            duration_ms=milliseconds(report.duration),
            counts=counts,
            claimed=_claimed(report.summary, outcomes),
        )
    ]


def _claimed(summary: dict[str, int], outcomes: Counter[str]) -> Counts | None:
    """What the summary states, when it is not what the tests come to."""
    if any(value < 0 for value in summary.values()):
        raise malformed(FORMAT, "a count is negative", "/summary")
    stated = {name: summary.get(name, 0) for name in _ENDS}
    total = summary.get("total", 0)
    if total == outcomes.total() and all(stated[name] == outcomes[name] for name in _ENDS):
        return None
    return Counts(
        total=total,
        passed=stated["passed"] + stated["xpassed"],
        failed=stated["failed"],
        errors=stated["error"],
        skipped=stated["skipped"] + stated["xfailed"],
    )


def _finding(test: _Test, level: Level, roots: Sequence[str], place: str) -> Finding:
    file, _, rest = test.nodeid.partition("::")
    suite, _, name = rest.rpartition("::")
    message = ""
    for stage in (test.setup, test.call, test.teardown):
        if stage is not None and stage.outcome != "passed":
            said = stage.crash.message if stage.crash is not None else stage.longrepr
            message = message or said or ""
    return Finding(
        level=level,
        message=plain(message),
        path=kept_path(file, roots, f"{place}/nodeid"),
        line=from_one(test.lineno + 1) if test.lineno is not None else None,  # counted from 0
        test=one_line(name or rest or test.nodeid) or None,
        suite=one_line(suite) or None,
    )
