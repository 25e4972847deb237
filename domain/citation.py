"""Citations, as given and as recorded; the rules for them are in `domain/citing.py`.

Events import this file, and whoever only reads events needs no rule.
"""

import msgspec


class CitationInput(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A citation as a caller gives it; its place in the caller's list is its number.

    Attributes:
        accessed: The day on which the source was read, such as `2026-02-01`.
    """

    url: str
    title: str | None = None
    excerpt: str | None = None
    accessed: str | None = None


class Citation(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A citation as recorded: its address normalised, its number in `index`.

    Attributes:
        also: Further numbers of the caller's list that gave the same address.
    """

    index: int
    url: str
    title: str | None = None
    excerpt: str | None = None
    accessed: str | None = None
    also: tuple[int, ...] = ()
