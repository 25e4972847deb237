"""A chunk as it goes to an index elsewhere: its id, which says what it is of, and what is sent with it."""

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

import msgspec

MAX_ID_CHARACTERS = 255
MAX_METADATA_BYTES = 4_096
KIND = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A kind of chunks as it may stand in a filter: no quote, no operator, no space."""

_ID = re.compile(
    r"(?P<source>[A-Za-z0-9._/%~-]+)#v(?P<version>[0-9]{1,18})#(?P<ordinal>[0-9]{4,9})"
)


class RemoteChunk(msgspec.Struct, frozen=True):
    """A chunk of a source.

    Attributes:
        kind: Of the chunk.
        heading: The way to it, the title first.
        text: What is searched: the way to it, and its text.
        weights: Of its terms.
    """

    kind: str
    heading: tuple[str, ...]
    text: str
    weights: Mapping[int, float]


class RemoteId(msgspec.Struct, frozen=True):
    """What an id says: a chunk of a source, as that was at a version."""

    source: str
    version: int
    ordinal: int


def prefix_of(source: str) -> str:
    """With what the ids of a source's chunks begin, and no others."""
    quoted = quote(source, safe="/._-~")
    if len(quoted) > MAX_ID_CHARACTERS - 30:
        digest = hashlib.sha256(source.encode()).hexdigest()
        quoted = f"{quoted[:100].rpartition('%')[0] or quoted[:100]}~{digest}"
    return f"{quoted}#"


def format_id(source: str, version: int, ordinal: int) -> str:
    """The id of a chunk; with the version in it, a late writer cannot overwrite a newer one."""
    return f"{prefix_of(source)}v{version}#{ordinal:04d}"


def parse_id(text: str, source: str | None = None) -> RemoteId | None:
    """What an id says; None: it is none of ours.

    Args:
        text: The id.
        source: The one that the chunk's metadata names, for ids that hold a digest of it.
    """
    found = _ID.fullmatch(text)
    if found is None:
        return None
    named = source if source is not None else unquote(found["source"])
    if prefix_of(named) != f"{found['source']}#":
        return None
    return RemoteId(named, int(found["version"]), int(found["ordinal"]))


def metadata_of(project: str, source: str, version: int, chunk: RemoteChunk) -> dict[str, object]:
    """What is kept beside a vector (IR-005): enough to say what it is of, and to filter by kind."""
    found: dict[str, object] = {
        "projectId": project,
        "type": source.partition("/")[0],
        "source": source,
        "artifactKind": chunk.kind,
        "artifactVersion": version,
        "sha256": hashlib.sha256(chunk.text.encode("utf-8", "replace")).hexdigest(),
    }
    heading = " > ".join(chunk.heading)
    room = MAX_METADATA_BYTES - len(msgspec.json.encode(found)) - 32
    while len(msgspec.json.encode(heading)) > room:
        heading = heading[: len(heading) // 2]
    return found | {"heading": heading}
