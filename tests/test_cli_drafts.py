"""A text piped into a live draft: sent as it comes, over connections that break, and committed whole."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from app.cli import failure
from app.cli.drafting import READ_BYTES
from app.cli.root import run
from app.remote.client import Client
from app.remote.drafts import WAITS, DraftWriter, OpenDraft
from domain.errors import Conflict, Unavailable
from tests.draft_samples import Drafted, opened
from tests.run_commands import Typed
from tests.serving import Served
from tests.started_ledger import SECONDS

pytestmark = pytest.mark.usefixtures("command_line")

ROOT = Path(__file__).parent.parent
STREAM = ("artifact", "stream", "PRD", "main")
TEXT = "# Plan – one\n\nÆ 日本.\n" * 7_000


def test_what_is_piped_in_becomes_a_version(typed: Typed, served: Served, project: str) -> None:
    assert len(TEXT.encode()) > 2 * READ_BYTES
    made = json.loads(typed("--json", *STREAM, "--title", "The plan", given=TEXT.encode()))
    assert (made["kind"], made["key"], made["version"]) == ("PRD", "main", 1)
    assert typed("artifact", "get", "PRD", "main") == TEXT
    [listed] = json.loads(typed("--json", "artifact", "list"))
    assert (listed["title"], listed["media_type"]) == ("The plan", "text/markdown")
    assert served.ledger.log.head(project).size == 2
    plain = ("--media-type", "text/plain", "--expect", "1")
    assert json.loads(typed("--json", *STREAM, *plain, given=b"Two"))["version"] == 2
    assert json.loads(typed("--json", "artifact", "drafts")) == []


def test_a_draft_can_be_left_and_gone_on_with(typed: Typed, http: httpx2.Client) -> None:
    left = json.loads(typed("--json", *STREAM, "--no-commit", given="One Æ".encode()[:-1]))
    assert (left["state"], left["offset"]) == ("open", 5)
    assert "draft-open" in typed(*STREAM, given=b"x", expected=failure.CONFLICT)
    [listed] = json.loads(typed("--json", "artifact", "drafts"))
    assert (listed["kind"], listed["key"], listed["offset"]) == ("PRD", "main", 5)
    made = json.loads(typed("--json", *STREAM, "--resume", given="Æ".encode()[-1:] + b" two"))
    assert made["version"] == 1
    assert typed("artifact", "get", "PRD", "main") == "One Æ two"
    assert "draft-not-found" in typed(*STREAM, "--resume", expected=failure.NOT_FOUND)
    [done] = json.loads(typed("--json", "artifact", "drafts", "PRD", "main"))
    assert (done["state"], done["version"]) == ("committed", 1)


def test_what_the_commit_refuses_is_kept_and_can_be_abandoned(typed: Typed) -> None:
    said = typed(*STREAM, "--expect", "3", given=b"One", expected=failure.CONFLICT)
    assert "version-conflict" in said
    assert "is kept, with 3 bytes" in said
    assert "deedbook artifact stream PRD main --resume" in said
    assert typed("artifact", "drafts", "PRD", "main", "--abandon") == ""
    assert "draft-not-found" in typed(
        "artifact", "drafts", "PRD", "main", "--abandon", expected=failure.NOT_FOUND
    )
    [gone] = json.loads(typed("--json", "artifact", "drafts", "PRD", "main"))
    assert gone["state"] == "discarded"
    assert typed("artifact", "drafts") == ""


@pytest.mark.parametrize(
    "words",
    [
        (*STREAM, "--resume", "--title", "x"),
        (*STREAM, "--no-commit", "--expect", "1"),
        ("artifact", "drafts", "PRD"),
        ("artifact", "drafts", "--abandon"),
    ],
)
def test_words_that_do_not_go_together_are_refused(typed: Typed, words: tuple[str, ...]) -> None:
    assert "usage" in typed(*words, expected=failure.USAGE).lower()


def test_text_that_is_no_text_keeps_what_came_before(typed: Typed, http: httpx2.Client) -> None:
    said = typed(*STREAM, given=b"ok\0", expected=failure.USAGE)
    assert "nul-character" in said
    assert "is kept, with 0 bytes" in said


def test_ctrl_c_keeps_the_draft_and_says_how_to_go_on(
    served: Served, http: httpx2.Client, project: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "app", *STREAM],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as command:
        assert command.stdin is not None
        assert command.stderr is not None
        command.stdin.write(b"A small piece")
        command.stdin.flush()
        opening = command.stderr.readline()
        draft = Drafted(http, project)
        draft.path = f"{draft.drafts}/{opening.split()[1].decode()}"
        with served.client() as client, client.stream("GET", f"{draft.path}/stream") as response:
            for line in response.iter_lines():
                if "A small piece" in line:
                    break  # it was sent, though it is small and the input goes on
        command.send_signal(signal.SIGINT)
        said = command.stderr.read().decode()
        assert command.wait(SECONDS) == failure.INTERRUPTED
    assert "is kept, with 13 bytes" in said
    assert "--resume" in said
    assert draft.content() == "A small piece"


class Breaking(httpx2.BaseTransport):
    """A network that breaks where a test wants it: before a request arrives, or after.

    Args:
        plan: For each PATCH or HEAD in turn: "", "before" or "after"; then all goes well.
    """

    def __init__(self, plan: list[str]) -> None:
        self._plan = plan
        self._inner = httpx2.HTTPTransport()

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Pass a request on, or lose it or its answer."""
        watched = request.method in {"PATCH", "HEAD"} and self._plan
        what = self._plan.pop(0) if watched else ""
        if what == "before":
            raise httpx2.ReadError("lost")
        response = self._inner.handle_request(request)
        if what == "after":
            response.read()
            raise httpx2.ReadError("lost")
        return response

    def close(self) -> None:
        """Close what is below."""
        self._inner.close()


Writing = Callable[[list[str]], tuple[DraftWriter, list[float]]]


@pytest.fixture
def writing(served: Served, project: str) -> Iterator[Writing]:
    """A writer over a network that breaks, and how long it has waited."""
    clients: list[Client] = []

    def begin(plan: list[str]) -> tuple[DraftWriter, list[float]]:
        waits: list[float] = []
        client = Client(served.url, served.token, transport=Breaking(plan), wait=waits.append)
        clients.append(client)
        with served.client() as plain:
            draft = opened(plain, project)
        known = OpenDraft(draft.id, "open", 0)
        return DraftWriter(client, project, "PRD", "main", known, wait=waits.append), waits

    yield begin
    for client in clients:
        client.__exit__(None, None, None)


@pytest.mark.parametrize(
    "plan",
    [
        ["before"],
        ["after"],
        ["", "after", "before", "before"],
        ["before", "after", "after"],
        ["after", "before", "after", "", "before"],
    ],
)
def test_over_a_connection_that_breaks_every_byte_arrives_once(
    writing: Writing, plan: list[str]
) -> None:
    writer, waits = writing(plan)
    for piece in ("One ", "twö ", "three"):
        writer.write(piece.encode())
    assert waits
    assert writer.commit(0)["size_bytes"] == len("One twö three".encode())
    assert plan == []


def test_a_ledger_that_does_not_come_back_is_given_up(writing: Writing) -> None:
    writer, waits = writing(["before"] * 100)
    with pytest.raises(Unavailable):
        writer.write(b"x")
    assert waits.count(WAITS[-1]) >= 3
    assert writer.offset == 0


def test_somebody_else_who_writes_is_noticed(
    writing: Writing, http: httpx2.Client, project: str
) -> None:
    writer, _ = writing(["before", ""])
    [draft] = http.get(f"/v1/projects/{project}/drafts").json()["drafts"]
    other = Drafted(http, project)
    other.path = f"{other.drafts}/{draft['id']}"
    other.write("Something of theirs")
    with pytest.raises(Conflict) as caught:
        writer.write(b"mine")
    assert caught.value.code == "offset-mismatch"


def test_where_a_terminal_shows_progress_a_pipe_shows_none(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    assert run(("--quiet", *STREAM)) == failure.OK
    assert capfd.readouterr().err == ""
