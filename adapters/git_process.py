"""The `git` command, started so that neither the machine nor the repository decides what it does.

A repository is foreign data: its configuration can name programs to run and its remotes can ask for
passwords. So the environment is made from nothing, configuration outside the repository is not
read, no external differ, text converter, hook, pager or transport runs, and every answer is waited
for with a timeout. Arguments are lists; no shell is involved.
"""

import contextlib
import os
import selectors
import shutil
import subprocess
import tempfile
from typing import IO, Self

from domain.errors import Damaged, DeedbookError, Unavailable

ANSWER_SECONDS = 300.0
STOP_SECONDS = 5.0
MAX_RECORD_BYTES = 1024 * 1024
MAX_OUTPUT_BYTES = 1024 * 1024
_PIECE_BYTES = 128 * 1024

_EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
_ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C",
    "TZ": "UTC0",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_GRAFT_FILE": os.devnull,
}
_OPTIONS = (
    "--no-pager",
    "--no-replace-objects",
    "--no-optional-locks",
    "-c",
    "safe.directory=*",
    "-c",
    "safe.bareRepository=all",
    "-c",
    "core.quotePath=off",
    "-c",
    "core.attributesFile=" + os.devnull,
    "-c",
    "core.hooksPath=" + os.devnull,
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.commitGraph=false",
    "-c",
    "core.bigFileThreshold=32m",
    "-c",
    "protocol.allow=never",
    "-c",
    "advice.graftFileDeprecated=false",
)


class GitProcess:
    """One running git: questions go to its input, answers come from its output, in order.

    Close it, or use it in a `with`; a git that does not stop by itself is killed.
    """

    def __init__(self, command: list[str], cwd: str | None, environment: dict[str, str]) -> None:
        self._name = "git " + next((part for part in command if part in _WORDS), "")
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - a list, from constants and a checked path
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=cwd,
                env=environment,
                bufsize=0,
            )
        except OSError as error:
            self._errors.close()
            raise Unavailable("git-missing", f"git cannot be started: {error.strerror}.") from None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._ready = selectors.DefaultSelector()
        self._ready.register(self._output, selectors.EVENT_READ)
        self._buffer = bytearray()
        self._at = 0
        self._said = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, line: bytes) -> None:
        """Send a short line, or a few that are answered together.

        Raises:
            Damaged: `git-failed`, when git has ended.
        """
        try:
            self._input.write(line + b"\n")
        except OSError:
            raise self.failure() from None

    def asked(self) -> None:
        """Say that nothing more is asked; git answers what it has, and ends."""
        with contextlib.suppress(OSError):  # it has ended already, which its output will show
            self._input.close()

    def until(self, end: bytes) -> bytes:
        """The bytes before the next `end`, which is passed over; empty when git has no more.

        Raises:
            Damaged: `git-failed`, when the output ends within a record, or a record has no end.
            Unavailable: `git-timeout`.
        """
        self._forget()
        searched = 0
        while (found := self._buffer.find(end, self._at + searched)) < 0:
            searched = len(self._buffer) - self._at
            if searched > MAX_RECORD_BYTES:
                raise Damaged("git-failed", f"{self._name} wrote a record without end.")
            if not self._more():
                if searched:
                    raise self.failure()
                return b""
        record = bytes(self._buffer[self._at : found])
        self._at = found + len(end)
        return record

    def peek(self) -> bytes:
        """The next byte, without taking it; empty when git has no more."""
        if self._at == len(self._buffer) and not self._more():
            return b""
        return bytes(self._buffer[self._at : self._at + 1])

    def take(self, size: int) -> bytes:
        """Exactly `size` bytes.

        Raises:
            Damaged: `git-failed`, when git has fewer.
        """
        self._forget()
        while len(self._buffer) - self._at < size:
            if not self._more():
                raise self.failure()
        piece = bytes(self._buffer[self._at : self._at + size])
        self._at += size
        return piece

    def rest(self) -> bytes:
        """Everything until git ends.

        Raises:
            Damaged: `git-failed`, when it is more than MAX_OUTPUT_BYTES.
        """
        found = self.rest_within(MAX_OUTPUT_BYTES)
        if found is None:
            raise Damaged("git-failed", f"{self._name} wrote more than was asked for.")
        return found

    def rest_within(self, limit: int) -> bytes | None:
        """Everything until git ends, None when it is more than `limit` bytes."""
        while self._more():
            if len(self._buffer) - self._at > limit:
                return None
        return self.take(len(self._buffer) - self._at)

    def skip(self, size: int) -> None:
        """Pass over `size` bytes, in flat memory."""
        while size > 0:
            size -= len(self.take(min(size, _PIECE_BYTES)))

    def finish(self) -> None:
        """Wait for the end after the last answer.

        Raises:
            Damaged: `git-failed`, when git says that something went wrong.
        """
        self._input.close()
        try:
            status = self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise self._late() from None
        if status != 0:
            raise self.failure()

    def failure(self) -> Damaged:
        """What git said when it failed, as our error."""
        self.close()
        said = self.complaint()
        return Damaged(
            "git-failed",
            f"{self._name} failed: {said or 'it gave no reason'}. "
            "`git fsck` shows whether the repository is whole.",
        )

    def complaint(self) -> str:
        """The end of what git wrote to its error output, as one line; git must have ended."""
        return self._said

    def close(self) -> None:
        """Stop git and wait for it."""
        if self._errors.closed:
            return
        self._ready.close()
        self._output.close()
        with contextlib.suppress(OSError):  # git may have ended before it had read everything
            self._input.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - 2_000))
        said = self._errors.read().decode("utf-8", "replace")
        shown = "".join(c if c.isprintable() else " " for c in said)
        self._said = " ".join(shown.split()).rstrip(".")[-300:]
        self._errors.close()

    @property
    def status(self) -> int | None:
        """The exit status once git has ended."""
        return self._process.returncode

    def _more(self) -> bool:
        """Read on; False at the end of the output."""
        if not self._ready.select(ANSWER_SECONDS):
            raise self._late()
        piece = os.read(self._output.fileno(), _PIECE_BYTES)
        self._buffer += piece
        return bool(piece)

    def _forget(self) -> None:
        """Give back the memory of answers that were taken."""
        if self._at > _PIECE_BYTES or self._at == len(self._buffer):
            del self._buffer[: self._at]
            self._at = 0

    def _late(self) -> DeedbookError:
        self._process.kill()
        self.close()
        return Unavailable(
            "git-timeout", f"{self._name} gave no answer in {ANSWER_SECONDS:.0f} seconds."
        )


class Git:
    """How to start git for one repository.

    Raises:
        Unavailable: `git-missing`.
    """

    def __init__(self, git_dir: str | None = None, object_format: str | None = None) -> None:
        program = shutil.which("git")
        if program is None:
            raise Unavailable(
                "git-missing", "There is no git on PATH; install it to read a repository."
            )
        self._command = [program, *_OPTIONS]
        self._cwd = git_dir
        self._environment = dict(_ENVIRONMENT)
        if git_dir is not None:
            # In the git directory lies no .gitattributes, and the newer variable says so outright:
            # what counts as binary must not depend on what happens to be checked out.
            self._command += ["--git-dir=" + git_dir, "--bare"]
            self._environment["GIT_ATTR_SOURCE"] = _EMPTY_TREE[object_format or "sha1"]

    def start(self, *arguments: str) -> GitProcess:
        """A git that keeps running; see `GitProcess`."""
        return GitProcess([*self._command, *arguments], self._cwd, self._environment)

    def answer(self, *arguments: str) -> tuple[int, bytes, str]:
        """Exit status, output and complaint of a git that answers and ends."""
        with self.start(*arguments) as process:
            output = process.rest()
            process.close()
            return process.status or 0, output, process.complaint()


_WORDS = frozenset(
    {"rev-parse", "rev-list", "cat-file", "diff-tree", "ls-tree", "config", "merge-base"}
)
