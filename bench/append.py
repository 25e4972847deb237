"""Appends: ours, in this process and through HTTP, against raw INSERT + COMMIT and the stock recorder."""

import hashlib
import http.client
import json
import secrets
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import psycopg

from app.door import EventInput
from bench.ground import Ground, Service, serving
from bench.measure import Figure, Work, race, ratio, together
from bench.stock import append_rate

ROWS = """
CREATE TABLE IF NOT EXISTS raw_event (project_id text, position bigint, stream text, version bigint,
  type text, id uuid, actor text, time timestamptz, line bytea, leaf bytea,
  PRIMARY KEY (project_id, position), UNIQUE (project_id, stream, version), UNIQUE (project_id, id));
CREATE TABLE IF NOT EXISTS raw_blob (project_id text, sha256 bytea, size_bytes bigint, crc32 bigint,
  encoding smallint, content bytea, PRIMARY KEY (project_id, sha256));
ALTER TABLE raw_blob ALTER content SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS raw_version (project_id text, kind text, key text, version bigint,
  position bigint, sha256 bytea, size_bytes bigint, media_type text, title text, actor text,
  time timestamptz, citations int, PRIMARY KEY (project_id, kind, key, version));
"""
ONE = """
WITH event AS (INSERT INTO raw_event VALUES (%b,%b,%b,%b,%b,%b,%b,%b,%b,%b)),
  blob AS (INSERT INTO raw_blob VALUES (%b,%b,%b,%b,0,%b))
INSERT INTO raw_version VALUES (%b,%b,%b,%b,%b,%b,%b,%b,%b,%b,%b,0)
"""
MANY = """
WITH event AS (INSERT INTO raw_event
    SELECT * FROM unnest(%b::text[], %b::int8[], %b::text[], %b::int8[], %b::text[], %b::uuid[],
      %b::text[], %b::timestamptz[], %b::bytea[], %b::bytea[])),
  blob AS (INSERT INTO raw_blob SELECT p, s, z, c, 0, b
    FROM unnest(%b::text[], %b::bytea[], %b::int8[], %b::int8[], %b::bytea[]) AS t (p, s, z, c, b))
INSERT INTO raw_version SELECT *, 0
  FROM unnest(%b::text[], %b::text[], %b::text[], %b::int8[], %b::int8[], %b::bytea[], %b::int8[],
    %b::text[], %b::text[], %b::text[], %b::timestamptz[])
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD_BYTES = 4096
LINE = b"x" * 360
"""As long as the line of such an event."""
IN_PROCESS, THROUGH_HTTP = "bench-append", "bench-http"
SHAPES = ((1, 1), (16, 1), (64, 1), (1, 100), (16, 100))
"""Writers, and events in a batch."""
OURS, HTTP, RAW, STOCK = "in-process", "over HTTP", "raw", "stock recorder"
TARGETS = {(OURS, RAW): ">= 0.4", (OURS, STOCK): ">= 3"}
"""At 16 writers."""


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """Single appends of 4 KB and batches of 100, by 1, 16 and 64 writers."""
    with psycopg.connect(ground.owner_url, autocommit=True) as connection:
        connection.execute(ROWS)
    for project in (IN_PROCESS, THROUGH_HTTP):
        ground.ledger.create_project(project, title=project, actor="bench")
    seconds = 0.4 if ground.quick else 0.8
    with serving(ground) as service:
        for writers, batch in SHAPES:
            yield from _shape(ground, service, writers, batch, rounds, seconds)


def payload() -> bytes:
    """4 KB of text, unique, about twice compressible."""
    return secrets.token_hex(PAYLOAD_BYTES // 2).encode()


def _shape(
    ground: Ground, service: Service, writers: int, batch: int, rounds: int, seconds: float
) -> Iterator[Figure]:
    shape = f"{writers} writer{'s' * (writers > 1)}"
    shape += f", batches of {batch}" if batch > 1 else ""
    works: dict[str, Work] = {
        OURS: partial(_ours, ground, writers, batch, seconds),
        HTTP: partial(_http, service, writers, batch, seconds),
        RAW: partial(_raw, ground.owner_url, writers, batch, seconds),
        STOCK: partial(append_rate, ground, writers, batch, seconds),
    }
    rates = race(works, rounds, ground.checkpoint)
    for one in (OURS, HTTP):
        for other in (RAW, STOCK):
            target = TARGETS.get((one, other), "") if (writers, batch) == (16, 1) else ""
            name = f"append {one}, {shape}, against {other}"
            yield ratio(name, rates, one, other, "events/s", target=target)


def _ours(ground: Ground, writers: int, batch: int, seconds: float) -> float:
    def step(index: int) -> None:
        events = [
            EventInput(
                stream=f"artifact/D/w{index}",
                type="ArtifactWritten",
                data={"media_type": "text/markdown"},
                content=payload(),
            )
            for _ in range(batch)
        ]
        ground.ledger.append(IN_PROCESS, events, actor="bench")

    return together([partial(step, index) for index in range(writers)], batch, seconds)


def _http(service: Service, writers: int, batch: int, seconds: float) -> float:
    """The same through HTTP: one connection for each writer, kept open."""
    headers = {"Authorization": f"Bearer {service.token}", "Content-Type": "application/json"}

    def step(connection: http.client.HTTPConnection, index: int) -> None:
        events = [
            {
                "stream": f"artifact/D/w{index}",
                "type": "ArtifactWritten",
                "data": {"media_type": "text/markdown"},
                "content": payload().decode(),
            }
            for _ in range(batch)
        ]
        connection.request(
            "POST",
            f"/v1/projects/{THROUGH_HTTP}/events",
            json.dumps({"events": events}),
            headers,
        )
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 201:
            raise RuntimeError(f"{answer.status}: {body[:200]!r}")

    with ExitStack() as closing:
        steps: list[Callable[[], None]] = []
        for index in range(writers):
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
            closing.callback(connection.close)
            connection.connect()
            steps.append(partial(step, connection, index))
        return together(steps, batch, seconds)


def _raw(url: str, writers: int, batch: int, seconds: float) -> float:
    """The floor: the same rows in one prepared statement that commits itself; no order, no tree.

    Of the ways tried this is the fastest: one statement for the three rows beats three in a pipeline
    by 1.4 to 2 times, and `unnest` of psycopg's own lists beats `executemany` for batches.
    """

    def step(cursor: psycopg.Cursor) -> None:
        rows = [_rows() for _ in range(batch)]
        if batch == 1:
            cursor.execute(ONE, rows[0])
        else:
            cursor.execute(MANY, [list(column) for column in zip(*rows, strict=True)])

    with ExitStack() as closing:
        steps: list[Callable[[], None]] = []
        for _ in range(writers):
            connection = closing.enter_context(
                psycopg.connect(url, autocommit=True, prepare_threshold=0)
            )
            cursor = connection.cursor(binary=True)
            step(cursor)  # prepares
            steps.append(partial(step, cursor))
        return together(steps, batch, seconds)


def _rows() -> tuple[object, ...]:
    """The values of an event, a blob and a version, as large as ours."""
    content = payload()
    sha256 = hashlib.sha256(content).digest()
    position = secrets.randbits(62)
    event = ("raw", position, "artifact/D/k", position, "ArtifactWritten", uuid.uuid4(), "bench",
             NOW, LINE, sha256)  # fmt: skip
    blob = ("raw", sha256, len(content), zlib.crc32(content), content)
    version = ("raw", "D", "k", position, position, sha256, len(content), "text/markdown", None,
               "bench", NOW)  # fmt: skip
    return (*event, *blob, *version)
