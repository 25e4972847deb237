"""`ruff check --output-format json`: a list with one object for each violation."""

from collections.abc import Sequence

import msgspec

from adapters.report_check import (
    FindingList,
    LintCounts,
    decoded,
    from_one,
    kept_path,
    name_of,
    plain,
)
from domain.verification import Check, Finding, Level

FORMAT = "ruff"
_LEVELS: dict[str, Level] = {"error": "error", "fatal": "error", "warning": "warning"}


class _Place(msgspec.Struct, frozen=True):
    row: int
    column: int


class _Violation(msgspec.Struct, frozen=True):
    filename: str | None
    message: str
    code: str | None
    location: _Place | None = None
    severity: str = "error"


def read_ruff(raw: bytes, roots: Sequence[str] = ()) -> list[Check]:
    """The one check in ruff's JSON.

    Raises:
        Invalid: `report-malformed`, or `path-outside-repository`.
    """
    findings, lint = FindingList(FORMAT), LintCounts()
    for index, one in enumerate(decoded(raw, list[_Violation], FORMAT)):
        level = _LEVELS.get(one.severity, "note")
        lint.of[level] += 1
        findings.add(
            Finding(
                level=level,
                message=plain(one.message),
                rule=name_of(one.code),
                path=kept_path(one.filename, roots, f"/{index}/filename"),
                line=from_one(one.location.row) if one.location is not None else None,
                column=from_one(one.location.column) if one.location is not None else None,
            )
        )
    return [findings.check(name="ruff", category="lint", tool="ruff", counts=lint.counts())]
