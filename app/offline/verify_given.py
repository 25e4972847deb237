"""`deedbook verify` from its options to its report: what its two command lines share."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from app.cli.given_file import read_given
from app.cli.written_file import write_whole
from app.offline.fork_evidence import make_fork
from app.offline.verify import Progress, beside, verify_file
from domain.errors import Invalid, NotFound
from domain.tlog_proof import parse_consistency
from domain.trust import parse_trust
from domain.witness_policy import Policy, check_quorum, parse_policy
from projections.verify_evidence import Evidence, Quorum, Signatures, check_commit, read_pin
from projections.verify_report import Report

MAX_PIN_CHARACTERS = 70_000
MAX_GIVEN_BYTES = 16_000_000


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The options, as they were typed.

    Attributes:
        file: The export.
        trust: The ledger's public keys.
        sidecar: Its seal; the file beside it, if that is there.
        pin: `ROOT@SIZE`, or the name of a file with that or with a checkpoint.
        consistency: The proof that leads to the pin.
        witness_policy: Which witnesses must have cosigned the pin.
        head: The commit that it must be sealed for.
        since: An older export.
        evidence: Where proof of two histories is kept.
        require_anchor: Whether something outside the ledger has to vouch for it.
    """

    file: Path
    trust: Path | None = None
    sidecar: Path | None = None
    pin: str | None = None
    consistency: Path | None = None
    witness_policy: Path | None = None
    head: str | None = None
    since: Path | None = None
    evidence: Path = Path("equivocation.json")
    require_anchor: bool = False


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it.

    Attributes:
        report: The report.
        unsigned: Keys or a policy were given, and the package that checks signatures is not here.
        sidecars: Of the older export and of this one.
    """

    report: Report
    unsigned: bool
    sidecars: tuple[bytes | None, bytes | None]


def verify_given(given: Given, progress: Progress) -> Verified:
    """Check an export.

    Raises:
        NotFound: `file-not-found`.
        Invalid: `invalid-parameter`: what was given cannot be what it should be.
        Malformed: `archive-unreadable`, `trust-malformed`.
        TooLarge: `body-too-large`.
    """
    if not given.file.is_file():
        raise NotFound("file-not-found", f"There is no file {given.file}.")
    if given.consistency is not None and given.pin is None:
        raise Invalid("invalid-parameter", "--consistency leads to a --pin.")
    evidence = _evidence(given)
    older = None if given.since is None else beside(given.since)
    since_sidecar = None if older is None else _read(older)
    report = verify_file(
        given.file,
        progress=progress,
        evidence=evidence,
        since=given.since,
        since_sidecar=since_sidecar,
    )
    return Verified(
        report=report,
        unsigned=evidence.signatures is None
        and (evidence.trust is not None or evidence.witnesses is not None),
        sidecars=(since_sidecar, evidence.sidecar),
    )


def holds(report: Report, given: Given) -> bool:
    """Whether the report is what was asked for: the command ends with 0, else with 3."""
    return report.state == "VERIFIED" or (
        report.state == "VERIFIED-UNANCHORED" and not given.require_anchor
    )


def keep_fork(verified: Verified, given: Given) -> str | None:
    """Write the proof of two histories, if they were found; answers what to say of it.

    Raises:
        Invalid: `file-unwritable`.
    """
    report, sidecars = verified.report, verified.sidecars
    if not report.forked or given.since is None:
        return None
    write_whole(given.evidence, make_fork(given.file, report.forked, sidecars))
    sealed = "" if None not in sidecars else " It proves nothing to others while one has no seal."
    return f"{given.evidence} holds both seals: keep it, with both exports.{sealed}"


def signatures() -> Signatures | None:
    """The checks of signatures; None on a machine without `cryptography`."""
    try:
        # Its library takes longer to load than a small export.
        from app.offline.signatures import SIGNATURES  # noqa: PLC0415 -- see above
    except ImportError:
        return None
    return SIGNATURES


def _evidence(given: Given) -> Evidence:
    """What the reader brings, read and checked for its form."""
    sidecar = given.sidecar or beside(given.file)
    needed = given.trust is not None or given.witness_policy is not None
    checks = signatures() if needed else None
    return Evidence(
        signatures=checks,
        trust=None if given.trust is None else parse_trust(_read(given.trust)),
        sidecar=None if sidecar is None else _read(sidecar),
        pin=None if given.pin is None else read_pin(_pin_text(given.pin)),
        consistency=None
        if given.consistency is None
        else parse_consistency(_read(given.consistency).decode("utf-8", "replace")),
        witnesses=None
        if given.witness_policy is None
        else _witnesses(parse_policy(_read(given.witness_policy)), checks),
        head=None if given.head is None else check_commit(given.head),
    )


def _witnesses(policy: Policy, checks: Signatures | None) -> Callable[[str], Quorum]:
    """Counts cosignatures by the reader's policy; only where signatures can be checked."""

    def count(note: str) -> Quorum:
        assert checks is not None
        found = check_quorum(note, policy, checks.ed25519)
        by = ", ".join(found.names) or "none of its witnesses"
        if not found.ok:
            return Quorum(False, f"{by} cosigned the pin, which is not what the policy asks for")
        return Quorum(True, f"{by} cosigned the pin, as the policy asks")

    return count


def _read(file: Path) -> bytes:
    return read_given(str(file), MAX_GIVEN_BYTES)


def _pin_text(pin: str) -> str:
    """The pin itself, or the text of the file that is named."""
    file = Path(pin)
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(MAX_PIN_CHARACTERS)
    except (OSError, ValueError):
        return pin
