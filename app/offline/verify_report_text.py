"""The report of a verification as text: for both command lines, whatever they are made with."""

from collections.abc import Callable, Iterator

import msgspec

from app.offline.verify_given import Given, Verified
from app.printable import printable
from projections.verify_report import Report

UNSIGNED = (
    "The Python package cryptography is not here, so no signature was checked: install it "
    "(pip install cryptography) and repeat."
)
Paint = Callable[[str, str], str]
"""A text and the name of a colour; answers what a terminal is sent."""


def report_text(report: Report, given: Given, paint: Paint) -> str:
    """What people read on standard output: a line for each check, the state, and what the file is."""
    words = {True: ("ok", "green"), False: ("FAIL", "red"), None: ("-", "yellow")}
    lines = []
    for check in report.checks:
        word, color = words[check.ok]
        mark = paint(word.ljust(4), color)
        lines.append(f"{mark} {check.step:>2} {check.id:<9} {printable(check.detail)}")
    good = report.state.startswith("VERIFIED")
    lines.append(
        f"\n{paint(report.state, 'green' if good else 'red')}  {printable(str(given.file))}"
    )
    members = msgspec.to_builtins(report.summary)
    lines += [
        f"  {name:<9} {printable(str(value))}"
        for name, value in members.items()
        if value is not None
    ]
    if report.zip_sha256 is not None:
        lines.append(f"  {'sha256':<9} {report.zip_sha256}")
    return "\n".join(lines)


def report_json(report: Report, *, on_one_line: bool) -> str:
    """What programs read."""
    raw = msgspec.json.encode(msgspec.to_builtins(report))
    return (raw if on_one_line else msgspec.json.format(raw, indent=2)).decode()


def said_beside(verified: Verified, given: Given, *, as_text: bool) -> Iterator[tuple[str, str]]:
    """What is said on standard error: an `error`, a `warning` or a `remark`, and its text.

    Args:
        verified: What came of it.
        given: What was asked for.
        as_text: The report is printed for people; programs find its notes in the JSON.
    """
    report = verified.report
    if verified.unsigned:
        yield "warning", UNSIGNED
    if as_text and report.state in {"VERIFIED-UNANCHORED", "INCOMPLETE"}:
        yield "warning", " ".join(report.notes)
    elif as_text:
        for note in report.notes:
            yield "remark", note
    if report.state == "VERIFIED-UNANCHORED" and given.require_anchor:
        yield "error", "nothing outside the ledger vouches for it (anchor-required)"
