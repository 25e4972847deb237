"""Verification for whoever has an export and no program at hand: the page `/verify` sends it here."""

from pathlib import Path
from typing import Literal

import msgspec
from starlette.responses import Response

from app.http.answers import answer
from app.http.call import Call
from app.http.endpoint import Endpoints, file_body
from app.http.gate import OPEN
from app.verify_received import verify_received
from domain.base64_text import decode64
from domain.errors import Malformed
from projections.verify_evidence import read_pin
from projections.verify_report import Check, State, Summary

endpoints = Endpoints("verification")

MAX_BYTES = 64 * 1024 * 1024
"""An export made to be as laborious as can be then takes about 300 MiB and 15 seconds."""
MAX_SIDECAR_BYTES = 24 * 1024
"""As base64 it has to fit into a request's head."""
MAX_PIN_CHARACTERS = 4_000
AT_ONCE = 2
UPLOAD_SECONDS = 300.0


class VerifyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the export is held to.

    Attributes:
        sealed: Without a sidecar, take the seal that this ledger keeps of this very file.
        pin: A root known from elsewhere, `ROOT@SIZE`, or a checkpoint.
    """

    sealed: bool = False
    pin: str | None = None


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The report of `deedbook verify --json`, and what it was made with.

    Attributes:
        sidecar: Where the seal is from: it came along, or this ledger keeps it.
        keys: The ledger whose keys the seal was held to: this one, if the seal says that it is of it.
    """

    state: State
    checks: tuple[Check, ...]
    summary: Summary
    zip_sha256: str | None
    notes: tuple[str, ...]
    sidecar: Literal["given", "kept"] | None
    keys: str | None


@endpoints.add(
    "POST",
    "/v1/verify",
    scope=OPEN,
    query=VerifyQuery,
    accepted=file_body("application/zip", MAX_BYTES, at_once=AT_ONCE, seconds=UPLOAD_SECONDS),
    answers={200: Verification},
    problems=("rate-limited", "request-timeout", "archive-unreadable"),
    headers=("Deedbook-Sidecar",),
)
def verify_export(call: Call[VerifyQuery, Path]) -> Response:
    """Verify an export as `deedbook verify` does, held to this ledger's own keys.

    A bad export is a result and no problem. Nothing is kept. Whoever wants to know whether this ledger is honest
    verifies on a machine of their own.
    """
    pin = call.query.pin
    if pin is not None and len(pin) > MAX_PIN_CHARACTERS:
        raise Malformed("invalid-parameter", f"A pin has at most {MAX_PIN_CHARACTERS} characters.")
    found = verify_received(
        call.ledger,
        call.body,
        zip_sha256=call.raw_sha256,
        sidecar=_sidecar(call.headers.get("deedbook-sidecar")),
        sealed=call.query.sealed,
        pin=None if pin is None else read_pin(pin),
    )
    report = found.report
    return answer(
        Verification(
            state=report.state,
            checks=report.checks,
            summary=report.summary,
            zip_sha256=report.zip_sha256,
            notes=report.notes,
            sidecar=found.sidecar,
            keys=found.keys,
        )
    )


def _sidecar(given: str | None) -> bytes | None:
    if given is None:
        return None
    raw = decode64(given) if len(given) <= MAX_SIDECAR_BYTES * 4 // 3 + 4 else None
    if raw is None:
        raise Malformed(
            "invalid-parameter",
            f"Deedbook-Sidecar is a seal's file as base64, of at most {MAX_SIDECAR_BYTES} bytes.",
        )
    return raw
