"""The HTTP client: what it repeats, what it refuses, and how a download goes on."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from app.remote.client import Client
from domain.errors import (
    Conflict,
    Damaged,
    DeedbookError,
    Forbidden,
    Gone,
    Invalid,
    Malformed,
    NotFound,
    StaleVersion,
    TooLarge,
    Unauthenticated,
    Unavailable,
)

Handler = Callable[[httpx2.Request], httpx2.Response]
CONTENT = bytes(range(256)) * 4096
ETAG = '"layout-1"'
PATH = "/v1/projects/p/exports/9.zip"


def client(handler: Handler, token: str | None = None) -> Client:
    return Client(
        "http://ledger.test",
        token,
        transport=httpx2.MockTransport(handler),
        wait=lambda _seconds: None,
    )


def repr_digest(content: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Malformed),
        (401, Unauthenticated),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (410, Gone),
        (412, StaleVersion),
        (413, TooLarge),
        (422, Invalid),
        (500, Unavailable),
        (503, Unavailable),
    ],
)
def test_a_problem_becomes_the_error_it_stands_for(status: int, kind: type[DeedbookError]) -> None:
    problem = {
        "code": "some-code",
        "detail": "What is wrong.",
        "status": status,
        "current_version": 7,
        "errors": [{"pointer": "/events/0", "detail": "…"}],
    }
    answering = client(lambda _: httpx2.Response(status, json=problem))
    with answering as http, pytest.raises(kind) as caught:
        http.get("/v1/projects", dict[str, object])
    assert (caught.value.code, caught.value.detail) == ("some-code", "What is wrong.")
    assert caught.value.pointer == "/events/0"
    assert caught.value.members == {"current_version": 7}


def test_an_answer_that_is_no_problem_still_gives_one_sentence() -> None:
    answering = client(lambda _: httpx2.Response(502, text="<html>Bad gateway"))
    with answering as http, pytest.raises(Unavailable) as caught:
        http.get("/v1/projects", dict[str, object])
    assert caught.value.code == "http-502"


def test_an_answer_that_is_not_json_is_not_taken_for_a_ledger() -> None:
    answering = client(lambda _: httpx2.Response(200, text="<html>"))
    with answering as http, pytest.raises(Unavailable) as caught:
        http.get("/v1/projects", dict[str, object])
    assert caught.value.code == "unexpected-answer"


def test_a_token_does_not_travel_on_a_redirect() -> None:
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.url.host)
        return httpx2.Response(307, headers={"Location": "http://elsewhere.test/v1"})

    with client(handler, "secret") as http, pytest.raises(Malformed) as caught:
        http.get("/v1/projects", dict[str, object])
    assert caught.value.code == "redirected"
    assert seen == ["ledger.test"]


def test_a_repeatable_request_survives_a_lost_answer_and_another_does_not() -> None:
    calls: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.method)
        if len(calls) == 1:
            raise httpx2.ReadError("connection reset")
        return httpx2.Response(200, json={"done": True})

    with client(handler) as http:
        assert http.post("/x", {}, dict[str, object], repeatable=True) == {"done": True}
        assert len(calls) == 2
        calls.clear()
        with pytest.raises(Unavailable):
            http.post("/x", {}, dict[str, object])
        assert len(calls) == 1


def test_a_server_that_was_never_there_is_said_at_once() -> None:
    calls: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        calls.append(request.method)
        raise httpx2.ConnectError("refused")

    with client(handler) as http, pytest.raises(Unavailable) as caught:
        http.get("/x", dict[str, object])
    assert caught.value.code == "server-unreachable"
    assert len(calls) == 1


def test_an_url_that_is_none_is_refused() -> None:
    with pytest.raises(Malformed):
        Client("ledger.test")


class Server:
    """Serves CONTENT by ranges, and breaks off after some bytes of some answers."""

    def __init__(self, content: bytes = CONTENT, *, breaks: tuple[int, ...] = ()) -> None:
        self.content = content
        self.announced = content
        self.breaks = list(breaks)
        self.ranges: list[str | None] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        headers = {"ETag": ETAG, "Repr-Digest": repr_digest(self.announced)}
        if request.method == "HEAD":
            return httpx2.Response(
                200, headers={**headers, "Content-Length": str(len(self.content))}
            )
        self.ranges.append(request.headers.get("Range"))
        start, status = 0, 200
        if "Range" in request.headers and request.headers["If-Range"] == ETAG:
            start, status = int(request.headers["Range"][6:-1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        rest = self.content[start:]
        if self.breaks:
            return httpx2.Response(
                status, headers=headers, stream=Breaking(rest, self.breaks.pop(0))
            )
        return httpx2.Response(status, headers=headers, stream=httpx2.ByteStream(rest))


class Breaking(httpx2.SyncByteStream):
    """The start of a body, and then a lost connection."""

    def __init__(self, content: bytes, after: int) -> None:
        self._content, self._after = content, after

    def __iter__(self) -> Iterator[bytes]:
        yield self._content[: self._after]
        raise httpx2.ReadError("connection reset")


def test_a_download_goes_on_where_the_connection_broke(tmp_path: Path) -> None:
    server = Server(breaks=(300_000, 200_000))
    part = tmp_path / "x.part"
    with client(server) as http:
        done = http.download(PATH, part)
    assert part.read_bytes() == CONTENT
    assert done.digest == "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]


def test_a_download_goes_on_from_what_an_earlier_command_left(tmp_path: Path) -> None:
    server = Server()
    part = tmp_path / "x.part"
    part.write_bytes(CONTENT[:1000])
    with client(server) as http:
        done = http.download(PATH, part)
    assert part.read_bytes() == CONTENT
    assert done.resumed == 1000
    assert server.ranges == ["bytes=1000-"]


@pytest.mark.parametrize("left", [1000, len(CONTENT), len(CONTENT) + 5])
def test_the_start_of_another_file_is_thrown_away(tmp_path: Path, left: int) -> None:
    part = tmp_path / "x.part"
    part.write_bytes(b"\xff" * left)
    with client(Server()) as http:
        http.download(PATH, part)
    assert part.read_bytes() == CONTENT


def test_bytes_that_are_not_the_announced_ones_are_refused_and_removed(tmp_path: Path) -> None:
    server = Server()
    server.announced = b"something else"
    part = tmp_path / "x.part"
    with client(server) as http, pytest.raises(Damaged) as caught:
        http.download(PATH, part)
    assert caught.value.code == "digest-mismatch"
    assert not part.exists()


def test_a_download_that_breaks_again_and_again_ends_and_keeps_what_came(tmp_path: Path) -> None:
    server = Server(breaks=(10, 10, 10, 10, 10))
    part = tmp_path / "x.part"
    with client(server) as http, pytest.raises(Unavailable):
        http.download(PATH, part)
    assert part.read_bytes() == CONTENT[:40]
