"""JUnit XML, in the dialects of pytest, Surefire, go-junit-report, Jest, GoogleTest and their like.

There is no standard, only habits. What counts is the cases: every `testcase`, however suites are
nested. The totals that suites and root state are compared with that; where they differ, the report
keeps what the file claims beside what it contains.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element

from junitparser import Error, Failure, Skipped
from junitparser.junitparser import FinalResult
from junitparser.xunit2 import TestCase

from adapters.report_check import (
    FindingList,
    from_one,
    kept_path,
    malformed,
    milliseconds,
    one_line,
    plain,
)
from adapters.report_xml import read_xml
from domain.verification import Check, Counts, Finding, Level

FORMAT = "JUnit"
_TEXTS = frozenset({"failure", "error", "skipped", "flakyFailure", "flakyError"})
_NOT_RUN = frozenset({"notrun", "disabled", "skipped", "ignored", "suppressed"})
_ENDS: tuple[tuple[type[FinalResult], str, Level], ...] = (
    (Failure, "failed", "error"),
    (Error, "errors", "error"),
    (Skipped, "skipped", "note"),
)
"""The gravest first: a case that says several things ended as the first of these."""
_WHOLE = re.compile(r"[0-9]{1,15}")


class _Ended(NamedTuple):
    """How one test ended, and what it has to say."""

    how: str
    level: Level | None = None
    message: str = ""
    rule: str | None = None


def read_junit(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The one check in a JUnit file.

    Raises:
        Invalid: `report-malformed`, or `path-outside-repository`.
    """
    root = read_xml(raw, FORMAT, _TEXTS)
    if root.tag not in {"testsuites", "testsuite"}:
        raise malformed(FORMAT, f"its root is {one_line(root.tag, 40)!r}, not testsuites")
    findings = FindingList(FORMAT)
    tool, version = _tool(root)
    ended = dict.fromkeys(("passed", "failed", "errors", "skipped", "flaky"), 0)
    for number, (suite, case) in enumerate(_cases(root), start=1):
        outcome = _ended(case)
        ended[outcome.how] += 1
        if outcome.how == "flaky":
            ended["passed"] += 1
        if outcome.level is not None:
            findings.add(_finding(suite, case, outcome, roots, number, tool))
    counts = Counts(
        total=ended["passed"] + ended["failed"] + ended["errors"] + ended["skipped"],
        passed=ended["passed"],
        failed=ended["failed"],
        errors=ended["errors"],
        skipped=ended["skipped"],
        flaky=ended["flaky"] or None,
    )
    check = findings.check(
        name=root.get("name") or tool or "tests",
        category="test",
        tool=tool,
        tool_version=version,
        duration_ms=_duration(root),
        counts=counts,
        claimed=_claimed(root, counts),
    )
    return [check]


def _cases(root: Element) -> Iterator[tuple[Element, Element]]:
    """Every case with its suite, in order; a suite's own error or failure is a case that broke."""
    suites = [root]
    while suites:
        suite = suites.pop()
        for child in suite:
            if child.tag in {"testcase", "error", "failure"}:
                yield suite, child
        suites.extend(child for child in reversed(suite) if child.tag == "testsuite")


def _ended(element: Element) -> _Ended:
    if element.tag != "testcase":
        return _Ended(
            "errors", "error", _said(element.get("message"), element.text), element.get("type")
        )
    case = TestCase.fromelem(element)  # type: ignore[no-untyped-call]  # the library types it not
    assert case is not None
    results = case.result if len(element) else []
    for kind, how, level in _ENDS:
        for result in results:
            if isinstance(result, kind):
                return _Ended(how, level, _said(result.message, result.text), result.type)
    states = {element.get("status", "").lower(), element.get("result", "").lower()}
    if states & _NOT_RUN:
        return _Ended("skipped", "note", "not run")
    for interim in case.interim_result if len(element) else ():
        return _Ended("flaky", "warning", _said(interim.message, interim.text), interim.type)
    return _Ended("passed")


def _said(message: str | None, text: str | None) -> str:
    """What a result says: its message, else its text."""
    return plain(message or text or "")


def _finding(
    suite: Element,
    case: Element,
    outcome: _Ended,
    roots: Sequence[str],
    number: int,
    tool: str | None,
) -> Finding:
    line = _whole(case.get("line"))
    if line is not None and tool == "pytest":
        line += 1  # its older family counts lines from 0
    path = kept_path(case.get("file"), roots, f"/testcase/{number}/file")
    return Finding(
        level=outcome.level or "note",
        message=outcome.message,
        rule=one_line(outcome.rule) if outcome.rule else None,
        path=path,
        line=from_one(line) if path else None,
        test=one_line(case.get("name") or "") or None,
        suite=one_line(case.get("classname") or suite.get("name") or "") or None,
    )


def _claimed(root: Element, counts: Counts) -> Counts | None:
    """The totals that the file states, when they are not what it contains."""
    leaves = [one for one in root.iter("testsuite") if one.find("testsuite") is None]
    found = {"total": counts.total, "failed": counts.failed, "errors": counts.errors}
    found["skipped"] = counts.skipped
    for suites in ([root], leaves):
        stated = {
            "total": _stated(suites, "tests"),
            "failed": _stated(suites, "failures"),
            "errors": _stated(suites, "errors"),
            "skipped": _stated(suites, "skipped", "disabled"),
        }
        if suites == [root] and root.get("skipped") is None:
            stated["skipped"] = None  # GoogleTest's root states the disabled ones alone
        if any(value is not None and value != found[name] for name, value in stated.items()):
            return Counts(**stated)
    return None


def _stated(suites: Sequence[Element], *names: str) -> int | None:
    values = [_whole(suite.get(name)) for suite in suites for name in names]
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.fullmatch(text.strip()) else None


def _duration(root: Element) -> int | None:
    """As the root states it, else the sum of its suites, else that of its cases."""
    stated = milliseconds(root.get("time"))
    if stated is not None:
        return stated
    for kind in ("testsuite", "testcase"):
        elements = root.findall(kind) if kind == "testsuite" else root.iter(kind)
        times = [milliseconds(one.get("time")) for one in elements]
        known = [time for time in times if time is not None]
        if known:
            return sum(known)
    return None


def _tool(root: Element) -> tuple[str | None, str | None]:
    """The program that wrote the file, where it can be told."""
    suites = [root, *root.findall("testsuite")]
    if any(one.get("name") == "pytest" for one in suites):
        return "pytest", None
    if root.get("name") == "jest tests":
        return "jest", None
    for one in suites:
        for name, value in one.attrib.items():
            if name.endswith("noNamespaceSchemaLocation") and "surefire" in value:
                return "maven-surefire", one.get("version")
        for entry in one.iterfind("properties/property"):
            name = entry.get("name", "")
            if name == "go.version":
                return "go test", entry.get("value")
            if name.startswith("surefire."):
                return "maven-surefire", None
    first = root.find(".//testcase")
    if first is not None and first.get("status") in {"run", "notrun"} and first.get("result"):
        return "googletest", None
    return None, None
