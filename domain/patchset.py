"""Commits and patch sets: what was changed, by whom, and the manifest of the difference.

A patch set is the content of an artifact of kind PATCHSET: canonical JSON, so equal commits give
equal bytes on every machine. Renames are not guessed: a rename is a deletion and an addition,
because similarity search depends on git's version, limits and settings.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from domain import canonical
from domain.errors import Damaged, Invalid

SCHEMA: Final = "deedbook/patchset/v1"
MEDIA_TYPE = "application/json"
KIND = "PATCHSET"

Change = Literal["added", "modified", "deleted", "type_changed"]


class _Fact(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    pass


class FileChange(_Fact, frozen=True, kw_only=True):
    """One path that a commit changed, against its first parent.

    Attributes:
        path: As `path_text` spells it.
        old_mode: Octal as git prints it, `100644`; None when the path was not there.
        old_blob: The id of the old content; of the commit, for a submodule (mode `160000`).
        lines_added: None when there are no lines to count: binary content, or a submodule.
    """

    path: str
    change: Change
    old_mode: str | None = None
    new_mode: str | None = None
    old_blob: str | None = None
    new_blob: str | None = None
    lines_added: int | None = None
    lines_deleted: int | None = None


class Signature(_Fact, frozen=True, kw_only=True):
    """Who, and when; a time that git could not have meant is left out.

    Attributes:
        time: RFC 3339 in UTC, such as `2026-02-01T12:00:00Z`.
        offset: The offset from UTC that the person's clock had, such as `+01:00`.
    """

    name: str
    email: str
    time: str | None = None
    offset: str | None = None


class Commit(_Fact, frozen=True, kw_only=True):
    """One commit: its own statements, and what it changed.

    Attributes:
        parents: As the commit itself names them, also when a shallow clone lacks them.
        files: Against the first parent, in the order of paths; for a first commit, all added.
        parents_missing: The clone is shallow here: `files` lists the whole tree as added.
        lossy: Some bytes of the names or the message were no text, U+FFFD stands for them; the
            SHA still fixes the bytes.
        message_cut: The message was longer than the limit of the reader.
    """

    sha: str
    tree: str
    parents: tuple[str, ...] = ()
    author: Signature
    committer: Signature
    message: str
    files: tuple[FileChange, ...] = ()
    parents_missing: bool = False
    lossy: bool = False
    message_cut: bool = False


class CommitFacts(_Fact, frozen=True, kw_only=True):
    """A commit as a patch set lists it: without its files."""

    sha: str
    tree: str
    parents: tuple[str, ...] = ()
    author: Signature
    committer: Signature
    message: str
    parents_missing: bool = False
    lossy: bool = False
    message_cut: bool = False


class PatchSet(_Fact, frozen=True, kw_only=True):
    """Commits in order, and the manifest of what they changed together.

    Attributes:
        base: The commit that the difference starts from; None for a first commit.
        head: The last commit.
    """

    schema: Literal["deedbook/patchset/v1"]
    repository: str | None = None
    base: str | None = None
    head: str
    commits: tuple[CommitFacts, ...]
    diff_manifest: tuple[FileChange, ...]


def patchset_document(commit: Commit, repository: str | None = None) -> bytes:
    """The patch set of a single commit, as canonical JSON."""
    return canonical.write(
        PatchSet(
            schema=SCHEMA,
            repository=repository,
            base=commit.parents[0] if commit.parents and not commit.parents_missing else None,
            head=commit.sha,
            commits=(_facts(commit),),
            diff_manifest=commit.files,
        )
    )


def range_document(
    commits: Sequence[Commit],
    files: tuple[FileChange, ...],
    *,
    base: str,
    repository: str | None = None,
) -> bytes:
    """The patch set of the commits after `base`, in order, as canonical JSON.

    Args:
        commits: At least one, the head last.
        files: What they changed together, against `base`, in the order of paths.
        base: Where they start from.
        repository: Its address.
    """
    return canonical.write(
        PatchSet(
            schema=SCHEMA,
            repository=repository,
            base=base,
            head=commits[-1].sha,
            commits=tuple(_facts(commit) for commit in commits),
            diff_manifest=files,
        )
    )


def read_patchset(raw: bytes) -> PatchSet:
    """The patch set in a document; refuses bytes that `canonical.write` would not give.

    Raises:
        Damaged: `patchset-malformed`.
    """
    try:
        found = msgspec.json.decode(raw, type=PatchSet)
        if canonical.write(found) != raw:
            raise Damaged("patchset-malformed", "The patch set is not in canonical form.")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Damaged("patchset-malformed", f"This is not a patch set: {error}.") from None
    for change in found.diff_manifest:
        if not _stays_inside(change.path):
            raise Damaged(
                "patchset-malformed",
                f"The patch set changes {change.path[:80]!r}, which is no path in a repository.",
            )
    return found


def _facts(commit: Commit) -> CommitFacts:
    return CommitFacts(**{name: getattr(commit, name) for name in CommitFacts.__struct_fields__})


def _stays_inside(path: str) -> bool:
    """Whether git would take this path into a tree: relative, and never up or into its own folder."""
    try:
        segments = path_bytes(path).split(b"/")
    except Invalid:
        return False
    return not any(
        segment in {b"", b".", b".."} or b"\0" in segment or segment.lower() == b".git"
        for segment in segments
    )


def subject_of(message: str, limit: int = 200) -> str:
    """The first line of a commit message, without control characters; empty when there is none."""
    line = message.strip().partition("\n")[0][: 4 * limit]
    text = " ".join("".join(c if c.isprintable() else " " for c in line).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


_NAMED = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
_BYTES = {name: code for code, name in _NAMED.items()}
_QUOTED = re.compile(r"\\([0-3][0-7]{2}|.)|([^\\]+)", re.DOTALL)


def path_text(path: bytes) -> str:
    r"""A path of a repository as text; the inverse is `path_bytes`.

    Most paths are themselves. One with control characters, a quote, a backslash or bytes that are
    not UTF-8 is in double quotes with C escapes, as git prints it: `"a\377.md"`.
    """
    text = path.decode("utf-8", "surrogateescape")
    if not any(c < " " or c in '"\\\x7f' or "\ud800" <= c <= "\udfff" for c in text):
        return text
    return '"' + "".join(_quoted(c) for c in text) + '"'


def path_bytes(text: str) -> bytes:
    """The path that `path_text` spelled so; refuses every other spelling.

    Raises:
        Invalid: `validation-failed`.
    """
    raw = bytearray()
    inner = text[1:-1] if text.startswith('"') else ""
    for escape, plain in _QUOTED.findall(inner):
        if len(escape) == 3:
            raw.append(int(escape, 8))
        else:
            raw += bytes([_BYTES[escape]]) if escape in _BYTES else plain.encode("utf-8", "replace")
    path = bytes(raw) if text.startswith('"') else text.encode("utf-8", "replace")
    if path_text(path) != text:
        raise Invalid("validation-failed", "This is not the spelling of a path.", pointer="/path")
    return path


def _quoted(c: str) -> str:
    code = ord(c)
    if code in _NAMED:
        return "\\" + _NAMED[code]
    if code < 32 or code == 127:
        return f"\\{code:03o}"
    if 0xD800 <= code <= 0xDFFF:
        return f"\\{code - 0xDC00:03o}"
    return c
