"""Citations: where an artifact's statements come from, and the `citation:n` links that name them.

Citations are numbered by the caller's own list, from 1. Equal addresses become one citation that
keeps the first number and remembers the further ones in `also`, so no link is ever rewritten.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

import msgspec

from domain.errors import Invalid
from domain.markdown_links import destinations

MAX_CITATIONS = 256
MAX_URL_BYTES = 2_048
MAX_TITLE_CHARACTERS = 300
MAX_EXCERPT_CHARACTERS = 2_000


class CitationInput(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A citation as a caller gives it; its place in the caller's list is its number.

    Attributes:
        accessed: The day on which the source was read, such as `2026-02-01`.
    """

    url: str
    title: str | None = None
    excerpt: str | None = None
    accessed: str | None = None


class Citation(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A citation as recorded: its address normalised, its number in `index`.

    Attributes:
        also: Further numbers of the caller's list that gave the same address.
    """

    index: int
    url: str
    title: str | None = None
    excerpt: str | None = None
    accessed: str | None = None
    also: tuple[int, ...] = ()


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


_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
_REFUSED = re.compile(r'[\x00-\x20\x7f-\xa0\u2028\u2029\ufeff\ud800-\udfff<>"\\]')
_TRIPLET = re.compile(r"%(?:([0-9A-Fa-f]{2}))?")
_FOREIGN = re.compile(r"[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]")
_HOST = re.compile(r"(?=.{1,254}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_-]{1,63})*\.?")
_PORT = re.compile(r"[0-9]{0,5}")
_URN = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]{0,30}[A-Za-z0-9]):([^?#]+)")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Characters that IDNA 2003 (which Python has) maps to another name than IDNA 2008 does.
_DEVIANT = re.compile("[\u00df\u03c2\u200c\u200d\u1e9e]")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def normalise_url(url: str, *, pointer: str = "/url") -> str:
    """The one spelling of an address (RFC 3986 section 6.2.2 and 6.2.3; urn: RFC 8141 section 3).

    http, https and urn are taken; `doi:10.…` becomes `https://doi.org/10.…`. Other schemes name
    nothing that a later reader could look up, or run something.

    Raises:
        Invalid: `validation-failed`, with the given pointer.
    """
    if len(url.encode("utf-8", "replace")) > MAX_URL_BYTES:
        raise _invalid(f"An address has at most {MAX_URL_BYTES} bytes.", pointer)
    if _REFUSED.search(url):
        raise _invalid(
            "An address has no spaces, control characters, quotes, < > or backslashes.", pointer
        )
    found = _URL.fullmatch(url)
    scheme = found["scheme"].lower() if found else ""
    if found is None or scheme not in {"http", "https", "urn", "doi"}:
        raise _invalid("An address begins with https:, http:, urn: or doi:.", pointer)
    rest = url[len(scheme) + 1 :]
    if scheme == "doi":
        if not rest.startswith("10."):
            raise _invalid("A doi is written doi:10.1000/182.", pointer)
        return normalise_url(f"https://doi.org/{rest}", pointer=pointer)
    normal = _urn(rest, pointer) if scheme == "urn" else _web(scheme, found, pointer)
    if len(normal) > MAX_URL_BYTES:
        raise _invalid(
            f"An address has at most {MAX_URL_BYTES} bytes after percent-encoding.", pointer
        )
    return normal


def _web(scheme: str, found: re.Match[str], pointer: str) -> str:
    authority = found["authority"]
    if not authority:
        raise _invalid(f"An address has a host, as in {scheme}://example.com/.", pointer)
    if "@" in authority:
        raise _invalid(
            "An address must not carry a user name or password; remove all before the @.", pointer
        )
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    if _PORT.fullmatch(port) is None or (port and int(port) > 65_535):
        raise _invalid("A port is a number up to 65535.", pointer)
    port = str(int(port)) if port else ""
    place = _host(host, pointer)
    if port and port != _DEFAULT_PORTS[scheme]:
        place += f":{port}"
    path = _without_dots(_encoded(found["path"])) or "/"
    normal = f"{scheme}://{place}{path}"
    for part in (found["query"], found["fragment"]):
        if part is not None:
            normal += part[0] + _encoded(part[1:])
    return normal


def _urn(rest: str, pointer: str) -> str:
    found = _URN.match(rest)
    if found is None:
        raise _invalid(
            "A urn is written urn:<namespace>:<name>, as in urn:isbn:0451450523.", pointer
        )
    name, mark, fragment = rest[found.start(2) :].partition("#")
    return (
        f"urn:{found[1].lower()}:{_encoded(name, decode=False)}{mark}"
        f"{_encoded(fragment, decode=False)}"
    )


def _host(host: str, pointer: str) -> str:
    if host.startswith("[") and host.endswith("]") and "%" not in host:
        try:
            return f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            host = ""
    if len(host) > 254 or "%" in host:
        host = ""
    if _DEVIANT.search(host):
        raise _invalid(
            "This host name means different hosts to different programs; write its xn-- form.",
            pointer,
        )
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            host = ""
    host = host.lower()
    if _HOST.fullmatch(host) is None:
        raise _invalid("This is not a host name.", pointer)
    return host


def _encoded(text: str, *, decode: bool = True) -> str:
    """Percent triplets in upper case, unreserved characters plain, everything foreign encoded."""

    def triplet(found: re.Match[str]) -> str:
        if found[1] is None:
            return "%25"
        plain = chr(int(found[1], 16))
        return plain if decode and plain in _UNRESERVED else f"%{found[1].upper()}"

    text = _TRIPLET.sub(triplet, text)
    return _FOREIGN.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, in one pass."""
    if not path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)


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
