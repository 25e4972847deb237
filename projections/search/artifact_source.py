"""What of an artifact can be found: its text, its citations, and what it is called."""

from domain.citation import Citation
from domain.events import ArtifactWritten
from projections.search.chunks import chunks
from projections.search.indexed import MAX_CHUNKS, IndexedChunk, IndexedSource
from projections.search.terms import identifiers

CITATION = "CITATION"
MAX_BODY_CHARACTERS = 1_200


def artifact_source(
    kind: str, key: str, version: int, written: ArtifactWritten, text: str | None
) -> IndexedSource:
    """A version of an artifact as it is indexed.

    Args:
        kind: The artifact's.
        key: The artifact's.
        version: Of which this is.
        written: What was recorded with it.
        text: Its content; None when it is no text, or too large: then it can be found by its title.
    """
    title = written.title or ""
    chunked = None if text is None else chunks(text, written.media_type, title)
    if chunked is not None:
        title = title or chunked.title
    title = title or key
    found = [
        IndexedChunk(
            kind=kind,
            heading=one.heading or (title,),
            body=one.body,
            first=one.start,
            stop=one.stop,
        )
        for one in (chunked.chunks if chunked is not None else ())
    ] or [IndexedChunk(kind=kind, heading=(title,), body="")]
    found += [_cited(title, one) for one in written.citations]
    names = [key, *_identifiers(title)]
    if written.source is not None:
        names += [written.source.commit, written.source.path]
    return IndexedSource(
        version=version,
        chunks=tuple(found[:MAX_CHUNKS]),
        names=tuple(dict.fromkeys(names)),
        cut=len(found) > MAX_CHUNKS or (chunked is not None and chunked.truncated),
    )


def _cited(title: str, cited: Citation) -> IndexedChunk:
    said = [cited.title, cited.excerpt, cited.url]
    body = "\n".join(one for one in said if one)
    return IndexedChunk(
        kind=CITATION,
        heading=(title, f"Citation {cited.index}"),
        body=body[:MAX_BODY_CHARACTERS],
    )


def _identifiers(title: str) -> list[str]:
    """The words of a title that are somebody's name for it, such as EIP-20."""
    return [
        word for part in title.split() for word in identifiers(part.strip(".,:;()[]“”\"'")) or ()
    ]
