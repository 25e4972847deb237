"""Proofs as texts: that one event is in a log (C2SP tlog-proof), and that a log only grew.

Each ends with the signed checkpoint that it leads to, so it can be checked offline with nothing but
the log's public key.
"""

import re
from collections.abc import Sequence

import msgspec

from domain.base64_text import encode64
from domain.checkpoint import MAX_SIZE, parse_hash
from domain.errors import Damaged

MAX_PROOF_BYTES = 65_536
MAX_HASHES = 63
"""Of an inclusion proof: one for each level of the largest tree there can be."""
HEADER = "c2sp.org/tlog-proof@v1"

_NUMBER = r"(0|[1-9][0-9]{0,18})"
_INDEX = re.compile(f"index {_NUMBER}")
_OLD = re.compile(f"old {_NUMBER}")


class TlogProof(msgspec.Struct, frozen=True):
    """That the leaf at an index is in the log of a checkpoint.

    Attributes:
        index: Of the leaf, from 0: an event's position less one.
        hashes: From the leaf's sibling up.
        checkpoint: The signed note, verbatim.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str


class ConsistencyProof(msgspec.Struct, frozen=True):
    """That the log of an older size is a prefix of that of a checkpoint.

    Attributes:
        old: The older size.
        hashes: As in RFC 6962 section 2.1.2.
        checkpoint: The signed note, verbatim.
    """

    old: int
    hashes: tuple[bytes, ...]
    checkpoint: str


def format_proof(proof: TlogProof) -> str:
    """The content of a `.tlog-proof` file."""
    return f"{HEADER}\nindex {proof.index}\n{_lines(proof.hashes)}\n{proof.checkpoint}"


def parse_proof(raw: str) -> TlogProof:
    """A `.tlog-proof` file, strictly; ours have no line of extra data.

    Raises:
        Damaged: `proof-malformed`.
    """
    header, _, rest = raw.partition("\n")
    if header != HEADER:
        raise _bad(f"its first line is not {HEADER}")
    index, hashes, checkpoint = _parse(rest, _INDEX)
    return TlogProof(index, hashes, checkpoint)


def format_consistency(proof: ConsistencyProof) -> str:
    """The form in which a witness takes it (C2SP tlog-witness, `add-checkpoint`)."""
    return f"old {proof.old}\n{_lines(proof.hashes)}\n{proof.checkpoint}"


def parse_consistency(raw: str) -> ConsistencyProof:
    """The same, strictly.

    Raises:
        Damaged: `proof-malformed`.
    """
    old, hashes, checkpoint = _parse(raw, _OLD)
    return ConsistencyProof(old, hashes, checkpoint)


def _lines(hashes: Sequence[bytes]) -> str:
    return "".join(f"{encode64(one)}\n" for one in hashes)


def _parse(raw: str, first: re.Pattern[str]) -> tuple[int, tuple[bytes, ...], str]:
    if len(raw) > MAX_PROOF_BYTES:
        raise _bad(f"it has more than {MAX_PROOF_BYTES} characters")
    head, blank, checkpoint = raw.partition("\n\n")
    lines = head.split("\n")
    number = first.fullmatch(lines[0])
    if number is None or int(number[1]) > MAX_SIZE:
        raise _bad("the line with its number is not as it must be")
    if not blank or not checkpoint:
        raise _bad("no checkpoint follows on its hashes")
    if len(lines) - 1 > MAX_HASHES:
        raise _bad(f"it has more than {MAX_HASHES} hashes")
    try:
        hashes = tuple(parse_hash(line) for line in lines[1:])
    except Damaged:
        raise _bad("one of its lines is no hash") from None
    return int(number[1]), hashes, checkpoint


def _bad(why: str) -> Damaged:
    return Damaged("proof-malformed", f"This is not a proof: {why}.")
