"""Requests to a running service, as cheap as the standard library makes them."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import urlsplit

from bench.place import Service

SECONDS = 120.0
PIECE_BYTES = 1024 * 1024


@contextmanager
def connection(service: Service) -> Iterator[http.client.HTTPConnection]:
    """A connection that stays open over many requests."""
    parts = urlsplit(service.url)
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=SECONDS)) as opened:
        yield opened


def drain(
    opened: http.client.HTTPConnection, service: Service, path: str, accept: str = "*/*"
) -> int:
    """Fetch a path and count its bytes."""
    opened.request(
        "GET", path, headers={"Authorization": f"Bearer {service.token}", "Accept": accept}
    )
    response = opened.getresponse()
    assert response.status == 200, response.read(1000)
    size = 0
    while piece := response.read(PIECE_BYTES):
        size += len(piece)
    return size


def post(
    opened: http.client.HTTPConnection, service: Service, path: str, body: object
) -> dict[str, object]:
    """Send JSON; answers the JSON that comes back."""
    opened.request(
        "POST",
        path,
        body=json.dumps(body),
        headers={
            "Authorization": f"Bearer {service.token}",
            "Content-Type": "application/json",
        },
    )
    response = opened.getresponse()
    answer = response.read()
    assert response.status == 201, answer
    found: dict[str, object] = json.loads(answer)
    return found
