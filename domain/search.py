"""Searching: what may be asked, what is found, and what an answer says about itself.

The same words for every backend. Scores compare neither across queries nor across backends, so a hit has a
rank and no score.
"""

import re
import unicodedata
from typing import Literal

import msgspec

from domain.errors import Invalid

MAX_QUERY_CHARACTERS = 2_000
MAX_TERMS = 64
MAX_HITS = 50
DEPTH = 100
"""Chunks that each ranked list has before they are fused."""
MAX_ALSO = 2
"""Further passages of a source that are shown below its best one."""
MAX_PROJECTS = 1_000
"""That are searched together."""

Mode = Literal["hybrid", "lexical", "semantic"]
Warned = Literal[
    "pgvector-missing",
    "embedder-missing",
    "embeddings-pending",
    "remote-unavailable",
    "non-hybrid-index",
    "index-behind",
    "truncated",
]
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Passage(msgspec.Struct, frozen=True):
    """A chunk of a source as it is shown.

    Attributes:
        heading: The way to it, without the title.
        snippet: The part of it that fits the query best.
        marks: Ranges of the snippet, first character and that behind the last, that fit the query.
        first: Where the chunk begins in the stored text, in characters.
        stop: Where it ends.
    """

    heading: tuple[str, ...]
    snippet: str
    marks: tuple[tuple[int, int], ...]
    first: int
    stop: int


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A source that was found, by its best passage.

    Attributes:
        rank: From 1.
        stream: Such as `artifact/PRD/main` or `run/r1`.
        kind: What the passage is of: the artifact's kind, `CITATION`, `RUN`, or the kind of a run's record.
        key: Of the artifact; of a run, its id.
        version: The newest one of the stream, of which this is.
        position: The newest event that concerns it.
        also: Its next passages, if they were found as well.
    """

    rank: int
    project: str
    stream: str
    kind: str
    key: str
    version: int
    position: int
    title: str
    passage: Passage
    also: tuple[Passage, ...] = ()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and how.

    Attributes:
        mode: The one that was used.
        degraded: That is not the mode that was asked for, or the backend is the fall-back.
        warnings: Why, and what else the reader should know.
        indexed_position: The events up to here were taken note of; of several projects, 0.
        position: Of the log, when it was asked; of several projects, 0.
    """

    hits: tuple[Hit, ...]
    backend: str
    mode: Mode
    degraded: bool
    warnings: tuple[Warned, ...]
    indexed_position: int
    position: int


def check_query(text: str) -> str:
    """A query as it is worked with: NFC, without space at its ends.

    Raises:
        Invalid: `query-invalid`, `nul-character`.
    """
    if len(text) > MAX_QUERY_CHARACTERS:
        raise _invalid(
            f"A query has at most {MAX_QUERY_CHARACTERS:,} characters, not {len(text):,}."
        )
    if "\0" in text:
        raise Invalid("nul-character", "A query must not contain the NUL character.", pointer="/q")
    if _SURROGATE.search(text):
        raise _invalid("A query has no half of a surrogate pair.")
    if _CONTROL.search(text):
        raise _invalid("A query has no control characters.")
    found = unicodedata.normalize("NFC", text).strip()
    if not found:
        raise _invalid("Say what to search for: the query is empty.")
    return found


def check_limit(limit: int) -> int:
    """How many hits are meant.

    Raises:
        Invalid: `query-invalid`.
    """
    if not 1 <= limit <= MAX_HITS:
        raise Invalid(
            "query-invalid", f"A search gives 1 to {MAX_HITS} hits, not {limit}.", pointer="/limit"
        )
    return limit


def namespace(project: str) -> str:
    """Where a project's chunks lie in an index outside (PR-002)."""
    return f"project:{project}:artifacts"


def _invalid(detail: str) -> Invalid:
    return Invalid("query-invalid", detail, pointer="/q")
