"""Recording a verification from the files that tools wrote: read all of them first, then send.

Nothing is sent before every file has been read and the whole event stands: a file that is not what
it says leaves nothing behind.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Protocol

import msgspec

from adapters.report import MEDIA_TYPES, read_report
from adapters.report_check import MAX_REPORT_BYTES, one_line
from app.redaction import redact_bytes
from app.remote.client import Client
from app.remote.events import Appended, append
from domain.digest import digest_of
from domain.errors import DeedbookError, Invalid, TooLarge
from domain.events import Content, VerificationRecorded, read_data
from domain.names import run_stream
from domain.run_records import check_record
from domain.verification import (
    MAX_COMMAND_CHARACTERS,
    MAX_COMMAND_WORDS,
    MEDIA_TYPE,
    Category,
    Check,
    Counts,
    VerificationReport,
    merged,
    result_of_check,
    summary_of,
    verification_document,
    verification_report,
)

MAX_FILES = 200
"""Each is named in the event, which has a limit."""
MAX_TOGETHER_BYTES = 128 * 1024 * 1024
MAX_DATA_BYTES = 60_000
"""What of an event's line is left for its data."""


class ReportFile(msgspec.Struct, frozen=True):
    """A file as it was given: its name, for the problem with it, and its bytes."""

    name: str
    raw: bytes


class Stated(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller says beside the files; it wins over what they say.

    Attributes:
        name: Of the only check, or of several together.
        command: The words of the command line that was run.
        merge: Make one check of all.
    """

    name: str | None = None
    category: Category | None = None
    command: tuple[str, ...] = ()
    exit_code: int | None = None
    duration_ms: int | None = None
    commit: str | None = None
    merge: bool = False


class Prepared(msgspec.Struct, frozen=True):
    """All that is to be sent: the report, its bytes, and the tools' files behind it.

    Attributes:
        replaced: How many secrets were replaced in the files.
    """

    name: str | None
    report: VerificationReport
    document: bytes
    files: tuple[ReportFile, ...]
    data: VerificationRecorded
    replaced: int = 0


class Readable(Protocol):
    """What a file is read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes."""


def read_file(name: str, opened: Readable) -> ReportFile:
    """The bytes of one report.

    Raises:
        TooLarge: `report-too-large`; no more than the limit is read.
    """
    raw = bytearray()
    while len(raw) <= MAX_REPORT_BYTES and (piece := opened.read(MAX_REPORT_BYTES + 1 - len(raw))):
        raw += piece
    if len(raw) > MAX_REPORT_BYTES:
        raise TooLarge(
            "report-too-large",
            f"{name} has more than {MAX_REPORT_BYTES // 2**20} MiB; split the report, or leave the "
            "tests' output out of it.",
        )
    return ReportFile(name, bytes(raw))


def prepare(
    files: Sequence[ReportFile],
    stated: Stated,
    *,
    format_name: str | None = None,
    roots: Sequence[str] = (),
) -> Prepared:
    """The event to record, from files and statements alone.

    Raises:
        Invalid: `report-malformed`, `report-format-unknown`, `path-outside-repository` or
            `validation-failed`; the sentence begins with the file's name.
        TooLarge: `report-too-large`, `too-many-checks` or `event-too-large`.
    """
    _check_sizes(files)
    files, replaced = _without_secrets(files)
    read = [(check, file.name) for file in files for check in _checks_in(file, format_name, roots)]
    checks = [check for check, _ in read]
    if not files:
        checks = [_bare(stated)]
    elif stated.merge:
        checks = [merged(checks, one_line(stated.name or checks[0].tool or "checks"))]
    else:
        checks = _with_own_names(read)
    checks = _with_statements(checks, stated)
    report = verification_report(checks, stated.commit)
    document = verification_document(report)
    name = one_line(stated.name) if stated.name else None
    if name is None and len(checks) == 1:
        name = checks[0].name
    data = VerificationRecorded(
        result=report.result,
        name=name,
        commit=stated.commit,
        content=_content(document, MEDIA_TYPE),
        checks=tuple(summary_of(check) for check in report.checks),
        sources=_sources(files, checks),
    )
    check_record(read_data("VerificationRecorded", msgspec.to_builtins(data)))
    if len(msgspec.json.encode(data)) > MAX_DATA_BYTES:
        raise TooLarge(
            "event-too-large",
            "These are too many checks and files for one event; record some apart.",
        )
    return Prepared(name, report, document, tuple(files), data, replaced)


def send(
    client: Client, project: str, run_id: str, prepared: Prepared, new_id: Callable[[], str]
) -> Appended:
    """Upload the contents, then record the event that names them.

    Raises:
        DeedbookError: What the ledger refuses, such as `invalid-transition` or `run-not-found`.
    """
    stream = run_stream(run_id)
    for content in {file.raw for file in prepared.files} | {prepared.document}:
        client.put_blob(project, content)
    event: Mapping[str, object] = {
        "id": new_id(),
        "stream": stream,
        "type": "VerificationRecorded",
        "data": msgspec.to_builtins(prepared.data),
    }
    return append(client, project, [event])


def _check_sizes(files: Sequence[ReportFile]) -> None:
    if len(files) > MAX_FILES:
        raise TooLarge(
            "event-too-large",
            f"There are {len(files)} files, one event names at most {MAX_FILES}; record some apart.",
        )
    if sum(len(file.raw) for file in files) > MAX_TOGETHER_BYTES:
        raise TooLarge(
            "report-too-large",
            f"The files together have more than {MAX_TOGETHER_BYTES // 2**20} MiB; "
            "record some apart.",
        )


def _without_secrets(files: Sequence[ReportFile]) -> tuple[list[ReportFile], int]:
    """The files as they may leave this machine, and how many secrets were replaced in them."""
    clean: list[ReportFile] = []
    replaced = 0
    for file in files:
        try:
            raw, found = redact_bytes(file.raw, "text/plain")
        except DeedbookError as error:
            error.detail = f"{file.name}: {error.detail}"
            raise
        clean.append(msgspec.structs.replace(file, raw=raw))
        replaced += len(found)
    return clean, replaced


def _checks_in(file: ReportFile, format_name: str | None, roots: Sequence[str]) -> list[Check]:
    try:
        return read_report(file.raw, format_name, roots)
    except DeedbookError as error:
        error.detail = f"{file.name}: {error.detail}"
        raise


def _bare(stated: Stated) -> Check:
    """A check without a report: only its exit code tells how it ended."""
    if stated.exit_code is None:
        raise Invalid(
            "validation-failed",
            "Nothing says how the check ended: give a report's file, or --exit-code.",
        )
    name = one_line(stated.name or " ".join(stated.command))
    if not name:
        raise Invalid("validation-failed", "A check without a file needs --name or --command.")
    return Check(
        name=name,
        category=stated.category or "other",
        result=result_of_check(Counts(), exit_code=stated.exit_code),
    )


def _with_own_names(read: Sequence[tuple[Check, str]]) -> list[Check]:
    """The checks; those that share a name are told apart by their file, else by a number."""
    times = Counter(check.name for check, _ in read)
    names = [
        one_line(f"{check.name[:100]} ({PurePath(file).name[-80:]})")
        if times[check.name] > 1
        else check.name
        for check, file in read
    ]
    again = Counter(names)
    seen: Counter[str] = Counter()
    named: list[Check] = []
    for (check, _), name in zip(read, names, strict=True):
        seen[name] += 1
        own = f"{name[:180]} #{seen[name]}" if again[name] > 1 else name
        named.append(msgspec.structs.replace(check, name=own))
    return named


def _with_statements(checks: Sequence[Check], stated: Stated) -> list[Check]:
    """The checks with what the caller said of them."""
    of_one = stated.command or stated.exit_code is not None or stated.duration_ms is not None
    if of_one and len(checks) > 1:
        raise Invalid(
            "validation-failed",
            f"--command, --exit-code and --duration are of one check, and there are {len(checks)}: "
            "record each file on its own, or --merge them.",
        )
    words = stated.command
    if len(words) > MAX_COMMAND_WORDS or sum(map(len, words)) > MAX_COMMAND_CHARACTERS:
        raise TooLarge("event-too-large", "The command line is too long to record; shorten it.")
    complete: list[Check] = []
    for check in checks:
        code = stated.exit_code if stated.exit_code is not None else check.exit_code
        duration = stated.duration_ms if stated.duration_ms is not None else check.duration_ms
        named = one_line(stated.name) if stated.name and len(checks) == 1 else check.name
        complete.append(
            msgspec.structs.replace(
                check,
                name=named,
                category=stated.category or check.category,
                command=words,
                exit_code=code,
                duration_ms=duration,
                result=result_of_check(check.counts, exit_code=code, claimed=check.claimed),
            )
        )
    return complete


def _sources(files: Sequence[ReportFile], checks: Sequence[Check]) -> tuple[Content, ...]:
    """The tools' files, each once, in the order given."""
    formats = {source.digest: source.format for check in checks for source in check.sources}
    contents: dict[str, Content] = {}
    for file in files:
        digest = digest_of(file.raw)
        media_type = MEDIA_TYPES.get(formats.get(digest, ""), "application/json")
        contents.setdefault(digest, _content(file.raw, media_type))
    return tuple(contents.values())


def _content(raw: bytes, media_type: str) -> Content:
    return Content(digest=digest_of(raw), size_bytes=len(raw), media_type=media_type)
