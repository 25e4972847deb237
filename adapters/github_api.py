"""GitHub's API, through the `gh` command, which every runner of GitHub Actions has with a token in it."""

import re
import subprocess
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import urlencode

import msgspec

from domain.errors import Forbidden, Unavailable

ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_REASON_CHARACTERS = 300

Answer = TypeVar("Answer")


class GitHubApi:
    """Speaks to the API; what it may do is what `gh` was given.

    Args:
        program: The command.
    """

    def __init__(self, program: str = "gh") -> None:
        self._program = program

    def get(
        self, path: str, answer: type[Answer], params: Mapping[str, str] | None = None
    ) -> Answer:
        """Read one resource.

        Raises:
            Forbidden: `github-forbidden`.
            Unavailable: `github-refused`, `gh-missing`.
        """
        query = f"?{urlencode(params)}" if params else ""
        return self._call("GET", path + query, None, answer)

    def send(self, method: str, path: str, body: object, answer: type[Answer]) -> Answer:
        """Change one resource.

        Raises:
            Forbidden: `github-forbidden`.
            Unavailable: `github-refused`, `gh-missing`.
        """
        return self._call(method, path, body, answer)

    def _call(self, method: str, path: str, body: object, answer: type[Answer]) -> Answer:
        command = [self._program, "api", "--method", method, path]
        if body is not None:
            command += ["--input", "-"]
        try:
            done = subprocess.run(  # noqa: S603 - a list, without a shell; the path is made of checked parts
                command,
                input=b"" if body is None else msgspec.json.encode(body),
                capture_output=True,
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except OSError as error:
            raise Unavailable(
                "gh-missing", f"The command gh cannot be started: {error.strerror}."
            ) from None
        except subprocess.TimeoutExpired:
            raise Unavailable("github-refused", "GitHub did not answer in time.") from None
        if done.returncode != 0:
            raise _refusal(method, path, done.stderr)
        try:
            if len(done.stdout) > MAX_ANSWER_BYTES:
                raise msgspec.DecodeError("too long")
            return msgspec.json.decode(done.stdout, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable("github-refused", f"GitHub answered strangely: {error}.") from None


def _refusal(method: str, path: str, said: bytes) -> Forbidden | Unavailable:
    text = " ".join(said.decode("utf-8", "replace").split())[:MAX_REASON_CHARACTERS]
    if re.search(r"HTTP (401|403)\b", text):
        return Forbidden(
            "github-forbidden",
            f"GitHub does not allow {method} {path}: give the job `permissions: pull-requests: write`, "
            f"and its token as GH_TOKEN. It said: {text}",
        )
    return Unavailable("github-refused", f"GitHub refused {method} {path}: {text or 'silently'}")
