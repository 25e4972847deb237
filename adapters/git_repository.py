"""A git repository, read commit by commit: what each changed, and its Markdown documents' versions.

Four processes read a repository of any size, in memory that one commit decides: `rev-list` names
the commits, `cat-file` gives their objects and the documents, `diff-tree` says what they changed
(for merges a second one, against the further parents). Only plumbing commands are used, and commit
objects are read raw: their output does not depend on anybody's settings.
"""

import os
import re
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from adapters.git_commit import parse_commit
from adapters.git_process import Git, GitProcess
from domain.documents import is_markdown
from domain.errors import Damaged, NotFound, TooLarge
from domain.patchset import Change, Commit, FileChange, path_text

MAX_DOCUMENT_BYTES = 16 * 1024 * 1024
MAX_COMMIT_BYTES = 1024 * 1024
MAX_RANGE_COMMITS = 900
"""Of one patch set: their names, of up to 64 digits each, fit into one event."""
MAX_RANGE_CHARACTERS = 16 * 1024 * 1024

_CHANGES: dict[bytes, Change] = {
    b"A": "added",
    b"M": "modified",
    b"D": "deleted",
    b"T": "type_changed",
}
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# A password with a slash in it ends what looks like the host: so an @ behind that is refused as well.
_URL = re.compile(
    r"(https?|ssh|git)://(?:[^/@]*@)?((?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?/[^?#@]*)"
    r"(?:[?#].*)?"
)
_SCP = re.compile(r"(?:[^/@:\s]+@)?([A-Za-z0-9.-]{2,}):([^:/\\?#@\s][^\\?#@\s]*)")
_FILE_MODES = frozenset({"100644", "100755", "100664"})
_SUBMODULE = "160000"
_DIFF = (
    "diff-tree",
    "--stdin",
    "-r",
    "--root",
    "-z",
    "--raw",
    "--no-commit-id",
    "--no-renames",
    "--no-abbrev",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
)
_PATCH = (
    "-c",
    "diff.suppressBlankEmpty=false",
    "diff-tree",
    "-r",
    "-p",
    "--binary",
    "--full-index",
    "--no-renames",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=none",
    "--submodule=short",
    "--diff-algorithm=myers",
    "--unified=3",
    "--src-prefix=a/",
    "--dst-prefix=b/",
)
_MARKDOWN = (":(top,icase)*.md", ":(top,icase)*.markdown")
_END = b"!"  # diff-tree echoes a line that names no object: the end of its answer


class Document(msgspec.Struct, frozen=True):
    """A Markdown document under version control at HEAD; paths as `path_text` spells them."""

    path: str
    blob: str


class DocumentVersion(msgspec.Struct, frozen=True):
    """A path of `Document`, and the content that one commit gave it."""

    path: str
    blob: str


class Step(msgspec.Struct, frozen=True):
    """One commit, and the new versions of documents that it brought, in the order of paths.

    `number` is its place in the whole history, from 1.
    """

    number: int
    commit: Commit
    documents: tuple[DocumentVersion, ...]


class Range(msgspec.Struct, frozen=True):
    """What lies between two commits: the commits in order, parents first, and what they changed."""

    base: str
    head: str
    commits: tuple[Commit, ...]
    files: tuple[FileChange, ...]


class GitRepository:
    """A repository at its HEAD, open for reading; use it in a `with`.

    Attributes:
        head: The commit at HEAD when it was opened; everything is read as of it.
        object_format: `sha1` or `sha256`.
        shallow: The clone lacks older commits.

    Raises:
        Unavailable: `git-missing`, `git-timeout`.
        NotFound: `git-not-a-repository`, `git-empty`.
        Damaged: `git-failed`, with what git said; also from every method.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        place = Path(path).absolute()
        status, output, said = Git().answer(
            "-C",
            os.fspath(place),
            "rev-parse",
            "--show-object-format",
            "--is-shallow-repository",
            "--absolute-git-dir",
        )
        if status != 0:
            if "dubious ownership" in said:
                raise Damaged(
                    "git-failed",
                    f"This git refuses to read {place}, which another user owns; "
                    "use git 2.38 or newer.",
                )
            raise NotFound(
                "git-not-a-repository",
                f"{place} is not in a git repository: {said or 'git gave no reason'}.",
            )
        object_format, shallow, git_dir = output.decode("utf-8", "surrogateescape").split("\n", 2)
        self.object_format = object_format
        self.shallow = shallow == "true"
        self._git = Git(git_dir.removesuffix("\n"), object_format)
        self.head = self._resolve_head(place)
        self._objects: GitProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the processes of this repository."""
        if self._objects is not None:
            self._objects.close()
            self._objects = None

    def count(self) -> int:
        """How many commits HEAD reaches."""
        status, output, said = self._git.answer("rev-list", "--count", self.head, "--")
        if status != 0:
            raise Damaged("git-failed", f"git rev-list failed: {said}.")
        return int(output)

    def origin(self) -> str | None:
        """The address of the remote `origin`, without user name and password; None if local or odd."""
        status, output, _ = self._git.answer("config", "--local", "--get", "remote.origin.url")
        address = output.decode("utf-8", "replace").strip()
        if status != 0 or not address.isprintable():
            return None
        if found := _URL.fullmatch(address):
            return f"{found[1]}://{found[2]}"
        if found := _SCP.fullmatch(address):
            return f"ssh://{found[1]}/{found[2]}"
        return None

    def commit(self, revision: str) -> str:
        """The commit that a revision such as `HEAD~2`, a branch, a tag or a short SHA names.

        Raises:
            NotFound: `git-revision-not-found`.
        """
        status, output = 1, b""
        if "\0" not in revision:  # no argument of a program can have it
            status, output, _ = self._git.answer(
                "rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"
            )
        if status != 0:
            raise NotFound(
                "git-revision-not-found",
                f"{revision[:80]!r} names no commit in this clone; fetch it first."
                + (" The clone is shallow." if self.shallow else ""),
            )
        return output.decode("ascii").strip()

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor of two commits, if the clone has one."""
        status, output, _ = self._git.answer("merge-base", one, other)
        return output.decode("ascii").strip() if status == 0 else None

    def between(self, base: str, head: str) -> Range:
        """The commits that `head` reaches and `base` does not, and the difference of the two.

        Raises:
            TooLarge: `git-range-too-large`: more than MAX_RANGE_COMMITS, or messages without end.
        """
        commits: list[Commit] = []
        size = 0
        with self._git.start(
            "rev-list",
            "--topo-order",
            "--reverse",
            "--parents",
            f"--max-count={MAX_RANGE_COMMITS + 1}",
            head,
            "^" + base,
            "--",
        ) as walk:
            while line := walk.until(b"\n"):
                sha, *parents = line.decode("ascii").split(" ")
                commits.append(self._commit(sha, parents, {}))
                size += len(commits[-1].message)
                if len(commits) > MAX_RANGE_COMMITS or size > MAX_RANGE_CHARACTERS:
                    raise TooLarge(
                        "git-range-too-large",
                        f"Between {base[:12]} and {head[:12]} lie more than {MAX_RANGE_COMMITS} "
                        "commits, or longer messages than one patch set holds; record it in parts.",
                    )
            walk.finish()
        with self._git.start(*_DIFF, "--numstat") as differ:
            changes = _diff(differ, head, [base])
        return Range(base, head, tuple(commits), tuple(one.file for one in changes.values()))

    def patch(self, base: str, head: str, limit: int) -> bytes | None:
        """The difference of two commits as `git apply` takes it; None above `limit` bytes."""
        with self._git.start(*_PATCH, base, head, "--") as differ:
            found = differ.rest_within(limit)
            if found is not None:
                differ.finish()
        return found

    def documents(self) -> Iterator[Document]:
        """The Markdown documents at HEAD, in the order of paths' bytes."""
        for path, blob in self._markdown_at(self.head):
            yield Document(path_text(path), blob)

    def history(self, recorded: AbstractSet[str] = frozenset()) -> Iterator[Step]:
        """The commits that HEAD reaches and that are not recorded, oldest first, parents first.

        A version of a document is a commit that gave it other content than it had last; deletions
        are none. Only documents that are there at HEAD are followed, each under its own path, and
        its last version is the one at HEAD. For that, a merge is compared with all its parents.

        Where some commits are recorded, what a document had last is not known before the first
        version given here, so that one may repeat it; and HEAD, when it is new, gives every document
        that is not known to be as it has it: another branch may have been recorded before. A commit
        that only recorded ones reach, as after a shallow clone was deepened, gives no documents:
        they would come after newer ones.

        Args:
            recorded: The names of commits to pass over; other names among them change nothing.
        """
        at_head = dict(self._markdown_at(self.head))
        latest: dict[bytes, str] = {}
        newer = self._newer(recorded) if recorded else None
        with (
            self._git.start(
                "rev-list", "--topo-order", "--reverse", "--parents", self.head, "--"
            ) as walk,
            self._git.start(*_DIFF, "--numstat") as differ,
            _Merges(self._git) as merges,
        ):
            number = 0
            while line := walk.until(b"\n"):
                number += 1
                sha, *parents = line.decode("ascii").split(" ")
                if sha in recorded:
                    continue
                changes = _diff(differ, sha, parents[:1])
                contents: dict[bytes, str] = {}
                if newer is None or sha in newer:
                    contents = _new_files(changes)
                    if len(parents) > 1:
                        contents |= merges.changed(sha, parents[1:])
                    if sha == self.head:
                        contents |= at_head
                versions = []
                for path in sorted(contents.keys() & at_head.keys()):
                    if latest.get(path) != contents[path]:
                        latest[path] = contents[path]
                        versions.append(DocumentVersion(path_text(path), contents[path]))
                yield Step(number, self._commit(sha, parents, changes), tuple(versions))
            walk.finish()

    def content(self, blob: str, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
        """The bytes of a blob.

        Raises:
            TooLarge: `git-blob-too-large`: more than `limit` bytes.
            NotFound: `git-blob-missing`: a partial clone, or a damaged repository.
        """
        size, content = self._object(blob, limit)
        if size > limit:
            raise TooLarge(
                "git-blob-too-large", f"The file has {size} bytes, the limit is {limit}."
            )
        return content

    def _resolve_head(self, place: Path) -> str:
        status, output, _ = self._git.answer("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        if status == 0:
            return output.decode("ascii").strip()
        status, _, _ = self._git.answer("rev-parse", "--verify", "--quiet", "HEAD")
        if status == 0:
            raise Damaged(
                "git-failed", f"HEAD of {place} names no commit; `git fsck` shows what is missing."
            )
        raise NotFound("git-empty", f"The repository at {place} has no commits yet; commit first.")

    def _newer(self, recorded: AbstractSet[str]) -> set[str]:
        """The commits of HEAD that no recorded one is or reaches."""
        with self._git.start("rev-list", "--ignore-missing", "--stdin") as walk:
            walk.ask(self.head.encode("ascii"))
            for name in recorded:
                if _COMMIT.fullmatch(name):
                    walk.ask(b"^" + name.encode("ascii"))
            walk.asked()
            found = set()
            while line := walk.until(b"\n"):
                found.add(line.decode("ascii"))
            walk.finish()
        return found

    def _markdown_at(self, commit: str) -> Iterator[tuple[bytes, str]]:
        """(path, blob) of the regular Markdown files in a commit's tree."""
        with self._git.start("ls-tree", "-r", "-z", "--full-tree", commit) as tree:
            while entry := tree.until(b"\0"):
                facts, _, path = entry.partition(b"\t")
                mode, _, blob = facts.decode("ascii").split(" ")
                if mode in _FILE_MODES and _is_markdown(path):
                    yield path, blob
            tree.finish()

    def _commit(self, sha: str, parents: list[str], changes: "dict[bytes, _Change]") -> Commit:
        size, raw = self._object(sha, MAX_COMMIT_BYTES)
        said = parse_commit(raw)
        return Commit(
            sha=sha,
            tree=said.tree,
            parents=said.parents,
            author=said.author,
            committer=said.committer,
            message=said.message,
            files=tuple(change.file for change in changes.values()),
            parents_missing=bool(said.parents) and not parents,
            lossy=said.lossy,
            message_cut=size > MAX_COMMIT_BYTES,
        )

    def _object(self, name: str, limit: int) -> tuple[int, bytes]:
        """An object's size, and its first `limit` bytes."""
        if self._objects is None:
            self._objects = self._git.start("cat-file", "--batch")
        self._objects.ask(name.encode("ascii"))
        answer = self._objects.until(b"\n").split(b" ")
        if len(answer) != 3:
            if not answer[-1]:
                raise self._objects.failure()
            raise NotFound(
                "git-blob-missing",
                f"The object {name} is not in this clone; fetch it whole, or run `git fsck`.",
            )
        size = int(answer[2])
        content = self._objects.take(min(size, limit))
        self._objects.skip(size - len(content) + 1)
        return size, content


class _Change(msgspec.Struct, frozen=True):
    file: FileChange
    content: str | None


class _Merges:
    """Compares merges with their further parents; its process starts with the first merge."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._differ: GitProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._differ is not None:
            self._differ.close()

    def changed(self, sha: str, parents: list[str]) -> dict[bytes, str]:
        """The Markdown files of the merge that at least one of the parents has otherwise."""
        if self._differ is None:
            self._differ = self._git.start(*_DIFF, "--", *_MARKDOWN)
        contents: dict[bytes, str] = {}
        for parent in parents:
            contents |= _new_files(_diff(self._differ, sha, [parent]))
        return contents


def _new_files(changes: dict[bytes, _Change]) -> dict[bytes, str]:
    return {path: one.content for path, one in changes.items() if one.content is not None}


def _is_markdown(path: bytes) -> bool:
    return is_markdown(path.decode("utf-8", "replace"))


def _diff(differ: GitProcess, sha: str, parents: list[str]) -> dict[bytes, _Change]:
    """What a commit changed against the named parent, or against nothing, by path."""
    differ.ask(" ".join([sha, *parents]).encode("ascii") + b"\n" + _END)
    raw: dict[bytes, tuple[list[bytes], Change]] = {}
    while differ.peek() == b":":
        facts = differ.until(b"\0")[1:].split(b" ")
        change = _CHANGES.get(facts[-1][:1])
        if len(facts) != 5 or change is None:
            raise Damaged("git-failed", f"git diff-tree wrote {facts!r}.")
        raw[differ.until(b"\0")] = facts, change
    lines: dict[bytes, tuple[int, int] | None] = {}
    while differ.peek() not in {_END, b""}:
        added, deleted, path = differ.until(b"\0").split(b"\t", 2)
        lines[path] = None if added == b"-" else (int(added), int(deleted))
    if differ.until(b"\n") != _END:
        raise differ.failure()
    return {
        path: _change(path, facts, change, lines.get(path)) for path, (facts, change) in raw.items()
    }


def _change(
    path: bytes, facts: list[bytes], change: Change, lines: tuple[int, int] | None
) -> _Change:
    old_mode, new_mode, old_blob, new_blob = (fact.decode("ascii") for fact in facts[:4])
    if _SUBMODULE in {old_mode, new_mode}:
        lines = None
    is_document = new_mode in _FILE_MODES and _is_markdown(path)
    return _Change(
        FileChange(
            path=path_text(path),
            change=change,
            old_mode=old_mode if old_mode.strip("0") else None,
            new_mode=new_mode if new_mode.strip("0") else None,
            old_blob=old_blob if old_blob.strip("0") else None,
            new_blob=new_blob if new_blob.strip("0") else None,
            lines_added=lines[0] if lines else None,
            lines_deleted=lines[1] if lines else None,
        ),
        new_blob if is_document else None,
    )
