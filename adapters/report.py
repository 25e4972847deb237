"""A report in any format that is read: told by its bytes, or named; read into checks.

Nothing is guessed: bytes that two tools write alike (such as `[]`) need their format named.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from adapters.report_check import MAX_REPORT_BYTES
from adapters.report_eslint import read_eslint
from adapters.report_junit import read_junit
from adapters.report_mypy import read_mypy
from adapters.report_pytest import read_pytest
from adapters.report_ruff import read_ruff
from adapters.report_sarif import read_sarif
from adapters.report_tsc import is_tsc, read_tsc
from domain.digest import digest_of
from domain.errors import Invalid, TooLarge
from domain.verification import Check, ReportSource

Reader = Callable[[bytes, Sequence[str]], list[Check]]

READERS: Mapping[str, Reader] = {
    "junit": read_junit,
    "sarif": read_sarif,
    "pytest": read_pytest,
    "ruff": read_ruff,
    "mypy": read_mypy,
    "tsc": read_tsc,
    "eslint": read_eslint,
}
MEDIA_TYPES: Mapping[str, str] = {
    "junit": "application/xml",
    "sarif": "application/sarif+json",
    "mypy": "application/x-ndjson",
    "tsc": "text/plain",
}
"""Of the others: JSON."""
SCANNED_BYTES = 64 * 1024
_BOMS = (b"\xff\xfe", b"\xfe\xff")


_ABSENT = msgspec.Raw()


class _Probe(msgspec.Struct, frozen=True):
    """The members by which an object is told."""

    runs: msgspec.Raw = _ABSENT
    exitcode: msgspec.Raw = _ABSENT
    summary: msgspec.Raw = _ABSENT
    severity: msgspec.Raw = _ABSENT
    filePath: msgspec.Raw = _ABSENT  # noqa: N815 -- ESLint's name
    filename: msgspec.Raw = _ABSENT


def read_report(
    raw: bytes, format_name: str | None = None, roots: Sequence[str] = ()
) -> list[Check]:
    """The checks in a report; each says from which bytes it was read.

    Args:
        raw: The report as the tool wrote it.
        format_name: A name in `READERS`; without one it is told by the bytes.
        roots: Absolute folders that stand for the repository's root.

    Raises:
        TooLarge: `report-too-large`.
        Invalid: `report-format-unknown`, `report-malformed` or `path-outside-repository`, with the
            place in the report where there is one.
    """
    if len(raw) > MAX_REPORT_BYTES:
        raise TooLarge(
            "report-too-large",
            f"The report has more than {MAX_REPORT_BYTES // 2**20} MiB; split it, or leave the "
            "tests' output out of it.",
        )
    name = format_name or format_of(raw)
    source = ReportSource(format=name, digest=digest_of(raw), size_bytes=len(raw))
    checks = READERS[name](raw, roots)
    return [msgspec.structs.replace(check, sources=(source,)) for check in checks]


def format_of(raw: bytes) -> str:
    """The format that the bytes show.

    Raises:
        Invalid: `report-format-unknown`.
    """
    start = raw[:SCANNED_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    found: str | None = None
    if start.startswith((b"<", *_BOMS)):
        found = "junit"
    elif start.startswith((b"{", b"[")):
        found = _json_format(raw, start)
    elif is_tsc(start.decode("utf-8", "replace").partition("\n")[0].rstrip("\r")):
        found = "tsc"
    if found is None:
        what = (
            "An empty report may be any tool's" if not start else "The report is in no known form"
        )
        raise Invalid(
            "report-format-unknown",
            f"{what}; say with --format which it is: {', '.join(READERS)}.",
        )
    return found


def _json_format(raw: bytes, start: bytes) -> str | None:
    text = raw.removeprefix(b"\xef\xbb\xbf")
    first: msgspec.Raw | bytes = text
    try:
        if start.startswith(b"["):
            items = msgspec.json.decode(text, type=list[msgspec.Raw])
            if not items:
                return None
            first = items[0]
        probe = msgspec.json.decode(first, type=_Probe)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # Not one JSON text: mypy writes one a line. What is broken SARIF shows its name early.
        return _broken_format(start)
    is_list = start.startswith(b"[")
    if _is(probe.runs) and not is_list:
        return "sarif"
    if _is(probe.exitcode) and _is(probe.summary) and not is_list:
        return "pytest"
    if _is(probe.severity) and not is_list:
        return "mypy"
    if _is(probe.filePath):
        return "eslint" if is_list else None
    return "ruff" if _is(probe.filename) and is_list else None


def _broken_format(start: bytes) -> str | None:
    """The format of JSON that cannot be read whole, so that the problem names it."""
    line = start.partition(b"\n")[0]
    try:
        if _is(msgspec.json.decode(line, type=_Probe).severity):
            return "mypy"
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    for mark, name in (
        (b'"runs"', "sarif"),
        (b'"sarif', "sarif"),
        (b'"exitcode"', "pytest"),
        (b'"filePath"', "eslint"),
        (b'"filename"', "ruff"),
    ):
        if mark in start:
            return name
    return None


def _is(member: msgspec.Raw) -> bool:
    return member != _ABSENT
