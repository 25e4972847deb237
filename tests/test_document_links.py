"""Links between documents of a repository, as its pages have them."""

import pytest

from projections.document_links import MAX_LINKS, neighbours, with_links
from projections.markdown.whole import render_markdown

PAGES = {"docs/search.md": "/p/a/artifacts/DOCUMENT/docs.search?at=3", "README.md": "/readme"}


def led(text: str, path: str | None = "docs/api.md") -> str:
    rendered = render_markdown(text)
    ids = {one.id for one in rendered.headings}
    [html] = with_links([rendered.html], path, ids, PAGES.get)
    return html.replace(' rel="noopener noreferrer nofollow"', "")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("[a](search.md)", '<a href="/p/a/artifacts/DOCUMENT/docs.search?at=3">a</a>'),
        ("[a](./search.md#What-is)", 'href="/p/a/artifacts/DOCUMENT/docs.search?at=3#h-what-is"'),
        ("[a](../README.md 'T')", '<a href="/readme" title="T">a</a>'),
        ("[a](../other/../README%2Emd)", '<a href="/readme">a</a>'),
        ("[a](nothing.md)", "<a >a</a>"),
        ("[a](../../README.md)", "<a >a</a>"),
        ("[a](/README.md)", "<a >a</a>"),
        ("[a](#one)\n\n# One", '<a href="#h-one">a</a>'),
        ("[a](#two)\n\n# One", '<a href="#two">a</a>'),
        ("[a](https://x.example/search.md)", '<a href="https://x.example/search.md">a</a>'),
        ("[a](mailto:ada@x.example)", '<a href="mailto:ada@x.example">a</a>'),
        ('`<a href="search.md">`', '&lt;a href="search.md"&gt;'),
    ],
)  # fmt: skip
def test_a_relative_link_leads_to_the_page_of_what_it_names_or_nowhere(
    text: str, html: str
) -> None:
    assert html in led(text)


def test_a_document_without_a_path_has_no_neighbours() -> None:
    assert "<a >a</a>" in led("[a](search.md)", None)
    assert "href" not in led("[a](search.md)", None)


def test_the_neighbours_are_named_once_and_up_to_a_limit() -> None:
    html = render_markdown("[a](b.md) [c](b.md#x) [d](#e) [f](https://x.example/)").html
    assert neighbours([html], "docs/api.md") == {"docs/b.md"}
    many = render_markdown(" ".join(f"[a](n{number}.md)" for number in range(MAX_LINKS + 9))).html
    assert len(neighbours([many], "README.md")) == MAX_LINKS
