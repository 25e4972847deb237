"""Links from one document of a repository to another, and to its own headings, led to where they are shown.

A document names its neighbours by their paths, as they lie in the repository, and headings by the fragments that
code hosts give them. What leads to nothing that there is does not lead anywhere.
"""

import re
from collections.abc import Callable, Collection, Sequence
from html import escape, unescape
from posixpath import dirname, join, normpath
from urllib.parse import unquote

MAX_LINKS = 500
"""Of one document; those after as many lead nowhere."""

_LINK = re.compile(r'<a ((?:[^>]* )?)href="([^"]*)"')
_ELSEWHERE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//")
_HEADING_MARK = "h-"


def neighbours(blocks: Sequence[str], path: str | None) -> set[str]:
    """The paths in the repository to which relative links lead.

    Args:
        blocks: HTML as `render_markdown` gives it.
        path: Of the document; None: it has none, and no neighbours.
    """
    found: set[str] = set()
    for block in blocks:
        for link in _LINK.finditer(block):
            place = _place(unescape(link[2]), path)
            if place is not None and place[0] and len(found) < MAX_LINKS:
                found.add(place[0])
    return found


def with_links(
    blocks: Sequence[str],
    path: str | None,
    headings: Collection[str],
    page_of: Callable[[str], str | None],
) -> list[str]:
    """The blocks with each relative link leading to a page, or nowhere.

    Args:
        blocks: As in `neighbours`.
        path: As in `neighbours`.
        headings: The ids of the document's own headings.
        page_of: Gives the page of a path in the repository; None: it has none.
    """

    def led(link: re.Match[str]) -> str:
        place = _place(unescape(link[2]), path)
        if place is None:
            return link[0]
        there, fragment = place
        mark = f"#{_HEADING_MARK}{fragment.lower()}" if fragment else ""
        if not there:
            known = mark[1:] in headings
            return f'<a {link[1]}href="{escape(mark)}"' if known else link[0]
        page = page_of(there)
        return f"<a {link[1]}" if page is None else f'<a {link[1]}href="{escape(page + mark)}"'

    return [_LINK.sub(led, block) for block in blocks]


def _place(address: str, path: str | None) -> tuple[str, str] | None:
    """Path in the repository, empty for the document itself, and fragment; None: it leads elsewhere."""
    if _ELSEWHERE.match(address):
        return None
    there, _, fragment = address.partition("#")
    there = unquote(there.partition("?")[0])
    if not there:
        return "", fragment
    if path is None or there.startswith("/"):
        return "/", fragment  # no path that a document has
    return normpath(join(dirname(path), there)), fragment
