"""The event log, seen from its callers: what is appended, what comes back, and what can be read.

`EventLog` is the port. Its guarantees: positions in a project are 1, 2, 3 … without gaps; versions
in a stream likewise; an append is atomic and durable before it is answered; a repeat with the same
idempotency key, or the same event ids and content, gets its first answer; nothing is ever changed.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import msgspec

from domain.secret_places import Redaction

MAX_BATCH_EVENTS = 1_000
MAX_BLOB_BYTES = 64 * 1024 * 1024
STAGED_ABOVE_BYTES = 1024 * 1024
"""Contents larger than this are uploaded before the append, so that no lock is held meanwhile."""


class Proposed(msgspec.Struct, frozen=True):
    """An event on its way into the log: checked, canonical, without a place yet."""

    stream: str
    type: str
    data: bytes
    id: str
    actor: str


class Blob(msgspec.Struct, frozen=True):
    """Content that comes with an append; `content` is None when it was uploaded before."""

    sha256: bytes
    size_bytes: int
    crc32: int
    content: bytes | None


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """One caller's request: all of its events are recorded, next to each other, or none.

    Attributes:
        expected: (stream, version) pairs that must hold; 0 means the stream has no event.
        blobs: Contents that come along, or were uploaded (then without bytes).
        referred: SHA-256 of blobs that the events name and that must exist afterwards.
        erased: SHA-256 of contents that are gone afterwards, in the same transaction.
        searched: Up to which position the caller has looked for events that name those contents.
        key: Idempotency key, already made unique to the caller.
        request_sha256: What the key stands for; the same key with another request is refused.
        deadline: Seconds of the monotonic clock after which the caller no longer waits.
    """

    project: str
    events: tuple[Proposed, ...]
    expected: tuple[tuple[str, int], ...] = ()
    blobs: tuple[Blob, ...] = ()
    referred: tuple[bytes, ...] = ()
    erased: tuple[bytes, ...] = ()
    searched: int = 0
    key: str | None = None
    request_sha256: bytes = b""
    deadline: float | None = None


class Entry(msgspec.Struct, frozen=True):
    """One event as stored: its place, its bytes and its leaf hash."""

    position: int
    stream: str
    version: int
    id: str
    line: bytes
    leaf: bytes


class Receipt(msgspec.Struct, frozen=True):
    """The answer to an append, given after it is durable; `replayed` when it had been made before.

    `redactions` are of this request, whose secrets were replaced on their way in.
    """

    entries: tuple[Entry, ...]
    replayed: bool = False
    redactions: tuple[Redaction, ...] = ()


class LogHead(msgspec.Struct, frozen=True):
    """A project's log now: its origin, size and frontier (RFC 6962 subtree roots, largest first)."""

    project: str
    origin: str
    size: int
    frontier: tuple[bytes, ...]
    last_time: str


class EventLog(Protocol):
    """Append to and read from the projects' logs."""

    def create(self, request: Append) -> Receipt:
        """Open a new log whose first event is the request's.

        Raises:
            Conflict: `project-exists`.
        """

    def append(self, request: Append) -> Receipt:
        """Record the request's events and wait until they are durable.

        Raises:
            NotFound: `project-not-found`.
            StaleVersion: `version-conflict`, with `current_version`.
            Conflict: `event-id-conflict`; `erasure-changed`, when a content that is to be erased was
                erased meanwhile, or named by an event behind `searched`.
            Invalid: `idempotency-key-reused`, `blob-not-found`.
            Gone: `content-erased`, for a digest that was erased in this project.
            Unavailable: the queue is full, or the outcome is not known in time.
        """

    def recall(self, request: Append) -> Receipt | None:
        """The first answer to the same request (by key, or by event ids), None when it is new.

        Rules are decided against the present; a repeat must be recognised before them.

        Raises:
            Conflict: `event-id-conflict`.
            Invalid: `idempotency-key-reused`.
        """

    def import_log(
        self, project: str, origin: str, lines: Iterable[bytes], blobs: Iterable[Blob]
    ) -> LogHead:
        """Open a log with events as they were recorded elsewhere; all or nothing.

        The lines keep their positions, times and origin; the caller has verified them. Contents are
        taken first, a few at a time, those without bytes from what was uploaded before; whatever either iterable raises leaves nothing behind.

        Raises:
            Conflict: `project-exists`.
            Damaged: `event-malformed`: no ledger can have recorded this.
            Unavailable: `database-unavailable` (nothing was recorded) or `outcome-unknown`.
        """

    def head(self, project: str) -> LogHead:
        """The log's size and frontier now.

        Raises:
            NotFound: `project-not-found`.
        """

    def read(self, project: str, after: int, upto: int) -> Iterator[Entry]:
        """The entries with `after` < position ≤ `upto`, in order, in bounded memory."""

    def lines(self, project: str, after: int, upto: int) -> Iterator[bytes]:
        """The stored lines of the same entries, each ended by a newline, joined in large pieces."""

    def stream(self, project: str, stream: str, after: int, limit: int, upto: int) -> list[Entry]:
        """A stream's entries with version > `after` and position ≤ `upto`, in order."""
