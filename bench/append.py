"""Appends: ours against raw INSERT + COMMIT of the same rows, and against the stock recorder."""

import hashlib
import os
import secrets
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from app.ledger import EventInput, Ledger
from bench.measure import Ratio, Work, compare, in_threads
from bench.place import Place, Service, serve
from bench.served import connection, post

ROWS = """
CREATE TABLE IF NOT EXISTS raw_event (project_id text, position bigint, stream text, version bigint, type text,
  id uuid, actor text, time timestamptz, line bytea, leaf bytea,
  PRIMARY KEY (project_id, position), UNIQUE (project_id, stream, version), UNIQUE (project_id, id));
CREATE TABLE IF NOT EXISTS raw_blob (project_id text, sha256 bytea, size_bytes bigint, crc32 bigint,
  encoding smallint, content bytea, PRIMARY KEY (project_id, sha256));
ALTER TABLE raw_blob ALTER content SET STORAGE EXTERNAL;
CREATE TABLE IF NOT EXISTS raw_version (project_id text, kind text, key text, version bigint, position bigint,
  sha256 bytea, size_bytes bigint, media_type text, title text, actor text, time timestamptz, citations int,
  PRIMARY KEY (project_id, kind, key, version));
CREATE SEQUENCE IF NOT EXISTS raw_position;
"""
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOAD_BYTES = 4096
LINE = b"x" * 360
STOCK_HANGS_EVENTS = 1_600
"""So many at once fill the socket's buffers, and the stock recorder waits for ever in its pipeline."""


def payload() -> bytes:
    """4 KB of text, unique, about twice compressible."""
    return secrets.token_hex(PAYLOAD_BYTES // 2).encode()


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


class Raw:
    """The floor: the same rows in one prepared statement that commits itself; no order, no tree.

    Of the ways tried this is the fastest: one statement for the three rows beats three in a pipeline
    by 1.4 to 2 times, and `unnest` of psycopg's own lists beats `executemany` for batches.
    """

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        self.cursor = self.connection.cursor(binary=True)

    def append(self, count: int) -> None:
        rows = [_rows() for _ in range(count)]
        if count == 1:
            self.cursor.execute(ONE, rows[0])
        else:
            self.cursor.execute(MANY, [list(column) for column in zip(*rows, strict=True)])

    def close(self) -> None:
        self.connection.close()


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


@contextmanager
def raw_work(url: str, writers: int, appends: int, batch: int = 1) -> Iterator[Work]:
    """Rounds of raw appends, each writer on a connection of its own; a round's events a second."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(ROWS)
    raws = [Raw(url) for _ in range(writers)]

    def work() -> float:
        each = max(1, appends // writers)

        def worker(raw: Raw) -> Callable[[], None]:
            def run() -> None:
                for _ in range(each):
                    raw.append(batch)

            return run

        return each * writers * batch / in_threads([worker(raw) for raw in raws])

    try:
        yield work
    finally:
        for raw in raws:
            raw.close()


def our_work(ledger: Ledger, project: str, writers: int, appends: int, batch: int = 1) -> Work:
    """A round of our appends through the use case."""

    def work() -> float:
        each = max(1, appends // writers)

        def worker(index: int) -> Callable[[], None]:
            def run() -> None:
                for _ in range(each):
                    events = [
                        EventInput(
                            stream=f"artifact/D/w{index}",
                            type="ArtifactWritten",
                            data={"media_type": "text/markdown"},
                            content=payload(),
                        )
                        for _ in range(batch)
                    ]
                    ledger.append(project, events, actor="bench")

            return run

        return each * writers * batch / in_threads([worker(index) for index in range(writers)])

    return work


@contextmanager
def http_work(
    service: Service, project: str, writers: int, appends: int, batch: int = 1
) -> Iterator[Work]:
    """Rounds of our appends over HTTP, each writer on a connection that stays open."""
    with ExitStack() as closing:
        opened = [closing.enter_context(connection(service)) for _ in range(writers)]

        def worker(index: int, each: int) -> Callable[[], None]:
            def run() -> None:
                for _ in range(each):
                    events = [
                        {
                            "stream": f"artifact/D/h{index}",
                            "type": "ArtifactWritten",
                            "data": {"media_type": "text/markdown"},
                            "content": payload().decode(),
                        }
                        for _ in range(batch)
                    ]
                    path = f"/v1/projects/{project}/events"
                    post(opened[index], service, path, {"events": events})

            return run

        def work() -> float:
            each = max(1, appends // writers)
            workers = [worker(index, each) for index in range(writers)]
            return each * writers * batch / in_threads(workers)

        yield work


@contextmanager
def stock_work(url: str, writers: int, appends: int, batch: int = 1) -> Iterator[Work]:
    """Rounds of appends with the library's own recorder."""
    parts = conninfo_to_dict(url)
    datastore = PostgresDatastore(
        dbname=str(parts["dbname"]),
        host=str(parts["host"]),
        port=str(parts.get("port", "5432")),
        user=str(parts["user"]),
        password=str(parts.get("password", "")),
        pool_size=writers + 2,
        max_overflow=writers,
    )
    recorder = PostgresApplicationRecorder(
        datastore, events_table_name=f"stock_{os.getpid()}_{writers}_{batch}"
    )
    recorder.create_table()

    def work() -> float:
        each = max(1, appends // writers)

        def worker() -> None:
            for _ in range(each):
                originator = uuid.uuid4()
                recorder.insert_events(
                    [
                        StoredEvent(originator, version, "ArtifactWritten", payload())
                        for version in range(1, batch + 1)
                    ]
                )

        return each * writers * batch / in_threads([worker] * writers)

    try:
        yield work
    finally:
        datastore.close()


SHAPES = (
    # writers, appends a round, events an append
    (1, 300, 1),
    (16, 1_600, 1),
    (64, 3_200, 1),
    (1, 20, 100),
    (16, 64, 100),
)
PROJECT = "bench-append"


def measure(place: Place, rounds: int, *, quick: bool = False) -> list[Ratio]:
    """Every line about appends."""
    place.ledger.create_project(PROJECT, title="bench", actor="bench")
    results = []
    with serve(place) as service:
        for writers, appends, batch in SHAPES:
            count = max(writers, appends // (3 if quick else 1))
            results += _shape(place, service, rounds, writers, count, batch)
    return results


def _shape(
    place: Place, service: Service, rounds: int, writers: int, appends: int, batch: int
) -> list[Ratio]:
    shape = f"{writers} writer{'s' * (writers > 1)}"
    if batch > 1:
        shape += f", batches of {batch}"
    watched = (writers, batch) == (16, 1)
    ours = our_work(place.ledger, PROJECT, writers, appends, batch)
    results = []
    with raw_work(place.owner_url, writers, appends, batch) as raw:
        results.append(
            compare(
                f"append, {shape}, in process, against raw",
                ours,
                raw,
                rounds=rounds,
                target=">= 0.4" if watched else "",
            )
        )
        with http_work(service, PROJECT, writers, appends // 2, batch) as over_http:
            results.append(
                compare(f"append, {shape}, over HTTP, against raw", over_http, raw, rounds=rounds)
            )
    if writers * batch >= STOCK_HANGS_EVENTS:
        return results
    fewer = max(writers, appends // 4)
    with stock_work(place.owner_url, writers, fewer, batch) as stock:
        results.append(
            compare(
                f"append, {shape}, in process, against the stock recorder",
                ours,
                stock,
                rounds=rounds,
                target=">= 3" if watched else "",
            )
        )
    return results
