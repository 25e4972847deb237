"""A Markdown text that is all there, as HTML."""

from collections.abc import Collection

import msgspec

from projections.markdown.front_matter import Entries
from projections.markdown.headings import Heading
from projections.markdown.renderer import MarkdownRenderer


class RenderedMarkdown(msgspec.Struct, frozen=True):
    """A text as a page shows it.

    Attributes:
        html: Safe as it is: sanitised, without scripts, styles, forms, and without ids but those of headings.
        headings: In order, with the ids of their elements.
        front_matter: Keys and values, in order; empty where there is none, or none that can be read.
        citations: The keys that the text cites, each once, in order; for a link to `citation:3` that is "3".
    """

    html: str
    headings: tuple[Heading, ...]
    front_matter: Entries
    citations: tuple[str, ...]


def render_markdown(text: str, known: Collection[str] | None = None) -> RenderedMarkdown:
    """Render a text: the same HTML as when it was rendered while it was written.

    Args:
        text: CommonMark 0.31.2 with what `docs/markdown.md` names, of any length and with any line ends.
        known: The keys of the citations that there are: others are marked as unresolved. None when that is
            not known.
    """
    renderer = MarkdownRenderer(known)
    renderer.append(text)
    renderer.finish()
    return RenderedMarkdown(
        "".join(block.html for block in renderer.snapshot()),
        renderer.headings,
        renderer.front_matter,
        renderer.citations,
    )
