"""The `eventsourcing` library as it comes: its recorder and its projection runner, in a process of their own.

Importing it changes global things, and its pipeline can hang: so it is run apart, with a time limit.
"""

import hashlib
import secrets
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import psycopg
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import StoredEvent, Tracking
from eventsourcing.postgres import (
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresTrackingRecorder,
)
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.conninfo import conninfo_to_dict

from bench.ground import Ground
from bench.measure import together

LIMIT_SECONDS = 30.0
HANGS_SECONDS = 8.0
"""Beyond what it was asked to work for; its pipeline and Postgres then wait for each other for ever."""
MAX_CONNECTIONS = 16
"""Its table lock lets one writer through at a time; more connections would only wait there."""
PAYLOAD_BYTES = 4096
INSERTED_TOGETHER = 50


def append_rate(ground: Ground, writers: int, batch: int, seconds: float) -> float | None:
    """Events a second that its recorder stores; None when it hangs, as with batches it can."""
    arguments = (str(writers), str(batch), str(seconds))
    try:
        return _apart(ground, seconds + HANGS_SECONDS, "append", *arguments)
    except subprocess.TimeoutExpired:
        return None


def projection_rate(ground: Ground, events: int) -> float:
    """Events a second that its projection runner folds into rows like ours."""
    return _apart(ground, LIMIT_SECONDS, "project", str(events))


def _apart(ground: Ground, limit_seconds: float, *arguments: str) -> float:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench.stock", ground.owner_url, *arguments],
        env=ground.variables(),
        stdout=subprocess.PIPE,
        timeout=limit_seconds,
        check=True,
        text=True,
    )
    return float(done.stdout)


def _append(url: str, writers: int, batch: int, seconds: float) -> float:
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    with PostgresDatastore(
        dbname=parts["dbname"],
        host=parts["host"],
        port=parts["port"],
        user=parts["user"],
        password=parts["password"],
        pool_size=min(writers + 1, MAX_CONNECTIONS),
    ) as datastore:
        recorder = PostgresApplicationRecorder(
            datastore, events_table_name=f"stock_{secrets.token_hex(4)}"
        )
        recorder.create_table()

        def step() -> None:
            originator = uuid.uuid4()
            recorder.insert_events(
                [
                    StoredEvent(
                        originator,
                        version,
                        "ArtifactWritten",
                        secrets.token_hex(PAYLOAD_BYTES // 2).encode(),
                    )
                    for version in range(1, batch + 1)
                ]
            )

        step()
        return together([step] * writers, batch, seconds)


class Document(Aggregate):
    """A document with versions."""

    @event("Opened")
    def __init__(self, key: str) -> None:
        self.key = key

    @event("Written")
    def write(self, digest: str, size_bytes: int, media_type: str) -> None:
        """One more version."""


class Documents(Application[uuid.UUID]):
    """All documents."""


class Versions(PostgresTrackingRecorder):
    """The rows of our core views, written as its documentation shows: row and tracking together."""

    def add(self, key: str, version: int, digest: str, size_bytes: int, tracking: Tracking) -> None:
        """One version."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(
                """
                INSERT INTO artifact_version (project_id, kind, key, version, position, sha256,
                  size_bytes, media_type, actor, time, citations)
                VALUES ('stock', 'D', %s, %s, %s, %s, %s, 'text/markdown', 'bench', now(), 0)
                """,
                (key, version, tracking.notification_id, bytes.fromhex(digest), size_bytes),
            )
            cursor.execute(
                """
                INSERT INTO artifact_latest (project_id, kind, key, version)
                VALUES ('stock', 'D', %s, %s)
                ON CONFLICT (project_id, kind, key) DO UPDATE SET version = excluded.version
                WHERE artifact_latest.version < excluded.version
                """,
                (key, version),
            )


class _Folding(Projection[Versions]):
    """Each version into the rows."""

    name = "versions"
    done = threading.Event()
    last = 0

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """One event."""
        if type(domain_event).__name__ == "Written":
            self.view.add(
                str(domain_event.originator_id),
                domain_event.originator_version,
                domain_event.digest,
                domain_event.size_bytes,
                tracking,
            )
        if tracking.notification_id >= _Folding.last:
            _Folding.done.set()


def _project(url: str, events: int) -> float:
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS documents_events, versions_tracking")
        connection.execute("DELETE FROM artifact_version WHERE project_id = 'stock'")
        connection.execute("DELETE FROM artifact_latest WHERE project_id = 'stock'")
    settings = {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": parts["dbname"],
        "POSTGRES_HOST": parts["host"],
        "POSTGRES_PORT": parts["port"],
        "POSTGRES_USER": parts["user"],
        "POSTGRES_PASSWORD": parts["password"],
    }
    with Documents(env=settings) as application:
        for begin in range(0, events, INSERTED_TOGETHER):
            document = Document(key=f"k{begin}")
            for index in range(INSERTED_TOGETHER - 1):
                digest = hashlib.sha256(f"{begin}.{index}".encode()).hexdigest()
                document.write(digest=digest, size_bytes=4096, media_type="text/markdown")
            application.save(document)
        last = application.recorder.max_notification_id()
    assert last is not None
    _Folding.last = last
    began = time.perf_counter()
    with ProjectionRunner(
        application_class=Documents, projection_class=_Folding, view_class=Versions, env=settings
    ):
        if not _Folding.done.wait(LIMIT_SECONDS):
            raise RuntimeError("the stock projection runner did not come to the end")
        return events / (time.perf_counter() - began)


def main(arguments: list[str]) -> None:
    """What `_apart` calls: prints the rate."""
    url, what, *rest = arguments
    if what == "append":
        writers, batch, seconds = rest
        print(_append(url, int(writers), int(batch), float(seconds)))
    else:
        print(_project(url, int(rest[0])))


if __name__ == "__main__":
    main(sys.argv[1:])
