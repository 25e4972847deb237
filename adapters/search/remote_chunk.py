"""A chunk as an index elsewhere keeps it, and the id that it has there.

The version stands in the id, so that a writer who comes late cannot overwrite what is newer.
"""

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

MAX_ID_CHARACTERS = 255
MAX_HEADING_CHARACTERS = 300
MAX_KEY_CHARACTERS = 300

_ID = re.compile(r"([A-Za-z0-9._/%-]+|sha256:[0-9a-f]{64})#v(0|[1-9][0-9]{0,17})#([0-9]{4,9})")
_LONGEST_TAIL = len("#v") + 18 + len("#") + 9


class RemoteChunk(msgspec.Struct, frozen=True):
    """A chunk of a source.

    Attributes:
        kind: What it is of: the artifact's kind, or the kind of a run's record. It can be filtered by.
        heading: The way to it.
        text: All that is searched: the way to it and its text.
        weights: Its BM25 weights by term: the sparse vector, where the index makes none itself.
    """

    kind: str
    heading: tuple[str, ...]
    text: str
    weights: Mapping[int, float]

    def metadata(self, project: str, source: str, version: int) -> dict[str, object]:
        """What is kept beside it, below 4 KB: whose it is, and the SHA-256 of its text."""
        sort, _, rest = source.partition("/")
        key = rest.rpartition("/")[2] if sort == "artifact" else rest
        return {
            "projectId": project,
            "type": sort,
            "artifactKind": self.kind,
            "artifactKey": key[:MAX_KEY_CHARACTERS],
            "artifactVersion": version,
            "source": source,
            "heading": " > ".join(self.heading)[:MAX_HEADING_CHARACTERS],
            "sha256": hashlib.sha256(self.text.encode()).hexdigest(),
        }


class ChunkPlace(msgspec.Struct, frozen=True):
    """What an id says.

    Attributes:
        name: The source, quoted; of a long one its SHA-256.
        ordinal: Among the chunks of its source, from 0.
    """

    name: str
    version: int
    ordinal: int


def source_name(source: str) -> str:
    """A stream's name as the first part of an id.

    What is not `A-Z a-z 0-9 . _ / -` is percent-encoded (RFC 3986 §2.1). One that leaves no room for the rest
    is named by its SHA-256: with a colon, which no quoted name has.
    """
    quoted = quote(source, safe="/").replace("~", "%7E")
    if len(quoted) <= MAX_ID_CHARACTERS - _LONGEST_TAIL:
        return quoted
    return f"sha256:{hashlib.sha256(source.encode()).hexdigest()}"


def source_prefix(source: str) -> str:
    """What the ids of a source begin with, and no other's."""
    return f"{source_name(source)}#"


def chunk_id(source: str, version: int, ordinal: int) -> str:
    """The id of a chunk: ASCII, at most 255 characters."""
    return f"{source_prefix(source)}v{version}#{ordinal:04d}"


def parse_chunk_id(text: str) -> ChunkPlace | None:
    """What an id says; None: it is none of ours."""
    found = _ID.fullmatch(text)
    if found is None:
        return None
    place = ChunkPlace(found[1], int(found[2]), int(found[3]))
    return place if f"{place.ordinal:04d}" == found[3] else None
