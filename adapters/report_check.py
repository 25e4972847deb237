"""What the readers of reports share: bounds, plain text, findings within a limit, one kind of problem.

A reader takes the bytes of one report and gives checks. It counts everything and lists the gravest
findings. What is not the report that it says it is gives one problem: its format, the place, and
what to do.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from domain.canonical import MAX_INTEGER
from domain.errors import Invalid
from domain.repository_path import repository_path
from domain.verification import (
    MAX_LISTED_FINDINGS,
    MAX_MESSAGE_CHARACTERS,
    MAX_NAME_CHARACTERS,
    Category,
    Check,
    Counts,
    Finding,
    Level,
    result_of_check,
)

MAX_REPORT_BYTES = 32 * 1024 * 1024
MAX_ITEMS = 500_000
"""Cases, results or findings in one report."""
MAX_DURATION_MS = 10**12
MAX_DURATION_CHARACTERS = 60

Read = TypeVar("Read")


def malformed(format_name: str, what: str, pointer: str | None = None) -> Invalid:
    """The one problem of a report that is not what it says."""
    return Invalid("report-malformed", f"This is no {format_name} report: {what}.", pointer=pointer)


def decoded(raw: bytes, kind: type[Read], format_name: str) -> Read:
    """A JSON report as `kind`; members that `kind` does not have are passed over.

    Raises:
        Invalid: `report-malformed`, with a pointer where there is one.
    """
    try:
        return msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"), type=kind)
    except msgspec.ValidationError as error:
        sentence, _, path = str(error).partition(" - at `$")
        pointer = path.rstrip("`").replace(".", "/").replace("[", "/").replace("]", "")
        raise malformed(format_name, one_line(sentence), pointer or None) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise malformed(format_name, one_line(str(error))) from None
    except RecursionError:
        raise malformed(format_name, "it is nested too deeply") from None


def plain(text: str, limit: int = MAX_MESSAGE_CHARACTERS) -> str:
    """Foreign text that may stand in a document: lines kept, other control characters replaced."""
    start = text[: 2 * limit].strip()
    if not start.isprintable():
        unified = start.replace("\r\n", "\n").replace("\r", "\n")
        start = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in unified)
    return start if len(start) <= limit else start[: limit - 1].rstrip() + "…"


def one_line(text: str, limit: int = MAX_NAME_CHARACTERS) -> str:
    """Foreign text as one line, such as a name."""
    return plain(" ".join(text[: 4 * limit].split()), limit)


def name_of(text: str | None) -> str | None:
    """A name, or None where there is none."""
    return one_line(text or "") or None


def kept_path(path: str | None, roots: Sequence[str], pointer: str) -> str | None:
    """A path that a report names, as it is kept.

    Raises:
        Invalid: `path-outside-repository`, with the place in the report.
    """
    if not path:
        return None
    try:
        return repository_path(path, roots)
    except Invalid as error:
        error.pointer = pointer
        raise


def from_one(number: int | None) -> int | None:
    """A line or column as it is kept: from 1; anything else is left out."""
    return number if number is not None and 1 <= number <= MAX_INTEGER else None


def milliseconds(seconds: str | float | None) -> int | None:
    """Seconds in a report's spelling as whole milliseconds; None for what is no duration.

    A comma groups thousands, as Surefire writes it (`1,234.5`); after a lone zero it is a decimal
    comma.
    """
    if seconds is None:
        return None
    text = str(seconds).strip()
    text = text.replace(",", "." if text.startswith("0,") else "")
    if len(text) > MAX_DURATION_CHARACTERS:
        return None
    try:
        value = Decimal(text) * 1000
        if not value.is_finite() or not 0 <= value <= MAX_DURATION_MS:
            return None
        return int(value.to_integral_value())
    except ArithmeticError:  # no number, or one without bounds
        return None


class FindingList:
    """Findings while a report is read: all are counted, the gravest are kept.

    Args:
        format_name: For the problem, when there are too many.
    """

    def __init__(self, format_name: str) -> None:
        self._format = format_name
        self._kept: dict[Level, list[Finding]] = {"error": [], "warning": [], "note": []}
        self.total = 0

    def add(self, finding: Finding) -> None:
        """Count one, and keep it while there is room at its level.

        Raises:
            Invalid: `report-malformed`: more than `MAX_ITEMS`.
        """
        self.total += 1
        if self.total > MAX_ITEMS:
            raise malformed(self._format, f"it has more than {MAX_ITEMS} findings; split it")
        kept = self._kept[finding.level]
        if len(kept) < MAX_LISTED_FINDINGS:
            kept.append(finding)

    def check(
        self,
        *,
        name: str,
        category: Category,
        counts: Counts,
        tool: str | None = None,
        tool_version: str | None = None,
        exit_code: int | None = None,
        duration_ms: int | None = None,
        claimed: Counts | None = None,
    ) -> Check:
        """The check that these findings belong to, the gravest listed first.

        Raises:
            Invalid: `report-malformed`: an exit code or a stated total is no number of this world.
        """
        stated = msgspec.structs.astuple(claimed) if claimed is not None else ()
        if any(abs(number or 0) > MAX_INTEGER for number in (exit_code, *stated)):
            raise malformed(self._format, "a number in it is too large")
        if duration_ms is not None and duration_ms > MAX_DURATION_MS:
            duration_ms = None
        listed = [*self._kept["error"], *self._kept["warning"], *self._kept["note"]]
        return Check(
            name=one_line(name) or "check",
            category=category,
            result=result_of_check(counts, exit_code=exit_code, claimed=claimed),
            tool=name_of(tool),
            tool_version=name_of(tool_version),
            exit_code=exit_code,
            duration_ms=duration_ms,
            counts=counts,
            claimed=claimed,
            findings=tuple(listed[:MAX_LISTED_FINDINGS]),
            findings_total=self.total,
            findings_cut=self.total > MAX_LISTED_FINDINGS,
        )


class LintCounts:
    """Counts of a linter while its report is read."""

    def __init__(self) -> None:
        self.of: dict[Level, int] = {"error": 0, "warning": 0, "note": 0}
        self.suppressed: int | None = None

    def counts(self) -> Counts:
        """The counts so far."""
        return Counts(
            errors=self.of["error"],
            warnings=self.of["warning"],
            notes=self.of["note"],
            suppressed=self.suppressed,
        )
