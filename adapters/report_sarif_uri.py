"""From a URI in a SARIF log to the path that it names (SARIF 2.1.0, section 3.4; RFC 3986).

Only `file:` URIs and relative references name a path; whether it lies within the repository is
decided by `domain.repository_path`.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from adapters.report_check import malformed
from adapters.report_sarif_model import ArtifactLocation
from domain.errors import Invalid
from domain.repository_path import is_absolute, is_below, shown

MAX_BASES = 16
MAX_URI_CHARACTERS = 8_192
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_FILE = re.compile(r"(?://(?:localhost)?(?=/))?(/.*)", re.DOTALL | re.IGNORECASE)
_SCRIPTS = frozenset({"javascript", "vbscript", "data"})
_WINDOWS = re.compile(r"/(?=[A-Za-z]:)")


def path_of_uri(
    location: ArtifactLocation,
    bases: Mapping[str, ArtifactLocation],
    roots: Sequence[str],
    pointer: str,
) -> str | None:
    """The path, relative or absolute, that a location names; None when it names none, or the root.

    A base that is absolute and not below one of `roots`, or is not given at all, is where the
    analysis ran: the repository's root.

    Raises:
        Invalid: `path-outside-repository` for another scheme or a foreign host; `report-malformed`
            for a URI that cannot be decoded, and bases that go in a circle.
    """
    if location.uri is None:
        return None
    path = _path(location.uri, pointer)
    base_id = location.uriBaseId
    for _ in range(MAX_BASES):
        base = None if base_id is None or is_absolute(path) else bases.get(base_id)
        if base is None or base.uri is None:
            break
        folder = _folder(base.uri, pointer)
        if folder is None or (is_absolute(folder) and not is_below(folder, roots)):
            break
        path = f"{folder.rstrip('/')}/{path}"
        base_id = base.uriBaseId
    else:
        raise malformed("SARIF", "its originalUriBaseIds go in a circle", pointer)
    names_root = not is_absolute(path) and not set(path.split("/")) - {"", "."}
    return None if names_root else path


def refuse_script(location: ArtifactLocation | None, pointer: str) -> None:
    """Refuse a URI that is a script or carries its own document, where a viewer would follow it.

    For the places of which nothing is kept, and in which system headers and web addresses are usual.

    Raises:
        Invalid: `path-outside-repository`.
    """
    scheme = _SCHEME.match(location.uri or "") if location is not None else None
    if scheme is not None and scheme[1].lower() in _SCRIPTS:
        raise _outside(scheme[0], f"{pointer}/uri")


def _folder(uri: str, pointer: str) -> str | None:
    """The path of a base; a web address, such as where the sources are browsed, has none."""
    return None if uri.lower().startswith(("http://", "https://")) else _path(uri, pointer)


def _path(uri: str, pointer: str) -> str:
    if len(uri) > MAX_URI_CHARACTERS:
        raise malformed("SARIF", "it has a URI that is too long", pointer)
    scheme = _SCHEME.fullmatch(uri)
    path = uri
    if scheme is not None:
        local = _FILE.fullmatch(scheme[2]) if scheme[1].lower() == "file" else None
        if local is None:
            raise _outside(uri, pointer)
        path = local[1]
    try:
        decoded = unquote_to_bytes(path).decode("utf-8")
    except UnicodeError:
        raise malformed("SARIF", f"{shown(uri)} cannot be decoded", pointer) from None
    return _WINDOWS.sub("", decoded, count=1) if scheme is not None else decoded


def _outside(uri: str, pointer: str) -> Invalid:
    return Invalid(
        "path-outside-repository",
        f"{shown(uri)} is no file within the repository; a report names files by relative or file: "
        "URIs.",
        pointer=pointer,
    )
