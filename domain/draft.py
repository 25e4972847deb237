"""What may happen to a draft: text still being written, which becomes a version on commit.

A draft is no part of the log. It has an offset, the bytes of UTF-8 that it holds; each piece of text is
written at the offset that its writer believes it has, so that a repeat after a lost answer is noticed.
"""

import codecs
from typing import Literal

import msgspec

from domain.errors import Conflict, Gone, Invalid, TooLarge

MAX_DRAFT_BYTES = 2 * 1024 * 1024
MAX_OPEN_DRAFTS = 100
"""Of one project."""
KEPT_DAYS = 7
"""So long a draft waits for its writer, and what became of it can be asked."""

State = Literal["open", "committing", "committed", "discarded"]
"""`committing`: an append with its text was begun, and may or may not be recorded."""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A draft without its text.

    Attributes:
        id: A lower-case UUID.
        offset: How many bytes of text it has.
        version: Of the artifact, once committed.
        opened_at: And `changed_at`: RFC 3339, in UTC.
    """

    id: str
    kind: str
    key: str
    media_type: str
    title: str | None
    actor: str
    state: State
    offset: int
    version: int | None
    opened_at: str
    changed_at: str


def check_open(draft: Draft) -> None:
    """Refuse to change a draft that is open no longer.

    Raises:
        Gone: `draft-discarded`.
        Conflict: `draft-committed`, `draft-committing`.
    """
    check_there(draft)
    if draft.state == "committed":
        raise Conflict(
            "draft-committed",
            f"The draft {draft.id} is version {draft.version} of {draft.kind} {draft.key} now: "
            "open another one.",
            members={"version": draft.version or 0},
        )
    if draft.state == "committing":
        raise Conflict(
            "draft-committing",
            f"The draft {draft.id} is being committed: repeat the commit, which is safe, to learn "
            "what became of it.",
        )


def check_there(draft: Draft) -> None:
    """Refuse a draft whose text is gone.

    Raises:
        Gone: `draft-discarded`.
    """
    if draft.state == "discarded":
        raise Gone(
            "draft-discarded",
            f"The draft {draft.id} was discarded, or waited for its writer for {KEPT_DAYS} days: "
            "open another one.",
        )


def extend(draft: Draft, unfinished: bytes, offset: int, piece: bytes) -> bytes:
    """Hold a piece of text to the rules; a piece may end within a character.

    Args:
        draft: As it is now.
        unfinished: The bytes of a character at its end that is not whole yet.
        offset: Where the writer believes that the piece belongs.
        piece: Some UTF-8.

    Returns:
        The bytes of a character that is not whole yet, at the end of the piece.

    Raises:
        Gone: `draft-discarded`.
        Conflict: `draft-committed`, `draft-committing`; `offset-mismatch`, with `current_offset`.
        TooLarge: `body-too-large`.
        Invalid: `nul-character`; `validation-failed`, when it is not UTF-8.
    """
    check_open(draft)
    if offset != draft.offset:
        raise Conflict(
            "offset-mismatch",
            f"The draft has {draft.offset} bytes: go on there, if they are yours, and not at {offset}.",
            members={"current_offset": draft.offset},
        )
    if draft.offset + len(piece) > MAX_DRAFT_BYTES:
        raise TooLarge(
            "body-too-large",
            f"A draft has up to {MAX_DRAFT_BYTES} bytes; it would have {draft.offset + len(piece)}.",
        )
    nul = piece.find(0)
    if nul >= 0:
        raise Invalid(
            "nul-character", f"Text must not contain NUL: there is one at offset {offset + nul}."
        )
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    try:
        decoder.decode(unfinished + piece)
    except UnicodeDecodeError as error:
        place = offset - len(unfinished) + error.start
        raise Invalid(
            "validation-failed", f"The text is not UTF-8: bad byte at offset {place}."
        ) from None
    return decoder.getstate()[0]


def check_whole(draft: Draft, unfinished: bytes, digest: str, announced: str | None) -> None:
    """Refuse to commit a text that is not what its writer has written.

    Args:
        draft: As it is now.
        unfinished: The bytes of a character at its end that is not whole.
        digest: Of its text.
        announced: The digest that the writer expects, if given.

    Raises:
        Invalid: `validation-failed`, `digest-mismatch`.
    """
    if unfinished:
        raise Invalid(
            "validation-failed",
            f"The text ends within a character, at offset {draft.offset - len(unfinished)}: write "
            "the rest of it first.",
        )
    if announced is not None and announced != digest:
        raise Invalid(
            "digest-mismatch",
            f"The draft's {draft.offset} bytes have {digest}, not {announced}: somebody else has "
            "written in it, or a part is missing. Nothing was recorded.",
            pointer="/sha256",
        )
