"""The lists inside an export: what every file is, and the manifests of its bag (RFC 8493).

`data/manifest.json` is one canonical JSON object. Its `files` are in order of path and name every
other file below `data/` by path, size in bytes and digest, with what it is; its `erased` (absent
when empty) are contents that the ledger has erased, by digest and the position that says so.
"""

from collections.abc import Iterable

import msgspec

from domain import canonical
from domain.digest import format_digest

MANIFEST_PATH = "data/manifest.json"
EVENTS_PATH = "data/events.jsonl"
LEAVES_PATH = "data/leaves.txt"
TREE_PATH = "data/tree.json"
README_PATH = "data/README.md"
BAG_PATH = "bagit.txt"
BAG_INFO_PATH = "bag-info.txt"
PAYLOAD_LIST_PATH = "manifest-sha256.txt"
TAG_LIST_PATH = "tagmanifest-sha256.txt"

BAG_DECLARATION = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"


class Described(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What a content is: `what`, and the artifact version or the run's record that it belongs to.

    Attributes:
        what: artifact, original, citations, run, record, events, leaves, tree or readme.
        version: The version in the artifact's or the run's stream.
        position: The position of the event that names the content.
    """

    what: str | None = None
    kind: str | None = None
    key: str | None = None
    run: str | None = None
    version: int | None = None
    position: int | None = None
    media_type: str | None = None


class ManifestFile(Described, frozen=True, kw_only=True, gc=False):
    """A file of the export."""

    path: str
    size_bytes: int
    digest: str


class ErasedContent(Described, frozen=True, kw_only=True, gc=False):
    """A content that belongs here and was erased; `erased_at` is the position that records it."""

    digest: str
    size_bytes: int
    erased_at: int


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of `data/manifest.json`."""

    files: tuple[ManifestFile, ...]
    erased: tuple[ErasedContent, ...] = ()


class Tree(msgspec.Struct, frozen=True):
    """All of `data/tree.json`: the log's origin, its size and its root (RFC 6962)."""

    origin: str
    root: str
    size: int


def encode_manifest(manifest: Manifest) -> bytes:
    """The bytes of `data/manifest.json`."""
    return canonical.write(manifest)


def encode_tree(origin: str, root: bytes, size: int) -> bytes:
    """The bytes of `data/tree.json`."""
    return canonical.write(Tree(origin, format_digest(root), size))


def bag_info(*, format_version: int, scope: str, origin: str, size: int, oxum: str) -> bytes:
    """The bytes of `bag-info.txt`: nothing that is not a function of the log."""
    return (
        f"Deedbook-Format: {format_version}\n"
        f"Deedbook-Scope: {scope}\n"
        f"External-Identifier: {origin}@{size}\n"
        f"Payload-Oxum: {oxum}\n"
    ).encode()


def digest_lines(files: Iterable[tuple[str, bytes]]) -> bytes:
    """A list as `sha256sum -c` reads it, from paths in order and raw SHA-256s."""
    return b"".join(digest_line(path, sha256) for path, sha256 in files)


def digest_line(path: str, sha256: bytes) -> bytes:
    """One line of such a list."""
    return f"{sha256.hex()}  {path}\n".encode()
