"""A witness of the tests' own (C2SP tlog-witness): strict, in memory, and a real HTTP server on loopback.

It reads requests by itself, not with the ledger's code; only trees and signed notes are the ledger's, which are
tested against others. What goes wrong is told to it by the test.
"""

import base64
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from adapters.signature_check import verify_signature
from domain.cosignature import (
    CosignerKey,
    cosigned_message,
    format_cosignature,
    format_cosigner_key,
)
from domain.errors import DeedbookError
from domain.merkle import EMPTY_ROOT, verify_consistency
from domain.signed_note import NoteKey, format_signature, parse_note, verify_note

WAIT_SECONDS = 30.0
TIME = 1_800_000_000
"""Of the first cosignature; each is a second later."""

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")


class Reply(msgspec.Struct, frozen=True):
    """What goes over the wire."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = msgspec.field(default_factory=dict)


class WitnessDouble:
    """A witness, and what a test lets go wrong.

    Attributes:
        logs: Origin → keys that are trusted for it.
        seen: Origin → size and root of the newest checkpoint that was cosigned.
        requests: Old size, new size and status of each answer, in order.
        replies: What the next requests get instead; called with the reply that they should get.
        cut: As many of the next answers are lost, after they have taken effect.
        asked: Set by each request.
        released: Cleared, requests wait for it.
    """

    def __init__(self, name: str, *logs: NoteKey) -> None:
        self._key = Ed25519PrivateKey.generate()
        public = self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key = CosignerKey(name, public)
        self.logs: dict[str, list[NoteKey]] = {}
        for log in logs:
            self.logs.setdefault(log.name, []).append(log)
        self.seen: dict[str, tuple[int, bytes]] = {}
        self.requests: list[tuple[int, int, int]] = []
        self.replies: list[Callable[[Reply], Reply]] = []
        self.cut = 0
        self.asked = threading.Event()
        self.released = threading.Event()
        self.released.set()
        self._lock = threading.Lock()
        self._time = TIME
        self.url = ""

    @property
    def vkey(self) -> str:
        """The verifier key."""
        return format_cosigner_key(self.key)

    @property
    def policy_line(self) -> str:
        """Its line of a policy."""
        return f"witness {self.key.name} {self.vkey} {self.url}\n"

    def cosign(self, text: str, time: int | None = None) -> str:
        """A signature line over a checkpoint's text, whatever it says."""
        if time is None:
            time, self._time = self._time, self._time + 1
        signature = self._key.sign(cosigned_message(text, time))
        return format_signature(format_cosignature(self.key, time, signature))

    @contextmanager
    def running(self) -> Iterator["WitnessDouble"]:
        """Serve on loopback, below a prefix."""
        prefix = f"/{secrets.token_hex(4)}"

        class Handler(_Handler):
            double = self
            path_wanted = f"{prefix}/add-checkpoint"

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}{prefix}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            thread.join(WAIT_SECONDS)
            server.server_close()

    def answer(self, raw: bytes) -> Reply:
        """The answer to a request's body."""
        self.asked.set()
        assert self.released.wait(WAIT_SECONDS)
        with self._lock:
            old, size, reply = self._add_checkpoint(raw)
            if self.replies:
                reply = self.replies.pop(0)(reply)
            self.requests.append((old, size, reply.status))
        return reply

    def _add_checkpoint(self, raw: bytes) -> tuple[int, int, Reply]:
        try:
            old, proof, note = _parse(raw.decode())
            signed = parse_note(note)
        except (ValueError, DeedbookError):
            return -1, -1, Reply(400)
        origin, number, root_text = signed.text.split("\n")[:3]
        keys = self.logs.get(origin)
        if keys is None:
            return old, -1, Reply(404)
        try:
            known = verify_note(signed, keys, verify_signature)
        except DeedbookError:
            known = ()
        if not known:
            return old, -1, Reply(403)
        if _NUMBER.fullmatch(number) is None:
            return old, -1, Reply(400)
        size, root = int(number), base64.b64decode(root_text, validate=True)
        if old > size:
            return old, size, Reply(400)
        seen, seen_root = self.seen.get(origin, (0, EMPTY_ROOT))
        if old != seen:
            told = f"{seen}\n".encode()
            return old, size, Reply(409, told, {"Content-Type": "text/x.tlog.size"})
        if old == 0:
            consistent = not proof and (size > 0 or root == EMPTY_ROOT)
        else:
            consistent = verify_consistency(old, size, proof, seen_root, root)
        if not consistent:
            return old, size, Reply(422)
        self.seen[origin] = (size, root)
        return old, size, Reply(200, self.cosign(signed.text).encode())


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    double: ClassVar[WitnessDouble]
    path_wanted: ClassVar[str]
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer, unless the answer is to be lost."""
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        reply = Reply(404) if self.path != self.path_wanted else self.double.answer(raw)
        if self.double.cut:
            self.double.cut -= 1
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def _parse(text: str) -> tuple[int, list[bytes], str]:
    """A request's body; a ValueError for what is none."""
    head, blank, note = text.partition("\n\n")
    first, *lines = head.split("\n")
    word, _, number = first.partition(" ")
    if not blank or word != "old" or _NUMBER.fullmatch(number) is None or len(lines) > 63:
        raise ValueError(first)
    proof = [base64.b64decode(line, validate=True) for line in lines]
    if any(len(one) != 32 for one in proof):
        raise ValueError(lines)
    return int(number), proof, note
