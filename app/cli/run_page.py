"""A run on one page of a terminal: what a person wants to know first stands first.

A pure function of the timeline; lines are made of pieces, each with its colour, so that columns are
aligned by what is seen and not by what is written.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from app.cli.output import printable
from app.durations import readable_duration
from app.progress import readable_size
from domain.events import Resource
from domain.times import milliseconds_between
from domain.verification import Counts
from projections.timeline import (
    Item,
    ShownApproval,
    ShownAttestation,
    ShownCheck,
    ShownEffect,
    Timeline,
)

GOOD, BAD, WARN, DIM, BOLD = "green", "red", "yellow", "dim", "bold"
MARKS: Mapping[str | None, tuple[str, str]] = {
    "succeeded": ("✓", GOOD),
    "PASSED": ("✓", GOOD),
    "approved": ("✓", GOOD),
    "failed": ("✗", BAD),
    "FAILED": ("✗", BAD),
    "rejected": ("✗", BAD),
    "WARNED": ("!", WARN),
    "unknown": ("?", WARN),
    "canceled": ("-", WARN),
    "rolled_back": ("↩", WARN),
    None: ("…", WARN),
}
TONES: Mapping[str, str] = {"good": GOOD, "bad": BAD, "warn": WARN, "neutral": ""}
EVIDENCE: Mapping[str, str] = {"signed": GOOD, "ledger": DIM, "wrong": BAD}
HELD, MISSING, ERASED = "●", "○", "⊘"
COMMIT = 12
RULE_WIDTH = 78


class Piece(NamedTuple):
    """A text, and its colour if it has one."""

    text: str
    color: str = ""


Line = list[Piece]


def page(shown: Timeline, *, contents: bool = False) -> Iterator[Line]:
    """The lines of a run's page.

    Args:
        shown: The run.
        contents: Name each content below its event, with its digest.
    """
    yield from _header(shown)
    yield from _section("Checks", [_check(one) for one in shown.checks if one.in_force])
    yield from _section("Approvals", [_approval(one) for one in shown.approvals])
    yield from _section("Attestations", [_attestation(one) for one in shown.attestations])
    effects = [line for one in shown.effects for line in _effect(one)]
    yield from _section("Outside", effects)
    deployments = [
        [
            _mark(one.outcome),
            Piece(one.environment, BOLD),
            Piece(one.provider),
            Piece(one.commit[:COMMIT]),
            Piece(one.url or one.deployment or ""),
            Piece(f"by {one.backed_by_effect}" if one.backed_by_effect else "by no side effect",
                  DIM if one.backed_by_effect else WARN),
            Piece(_from(one.promoted_from, one.rolled_back_from), DIM),
        ]
        for one in shown.deployments
    ]  # fmt: skip
    yield from _section("Deployments", deployments)
    steps = [
        [
            _mark(one.outcome),
            Piece(one.step, BOLD),
            Piece(one.title),
            Piece(f"attempt {one.attempts}" if one.attempts > 1 else "", WARN),
            Piece(one.error, BAD),
        ]
        for one in shown.steps
    ]
    yield from _section("Steps", steps)
    yield from _timeline(shown.items, contents=contents)
    yield from _footer(shown)


def seen_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1
        for one in text
    )


def aligned(rows: Sequence[Line]) -> Iterator[Line]:
    """Rows with their pieces in columns; a column that is empty everywhere is left out.

    The last piece of a row may be longer than its column: nothing follows on it.
    """
    columns = range(max((len(row) for row in rows), default=0))
    used = [any(column < len(row) and row[column].text for row in rows) for column in columns]
    widths = [
        max((seen_width(row[column].text) for row in rows if column < len(row) - 1), default=0)
        for column in columns
    ]
    for row in rows:
        line: Line = []
        for column, piece in enumerate(row):
            if used[column]:
                gap = max(0, widths[column] - seen_width(piece.text)) + 2
                line += [piece, Piece(" " * gap)]
        while line and not line[-1].text.strip():
            line.pop()
        yield line


def _header(shown: Timeline) -> Iterator[Line]:
    word = shown.phase.replace("_", " for ")
    outcome = shown.phase if shown.phase in MARKS else None
    mark, color = MARKS[outcome] if outcome or shown.phase != "running" else ("▶", GOOD)
    title = printable(shown.title)
    gap = max(2, RULE_WIDTH - seen_width(title) - len(word) - 2)
    yield [Piece(title, BOLD), Piece(" " * gap), Piece(f"{mark} {word}", color)]
    last = shown.items[-1].time if shown.items else shown.created
    if shown.duration_ms is not None:
        lasted = f"{readable_duration(shown.duration_ms)}"
    else:
        lasted = f"{readable_duration(milliseconds_between(shown.created, last))} so far"
    yield [Piece(f"{shown.run} · {_time(shown.created)} · {lasted}", DIM)]
    commits = "..".join(
        commit[:COMMIT] for commit in (shown.base_commit, shown.head_commit) if commit
    )
    places = [text for text in (shown.repository, commits, shown.pull_request) if text]
    if places:
        yield [Piece(printable("  ".join(places)))]
    if shown.waiting_for:
        yield [Piece(printable(f"waits: {shown.waiting_for}"), WARN)]
    yield [Piece("by " + printable(", ".join(shown.actors)), DIM)]


def _section(name: str, rows: Sequence[Line]) -> Iterator[Line]:
    if not rows:
        return
    yield []
    yield [Piece(name, BOLD)]
    safe = [[Piece(printable(piece.text), piece.color) for piece in row] for row in rows]
    for line in aligned(safe):
        yield [Piece("  "), *line]


def _check(one: ShownCheck) -> Line:
    passed = readable_duration(one.duration_ms) if one.duration_ms is not None else ""
    return [
        _mark(one.result),
        Piece(one.name, BOLD),
        Piece(one.category if one.category not in {one.name, "other"} else ""),
        Piece(one.tool or "" if one.tool != one.name else ""),
        Piece(_counted(one.counts)),
        Piece(passed, DIM),
        Piece(f"at {one.commit[:COMMIT]}" if one.commit else "at no commit", DIM),
    ]


def _counted(counts: Counts) -> str:
    """What was counted, zeros left out."""
    names = ("passed", "failed", "errors", "skipped", "warnings", "notes", "flaky", "suppressed")
    said = [f"{getattr(counts, name):,} {name}" for name in names if getattr(counts, name)]
    return ", ".join(said) or ("nothing found" if counts.errors == 0 else "")


def _approval(one: ShownApproval) -> Line:
    words = {"approved": "granted", "rejected": "rejected"}
    if one.decision is None:
        decided = "not decided"
    else:
        named = f" in the name of {one.approver}" if one.approver else ""
        decided = f"{words.get(one.decision, one.decision)} by {one.decided_by}{named}"
    asked = f"asked by {one.asked_by}" if one.asked_by else "not asked for"
    return [
        _mark(one.decision),
        Piece(one.scope, BOLD),
        Piece(decided, "" if one.decision else WARN),
        Piece(one.vouched, EVIDENCE.get(one.evidence, WARN)),
        Piece(asked, DIM),
        Piece(one.reason or (one.intent if one.intent != one.scope else ""), DIM),
    ]


def _attestation(one: ShownAttestation) -> Line:
    mark, color = ("✓", GOOD) if one.verified else ("?", WARN)
    signed = ", ".join(
        f"key {signer.key}" if signer.key else f"{signer.identity} ({signer.issuer})"
        for signer in one.signed_by
    )
    first = one.subjects[0] if one.subjects else None
    about = (first.name or first.digests[0]) if first is not None else ""
    return [
        Piece(mark, color),
        Piece(one.predicate_type or "a file's signature", BOLD),
        Piece(about if one.subject_count == 1 else f"{about} and {one.subject_count - 1} more"),
        Piece("verified" if one.verified else "not verified", color),
        Piece(f"signed by {signed}" if one.verified else one.detail, DIM),
    ]


def _effect(one: ShownEffect) -> Iterator[Line]:
    yield [
        _mark(one.outcome),
        Piece(one.intent, BOLD),
        Piece(one.scope),
        Piece(f"by {one.actor}", DIM),
        Piece(f"allowed by {one.approval}" if one.approval else "", DIM),
        Piece(one.error, BAD),
    ]
    things = [*([one.target] if one.target else []), *one.resources]
    for text in (*(_resource(thing) for thing in things), *one.external_ids):
        yield [Piece(""), Piece(f"→ {text}")]


def _resource(one: Resource) -> str:
    where = f" in {one.region}" if one.region else ""
    return f"{one.kind} {one.id}{where}{'  ' + one.url if one.url else ''}"


def _timeline(items: Sequence[Item], *, contents: bool) -> Iterator[Line]:
    yield []
    yield [Piece("Timeline", BOLD)]
    day = ""
    width = max((seen_width(printable(item.actor)) for item in items), default=0)
    for item in items:
        if item.time[:10] != day:
            day = item.time[:10]
            yield [Piece(f"  {day}", DIM)]
        actor = printable(item.actor)
        line = [
            Piece(f"  {item.time[11:19]}  ", DIM),
            Piece(actor + " " * (width - seen_width(actor) + 2), DIM),
            Piece(printable(item.sentence), TONES[item.tone]),
        ]
        erased = sum(content.erased for content in item.contents)
        missing = sum(not content.held and not content.erased for content in item.contents)
        held = len(item.contents) - missing - erased
        if held:
            line.append(Piece("  " + HELD * held, GOOD))
        if missing:
            line.append(Piece(f"  {MISSING * missing} {missing} missing", BAD))
        if erased:
            line.append(Piece(f"  {ERASED * erased} {erased} erased", WARN))
        yield line
        for content in item.contents if contents else ():
            mark = Piece(HELD, GOOD) if content.held else Piece(f"{MISSING} missing", BAD)
            if content.erased:
                mark = Piece(f"{ERASED} erased", WARN)
            said = f" {content.digest}  {readable_size(content.size_bytes)}  {content.media_type}"
            yield [Piece(" " * 12), mark, Piece(printable(said), DIM)]


def _footer(shown: Timeline) -> Iterator[Line]:
    found = [content for item in shown.items for content in item.contents]
    missing = len({one.digest for one in found if not one.held and not one.erased})
    erased = sum(content.erased for content in found)
    if found:
        yield []
    if missing:
        yield [Piece(f"{MISSING} {missing} contents are missing: a claim has nothing to show", BAD)]
    elif erased:
        kept = len(found) - erased
        yield [Piece(f"{ERASED} {erased} contents were erased, {kept} are held", WARN)]
    elif found:
        yield [Piece(f"{HELD} all {len(found)} contents behind these events are held", GOOD)]
    if shown.items_cut:
        yield [Piece(f"Only the first {len(shown.items):,} events are shown.", WARN)]


def _mark(word: str | None) -> Piece:
    return Piece(*MARKS.get(word, ("·", "")))


def _from(promoted: str | None, rolled_back: str | None) -> str:
    if promoted:
        return f"promoted from {promoted}"
    return f"in place of {rolled_back}" if rolled_back else ""


def _time(text: str) -> str:
    return f"{text[:10]} {text[11:19]}Z"
