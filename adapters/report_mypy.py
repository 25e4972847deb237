"""`mypy --output json`: one JSON object a line; nothing at all when there is nothing to say."""

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
from domain.errors import Invalid
from domain.verification import Check, Finding, Level

FORMAT = "mypy"


class _Line(msgspec.Struct, frozen=True):
    file: str
    message: str
    severity: Level
    line: int
    column: int
    code: str | None = None
    hint: str | None = None


def read_mypy(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The one check in mypy's JSON lines.

    Raises:
        Invalid: `report-malformed` with the number of the line, or `path-outside-repository`.
    """
    findings, lint = FindingList(FORMAT), LintCounts()
    for number, line in enumerate(raw.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            one = decoded(line, _Line, FORMAT)
        except Invalid as error:
            what = error.detail.partition(": ")[2].rstrip(".")
            raise malformed(FORMAT, f"line {number}: {what}", f"/{number - 1}") from None
        lint.of[one.severity] += 1
        findings.add(
            Finding(
                level=one.severity,
                message=plain(f"{one.message}\n{one.hint}" if one.hint else one.message),
                rule=name_of(one.code),
                path=kept_path(one.file, roots, f"/{number - 1}/file"),
                line=from_one(one.line),
                column=from_one(one.column + 1),  # mypy's JSON counts columns from 0
            )
        )
    return [findings.check(name="mypy", category="typecheck", tool="mypy", counts=lint.counts())]
