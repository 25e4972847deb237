"""Markdown for tests: documents of our own, CommonMark's examples, and what a page shows of blocks."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any

from projections.live_render import Block, Change, Truncate
from projections.markdown.block import inline, to_html
from projections.markdown.parser import parse_blocks
from projections.markdown.renderer import MarkdownRenderer

ROOT = Path(__file__).parent.parent
DATA = ROOT / "tests/data"
DOCUMENTS = {
    file.stem: file.read_text("utf-8") for file in sorted((DATA / "markdown").glob("*.md"))
}
EXAMPLES: list[tuple[str, str, int]] = [
    (markdown, html, number)
    for markdown, html, number in json.loads((DATA / "commonmark/examples.json").read_text("utf-8"))
]
"""Markdown, HTML and number of each example of CommonMark 0.31.2."""

NAMED = os.environ.get("DEEDBOOK_TEST_SHARED_DATA")
FOLDERS = [Path(NAMED)] if NAMED else [one / "shared" / "data" for one in ROOT.parents]
SHARED = next((one / "markdown" for one in FOLDERS if (one / "markdown").is_dir()), ROOT / "shared")
"""Cases that are no part of this repository, where they are."""

REL = ' rel="noopener noreferrer nofollow"'


def shared_cases(name: str) -> list[dict[str, Any]]:
    """The cases of a file of `SHARED`; none where it is absent."""
    file = SHARED / name
    return json.loads(file.read_text("utf-8")) if file.is_file() else []


def in_pieces(text: str, random: Random, sizes: Sequence[int]) -> Iterator[str]:
    """A text in pieces of random sizes."""
    at = 0
    while at < len(text):
        size = random.choice(sizes)
        yield text[at : at + size]
        at += size


def applied(changes: Iterable[Change], shown: list[Block]) -> list[Block]:
    """What a page shows after some changes."""
    for change in changes:
        if isinstance(change, Truncate):
            del shown[change.count :]
        else:
            assert change.index <= len(shown)
            shown[change.index : change.index + 1] = [change]
    return shown


def html_of(blocks: Iterable[Block]) -> str:
    """The page."""
    return "".join(block.html for block in blocks)


def open_html(text: str) -> str:
    """A text that is still being written, without the `rel` of its links."""
    renderer = MarkdownRenderer()
    renderer.append(text)
    return html_of(renderer.snapshot()).replace(REL, "")


def at_once(text: str) -> str:
    """All of a text in one go, by no other rule than the parser's: not cut, not healed, no ids, no marks."""
    references: dict[str, Any] = {}
    tokens = [one for block in parse_blocks(text, references) for one in block]
    inline(tokens, {"references": references, "known": None})
    return to_html(tokens, settled=True)


def without_ids(html: str) -> str:
    """HTML without the ids of its headings and the marks in its code."""
    html = re.sub(r' id="h-[^"]*"', "", html)
    html = html.replace('<pre class="highlight">', "<pre>")
    return re.sub(r"(?<=<pre><code)(.*?)(?=</code>)", _unmarked, html, flags=re.DOTALL)


def _unmarked(code: re.Match[str]) -> str:
    return re.sub(r'<span class="\w+">|</span>', "", code[1])


def visible(blocks: Iterable[Block]) -> str:
    """What is read of blocks."""
    return " ".join("".join(_text_of(block.html) for block in blocks).split())


@lru_cache(maxsize=4096)
def _text_of(html: str) -> str:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)
