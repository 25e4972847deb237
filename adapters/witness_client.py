"""Sends checkpoints to witnesses over HTTP (C2SP tlog-witness, `add-checkpoint`).

What comes back is read strictly and within limits, and nothing of its text goes into a log or a message: a
witness is somebody else's program.
"""

import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import httpx2
import msgspec

from domain.checkpoint import MAX_SIZE
from domain.errors import DeedbookError
from domain.signed_note import NoteSignature, parse_signature

TIMEOUT = httpx2.Timeout(10.0, connect=5.0)
TOTAL_SECONDS = 15.0
"""For a whole answer, however slowly it comes."""
MAX_ANSWER_BYTES = 65_536
MAX_LINES = 16
CONFLICT_TYPE = "text/x.tlog.size"

_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n")
_REFUSALS = {
    400: "it cannot read what it was sent",
    403: "it does not know the key that signed the checkpoint",
    404: "it does not know this log",
    429: "it was asked too often",
}


class Cosigned(msgspec.Struct, frozen=True):
    """It has cosigned; these are its lines, unchecked."""

    signatures: tuple[NoteSignature, ...]


class KnowsAnother(msgspec.Struct, frozen=True):
    """It has seen the log at another size than it was told, namely this."""

    size: int


class NotConsistent(msgspec.Struct, frozen=True):
    """What it was sent does not go on from what it has cosigned."""


class Unanswered(msgspec.Struct, frozen=True):
    """Nothing of it can be used; asking later may help.

    Attributes:
        problem: Half a sentence of our own.
        away: It is the witness that does not work, and not this log that it does not take.
    """

    problem: str
    away: bool


Answer = Cosigned | KnowsAnother | NotConsistent | Unanswered


def witness_http() -> httpx2.Client:
    """The HTTP client, with our limits; it follows no redirection."""
    return httpx2.Client(
        timeout=TIMEOUT, follow_redirects=False, limits=httpx2.Limits(max_connections=64)
    )


class WitnessClient:
    """Asks witnesses; use it as a context manager. Threads may share it.

    Args:
        client: Makes the HTTP client.
        monotonic: Gives seconds.
    """

    def __init__(
        self,
        client: Callable[[], httpx2.Client] = witness_http,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = client()
        self._monotonic = monotonic

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def add_checkpoint(self, prefix: str, body: str) -> Answer:
        """Ask a witness to cosign a checkpoint.

        Args:
            prefix: Its submission prefix.
            body: Old size, consistency proof and checkpoint (`format_consistency`).
        """
        try:
            with self._sent(f"{prefix.rstrip('/')}/add-checkpoint", body.encode()) as response:
                raw = self._read(response)
                if isinstance(raw, Unanswered):
                    return raw
                return _answer(response, raw)
        except httpx2.TimeoutException:
            return Unanswered("it does not answer in time", away=True)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Unanswered(f"it cannot be reached ({type(error).__name__})", away=True)

    def _sent(self, url: str, body: bytes) -> AbstractContextManager[httpx2.Response]:
        return self._http.stream(
            "POST",
            url,
            content=body,
            headers={"Content-Type": "text/plain; charset=utf-8", "Accept-Encoding": "identity"},
        )

    def _read(self, response: httpx2.Response) -> bytes | Unanswered:
        end = self._monotonic() + TOTAL_SECONDS
        raw = bytearray()
        for piece in response.iter_raw():  # as it came: nothing is unpacked
            raw += piece
            if len(raw) > MAX_ANSWER_BYTES:
                return Unanswered(f"it answers with more than {MAX_ANSWER_BYTES} bytes", away=True)
            if self._monotonic() > end:
                return Unanswered("it does not answer in time", away=True)
        return bytes(raw)


def _answer(response: httpx2.Response, raw: bytes) -> Answer:
    status = response.status_code
    if response.headers.get("Content-Encoding", "identity") != "identity":
        return Unanswered("it packs its answer, which it was not asked to", away=True)
    if status == 200:
        return _cosigned(raw)
    if status == 409:
        media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
        size = _SIZE.fullmatch(raw)
        if media_type.lower() != CONFLICT_TYPE or size is None or int(size[1]) > MAX_SIZE:
            return Unanswered("it answers 409 without the size that it has", away=False)
        return KnowsAnother(int(size[1]))
    if status == 422:
        return NotConsistent()
    if status in _REFUSALS:
        return Unanswered(f"{_REFUSALS[status]} ({status})", away=status == 429)
    return Unanswered(f"it answers {status}", away=True)


def _cosigned(raw: bytes) -> Answer:
    try:
        text = raw.decode()
        lines = text.removesuffix("\n").split("\n")
        if text.endswith("\n") and len(lines) <= MAX_LINES:
            return Cosigned(tuple(parse_signature(line) for line in lines))
    except (UnicodeDecodeError, DeedbookError):
        pass
    return Unanswered("it answers 200 with something other than signature lines", away=False)
