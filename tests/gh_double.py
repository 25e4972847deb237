"""A stand-in for the command `gh`: an executable that keeps pull requests and comments in a JSON file."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "octo-org/octo-repo"
BOT = "github-actions[bot]"


class GhDouble:
    """What GitHub knows, and what a test lets go wrong.

    Args:
        programs: The folder on PATH in which the command is to lie.
    """

    def __init__(self, programs: Path) -> None:
        self._file = programs / "github.json"
        self.put(pulls=[], comments=[], calls=[], refuse="")
        program = programs / "gh"
        program.write_text(
            f"#!{sys.executable} -P\nimport sys\nsys.path.insert(0, {str(Path(__file__).parent.parent)!r})\n"
            f"from tests.gh_double import answer\nsys.exit(answer({str(self._file)!r}))\n"
        )
        program.chmod(0o755)

    def put(self, **members: object) -> None:
        """Change what GitHub knows."""
        known = json.loads(self._file.read_text()) if self._file.exists() else {}
        self._file.write_text(json.dumps({**known, **members}))

    def known(self, name: str) -> Any:
        """What GitHub knows."""
        return json.loads(self._file.read_text())[name]

    @property
    def comments(self) -> list[dict[str, Any]]:
        """The comments that were made."""
        found: list[dict[str, Any]] = self.known("comments")
        return found


def answer(file: str) -> int:
    """Answer one call, as `gh api` would."""
    import os

    known = json.loads(Path(file).read_text())
    words = sys.argv[1:]
    assert words[:2] == ["api", "--method"], words
    method, path = words[2], urlsplit(words[3])
    body = json.loads(sys.stdin.read()) if words[4:] == ["--input", "-"] else {}
    known["calls"].append([method, words[3]])
    answered: Any = None
    code = 0
    query = {name: values[0] for name, values in parse_qs(path.query).items()}
    if os.environ.get("GH_TOKEN") != "a-token-of-the-job":
        sys.stderr.write("gh: To use GitHub CLI in a workflow, set GH_TOKEN\n")
        code = 4
    elif known["refuse"]:
        sys.stderr.write(known["refuse"])
        code = 1
    elif path.path == f"repos/{REPOSITORY}/pulls":
        answered = [one for one in known["pulls"] if one["asked_as"] == query["head"]]
    elif path.path.startswith(f"repos/{REPOSITORY}/issues/comments/"):
        [answered] = [
            one for one in known["comments"] if one["id"] == int(path.path.split("/")[-1])
        ]
        answered["body"] = body["body"]
    elif method == "POST":
        number = int(path.path.split("/")[4])
        answered = {
            "id": 1_000 + len(known["comments"]),
            "html_url": f"https://github.com/{REPOSITORY}/pull/{number}#issuecomment",
            "number": number,
            "body": body["body"],
            "user": {"login": BOT},
        }
        known["comments"].append(answered)
    else:
        number, size, page = (
            int(path.path.split("/")[4]),
            int(query["per_page"]),
            int(query["page"]),
        )
        there = [one for one in known["comments"] if one["number"] == number]
        answered = there[(page - 1) * size : page * size]
    Path(file).write_text(json.dumps(known))
    if code == 0:
        sys.stdout.write(json.dumps(answered))
    return code
