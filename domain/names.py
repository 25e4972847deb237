"""Names: their grammar, the streams made of them, and the path segment of an artifact's key.

The escape of keys is reversible and collision-free, even where a file system ignores case or
normalises Unicode: no two artifacts can meet in one path.
"""

import re
from functools import lru_cache

import msgspec

from domain.errors import Invalid

MAX_SEGMENT_BYTES = 90
_PROJECT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_KIND = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_RUN_ID = re.compile(r"[a-z0-9-]{1,36}")
_DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]", re.IGNORECASE)
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
_PLAIN = re.compile(
    r"(?!(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|\Z))[a-z0-9_](?:[a-z0-9._-]{0,88}[a-z0-9_-])?"
)
"""Keys that are their own escape: most of them."""
_SPELLED = tuple(chr(byte) if byte in _KEPT else f"={byte:02x}" for byte in range(256))
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_SEGMENT = re.compile(r"((?:[A-Za-z0-9._-]|=[0-9a-f]{2})+)(?:\+([0-9a-f]+))?")


class ArtifactStream(msgspec.Struct, frozen=True):
    """The stream of one artifact."""

    kind: str
    key: str


class RunStream(msgspec.Struct, frozen=True):
    """The stream of one implementation run."""

    run_id: str


class NamedStream(msgspec.Struct, frozen=True):
    """A stream that each project has once: `project` or `erasures`."""

    name: str


Stream = ArtifactStream | RunStream | NamedStream


def check_project(slug: str) -> None:
    """Refuse a slug that is not one DNS label of at most 32 characters.

    Raises:
        Invalid: `validation-failed`.
    """
    if _PROJECT.fullmatch(slug) is None:
        raise _invalid(
            "A project's slug has 1 to 32 of a-z, 0-9 and -, and no - at either end.", "/slug"
        )


@lru_cache(maxsize=256)  # a project has few, and names each one often
def check_kind(kind: str) -> None:
    """Refuse a kind that is not `[A-Z][A-Z0-9_]{0,31}`, or is a Windows device name."""
    if _KIND.fullmatch(kind) is None or _DEVICE.fullmatch(kind):
        raise _invalid(
            "A kind has 1 to 32 of A-Z, 0-9 and _, begins with a letter and is no device name.",
            "/kind",
        )


def check_run_id(run_id: str) -> None:
    """Refuse a run id that is not `[a-z0-9-]{1,36}`, or is a Windows device name: it is a folder."""
    if _RUN_ID.fullmatch(run_id) is None or _DEVICE.fullmatch(run_id):
        raise _invalid("A run id has 1 to 36 of a-z, 0-9 and -, and is no device name.", "/run_id")


def check_key(key: str) -> None:
    """Refuse a key that cannot become a path segment.

    Raises:
        Invalid: `validation-failed`, or `nul-character`.
    """
    escape_key(key)


def _check_characters(key: str) -> None:
    if "\0" in key:
        raise Invalid("nul-character", "A key must not contain NUL.", pointer="/key")
    if key in {"", ".", ".."} or "/" in key:
        raise _invalid("A key is not empty, not . or .., and has no slash.", "/key")
    if _CONTROL.search(key):
        raise _invalid("A key has no control characters.", "/key")
    if _SURROGATE.search(key):
        raise _invalid("A key has no half of a surrogate pair.", "/key")


def artifact_stream(kind: str, key: str) -> str:
    """The name of an artifact's stream, such as `artifact/PRD/main`."""
    check_kind(kind)
    check_key(key)
    return f"artifact/{kind}/{key}"


def run_stream(run_id: str) -> str:
    """The name of a run's stream, such as `run/r1`."""
    check_run_id(run_id)
    return f"run/{run_id}"


@lru_cache(maxsize=4_096)  # an append asks for each name several times
def parse_stream(name: str) -> Stream:
    """What a stream's name says; the inverse of the functions above.

    Raises:
        Invalid: `validation-failed`.
    """
    if name in {"project", "erasures"}:
        return NamedStream(name)
    first, _, rest = name.partition("/")
    if first == "run":
        check_run_id(rest)
        return RunStream(rest)
    kind, slash, key = rest.partition("/")
    if first == "artifact" and slash:
        check_kind(kind)
        check_key(key)
        return ArtifactStream(kind, key)
    raise _invalid("A stream is project, erasures, run/<id> or artifact/<KIND>/<key>.", "/stream")


def escape_key(key: str) -> str:
    """The path segment of a key: ASCII, safe on every file system, unique even without case.

    Bytes outside `A-Z a-z 0-9 . _ -` become `=` and two hex digits, and so do a dot at either end,
    a leading hyphen and the first letter of a device name; `+` and a bit mask in hex behind it say
    which of the kept letters are capitals.

    Raises:
        Invalid: The key is outside the grammar; see `check_key`.
    """
    if _PLAIN.fullmatch(key):
        return key
    _check_characters(key)
    segment = _escaped(key) if len(key) <= MAX_SEGMENT_BYTES else key
    if len(segment) > MAX_SEGMENT_BYTES:
        raise _invalid(f"A key has at most {MAX_SEGMENT_BYTES} bytes when escaped.", "/key")
    return segment


def unescape_key(segment: str) -> str:
    """The key of a path segment; refuses every segment that `escape_key` would not give.

    Raises:
        Invalid: `validation-failed`.
    """
    if _PLAIN.fullmatch(segment):
        return segment
    found = _SEGMENT.fullmatch(segment)
    if found is not None:
        parts = found[1].split("=")
        raw = parts[0].encode() + b"".join(
            bytes.fromhex(part[:2]) + part[2:].encode() for part in parts[1:]
        )
        try:
            key = raw.decode("utf-8")
            if escape_key(key) == segment:
                return key
        except (UnicodeDecodeError, Invalid):
            pass
    raise _invalid("This path segment is not an escaped key.", "/path")


def _escaped(key: str) -> str:
    raw = key.encode("utf-8")
    out = [_SPELLED[byte] for byte in raw]
    if raw[0] in b".-":
        out[0] = f"={raw[0]:02x}"
    if raw[-1] == 0x2E:
        out[-1] = "=2e"
    segment = "".join(out)
    if _DEVICE.fullmatch(segment.partition(".")[0]):
        out[0] = f"={raw[0]:02x}"
        segment = "".join(out)
    if segment == segment.lower():
        return segment
    letters = [part for part in out if len(part) == 1 and part.isalpha()]
    mask = sum(1 << index for index, letter in enumerate(letters) if letter.isupper())
    return f"{segment}+{mask:x}"


def _invalid(sentence: str, pointer: str) -> Invalid:
    return Invalid("validation-failed", sentence, pointer=pointer)
