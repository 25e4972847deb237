"""`eslint --format json`: a list with one object for each file, also for the clean ones."""

from collections.abc import Sequence

import msgspec

from adapters.report_check import (
    FindingList,
    LintCounts,
    decoded,
    from_one,
    kept_path,
    malformed,
    name_of,
    plain,
)
from domain.verification import Check, Counts, Finding, Level

FORMAT = "ESLint"
_LEVELS: dict[int, Level] = {0: "note", 1: "warning", 2: "error"}


class _Message(msgspec.Struct, frozen=True):
    message: str
    severity: int
    ruleId: str | None = None  # noqa: N815 -- ESLint's name
    line: int | None = None
    column: int | None = None


class _File(msgspec.Struct, frozen=True):
    filePath: str  # noqa: N815 -- ESLint's name
    messages: list[_Message]
    errorCount: int  # noqa: N815 -- ESLint's name
    warningCount: int  # noqa: N815 -- ESLint's name
    suppressedMessages: list[_Message] = []  # noqa: N815 -- ESLint's name


def read_eslint(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The one check in ESLint's JSON.

    Raises:
        Invalid: `report-malformed`, or `path-outside-repository`.
    """
    files = decoded(raw, list[_File], FORMAT)
    findings, lint = FindingList(FORMAT), LintCounts()
    lint.suppressed = sum(len(one.suppressedMessages) for one in files) or None
    for index, file in enumerate(files):
        path = kept_path(file.filePath, roots, f"/{index}/filePath") if file.messages else None
        for number, one in enumerate(file.messages):
            level = _LEVELS.get(one.severity)
            if level is None:
                place = f"/{index}/messages/{number}/severity"
                raise malformed(FORMAT, "a severity is 0, 1 or 2", place)
            lint.of[level] += 1
            findings.add(
                Finding(
                    level=level,
                    message=plain(one.message),
                    rule=name_of(one.ruleId),
                    path=path,
                    line=from_one(one.line),
                    column=from_one(one.column),
                )
            )
    claimed = _claimed(files, lint)
    return [
        findings.check(
            name="eslint", category="lint", tool="eslint", counts=lint.counts(), claimed=claimed
        )
    ]


def _claimed(files: Sequence[_File], lint: LintCounts) -> Counts | None:
    """What the files state, when it is not what they contain."""
    stated = sum(one.errorCount for one in files), sum(one.warningCount for one in files)
    if stated == (lint.of["error"], lint.of["warning"]):
        return None
    if min(stated) < 0:
        raise malformed(FORMAT, "a count is negative")
    return Counts(errors=stated[0], warnings=stated[1])
