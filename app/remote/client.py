"""A ledger seen over HTTP: requests with timeouts and careful retries, and problems as our errors.

Only what is safe to repeat is repeated: reads, uploads (named by their digest), and appends, whose
events carry ids so that a repeat gets the first answer.
"""

import base64
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
import msgspec

from app.version import VERSION
from domain.digest import digest_of, format_digest
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

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 60.0
IDLE_STREAM_SECONDS = 45.0
"""A followed stream sends a heartbeat every 15 seconds; three missed ones mean that it is dead."""
RETRY_WAITS = (0.2, 1.0, 3.0)
MAX_RETRY_AFTER_SECONDS = 10.0
MAX_PROBLEM_BYTES = 1_000_000
PIECE_BYTES = 256 * 1024
PAGE = 500
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

ERRORS: Mapping[int, type[DeedbookError]] = {
    400: Malformed,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    412: StaleVersion,
    413: TooLarge,
    428: StaleVersion,
    431: TooLarge,
}
RETRIED_STATUSES = frozenset({429, 502, 503, 504})

Answer = TypeVar("Answer")
Params = Mapping[str, str | int | None]


class Problem(msgspec.Struct, frozen=True):
    """What of an RFC 9457 problem the command line uses."""

    code: str = ""
    detail: str = ""
    title: str = ""
    request_id: str | None = None
    errors: list[dict[str, object]] = []


class Downloaded(msgspec.Struct, frozen=True):
    """A file that was fetched and checked."""

    size_bytes: int
    digest: str
    resumed: int = 0


class Client:
    """Speaks to one ledger; a context manager.

    Args:
        url: The ledger's address, without `/v1`.
        token: The API token, if there is one.
        transport: Instead of the network, for tests.
        wait: Sleeps for that many seconds.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        transport: httpx2.BaseTransport | None = None,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Malformed(
                "invalid-parameter", f"{url!r} is not a URL like http://127.0.0.1:8000."
            )
        headers = {"User-Agent": f"deedbook/{VERSION}", "Accept-Encoding": "identity"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self.url = url.rstrip("/")
        self._wait = wait
        self._answered = False
        self._http = httpx2.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,  # a token must not travel on to another host
            trust_env=parts.hostname not in LOOPBACK,  # no proxy stands before this machine
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def get(self, path: str, answer: type[Answer], params: Params | None = None) -> Answer:
        """Read one resource."""
        return self._decode(self._send("GET", path, params=params), answer)

    def post(
        self,
        path: str,
        body: object,
        answer: type[Answer],
        *,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Answer:
        """Send a JSON body, or none; `repeatable` says that sending it twice does no harm."""
        kind = {} if body is None else {"Content-Type": "application/json"}
        return self._decode(
            self._send(
                "POST",
                path,
                content=None if body is None else msgspec.json.encode(body),
                headers={**kind, **(headers or {})},
                repeatable=repeatable,
            ),
            answer,
        )

    def post_for_content(self, path: str, body: object, *, accept: str) -> bytes:
        """Send a JSON body, and take bytes; the request is one that can be repeated."""
        headers = {"Content-Type": "application/json", "Accept": accept}
        return self._send("POST", path, content=msgspec.json.encode(body), headers=headers).content

    def patch(
        self,
        path: str,
        body: object,
        answer: type[Answer],
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Change one resource."""
        return self._decode(
            self._send(
                "PATCH",
                path,
                content=msgspec.json.encode(body),
                headers={"Content-Type": "application/json", **(headers or {})},
                repeatable=False,
            ),
            answer,
        )

    def patch_bytes(
        self, path: str, content: bytes, headers: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Send bytes as they are, once: the caller knows what to do when the answer is lost."""
        kind = {"Content-Type": "application/octet-stream"}
        return self._once("PATCH", path, content=content, headers={**kind, **headers}).headers

    def delete(self, path: str) -> None:
        """Remove one resource."""
        self._send("DELETE", path)

    def remove(self, path: str, answer: type[Answer]) -> Answer:
        """Remove one resource, and read what that did."""
        return self._decode(self._send("DELETE", path), answer)

    def put_blob(self, project: str, content: bytes) -> str:
        """Upload content before the append that names it; answers its digest."""
        digest = digest_of(content)
        self._send(
            "PUT",
            f"/v1/projects/{segment(project)}/blobs/{digest}",
            content=content,
            headers={"Content-Type": "application/octet-stream"},
        )
        return digest

    def post_content(
        self,
        path: str,
        content: bytes,
        media_type: str,
        answer: type[Answer],
        *,
        headers: Mapping[str, str],
    ) -> Answer:
        """Send bytes as they are, with a key in the headers that makes a repeat harmless."""
        response = self._send(
            "POST", path, content=content, headers={"Content-Type": media_type, **headers}
        )
        return self._decode(response, answer)

    def post_file(self, path: str, file: BinaryIO, media_type: str, answer: type[Answer]) -> Answer:
        """Send a file's bytes, in pieces."""
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        response = self._once(
            "POST",
            path,
            content=iter(lambda: file.read(PIECE_BYTES), b""),
            headers={"Content-Type": media_type, "Content-Length": str(size)},
        )
        return self._decode(response, answer)

    def content(
        self,
        path: str,
        *,
        accept: str = "*/*",
        params: Params | None = None,
    ) -> tuple[bytes, str]:
        """Bytes and media type of one resource, checked against its digest."""
        response = self._send("GET", path, params=params, headers={"Accept": accept})
        _check_announced(response.headers, hashlib.sha256(response.content).digest())
        media_type = response.headers.get("Content-Type", "application/octet-stream")
        return response.content, media_type.partition(";")[0].strip()

    def head(self, path: str, params: Params | None = None) -> Mapping[str, str]:
        """The headers of one resource."""
        return self._send("HEAD", path, params=params).headers

    @contextmanager
    def stream(
        self,
        path: str,
        *,
        accept: str,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        idle_seconds: float = ANSWER_SECONDS,
    ) -> Iterator[httpx2.Response]:
        """An answer that is read while it arrives; network failures come out as `Unavailable`."""
        timeout = httpx2.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS, read=idle_seconds)
        with (
            self._translated(),
            self._http.stream(
                "GET",
                path,
                params=_present(params),
                headers={"Accept": accept, **(headers or {})},
                timeout=timeout,
            ) as response,
        ):
            if response.status_code >= 400:
                response.read()
            self._refuse(response)
            yield response

    def download(
        self,
        path: str,
        part: Path,
        *,
        params: Params | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> Downloaded:
        """Fetch a file into `part`, going on where an earlier attempt stopped.

        Raises:
            Damaged: `digest-mismatch`: what arrived is not what the ledger announced.
        """
        headers = self.head(path, params)
        etag = headers.get("ETag")
        total = _whole_number(headers.get("Content-Length"))
        resumed = 0
        failures = 0
        while True:
            have = part.stat().st_size if part.exists() else 0
            resuming = etag is not None and have > 0 and (total is None or have <= total)
            try:
                if resuming and have == total:
                    resumed = have
                else:
                    wanted = {"Range": f"bytes={have}-", "If-Range": str(etag)} if resuming else {}
                    with self.stream(
                        path, accept="application/zip", params=params, headers=wanted
                    ) as response:
                        keep = have if response.status_code == 206 else 0
                        resumed = max(resumed, keep)
                        etag, total = response.headers.get("ETag"), _total(response) or total
                        _write(response, part, keep, total, progress)
                return self._checked(path, params, part, headers, total, resumed)
            except Damaged:
                part.unlink(missing_ok=True)
                # What was there before may have been the start of another file: begin once more.
                if not resumed:
                    raise
                resumed = 0
            except Unavailable as error:
                if error.code == "server-unreachable" or failures == len(RETRY_WAITS):
                    raise
                self._wait(RETRY_WAITS[failures])
                failures += 1

    def _checked(
        self,
        path: str,
        params: Params | None,
        part: Path,
        headers: Mapping[str, str],
        total: int | None,
        resumed: int,
    ) -> Downloaded:
        """The file that arrived, if it is whole and the announced one."""
        size = part.stat().st_size
        if total is not None and size != total:
            raise Unavailable("connection-lost", f"Only {size} of {total} bytes have arrived.")
        digest = _sha256_of(part)
        if announced_sha256(headers) is None:
            # A ledger knows an export's digest once it was sent whole for the first time.
            headers = self.head(path, params)
        _check_announced(headers, digest)
        return Downloaded(size, format_digest(digest), resumed)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = True,
    ) -> httpx2.Response:
        """One request, repeated after a lost connection or a busy server if that is safe."""
        for wait in (*RETRY_WAITS, None):
            try:
                return self._once(method, path, params=params, content=content, headers=headers)
            except Unavailable as error:
                first_contact = error.code == "server-unreachable" and not self._answered
                if wait is None or not repeatable or first_contact or error.code == "internal":
                    raise
                asked = error.members.get("retry_after")
                self._wait(min(max(wait, int(asked or 0)), MAX_RETRY_AFTER_SECONDS))
        raise AssertionError

    def _once(
        self,
        method: str,
        path: str,
        *,
        params: Params | None = None,
        content: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        with self._translated():
            response = self._http.request(
                method, path, params=_present(params), content=content, headers=dict(headers or {})
            )
        self._refuse(response)
        return response

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The network's failures as ours."""
        try:
            yield
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise Unavailable(
                "server-unreachable", f"No ledger answers at {self.url}: {error}."
            ) from None
        except httpx2.TimeoutException:
            raise Unavailable("timeout", f"{self.url} did not answer in time.") from None
        except httpx2.TransportError as error:
            reason = str(error) or type(error).__name__
            raise Unavailable(
                "connection-lost", f"The connection to {self.url} broke: {reason}."
            ) from None

    def _refuse(self, response: httpx2.Response) -> None:
        self._answered = True
        if 300 <= response.status_code < 400:
            place = response.headers.get("Location", "elsewhere")
            raise Malformed(
                "redirected", f"{self.url} points to {place}; give that address with --url."
            )
        if response.status_code >= 400:
            raise error_of(response)

    def _decode(self, response: httpx2.Response, answer: type[Answer]) -> Answer:
        try:
            return msgspec.json.decode(response.content, type=answer)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Unavailable(
                "unexpected-answer",
                f"{response.request.url.path} did not answer like a ledger: {error}.",
            ) from None


def segment(text: str) -> str:
    """One segment of a URL's path."""
    return quote(text, safe="")


def pages(
    client: Client, path: str, name: str, params: Params | None = None
) -> Iterator[dict[str, object]]:
    """Everything in a list that comes in pages, by its `next`."""
    after: str | int | None = None
    while True:
        page = client.get(
            path, dict[str, object], {**(params or {}), "after": after, "limit": PAGE}
        )
        found = page.get(name)
        if not isinstance(found, list):
            raise Unavailable("unexpected-answer", f"{path} did not answer with {name}.")
        yield from found
        following = page.get("next")
        if not isinstance(following, str | int) or following == after:
            return
        after = following


def error_of(response: httpx2.Response) -> DeedbookError:
    """The error that a problem answer (RFC 9457) stands for."""
    status = response.status_code
    raw = response.content[:MAX_PROBLEM_BYTES]
    members: dict[str, int | str] = {}
    try:
        problem = msgspec.json.decode(raw, type=Problem)
        extra = msgspec.json.decode(raw, type=dict[str, object])
        members = {name: value for name, value in extra.items() if isinstance(value, int | str)}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        problem = Problem()
    for name in ("type", "title", "status", "detail", "code", "instance"):
        members.pop(name, None)
    retry_after = _whole_number(response.headers.get("Retry-After"))
    if retry_after is not None:
        members["retry_after"] = retry_after
    kind = ERRORS.get(status, Invalid if status < 500 and status != 429 else Unavailable)
    pointer = next((str(one["pointer"]) for one in problem.errors if "pointer" in one), None)
    return kind(
        problem.code or f"http-{status}",
        problem.detail or problem.title or f"The server answered with status {status}.",
        pointer=pointer,
        members=members,
    )


def _present(params: Params | None) -> dict[str, str | int]:
    return {name: value for name, value in (params or {}).items() if value is not None}


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _total(response: httpx2.Response) -> int | None:
    """The size of the whole file, from an answer with all or the rest of it."""
    if response.status_code == 206:
        return _whole_number(response.headers.get("Content-Range", "").rpartition("/")[2])
    return _whole_number(response.headers.get("Content-Length"))


def _write(
    response: httpx2.Response,
    part: Path,
    keep: int,
    total: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    if keep:
        start = response.headers.get("Content-Range", "")
        if not start.startswith(f"bytes {keep}-"):
            raise Damaged("digest-mismatch", f"The server went on at {start!r}, not at {keep}.")
    done = keep
    with part.open("r+b" if keep else "wb") as file:
        file.truncate(keep)
        file.seek(keep)
        for piece in response.iter_raw():
            file.write(piece)
            done += len(piece)
            if progress is not None:
                progress(done, total)
        file.flush()
        os.fsync(file.fileno())


def _sha256_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def announced_sha256(headers: Mapping[str, str]) -> bytes | None:
    """The SHA-256 in Repr-Digest (RFC 9530, section 3); None when there is none."""
    for member in headers.get("Repr-Digest", "").split(","):
        name, _, value = member.strip().partition("=")
        if name == "sha-256" and value.startswith(":") and value.endswith(":"):
            try:
                return base64.b64decode(value[1:-1], validate=True)
            except ValueError:
                return None
    return None


def _check_announced(headers: Mapping[str, str], sha256: bytes) -> None:
    announced = announced_sha256(headers)
    if announced is not None and announced != sha256:
        raise Damaged(
            "digest-mismatch",
            f"The bytes that arrived have {format_digest(sha256)}, "
            f"announced was {format_digest(announced)}.",
        )
