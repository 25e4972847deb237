"""A run as Markdown, for a pull request or a job's summary: what changed, what was checked, who allowed it.

Everything that somebody else has written goes through `domain.markdown_text`.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from domain.markdown_text import code
from domain.verification import Counts
from projections.run_gates import Gates
from projections.timeline import Timeline

ROWS = (50, 20, 5, 0)
"""Of each table: the first that lets the page fit."""
MAX_PAGE_CHARACTERS = 60_000
"""GitHub takes 65,536 in a comment."""
_LINK = re.compile(r"https://[A-Za-z0-9._~:/?#%=&@+-]{1,500}")
_MARKS = {True: "✅", False: "❌", None: "⚪"}
_RESULTS = {"PASSED": True, "FAILED": False}
_WORDS = {
    "VERIFIED": "✅ **VERIFIED**: genuine and complete, and vouched for from outside the ledger.",
    "VERIFIED-UNANCHORED": "✅ **VERIFIED-UNANCHORED**: genuine and complete by the ledger's own "
    "keys; nothing outside the ledger vouches for it.",
    "INCOMPLETE": "❌ **INCOMPLETE**: nothing contradicts, and something was not given.",
    "FAILED": "❌ **FAILED**: the export is not what it says.",
}


class Verified(msgspec.Struct, frozen=True):
    """What `verify` said of an export; the state is empty when it said nothing."""

    state: str = ""
    details: tuple[str, ...] = ()


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """The export that was taken of the run.

    Attributes:
        link: Where it can be fetched, if it is kept anywhere.
        pinned: The keys it was checked with were kept beside the code, and not asked for just now.
    """

    name: str
    sha256: str
    size_bytes: int
    verified: Verified
    link: str | None = None
    pinned: bool = False


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where the page comes from: the project, the commit, and the job that made it."""

    project: str
    head: str
    job: str
    from_fork: bool = False


def run_markdown(shown: Timeline, gates: Gates, export: Export, origin: Origin) -> str:
    """The page; long lists are cut, and say so."""
    pages = (_page(shown, gates, export, origin, rows) for rows in ROWS)
    return next((page for page in pages if len(page) <= MAX_PAGE_CHARACTERS), "")


def _page(shown: Timeline, gates: Gates, export: Export, origin: Origin, most: int) -> str:
    parts = [
        [f"### Deedbook: {code(shown.title)}"],
        [
            (
                f"Run {code(shown.run)} of {code(origin.project)}, {_phase(shown.phase)}, at position "
                f"{shown.position}, for commit {code(origin.head)}."
            )
        ],
        _fork(origin),
        _changed(shown, most),
        _checks(shown, most),
        _approvals(shown, most),
        _effects(shown, most),
        _deployments(shown, most),
        _gates(gates, most),
        _export(export, origin, most),
        ["<sub>A ledger proves order and integrity, not that what was recorded is true.</sub>"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _fork(origin: Origin) -> list[str]:
    if not origin.from_fork:
        return []
    return [
        "⚠️ The work comes from a fork: the reports below were made by code that the fork controls."
    ]


def _changed(shown: Timeline, most: int) -> list[str]:
    found = [item.sentence for item in shown.items if item.type == "PatchSetRecorded"]
    if not found:
        return []
    between = ""
    if shown.base_commit and shown.head_commit:
        between = f" {code(shown.base_commit[:12])} → {code(shown.head_commit[:12])}"
    return [f"**What changed**{between}", "", *_list(map(code, found), most)]


def _checks(shown: Timeline, most: int) -> list[str]:
    rows = [
        (
            f"{_MARKS[_RESULTS.get(one.result)]} {code(one.name)}",
            code(one.category),
            code(one.result.lower()),
            _counts(one.counts),
        )
        for one in shown.checks
        if one.in_force
    ]
    if not rows:
        return ["**Checks**", "", "⚪ none recorded"]
    return ["**Checks**", "", *_table(("check", "kind", "result", "counts"), rows, most)]


def _approvals(shown: Timeline, most: int) -> list[str]:
    rows = [
        (
            code(one.scope),
            (
                f"{_MARKS[{'granted': True, 'rejected': False}.get(one.decision or '')]} "
                f"{code(one.decision or 'open')}"
            ),
            code(one.decided_by or "-") + (f" for {code(one.approver)}" if one.approver else ""),
            "yes" if one.signed else "no",
        )
        for one in shown.approvals
    ]
    if not rows:
        return []
    return [
        "**Approvals**",
        "",
        *_table(("scope", "decision", "recorded by", "signed"), rows, most),
    ]


def _effects(shown: Timeline, most: int) -> list[str]:
    rows = [
        (code(one.scope), code(one.intent or "-"), code(one.outcome or "under way"))
        for one in shown.effects
    ]
    return (
        ["**Changes outside**", "", *_table(("scope", "what", "outcome"), rows, most)]
        if rows
        else []
    )


def _deployments(shown: Timeline, most: int) -> list[str]:
    rows = [
        (
            code(one.environment),
            code(one.provider),
            code(one.commit[:12]),
            code(one.outcome),
            code(one.url or "-"),
        )
        for one in shown.deployments
    ]
    if not rows:
        return []
    heads = ("environment", "provider", "commit", "outcome", "address")
    return ["**Deployments**", "", *_table(heads, rows, most)]


def _gates(gates: Gates, most: int) -> list[str]:
    verdict = "all hold" if gates.holds else "not all hold"
    rows = [(f"{_MARKS[one.holds]} {code(one.name)}", code(one.detail)) for one in gates.gates]
    return [f"**Gates**: {verdict}", "", *_table(("gate", "why"), rows, most)]


def _export(export: Export, origin: Origin, most: int) -> list[str]:
    words = _WORDS.get(
        export.verified.state, "❌ **NOT VERIFIED**: the check did not come to an end."
    )
    lines = [words, "", *_list(map(code, export.verified.details), most)]
    if export.verified.details:
        lines.append("")
    if not export.pinned and export.verified.state.startswith("VERIFIED"):
        lines += [
            "The keys came from the ledger itself just now: check with keys that you keep.",
            "",
        ]
    lines += [
        f"{code(export.name)}, {export.size_bytes:,} bytes, SHA-256 {code(export.sha256)}",
        "",
        "Check it yourself, offline:",
        "",
        "```sh",
        f"deedbook verify {_word(export.name)} --trust trust.json --head {_word(origin.head)}",
        "```",
    ]
    links = [
        f"[{text}]({address})"
        for text, address in (("the export and its seal", export.link), ("the job", origin.job))
        if address is not None and _LINK.fullmatch(address)
    ]
    return [*lines, "", " · ".join(links)] if links else lines


def _counts(counts: Counts) -> str:
    named = ((name, getattr(counts, name)) for name in counts.__struct_fields__)
    return ", ".join(f"{count:,} {name}" for name, count in named if count is not None) or "-"


def _phase(phase: str) -> str:
    return phase.replace("_", " ")


def _word(text: str) -> str:
    """A word of a command line that can be typed as it stands."""
    return re.sub(r"[^A-Za-z0-9._/-]", "_", text)


def _list(items: Iterable[str], most: int) -> list[str]:
    return _cut([f"- {item}" for item in items], "- ", most)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> list[str]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    separator = "|" + "---|" * len(heads)
    return [f"| {' | '.join(heads)} |", separator, *_cut(lines, "| ", most)]


def _cut(lines: list[str], start: str, most: int) -> list[str]:
    left = len(lines) - most
    return lines if left <= 0 else [*lines[:most], f"{start}… and {left:,} more"]
