"""Citations: one spelling of an address, stable numbers, and links that name one."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.address import MAX_URL_BYTES, normalise_url
from domain.citation import Citation, CitationInput
from domain.citing import (
    MAX_CITATIONS,
    MAX_EXCERPT_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    check_citations,
    check_links,
    cite,
    links_in,
)
from domain.errors import Invalid


def inputs(*urls: str) -> list[CitationInput]:
    return [CitationInput(url=url) for url in urls]


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("https://example.com", "https://example.com/"),
        ("HTTPS://EXAMPLE.com:443/A", "https://example.com/A"),
        ("http://example.com:80", "http://example.com/"),
        ("http://example.com:0443/", "http://example.com:443/"),
        ("https://example.com:/", "https://example.com/"),
        ("https://example.com/a/./b/../c", "https://example.com/a/c"),
        ("https://example.com/../../a/..", "https://example.com/"),
        ("https://example.com/a/.", "https://example.com/a/"),
        ("https://example.com/%7Ea%2fb%2e%2e/", "https://example.com/~a%2Fb../"),
        ("https://example.com/%2e%2e/a", "https://example.com/a"),
        ("https://example.com/100%", "https://example.com/100%25"),
        ("https://example.com/%zz", "https://example.com/%25zz"),
        ("https://example.com/å?q=æ#ø", "https://example.com/%C3%A5?q=%C3%A6#%C3%B8"),
        ("https://example.com/[a]|{b}", "https://example.com/%5Ba%5D%7C%7Bb%7D"),
        ("https://example.com?", "https://example.com/?"),
        ("https://example.com/#a#b", "https://example.com/#a%23b"),
        ("https://example.com/?a?b/../c", "https://example.com/?a?b/../c"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://EXAMPLE.com./", "https://example.com./"),
        ("https://[2001:DB8::0:1]:8443/", "https://[2001:db8::1]:8443/"),
        ("https://[::1]/", "https://[::1]/"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000/x"),
        ("doi:10.1000/182", "https://doi.org/10.1000/182"),
        ("DOI:10.1000/a b".replace(" ", "%20"), "https://doi.org/10.1000/a%20b"),
        ("URN:ISBN:0451450523", "urn:isbn:0451450523"),
        ("urn:example:a%2fb", "urn:example:a%2Fb"),
        ("urn:example:%41", "urn:example:%41"),
        ("urn:example:foo?+r?=q#part", "urn:example:foo?+r?=q#part"),
        ("urn:example:foo#a#b", "urn:example:foo#a%23b"),
    ],
)
def test_an_address_has_one_spelling(given_url: str, normal: str) -> None:
    assert normalise_url(given_url) == normal
    assert normalise_url(normal) == normal


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "/a",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://example.com/",
        "citation:1",
        "https:example.com",
        "https:///a",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://example.com:99999/",
        "https://example.com:8o/",
        "https://exa mple.com/",
        "https://example.com/a b",
        "https://example.com/\x7f",
        "https://example.com/\u2028",
        "https://example.com/\ud800",
        'https://example.com/"',
        "https://example.com/<a>",
        "https://example.com\\a",
        "https://%65xample.com/",
        "https://ex..ample/",
        "https://a!b.example/",
        "https://straße.example/",
        "https://[::1%25eth0]/",
        "https://[nonsense]/",
        "https://a℀b.example/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "ü" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
        "doi:11.1000/1",
        "urn:isbn",
        "urn:x:",
        "urn:-x:y",
        "https://example.com/" + "a" * MAX_URL_BYTES,
        "https://example.com/" + "å" * (MAX_URL_BYTES // 4),
    ],
)
def test_what_names_nothing_to_look_up_is_refused(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        normalise_url(url, pointer="/here")
    assert (caught.value.code, caught.value.pointer) == ("validation-failed", "/here")


@given(st.text(st.sampled_from("aB/.%2e?#:[]@é&=;~"), max_size=20))
def test_a_normal_address_is_its_own_spelling(rest: str) -> None:
    try:
        normal = normalise_url("https://example.com/" + rest)
    except Invalid:
        return
    assert normalise_url(normal) == normal
    assert normal.isascii()


def test_numbers_are_those_of_the_callers_list() -> None:
    cited = cite(
        [
            CitationInput(url="https://example.com/a"),
            CitationInput(url="https://example.com/b", title="B"),
            CitationInput(url="HTTPS://example.com:443/a", title="A", excerpt="said"),
            CitationInput(url="https://example.com/a", title="other", accessed="2026-02-01"),
        ]
    )
    assert cited == (
        Citation(
            index=1,
            url="https://example.com/a",
            title="A",
            excerpt="said",
            accessed="2026-02-01",
            also=(3, 4),
        ),
        Citation(index=2, url="https://example.com/b", title="B"),
    )
    check_citations(cited)
    check_links("[1](citation:1) [2](citation:2) [3](citation:3) [4](citation:4)", cited)


URLS = st.sampled_from([f"https://example.com/{letter}" for letter in "abc"])


@given(st.lists(URLS, max_size=8))
def test_what_is_cited_is_what_may_be_recorded(urls: list[str]) -> None:
    cited = cite(inputs(*urls))
    check_citations(cited)
    assert len(cited) == len(set(urls))
    by_number = {number: one.url for one in cited for number in (one.index, *one.also)}
    assert [by_number[number] for number in range(1, len(urls) + 1)] == urls


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("title", ""),
        ("title", "x" * (MAX_TITLE_CHARACTERS + 1)),
        ("title", "a\0b"),
        ("title", "\udc00"),
        ("excerpt", ""),
        ("excerpt", "x" * (MAX_EXCERPT_CHARACTERS + 1)),
        ("accessed", "20260201"),
        ("accessed", "2026-02-30"),
        ("accessed", "yesterday"),
        ("accessed", ""),
    ],
)
def test_a_member_that_cannot_be_is_pointed_at(member: str, value: str) -> None:
    given_one = msgspec.structs.replace(inputs("https://example.com/b")[0], **{member: value})
    with pytest.raises(Invalid) as caught:
        cite([*inputs("https://example.com/a"), given_one])
    assert caught.value.pointer == f"/citations/1/{member}"


def test_an_artifact_has_a_number_of_citations() -> None:
    many = [f"https://example.com/{n}" for n in range(MAX_CITATIONS + 1)]
    assert len(cite(inputs(*many[:-1]))) == MAX_CITATIONS
    with pytest.raises(Invalid, match="at most 256"):
        cite(inputs(*many))
    with pytest.raises(Invalid, match="at most 256"):
        cite(inputs(*[many[0]] * (MAX_CITATIONS + 1)))


A, B = "https://example.com/a", "https://example.com/b"


@pytest.mark.parametrize(
    ("citations", "pointer"),
    [
        ([Citation(index=1, url="https://example.com")], "/citations/0/url"),
        ([Citation(index=1, url="ftp://x/")], "/citations/0/url"),
        ([Citation(index=1, url=A), Citation(index=2, url=A)], "/citations/1/url"),
        ([Citation(index=1, url=A, title="")], "/citations/0/title"),
        ([Citation(index=2, url=A)], "/citations"),
        ([Citation(index=0, url=A)], "/citations"),
        ([Citation(index=2, url=A), Citation(index=1, url=B)], "/citations"),
        ([Citation(index=1, url=A, also=(3,))], "/citations"),
        ([Citation(index=1, url=A, also=(2,)), Citation(index=2, url=B)], "/citations"),
        ([Citation(index=1, url=A, also=(3, 2))], "/citations/0/also"),
        ([Citation(index=1, url=A, also=(1,))], "/citations/0/also"),
        ([Citation(index=1, url=A, also=tuple(range(2, 300)))], "/citations"),
    ],
)
def test_recorded_citations_are_as_they_are_made(citations: list[Citation], pointer: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_citations(citations)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("markdown", "numbers"),
    [
        ("[a](citation:1) and [b](CITATION:2)", [1, 2]),
        ("<citation:3>", [3]),
        ("[a]: citation:4", [4]),
        ("[a](citation:007)", [7]),
        ("[a](citation:" + "9" * 5_000 + ")", []),
        ("[a](citation:99999999999)", [9_999_999_999]),
        ("[a](citation:) [b](citation:x) [c](citation:1x) [d](citation:²)", []),
        ("[a](citations:1) [b](x-citation:1) citation:1", []),
        ("`[a](citation:1)`", []),
        ("", []),
    ],
)
def test_links_to_citations_are_found(markdown: str, numbers: list[int]) -> None:
    assert links_in(markdown) == numbers


def test_a_link_that_names_no_citation_is_refused_with_its_line() -> None:
    cited = cite(inputs(A, A))
    with pytest.raises(Invalid) as caught:
        check_links("[a](citation:1)\n\n[b](citation:2)\n[c](citation:3)", cited)
    error = caught.value
    assert error.code == "citation-unresolved"
    assert error.members == {"citation": 3, "line": 4}
    assert error.detail == "Line 4 links to citation:3, but there are citations 1 to 2."
    with pytest.raises(Invalid, match="none is given"):
        check_links("[a](citation:1)", ())
    with pytest.raises(Invalid):
        check_links("[a](citation:0)", cited)
