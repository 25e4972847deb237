"""What a verification says: a check for each step, and a state."""

from collections.abc import Collection
from typing import Literal

import msgspec

from domain.errors import DeedbookError

MAX_FINDINGS = 10
"""Failures printed for one step; the rest are counted."""

State = Literal["VERIFIED", "VERIFIED-UNANCHORED", "INCOMPLETE", "FAILED"]
STEPS = {
    "shape": 1,
    "bag": 2,
    "events": 3,
    "leaves": 4,
    "root": 5,
    "blobs": 6,
    "replay": 7,
    "seal": 8,
    "anchor": 9,
    "witnesses": 9,
    "head": 10,
    "since": 11,
}
"""The numbers of `docs/export.md`."""
CONTENTS = 7
"""The last step that looks at the export alone."""


class Check(msgspec.Struct, frozen=True):
    """The outcome of one step, or one failure in it; `ok` is None where it could not run."""

    id: str
    ok: bool | None
    detail: str

    @property
    def step(self) -> int:
        """The number of the step."""
        return STEPS[self.id]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What the export says that it is; worth believing as far as the state says."""

    origin: str | None = None
    scope: str | None = None
    position: int | None = None
    root: str | None = None
    manifest: str | None = None
    events: int | None = None
    withheld: int | None = None
    erased: int | None = None
    files: int | None = None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a verification.

    Attributes:
        forked: The position of an older export whose events are not the first of this one's.
    """

    state: State
    checks: tuple[Check, ...]
    summary: Summary
    zip_sha256: str | None = None
    notes: tuple[str, ...] = ()
    forked: int | None = None

    @property
    def sound(self) -> bool:
        """Whether the export fits together by itself, whoever made it."""
        return all(check.ok is True for check in self.checks if check.step <= CONTENTS)


class Findings:
    """Collects what each step found."""

    def __init__(self) -> None:
        self._failed: dict[str, list[str]] = {}
        self._counted: dict[str, int] = {}
        self._notes: dict[str, tuple[bool | None, str]] = {}

    def fail(self, step: str, detail: str) -> None:
        """A step found something wrong."""
        found = self._failed.setdefault(step, [])
        self._counted[step] = self._counted.get(step, 0) + 1
        if len(found) < MAX_FINDINGS:
            found.append(detail)

    def ran(self, step: str, detail: str) -> None:
        """A step ran to its end; what it saw, should nothing be wrong."""
        self._notes[step] = (True, detail)

    def could_not_run(self, step: str, reason: str) -> None:
        """A step lacks what it needs."""
        self._notes.setdefault(step, (None, reason))

    def failed(self, step: str) -> bool:
        """Whether a step found something wrong."""
        return step in self._failed

    @property
    def any_failed(self) -> bool:
        """Whether any step did."""
        return bool(self._failed)

    def checks(self, asked: Collection[str]) -> tuple[Check, ...]:
        """One check a step, or one for each failure in it; of those after the contents, what was asked."""
        checks: list[Check] = []
        for step, number in STEPS.items():
            if number > CONTENTS and step not in asked:
                continue
            found = self._failed.get(step, [])
            checks += (Check(step, False, detail) for detail in found)
            more = self._counted.get(step, 0) - len(found)
            if more > 0:
                checks.append(Check(step, False, f"and {more} more of these"))
            if not found:
                ok, detail = self._notes.get(step, (None, "could not run"))
                checks.append(Check(step, ok, detail))
        return tuple(checks)


def refused(reason: DeedbookError, *, zip_sha256: str | None = None) -> Report:
    """The report on a file whose container is not that of an export."""
    findings = Findings()
    findings.fail("shape", f"{reason.code}: {reason.detail}")
    for step in STEPS:
        if step != "shape":
            findings.could_not_run(step, "could not run: the archive cannot be read")
    return Report(
        state="FAILED",
        checks=findings.checks(()),
        summary=Summary(),
        zip_sha256=zip_sha256,
    )


def notes_on(state: State, summary: Summary) -> tuple[str, ...]:
    """What a reader must know beside the state: what no check can show."""
    if state == "FAILED":
        return ()
    notes: list[str] = []
    if summary.withheld:
        size = summary.position
        notes.append(
            f"{summary.withheld} of {size} events withheld; that nothing in scope was left out is "
            "the ledger's word."
        )
    if state == "INCOMPLETE":
        notes.append(
            "What was given does not contradict itself, which anybody can bring about. Who made it "
            "is shown by its seal and the ledger's keys: --sidecar and --trust."
        )
    if state == "VERIFIED-UNANCHORED":
        notes.append(
            "The ledger vouches for it, and nothing outside the ledger does: it is genuine, which "
            "does not make it the only history. Compare it with a checkpoint that you kept: --pin."
        )
    notes.append(
        "Not shown: that everything was recorded, that it is true, who acted, and when. What was "
        "never recorded cannot be detected."
    )
    return tuple(notes)


def shown(text: str) -> str:
    """Foreign text for a terminal: escaped, quoted and cut."""
    return ascii(text if len(text) <= 200 else text[:200] + "…")
