"""Texts cut into chunks: what is indexed, found and shown.

A chunk is small enough to be read at a glance and to be embedded whole, and says by its heading path
where in its text it stands, since a passage alone often does not name what it is about.
"""

from itertools import islice

import msgspec

from domain.artifact import MARKDOWN
from domain.documents import title_of
from projections.search.cutting import MAX_CHARACTERS, Span, cut, pack, paragraphs
from projections.search.json_chunks import is_json, json_spans
from projections.search.markdown_chunks import markdown_spans

MAX_CHUNKS = 2_000
MAX_TITLE_CHARACTERS = 300


class Chunk(msgspec.Struct, frozen=True):
    """A passage of a text.

    Attributes:
        ordinal: Its place among the chunks, from 0.
        heading: The way to it: the title, then the headings above it.
        body: Its text, at most `MAX_CHARACTERS`. In JSON the escapes of strings are resolved;
            everywhere NUL, which no column can hold, is U+FFFD.
        start: Where it begins in the text, in characters.
        stop: Where it ends.
    """

    ordinal: int
    heading: tuple[str, ...]
    body: str
    start: int
    stop: int


class Chunked(msgspec.Struct, frozen=True):
    """A text in chunks.

    Attributes:
        title: The one that the text states, else the one that was given.
        truncated: There is more than `MAX_CHUNKS` hold.
    """

    title: str
    chunks: tuple[Chunk, ...]
    truncated: bool


def chunks(text: str, media_type: str, title: str) -> Chunked:
    """Cut a text into chunks that hold all of it but blank space and Markdown's front matter.

    Never raises: what is not what its media type says is cut like any other text.

    Args:
        text: All of it.
        media_type: `text/markdown` is cut at its blocks, JSON at its fields, all else at its
            paragraphs.
        title: The one that it is known by; empty without one. The heading paths start with it.
    """
    kind = media_type.partition(";")[0].strip().lower()
    stated = title_of(text) if kind == MARKDOWN else None
    top = (title or stated or "").replace("\0", "\ufffd")[:MAX_TITLE_CHARACTERS]
    longest = MAX_CHUNKS * MAX_CHARACTERS
    shown = text[:longest]
    if kind == MARKDOWN:
        spans = markdown_spans(shown, top)
    elif is_json(kind, text):
        shown = text
        spans = json_spans(text, top)
    else:
        pieces = (piece for one in paragraphs(shown) for piece in cut(shown, *one))
        spans = pack(Span((top,) if top else (), *piece) for piece in pieces)
    found = list(islice(spans, MAX_CHUNKS + 1))
    return Chunked(
        title=stated or title,
        chunks=tuple(
            Chunk(
                ordinal,
                span.heading,
                (span.body or shown[span.start : span.stop]).replace("\0", "\ufffd"),
                span.start,
                span.stop,
            )
            for ordinal, span in enumerate(found[:MAX_CHUNKS])
        ),
        truncated=len(found) > MAX_CHUNKS or bool(text[len(shown) :].strip()),
    )
