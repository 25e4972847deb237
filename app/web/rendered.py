"""A content as a page shows it: Markdown, JSON and other text as safe HTML; what is no text is only named."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import msgspec

from app.http.live_view import renderer_for
from domain.artifact import MARKDOWN
from domain.draft import MAX_DRAFT_BYTES
from projections.json_text import json_html
from projections.live_render import Renderer
from projections.markdown.headings import Heading
from projections.markdown.renderer import MarkdownRenderer

MAX_SHOWN_BYTES = MAX_DRAFT_BYTES
"""Of one text on a page: what could be watched while it was written can be read."""

MAX_HEADINGS = 200

Look = Literal["prose", "plain", "code", "binary", "too-large"]
"""How it is shown, which is the class of its element; the last two are not."""

_CITED = re.compile(r'<a (?=[^>]*\bclass="cite")[^>]*\bdata-cite="([\w.:-]{1,64})"', re.ASCII)


class Rendered(msgspec.Struct, frozen=True):
    """A text as HTML.

    Attributes:
        blocks: Safe as they are, each a part by itself.
        marks: The ids of the places that cite, by the key that they cite.
        headings: In order.
    """

    look: Look
    blocks: Sequence[str] = ()
    marks: Mapping[str, Sequence[str]] = {}
    headings: Sequence[Heading] = ()


def look_of(media_type: str) -> Look:
    """How text of a media type is shown while it is written, by what `renderer_for` gives."""
    return "prose" if media_type == MARKDOWN else "plain"


def render(media_type: str, content: bytes, cited: Collection[str] = ()) -> Rendered:
    """Show a content that is all there.

    Args:
        media_type: As recorded; what it says is not believed of bytes that are no text.
        content: Of at most `MAX_SHOWN_BYTES`.
        cited: The numbers of its citations.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return Rendered("binary")
    if "\0" in text:
        return Rendered("binary")
    if media_type == "application/json" or media_type.endswith("+json"):
        html = json_html(text)
        if html is not None:
            return Rendered("code", (html,))
    if media_type == MARKDOWN:
        markdown = MarkdownRenderer(cited)
        markdown.append(text)
        markdown.finish()
        blocks, marks = mark_places(blocks_of(markdown), cited)
        return Rendered("prose", blocks, marks, markdown.headings[:MAX_HEADINGS])
    renderer = renderer_for(media_type)
    renderer.append(text)
    renderer.finish()
    return Rendered("plain", blocks_of(renderer))


def blocks_of(renderer: Renderer) -> Sequence[str]:
    """What a renderer shows now."""
    return [block.html for block in renderer.snapshot()]


def mark_places(
    blocks: Sequence[str], cited: Collection[str]
) -> tuple[Sequence[str], Mapping[str, Sequence[str]]]:
    """Give every place that cites a source an id of its own, so that the source can lead back to it.

    Returns:
        The blocks, and the ids by the key that is cited there.
    """
    marks: defaultdict[str, list[str]] = defaultdict(list)

    def marked(found: re.Match[str]) -> str:
        key = found[1]
        if key not in cited:
            return found[0]
        marks[key].append(f"at-{key}-{len(marks[key]) + 1}")
        return f'{found[0]} id="{marks[key][-1]}"'

    return [_CITED.sub(marked, block) for block in blocks], marks
