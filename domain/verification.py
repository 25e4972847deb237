"""Verification reports: which checks were run on a commit, what they counted, what they found.

A report is the content of an artifact of kind VERIFICATION_REPORT: canonical JSON, so equal checks
give equal bytes. Counts are whole, whatever a report lists: findings are listed up to a limit, and a
flag says when there were more. What a result follows from stands here, as pure functions, and
nowhere else.
"""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec

from domain import canonical
from domain.errors import Damaged, Invalid, TooLarge
from domain.repository_path import is_repository_path

SCHEMA: Final = "deedbook/verification/v1"
MEDIA_TYPE = "application/json"
KIND = "VERIFICATION_REPORT"

MAX_CHECKS = 50
"""The summaries of all checks fit into one event."""
MAX_LISTED_FINDINGS = 500
"""Of one check."""
MAX_LISTED_TOGETHER = 2_000
"""Of one report."""
MAX_NAME_CHARACTERS = 200
MAX_MESSAGE_CHARACTERS = 2_000
MAX_COMMAND_WORDS = 1_000
MAX_COMMAND_CHARACTERS = 32_768

Category = Literal["lint", "typecheck", "test", "build", "migrations", "security", "other"]
Result = Literal["PASSED", "WARNED", "FAILED"]
Level = Literal["error", "warning", "note"]
Count = Annotated[int, msgspec.Meta(ge=0, le=canonical.MAX_INTEGER)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME_CHARACTERS)]
ExitCode = Annotated[int, msgspec.Meta(ge=-canonical.MAX_INTEGER, le=canonical.MAX_INTEGER)]


class _Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class Counts(_Fact, frozen=True, kw_only=True):
    """How many of what; a member that this kind of check does not count is None.

    Tests have `total`, which is `passed` + `failed` + `errors` + `skipped`. Linters have `errors`,
    `warnings` and `notes`.

    Attributes:
        errors: Tests that broke rather than failed; or findings of level error.
        flaky: Tests among `passed` that failed first and passed when repeated.
        suppressed: Findings that were silenced in the source or by review; not counted elsewhere.
    """

    total: Count | None = None
    passed: Count | None = None
    failed: Count | None = None
    errors: Count | None = None
    skipped: Count | None = None
    warnings: Count | None = None
    notes: Count | None = None
    flaky: Count | None = None
    suppressed: Count | None = None


class Finding(_Fact, frozen=True, kw_only=True):
    """One thing that a check has to say.

    Attributes:
        message: At most `MAX_MESSAGE_CHARACTERS`; a longer one ends in `…`.
        path: Within the repository, with slashes; see `domain.repository_path`.
        line: From 1.
        column: From 1.
        test: The name of the test, when it is about one.
        suite: The class, file or suite of that test.
    """

    level: Level
    message: str = ""
    rule: str | None = None
    path: str | None = None
    line: Count | None = None
    column: Count | None = None
    test: str | None = None
    suite: str | None = None


class ReportSource(_Fact, frozen=True, kw_only=True):
    """The file that a check was read from: its format, and the digest of its bytes."""

    format: str
    digest: str
    size_bytes: Count


class Check(_Fact, frozen=True, kw_only=True):
    """One check: what was run, how it ended, what it counted and found.

    Attributes:
        command: The words of the command line, if it is known.
        counts: Counted here, from the cases and findings in the tool's report.
        claimed: The totals that the tool's report states, when they are not what it contains.
        findings: The gravest first; at most `MAX_LISTED_FINDINGS`.
        findings_total: How many there were.
        findings_cut: `findings` is not all of them.
    """

    name: Name
    category: Category
    result: Result
    tool: Name | None = None
    tool_version: Name | None = None
    command: tuple[str, ...] = ()
    exit_code: ExitCode | None = None
    duration_ms: Count | None = None
    counts: Counts = Counts()
    claimed: Counts | None = None
    findings: tuple[Finding, ...] = ()
    findings_total: Count = 0
    findings_cut: bool = False
    sources: tuple[ReportSource, ...] = ()


class CheckSummary(_Fact, frozen=True, kw_only=True):
    """A check without its findings: what an event carries, so that a trail needs no blob."""

    name: Name
    category: Category
    result: Result
    tool: Name | None = None
    exit_code: ExitCode | None = None
    duration_ms: Count | None = None
    counts: Counts = Counts()


class VerificationReport(_Fact, frozen=True, kw_only=True):
    """The checks of one commit, and what they come to together."""

    schema: Literal["deedbook/verification/v1"]
    commit: str | None = None
    result: Result
    checks: tuple[Check, ...]


def result_of_check(
    counts: Counts, *, exit_code: int | None = None, claimed: Counts | None = None
) -> Result:
    """What a check comes to.

    FAILED: the command failed, or an error or failure was counted, or the tool's report claims one.
    WARNED: there are warnings or flaky tests, no test passed, or the report contradicts itself.
    PASSED: else. A zero exit code never outweighs a failure that was counted.
    """
    stated = (counts, claimed) if claimed is not None else (counts,)
    if exit_code or any(one.failed or one.errors for one in stated):
        return "FAILED"
    nothing_passed = counts.total is not None and not counts.passed
    if counts.warnings or counts.flaky or nothing_passed or claimed is not None:
        return "WARNED"
    return "PASSED"


def result_of(results: Sequence[Result]) -> Result:
    """What several checks come to together: the worst of them."""
    if "FAILED" in results:
        return "FAILED"
    return "WARNED" if "WARNED" in results else "PASSED"


def summary_of(check: Check) -> CheckSummary:
    """A check as an event carries it."""
    return CheckSummary(
        **{name: getattr(check, name) for name in CheckSummary.__struct_fields__},
    )


def merged(checks: Sequence[Check], name: str) -> Check:
    """Several checks of one kind as one, such as those of a test runner with a file for each class.

    Raises:
        Invalid: `validation-failed`: there is none, or they are of different tools or categories.
    """
    kinds = {(check.tool, check.category) for check in checks}
    if len(kinds) != 1:
        raise Invalid(
            "validation-failed",
            "Only checks of one tool and category can be merged; record the others on their own.",
        )
    [(tool, category)] = kinds
    counts = _sum_of([check.counts for check in checks])
    claimed = None
    if any(check.claimed is not None for check in checks):
        claimed = _sum_of([check.claimed or check.counts for check in checks])
    codes = {check.exit_code for check in checks} - {None}
    exit_code = next((code for code in codes if code), 0) if codes else None
    durations = [check.duration_ms for check in checks if check.duration_ms is not None]
    order: list[Level] = ["error", "warning", "note"]
    findings = sorted(
        (finding for check in checks for finding in check.findings),
        key=lambda finding: order.index(finding.level),
    )
    total = sum(check.findings_total for check in checks)
    versions = {check.tool_version for check in checks}
    return Check(
        name=name,
        category=category,
        result=result_of_check(counts, exit_code=exit_code, claimed=claimed),
        tool=tool,
        tool_version=versions.pop() if len(versions) == 1 else None,
        exit_code=exit_code,
        duration_ms=sum(durations) if durations else None,
        counts=counts,
        claimed=claimed,
        findings=tuple(findings[:MAX_LISTED_FINDINGS]),
        findings_total=total,
        findings_cut=total > min(len(findings), MAX_LISTED_FINDINGS),
        sources=tuple(source for check in checks for source in check.sources),
    )


def verification_report(checks: Sequence[Check], commit: str | None = None) -> VerificationReport:
    """The report of one or more checks, with its listed findings within the limits.

    Raises:
        Invalid: `validation-failed`: there is no check.
        TooLarge: `too-many-checks`.
    """
    if not checks:
        raise Invalid("validation-failed", "A verification report has at least one check.")
    if len(checks) > MAX_CHECKS:
        raise TooLarge(
            "too-many-checks",
            f"There are {len(checks)} checks, one report has at most {MAX_CHECKS}; "
            "merge some, or record them in several reports.",
        )
    share = min(MAX_LISTED_FINDINGS, MAX_LISTED_TOGETHER // len(checks))
    return VerificationReport(
        schema=SCHEMA,
        commit=commit,
        result=result_of([check.result for check in checks]),
        checks=tuple(_listing(check, share) for check in checks),
    )


def verification_document(report: VerificationReport) -> bytes:
    """A report as canonical JSON."""
    return canonical.write(report)


def read_verification(raw: bytes) -> VerificationReport:
    """The report in a document; refuses bytes that would not be written so, or contradict themselves.

    Raises:
        Damaged: `verification-malformed`.
    """
    try:
        found = msgspec.json.decode(raw, type=VerificationReport)
        if canonical.write(found) != raw:
            raise _malformed("is not in canonical form")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged(
            "verification-malformed", f"This is not a verification report: {error}."
        ) from None
    if not 0 < len(found.checks) <= MAX_CHECKS:
        raise _malformed(f"has {len(found.checks)} checks, not 1 to {MAX_CHECKS}")
    if found.result != result_of([check.result for check in found.checks]):
        raise _malformed("has a result that does not follow from its checks")
    for check in found.checks:
        _hold(check)
    return found


def _sum_of(several: Sequence[Counts]) -> Counts:
    """Member by member; what none of them counts stays uncounted."""
    sums: dict[str, int | None] = {}
    for name in Counts.__struct_fields__:
        known = [value for one in several if (value := getattr(one, name)) is not None]
        sums[name] = sum(known) if known else None
    return Counts(**sums)


def _listing(check: Check, share: int) -> Check:
    if len(check.findings) <= share:
        return check
    return msgspec.structs.replace(check, findings=check.findings[:share], findings_cut=True)


def _hold(check: Check) -> None:
    """Refuse a check that contradicts itself."""
    expected = result_of_check(check.counts, exit_code=check.exit_code, claimed=check.claimed)
    if check.result != expected:
        raise _malformed("has a check whose result does not follow from its counts")
    counts = check.counts
    ended = (counts.passed, counts.failed, counts.errors, counts.skipped)
    if counts.total is not None and counts.total != sum(count or 0 for count in ended):
        raise _malformed("has a check whose counts do not add up")
    if len(check.findings) > MAX_LISTED_FINDINGS:
        raise _malformed("lists too many findings")
    more = check.findings_total > len(check.findings)
    if more != check.findings_cut or check.findings_total < len(check.findings):
        raise _malformed("does not say truly whether its findings are all of them")
    if any(one.path is not None and not is_repository_path(one.path) for one in check.findings):
        raise _malformed("names a path outside the repository")


def _malformed(what: str) -> Damaged:
    return Damaged("verification-malformed", f"The verification report {what}.")
