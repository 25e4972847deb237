"""Chunks that were found, told as hits: each source once, by its best passage."""

from collections.abc import Sequence

from adapters.search.local_search import Found
from domain.names import ArtifactStream, parse_stream
from domain.search import MAX_ALSO, Hit, Passage
from projections.search.snippet import Snippets


def hits(found: Sequence[Found], text: str) -> tuple[Hit, ...]:
    """The sources of chunks, in their order, each by its first chunk, with the next ones of it below."""
    sources: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        sources.setdefault((one.project, one.source), []).append(one)
    snippets = Snippets(text)
    return tuple(
        _hit(rank, chunks, snippets) for rank, chunks in enumerate(sources.values(), start=1)
    )


def _hit(rank: int, chunks: Sequence[Found], snippets: Snippets) -> Hit:
    best = chunks[0]
    named = parse_stream(best.source)
    return Hit(
        rank=rank,
        project=best.project,
        stream=best.source,
        kind=best.kind,
        key=named.key if isinstance(named, ArtifactStream) else best.source.partition("/")[2],
        version=best.version,
        position=best.position,
        title=best.heading[0],
        passage=_passage(best, snippets),
        also=tuple(_passage(one, snippets) for one in chunks[1 : 1 + MAX_ALSO]),
    )


def _passage(chunk: Found, snippets: Snippets) -> Passage:
    shown = snippets.of(chunk.body)
    return Passage(
        heading=tuple(chunk.heading[1:]),
        snippet=shown.text,
        marks=shown.marks,
        first=chunk.first,
        stop=chunk.stop,
    )
