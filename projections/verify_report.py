"""What a verification says: a check for each step, a state, and the roots that a reader knows."""

import re
from typing import Literal

import msgspec

from domain.errors import DeedbookError, Invalid

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
    "anchor": 9,
}
"""The numbers of `docs/export.md`; 8 is the seal, which is not given yet."""

ORIGIN = re.compile(r"[a-z0-9.-]{1,253}")
_PIN = re.compile(r"(?:sha256:)?([0-9a-f]{64})@(0|[1-9][0-9]{0,17})")


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
    """The result of a verification."""

    state: State
    checks: tuple[Check, ...]
    summary: Summary
    zip_sha256: str | None = None
    notes: tuple[str, ...] = ()


class Pin(msgspec.Struct, frozen=True):
    """A root that the reader knows from elsewhere, for a size of the log."""

    root: bytes
    size: int
    origin: str | None = None


def read_pin(text: str) -> Pin:
    """A pin from `ROOT@SIZE`, or from the text of a checkpoint (C2SP tlog-checkpoint).

    Raises:
        Invalid: `invalid-parameter`.
    """
    found = _PIN.fullmatch(text.strip())
    if found is not None:
        return Pin(bytes.fromhex(found[1]), int(found[2]))
    lines = text.split("\n")
    if len(lines) > 3 and re.fullmatch(r"0|[1-9][0-9]{0,17}", lines[1]):
        try:
            root = msgspec.convert(lines[2], bytes)
        except msgspec.ValidationError:
            root = b""
        if len(root) == 32 and ORIGIN.fullmatch(lines[0]):
            return Pin(root, int(lines[1]), lines[0])
    raise Invalid(
        "invalid-parameter",
        "A pin is ROOT@SIZE, the root as 64 hex digits, or the text of a checkpoint.",
    )


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

    def checks(self, *, anchor: bool) -> tuple[Check, ...]:
        """One check a step, or one for each failure in it; the anchor's only when there is a pin."""
        checks: list[Check] = []
        for step in STEPS:
            if step == "anchor" and not anchor:
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
        checks=findings.checks(anchor=False),
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
    if state != "VERIFIED":
        notes.append(
            "Nothing outside this file vouches for it: it is consistent, which does not make it "
            "the only history. Compare its root with one you know: --pin ROOT@SIZE."
        )
    notes.append("Not shown: that everything was recorded, that it is true, who acted, and when.")
    return tuple(notes)


def shown(text: str) -> str:
    """Foreign text for a terminal: escaped, quoted and cut."""
    return ascii(text if len(text) <= 200 else text[:200] + "…")
