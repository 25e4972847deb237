"""Checkpoints (C2SP tlog-checkpoint): a log's origin, size and root, as the text that is signed."""

import re
from collections.abc import Sequence

import msgspec

from domain.base64_text import decode64, encode64
from domain.errors import Damaged
from domain.merkle import HASH_BYTES
from domain.signed_note import NoteKey, Verifier, parse_note, verify_note

MAX_SIZE = 2**63 - 1

_ORIGIN = re.compile(r"[a-z0-9.-]{1,255}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class Checkpoint(msgspec.Struct, frozen=True):
    """What a log was at one size."""

    origin: str
    size: int
    root: bytes


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that is signed: three lines."""
    root = encode64(checkpoint.root)
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """A checkpoint's text, strictly; ours have no extension lines.

    Raises:
        Damaged: `checkpoint-malformed`.
    """
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise _bad("it has other than three whole lines")
    origin, size, root = lines[:3]
    if _ORIGIN.fullmatch(origin) is None:
        raise _bad("its origin is no host name")
    if _SIZE.fullmatch(size) is None or int(size) > MAX_SIZE:
        raise _bad("its size is no number as it is written here")
    return Checkpoint(origin, int(size), parse_hash(root))


def open_checkpoint(note: str, keys: Sequence[NoteKey], verify: Verifier) -> Checkpoint:
    """The checkpoint in a note that one of the keys signed under the log's own name.

    Raises:
        Damaged: `note-malformed`, `checkpoint-malformed`, `signature-wrong`, `signature-missing`.
    """
    signed = parse_note(note)
    checkpoint = parse_checkpoint(signed.text)
    own = [key for key in keys if key.name == checkpoint.origin]
    if not verify_note(signed, own, verify):
        raise Damaged(
            "signature-missing",
            f"None of the keys given signed this checkpoint of {checkpoint.origin}.",
        )
    return checkpoint


def parse_hash(text: str) -> bytes:
    """A hash of a tree, as one line has it.

    Raises:
        Damaged: `checkpoint-malformed`.
    """
    raw = decode64(text)
    if raw is None or len(raw) != HASH_BYTES:
        raise _bad(f"a hash is not base64 of {HASH_BYTES} bytes")
    return raw


def _bad(why: str) -> Damaged:
    return Damaged("checkpoint-malformed", f"This is not a checkpoint: {why}.")
