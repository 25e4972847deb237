"""What a reader brings to a verification: keys, pins, and what the export is to be held to.

None of it comes from the export itself, the sidecar apart, and that is believed only as far as the
reader's keys vouch for it.
"""

import re
from collections.abc import Callable

import msgspec

from domain.checkpoint import parse_checkpoint
from domain.dsse import DsseVerifier
from domain.errors import Damaged, Invalid
from domain.signed_note import Verifier, parse_note
from domain.tlog_proof import ConsistencyProof
from domain.trust import Trust

ORIGIN = re.compile(r"[a-z0-9.-]{1,253}")
COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")

_PIN = re.compile(r"(?:sha256:)?([0-9a-f]{64})@(0|[1-9][0-9]{0,17})")


class Pin(msgspec.Struct, frozen=True):
    """A root that the reader knows from elsewhere, for a size of the log.

    Attributes:
        note: The signed checkpoint, if it came as one.
    """

    root: bytes
    size: int
    origin: str | None = None
    note: str | None = None


class Signatures(msgspec.Struct, frozen=True):
    """The checks of signatures: they belong to a library, and this layer knows none."""

    ed25519: Verifier
    p256: DsseVerifier


class Quorum(msgspec.Struct, frozen=True):
    """Whether enough witnesses cosigned a checkpoint, and who did."""

    ok: bool
    detail: str


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An older export that the reader kept.

    Attributes:
        origin: Of its log; None when it cannot be read.
        size: Its position.
        root: Its root.
        sound: Whether it fits together itself.
        detail: What is wrong with it, when something is.
    """

    origin: str | None
    size: int
    root: bytes
    sound: bool
    detail: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; what is None was not given.

    Attributes:
        signatures: None where no library is there to check them.
        trust: The ledger's keys.
        sidecar: The bytes of the seal's file.
        pin: A root.
        consistency: The proof that leads from the export to a pin of a larger log.
        witnesses: Says whether a checkpoint has the cosignatures that the reader's policy asks for.
        head: The commit for which the export must be sealed.
        earlier: An older export of the same log.
    """

    signatures: Signatures | None = None
    trust: Trust | None = None
    sidecar: bytes | None = None
    pin: Pin | None = None
    consistency: ConsistencyProof | None = None
    witnesses: Callable[[str], Quorum] | None = None
    head: str | None = None
    earlier: Earlier | None = None


def read_pin(text: str) -> Pin:
    """A pin from `ROOT@SIZE`, or from a checkpoint (C2SP tlog-checkpoint), signed or not.

    Raises:
        Invalid: `invalid-parameter`.
    """
    found = _PIN.fullmatch(text.strip())
    if found is not None:
        return Pin(bytes.fromhex(found[1]), int(found[2]))
    try:
        if "\n\n" in text:
            checkpoint = parse_checkpoint(parse_note(text).text)
            return Pin(checkpoint.root, checkpoint.size, checkpoint.origin, text)
        checkpoint = parse_checkpoint(text)
        return Pin(checkpoint.root, checkpoint.size, checkpoint.origin)
    except Damaged as error:
        raise Invalid(
            "invalid-parameter",
            "A pin is ROOT@SIZE, the root as 64 hex digits, or a checkpoint as `deedbook checkpoint` "
            f"gives it. {error.detail}",
        ) from None


def check_commit(text: str) -> str:
    """A commit to which an export can be held.

    Raises:
        Invalid: `invalid-parameter`.
    """
    if COMMIT.fullmatch(text) is None:
        raise Invalid(
            "invalid-parameter", "A commit is its whole id: 40 or 64 lower-case hex digits."
        )
    return text
