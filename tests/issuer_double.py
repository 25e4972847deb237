"""A stand-in for an issuer of identity tokens, as GitHub Actions has one: a real HTTP server on loopback.

It signs with `cryptography` alone, so that what checks it shares no code with it.
"""

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/.well-known/jwks"
REQUEST = "/request"
REQUEST_TOKEN = "a-jobs-own-request-token"
WAIT_SECONDS = 30.0

Answer = Callable[[BaseHTTPRequestHandler], None]


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    """A key that is made once for each name; the one called `small` is too small to be taken."""
    bits = 1_024 if name == "small" else 2_048
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


def encoded(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(name: str, **members: object) -> dict[str, object]:
    """The public half of a key, as an issuer publishes it."""
    numbers = private_key(name).public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "alg": "RS256",
        "kid": name,
        "n": encoded(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        "e": encoded(numbers.e.to_bytes(3, "big")),
        **members,
    }


def sign(name: str, header: Mapping[str, object], payload: bytes) -> str:
    """A token in compact form, signed with RS256 whatever its header says."""
    start = f"{encoded(json.dumps(dict(header)).encode())}.{encoded(payload)}"
    signature = private_key(name).sign(start.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{start}.{encoded(signature)}"


def confuse(name: str, header: Mapping[str, object], payload: bytes) -> str:
    """A token whose "secret" is the public key, for who takes the header's word (HS256)."""
    start = f"{encoded(json.dumps(dict(header)).encode())}.{encoded(payload)}"
    public = private_key(name).public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    mac = hmac.HMAC(pem, hashes.SHA256())
    mac.update(start.encode())
    return f"{start}.{encoded(mac.finalize())}"


class IssuerDouble:
    """The issuer, and what a test lets go wrong.

    Attributes:
        keys: What it publishes.
        requests: The paths that were asked for, in order.
        answers: Path → what answers instead.
        released: Cleared, requests wait for it before they are answered.
        claims: Further claims of the tokens that jobs ask for.
    """

    def __init__(self) -> None:
        self.keys: list[dict[str, object]] = [jwk("first")]
        self.requests: list[str] = []
        self.answers: dict[str, Answer] = {}
        self.released = threading.Event()
        self.released.set()
        self.asked = threading.Event()
        self.claims: dict[str, object] = {}
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["IssuerDouble"]:
        """Serve on loopback."""
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                double.requests.append(self.path)
                double.asked.set()
                double.released.wait(WAIT_SECONDS)
                path = urlsplit(self.path).path
                double.answers.get(path, double.answer)(self)

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                """Nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.released.set()
            server.shutdown()
            thread.join(WAIT_SECONDS)
            server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """As an issuer answers."""
        address = urlsplit(request.path)
        if address.path == DISCOVERY:
            send(request, {"issuer": self.url, "jwks_uri": self.url + KEYS})
        elif address.path == KEYS:
            send(request, {"keys": self.keys})
        elif address.path == REQUEST:
            if request.headers.get("Authorization") != f"bearer {REQUEST_TOKEN}":
                send(request, {"message": "no"}, 401)
                return
            audience = parse_qs(address.query)["audience"][0]
            send(request, {"count": 1, "value": self.token(aud=audience)})
        else:
            send(request, {}, 404)

    def payload(self, **claims: object) -> dict[str, object]:
        """The claims of a job; None takes one away."""
        now = int(time.time())
        made: dict[str, object] = {
            "iss": self.url,
            "aud": "https://ledger.example",
            "sub": "repo:octo-org@65/octo-repo@74:ref:refs/heads/main",
            "jti": secrets.token_hex(16),
            "iat": now,
            "nbf": now - 600,
            "exp": now + 300,
            "repository": "octo-org/octo-repo",
            "repository_id": "74",
            "repository_owner": "octo-org",
            "repository_owner_id": "65",
            "ref": "refs/heads/main",
            "sha": "1" * 40,
            "event_name": "push",
            "environment": "prod",
            "workflow_ref": "octo-org/octo-repo/.github/workflows/ci.yml@refs/heads/main",
            "job_workflow_ref": "octo-org/octo-repo/.github/workflows/ci.yml@refs/heads/main",
            "run_id": "123",
            "run_attempt": "1",
            **self.claims,
            **claims,
        }
        return {name: value for name, value in made.items() if value is not None}

    def token(self, key: str = "first", **claims: object) -> str:
        """A job's token."""
        header = {"typ": "JWT", "alg": "RS256", "x5t": "abc", "kid": key}
        return sign(key, header, json.dumps(self.payload(**claims)).encode())


def send(request: BaseHTTPRequestHandler, value: object, status: int = 200, **headers: str) -> None:
    """Answer with JSON, or with bytes as they are."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    for name, text in headers.items():
        request.send_header(name.replace("_", "-"), text)
    request.end_headers()
    request.wfile.write(body)
