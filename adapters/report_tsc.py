"""`tsc --pretty false`: one line for each diagnostic, indented lines that go on, nothing when clean.

tsc has no format for programs; these lines are what editors read too.
"""

import re
from collections.abc import Sequence

from adapters.report_check import (
    FindingList,
    LintCounts,
    from_one,
    kept_path,
    malformed,
    plain,
)
from domain.repository_path import shown
from domain.verification import Check, Finding, Level

FORMAT = "tsc"
MAX_LINE_CHARACTERS = 100_000
_LINE = re.compile(
    r"(?:(?P<path>[^\s(][^()\n]*(?:\([^()\n]*\)[^()\n]*)*)"
    r"\((?P<line>[0-9]{1,9}),(?P<column>[0-9]{1,9})\): )?"
    r"(?P<category>error|warning|message|suggestion) (?P<code>TS[0-9]{1,6}): (?P<message>.*)"
)
_LEVELS: dict[str, Level] = {"error": "error", "warning": "warning"}
"""A message or a suggestion is a note."""


def is_tsc(text: str) -> bool:
    """Whether a line is one of tsc's."""
    return len(text) <= MAX_LINE_CHARACTERS and _LINE.fullmatch(text) is not None


def read_tsc(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The one check in tsc's lines.

    Raises:
        Invalid: `report-malformed` with the number of the line, or `path-outside-repository`.
    """
    try:
        lines = raw.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise malformed(FORMAT, "it is not UTF-8") from None
    findings, lint = FindingList(FORMAT), LintCounts()
    last: Finding | None = None
    for number, ended in enumerate([*lines, ""], start=1):
        line = ended.removesuffix("\r")
        if line.startswith("  ") and last is not None and number <= len(lines):
            if len(last.message) < 2_000:
                last = _told(last, f"{last.message}\n{line}")
            continue
        if last is not None:
            findings.add(last)
            last = None
        if not line.strip():
            continue
        found = _LINE.fullmatch(line) if len(line) <= MAX_LINE_CHARACTERS else None
        if found is None:
            what = f"line {number} is {shown(line, 40)}; run tsc with --pretty false"
            raise malformed(FORMAT, what, f"/{number - 1}")
        level = _LEVELS.get(found["category"], "note")
        lint.of[level] += 1
        last = Finding(
            level=level,
            message=plain(found["message"]),
            rule=found["code"],
            path=kept_path(found["path"], roots, f"/{number - 1}"),
            line=from_one(int(found["line"])) if found["line"] else None,
            column=from_one(int(found["column"])) if found["column"] else None,
        )
    return [findings.check(name="tsc", category="typecheck", tool="tsc", counts=lint.counts())]


def _told(finding: Finding, message: str) -> Finding:
    return Finding(
        level=finding.level,
        message=plain(message),
        rule=finding.rule,
        path=finding.path,
        line=finding.line,
        column=finding.column,
    )
