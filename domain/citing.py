"""The rules for citations, and for the `citation:n` links that name them.

Citations are numbered by the caller's own list, from 1. Equal addresses become one citation that
keeps the first number and remembers the further ones in `also`, so no link is ever rewritten.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import msgspec

from domain.address import normalise_url
from domain.citation import Citation, CitationInput
from domain.errors import Invalid
from domain.markdown_links import destinations

MAX_CITATIONS = 256
MAX_TITLE_CHARACTERS = 300
MAX_EXCERPT_CHARACTERS = 2_000


def cite(inputs: Sequence[CitationInput]) -> tuple[Citation, ...]:
    """The citations to record, in order of first appearance.

    A member that the first appearance lacks is taken from the next one that has it.

    Raises:
        Invalid: `validation-failed`, with a pointer such as `/citations/0/url`.
    """
    _check_count(len(inputs))
    cited: dict[str, Citation] = {}
    for index, given in enumerate(inputs, 1):
        pointer = f"/citations/{index - 1}"
        url = normalise_url(given.url, pointer=f"{pointer}/url")
        _check_members(given, pointer)
        first = cited.get(url)
        if first is None:
            cited[url] = Citation(
                index=index,
                url=url,
                title=given.title,
                excerpt=given.excerpt,
                accessed=given.accessed,
            )
        else:
            cited[url] = msgspec.structs.replace(
                first,
                title=given.title if first.title is None else first.title,
                excerpt=given.excerpt if first.excerpt is None else first.excerpt,
                accessed=given.accessed if first.accessed is None else first.accessed,
                also=(*first.also, index),
            )
    return tuple(cited.values())


def check_citations(citations: Sequence[Citation]) -> None:
    """Refuse citations that `cite` would not give, such as an address that is not normalised.

    Raises:
        Invalid: `validation-failed`, with a pointer such as `/citations/0/url`.
    """
    _check_count(sum(1 + len(one.also) for one in citations))
    seen: set[str] = set()
    for place, one in enumerate(citations):
        pointer = f"/citations/{place}"
        if normalise_url(one.url, pointer=f"{pointer}/url") != one.url:
            raise _invalid(
                f"The address is not normalised; write {normalise_url(one.url)}.", f"{pointer}/url"
            )
        if one.url in seen:
            raise _invalid("The address is cited twice; use also.", f"{pointer}/url")
        seen.add(one.url)
        _check_members(one, pointer)
        if list(one.also) != sorted(one.also) or min(one.also, default=one.index + 1) <= one.index:
            raise _invalid("Further numbers ascend and follow the index.", f"{pointer}/also")
    firsts = [one.index for one in citations]
    numbers = _numbers(citations)
    if firsts != sorted(firsts) or numbers != list(range(1, len(numbers) + 1)):
        raise _invalid("Citations are numbered 1, 2, 3 … in order, each once.", "/citations")


def links_in(markdown: str) -> list[int]:
    """The numbers of all `citation:n` link targets, in order, outside code and comments."""
    return [number for number, _ in _links(markdown)]


def check_links(markdown: str, citations: Sequence[Citation]) -> None:
    """Refuse a text with a `citation:n` link that names no citation.

    Raises:
        Invalid: `citation-unresolved`, naming the number and the line.
    """
    known = frozenset(_numbers(citations))
    for number, line in _links(markdown):
        if number not in known:
            raise Invalid(
                "citation-unresolved",
                f"Line {line} links to citation:{number}, "
                + (
                    f"but there are citations 1 to {len(known)}." if known else "but none is given."
                ),
                pointer="/content",
                members={"citation": number, "line": line},
            )


def _links(markdown: str) -> Iterator[tuple[int, int]]:
    """(number, line) of each link target that is spelled `citation:` and digits."""
    if "citation:" not in markdown.lower():
        return  # as most texts; the scanner takes a target as it is spelled
    for target, line in destinations(markdown):
        scheme, _, digits = target.partition(":")
        if scheme.lower() == "citation" and digits.isascii() and digits.isdigit():
            # Longer numbers name no citation either; cutting them keeps int() cheap.
            yield int(digits[:10]), line


def _numbers(citations: Iterable[Citation]) -> list[int]:
    return sorted(number for one in citations for number in (one.index, *one.also))


def _check_count(count: int) -> None:
    if count > MAX_CITATIONS:
        raise _invalid(f"An artifact has at most {MAX_CITATIONS} citations.", "/citations")


def _check_members(given: CitationInput | Citation, pointer: str) -> None:
    for name, text, limit in (
        ("title", given.title, MAX_TITLE_CHARACTERS),
        ("excerpt", given.excerpt, MAX_EXCERPT_CHARACTERS),
    ):
        if text is not None and not 1 <= len(text) <= limit:
            raise _invalid(f"The {name} has 1 to {limit} characters.", f"{pointer}/{name}")
        if text is not None and re.search("[\0\ud800-\udfff]", text):
            raise _invalid(
                f"The {name} has no NUL and no half of a surrogate pair.", f"{pointer}/{name}"
            )
    if given.accessed is not None:
        try:
            well_formed = date.fromisoformat(given.accessed).isoformat() == given.accessed
        except ValueError:
            well_formed = False
        if not well_formed:
            raise _invalid("A date is written like 2026-02-01.", f"{pointer}/accessed")


def _invalid(sentence: str, pointer: str) -> Invalid:
    return Invalid("validation-failed", sentence, pointer=pointer)
