"""Addresses of what is cited, and their one spelling: http, https, urn and doi."""

import ipaddress
import re

from domain.errors import Invalid

MAX_URL_BYTES = 2_048

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


def _invalid(sentence: str, pointer: str) -> Invalid:
    return Invalid("validation-failed", sentence, pointer=pointer)
