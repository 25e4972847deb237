"""Real git repositories, made in a folder of the test with an environment of their own."""

import os
import subprocess
from pathlib import Path

IDENTITY = {"name": "Ada", "email": "ada@example.com"}
START = 1_769_947_200  # 2026-02-01T12:00:00Z


class Repository:
    """A repository to fill: files by path, commits with names that are the same in every run."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self._commits = 0
        self.git("init", "--quiet", "--initial-branch=main", *options)

    def git(self, *arguments: str, given: bytes | None = None) -> str:
        """Run git there; answers its output without the last newline."""
        moment = f"{START + self._commits * 60} +0100"
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": IDENTITY["name"],
            "GIT_AUTHOR_EMAIL": IDENTITY["email"],
            "GIT_AUTHOR_DATE": moment,
            "GIT_COMMITTER_NAME": IDENTITY["name"],
            "GIT_COMMITTER_EMAIL": IDENTITY["email"],
            "GIT_COMMITTER_DATE": moment,
        }
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *arguments],
            cwd=self.folder,
            env=environment,
            input=given,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    def write(self, path: str | bytes, content: str | bytes) -> Path:
        """Write a file."""
        file = self.folder / os.fsdecode(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def remove(self, path: str) -> None:
        """Remove a file."""
        (self.folder / path).unlink()

    def commit(self, message: str = "A change", **files: str | bytes) -> str:
        """Commit everything that lies there, with `name="content"` written to `name.md` before."""
        for name, content in files.items():
            self.write(f"{name}.md", content)
        self._commits += 1
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--no-verify", "-m", message)
        return self.git("rev-parse", "HEAD")

    def branch(self, name: str, start: str = "HEAD") -> None:
        """Begin a branch."""
        self.git("switch", "--quiet", "-c", name, start)

    def switch(self, name: str) -> None:
        """Go to a branch."""
        self.git("switch", "--quiet", name)

    def merge(self, *branches: str, how: str = "ort") -> str:
        """Merge branches into this one."""
        self._commits += 1
        strategy = ["-s", how] if how == "ours" else []
        self.git("merge", "--quiet", "--no-ff", *strategy, "-m", "Merge", *branches)
        return self.git("rev-parse", "HEAD")

    def raw_commit(self, headers: bytes, message: bytes) -> str:
        """Put a commit object of any bytes on top; its tree is the one at HEAD."""
        tree, parent = self.git("rev-parse", "HEAD^{tree}"), self.git("rev-parse", "HEAD")
        raw = f"tree {tree}\nparent {parent}\n".encode() + headers + b"\n" + message
        sha = self.git("hash-object", "--literally", "-t", "commit", "-w", "--stdin", given=raw)
        self.git("update-ref", "refs/heads/main", sha)
        return sha
