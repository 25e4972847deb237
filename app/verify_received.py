"""Verifying an export that somebody sends: as `deedbook verify` does, held to this ledger's own keys.

Whoever wants to know whether *this ledger* is honest verifies on a machine of their own, with keys that
they keep: a ledger that lies could lie here too.
"""

import threading
import time
from pathlib import Path
from typing import Literal

import msgspec

from app.ledger import Ledger
from app.offline.signatures import SIGNATURES
from app.offline.verify import Progress, verify_file
from domain.errors import DeedbookError, Malformed, NotFound
from domain.seal import parse_statement
from domain.sigstore_bundle import parse_bundle
from domain.trust import Trust
from projections.verify_evidence import Evidence, Pin
from projections.verify_report import Report

MAX_SECONDS = 120.0

_turn = threading.Lock()
"""One is worked on at a time: what strangers send shall not cost the ledger its memory."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """What was found.

    Attributes:
        sidecar: Where the seal is from: it came along, or this ledger keeps it; None: there is none.
        keys: The ledger whose keys the seal was held to; None: it is not one of this ledger.
    """

    report: Report
    sidecar: Literal["given", "kept"] | None
    keys: str | None


class _TooLong(Exception):
    """It takes more than it may; no error of the ledger's, since the verifier would report such a one."""


def verify_received(
    ledger: Ledger,
    file: Path,
    *,
    zip_sha256: bytes,
    sidecar: bytes | None,
    sealed: bool,
    pin: Pin | None,
    max_seconds: float = MAX_SECONDS,
) -> Received:
    """Check an export that was sent.

    Args:
        ledger: Whose keys and seals there are.
        file: The export.
        zip_sha256: Of the file.
        sidecar: The seal that came along.
        sealed: Without one, take the seal of this very file that the ledger keeps.
        pin: A root that the sender knows.
        max_seconds: It is given up after that.

    Raises:
        Malformed: `request-timeout`.
    """
    source: Literal["given", "kept"] | None = None if sidecar is None else "given"
    trust = None
    try:
        trust = ledger.seals.trust()
        if sidecar is None and sealed:
            kept = ledger.seals.of_file(zip_sha256)
            if kept is not None:
                sidecar, source = kept.sidecar, "kept"
    except NotFound:
        pass  # no service has made keys yet, so nothing was sealed
    held = trust if trust is not None and sidecar is not None and _is_ours(sidecar, trust) else None
    evidence = Evidence(signatures=SIGNATURES, trust=held, sidecar=sidecar, pin=pin)
    try:
        with _turn:
            report = verify_file(file, progress=_hurry(max_seconds), evidence=evidence)
    except _TooLong:
        raise Malformed(
            "request-timeout",
            f"Verifying this takes more than {max_seconds:.0f} seconds here: `deedbook verify` on "
            "your own machine takes all the time it needs.",
        ) from None
    return Received(report=report, sidecar=source, keys=None if held is None else held.ledger)


def _hurry(max_seconds: float) -> Progress:
    """A progress that gives up when the time is over."""
    until = time.monotonic() + max_seconds

    def hurry(_done: int, _total: int | None) -> None:
        if time.monotonic() > until:
            raise _TooLong

    return hurry


def _is_ours(sidecar: bytes, trust: Trust) -> bool:
    """Whether a seal says that it is of this ledger: by its key, or by the log that it is about.

    That of another ledger is not held to keys that it cannot know; one that only says that it is of this
    one fails against them.
    """
    try:
        bundle = parse_bundle(sidecar)
        origin = parse_statement(bundle.statement).origin
    except DeedbookError:
        return True  # the verifier says what is wrong with it
    return trust.seal_key(bundle.hint) is not None or origin.endswith(f".{trust.ledger}")
