"""A draft as its writer and its viewers have it over HTTP: for the tests of drafts."""

import json
import uuid
from collections.abc import Iterator
from html import unescape
from itertools import takewhile
from typing import Any

import httpx2

from domain.digest import digest_of

ARTIFACT = "PRD/main"


class Drafted:
    """One draft of an artifact, through one server."""

    def __init__(self, http: httpx2.Client, project: str, artifact: str = ARTIFACT) -> None:
        self.http = http
        self.project = project
        self.drafts = f"/v1/projects/{project}/artifacts/{artifact}/drafts"
        self.path = ""
        self.id = ""

    def open(self, **given: object) -> httpx2.Response:
        """Open it; the answer is the server's."""
        made = self.http.post(self.drafts, json=given)
        if made.status_code in {200, 201}:
            self.id = made.json()["id"]
            self.path = f"{self.drafts}/{self.id}"
        return made

    def through(self, http: httpx2.Client) -> "Drafted":
        """The same draft through another server."""
        other = Drafted(http, self.project)
        other.drafts, other.path, other.id = self.drafts, self.path, self.id
        return other

    def write(self, text: str | bytes, offset: int | None = None) -> httpx2.Response:
        """Add text, at the end if no offset is given."""
        piece = text.encode() if isinstance(text, str) else text
        at = self.offset() if offset is None else offset
        return self.http.patch(self.path, content=piece, headers={"Upload-Offset": str(at)})

    def offset(self) -> int:
        """As HEAD has it."""
        return int(self.http.head(self.path).headers["upload-offset"])

    def commit(self, text: str | None = None, **headers: str) -> httpx2.Response:
        """Commit it, with the digest of a text if one is given."""
        body = {} if text is None else {"sha256": digest_of(text.encode())}
        return self.http.post(f"{self.path}/commit", json=body, headers=headers)

    def content(self) -> str:
        """What is written."""
        return self.http.get(f"{self.path}/content").text


def opened(http: httpx2.Client, project: str, **given: object) -> Drafted:
    """A fresh draft."""
    draft = Drafted(http, project)
    made = draft.open(**given)
    assert made.status_code == 201, made.text
    return draft


def code(answer: httpx2.Response) -> tuple[int, str]:
    """Status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def new_id() -> str:
    """An id that nobody has used."""
    return str(uuid.uuid4())


class Viewer:
    """What a page shows of a stream, event by event."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines: Iterator[str] = response.iter_lines()
        self.blocks: list[str] = []
        self.sent: list[int] = []
        self.open: set[int] = set()
        self.ids: list[int] = []
        self.end: tuple[str, Any] | None = None

    @property
    def text(self) -> str:
        """What is to be read: that of the plain blocks."""
        return "".join(
            unescape(one.removeprefix("<pre>\n").removesuffix("</pre>")) for one in self.blocks
        )

    def until(self, text: str) -> "Viewer":
        """Read on until it shows a text."""
        while self.text != text:
            assert self.next() is not None, f"it ended with {self.text!r}"
        return self

    def finish(self) -> "Viewer":
        """Read to the end."""
        while self.next() is not None:
            pass
        return self

    def next(self) -> str | None:
        """Apply one more event; its name, or None at the end."""
        while True:
            lines = list(takewhile(bool, self._lines))
            if not lines:
                return None
            fields = dict(line.partition(": ")[::2] for line in lines)
            if "data" in fields:
                break
        name = fields["event"]
        data: Any = json.loads(fields["data"]) if name != "bye" else fields["data"]
        if "id" in fields:
            self.ids.append(int(fields["id"]))
        if name == "block":
            self.sent.append(data["i"])
            (self.open.add if data["open"] else self.open.discard)(data["i"])
            self.blocks[data["i"] : data["i"] + 1] = [data["html"]]
        elif name == "truncate":
            del self.blocks[data["n"] :]
        else:
            self.end = (name, data)
        return name
