"""Logs in Postgres, requests to append, and what must hold of every log: for the tests of the store."""

import hashlib
import itertools
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.commit_signal import CommitSignal
from adapters.postgres_connect import open_pool
from adapters.postgres_ledger_row import fix_host
from adapters.postgres_log import PostgresLog
from domain import canonical, merkle
from domain.digest import digest_of, format_digest
from domain.events import ArtifactWritten, EventData, ProjectCreated, VerificationRecorded, parse
from domain.log import Append, Blob, Entry, LogHead, Proposed
from projections.core_views import ArtifactRow, ProjectRow, rows_of

HOST = "ledger.example"
_ids = itertools.count(1)


class Opened(msgspec.Struct, frozen=True):
    """A log over a database, with what it is made of."""

    url: str
    pool: ConnectionPool
    signal: CommitSignal
    log: PostgresLog


@contextmanager
def open_log(
    url: str,
    *,
    fast: bool = True,
    pooled: bool = False,
    connections: int = 4,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    writer_url: str | None = None,
) -> Iterator[Opened]:
    """What the composition root builds, as far as the log goes."""
    with (
        open_pool(url, max_size=connections, pooled=pooled) as pool,
        CommitSignal(url, pooled=pooled) as signal,
        PostgresLog(
            writer_url or url, pool, signal=signal, now=now, pooled=pooled, fast=fast
        ) as log,
    ):
        fix_host(pool, HOST)
        yield Opened(url, pool, signal, log)


def new_id() -> str:
    """An event id that no other call gives."""
    return str(uuid.UUID(int=next(_ids) << 80 | 7 << 76 | 2 << 62))


def proposed(stream: str, data: EventData, *, id: str | None = None) -> Proposed:  # noqa: A002
    """An event on its way into a log."""
    return Proposed(stream, type(data).__name__, canonical.write(data), id or new_id(), "user:ada")


def creation(project: str) -> Append:
    """The request that opens a project."""
    return Append(
        project=project,
        events=(proposed("project", ProjectCreated(title=project.title())),),
        expected=(("project", 0),),
    )


def blob(content: bytes) -> Blob:
    """Content that comes along."""
    return Blob(hashlib.sha256(content).digest(), len(content), zlib.crc32(content), content)


def writing(
    project: str,
    key: str = "main",
    content: bytes = b"# Hello\n",
    *,
    expected: int | None = None,
    request_key: str | None = None,
    deadline: float | None = None,
    id: str | None = None,  # noqa: A002
) -> Append:
    """The request that writes one version of a document."""
    stream = f"artifact/NOTE/{key}"
    return Append(
        project=project,
        events=(
            proposed(
                stream,
                ArtifactWritten(
                    digest=digest_of(content), size_bytes=len(content), media_type="text/markdown"
                ),
                id=id,
            ),
        ),
        expected=() if expected is None else ((stream, expected),),
        blobs=(blob(content),),
        key=request_key,
        request_sha256=hashlib.sha256(content).digest() if request_key else b"",
        deadline=deadline,
    )


def checking(project: str, run: str = "r1", name: str = "lint") -> Append:
    """The request that records a check in a run: no content, and no row in any view."""
    data = VerificationRecorded(result="PASSED", name=name)
    return Append(project=project, events=(proposed(f"run/{run}", data),))


def entries_of(opened: Opened, project: str) -> list[Entry]:
    """The whole log."""
    return list(opened.log.read(project, 0, opened.log.head(project).size))


def check_log(opened: Opened, project: str) -> list[Entry]:
    """Assert everything that holds of every log; answers its entries."""
    head = opened.log.head(project)
    entries = entries_of(opened, project)
    views = check_rows(head, entries)
    with opened.pool.connection() as connection:
        found = connection.execute(
            """
            SELECT kind, key, version, position, 'sha256:' || encode(sha256, 'hex')
            FROM artifact_version WHERE project_id = %s
            """,
            (project,),
        ).fetchall()
        latest = connection.execute(
            "SELECT kind, key, version FROM artifact_latest WHERE project_id = %s", (project,)
        ).fetchall()
        missing = connection.execute(
            """
            SELECT count(*) FROM artifact_version v WHERE project_id = %s AND NOT EXISTS (
              SELECT FROM blob b WHERE b.project_id = v.project_id AND b.sha256 = v.sha256
                AND b.size_bytes = octet_length(b.content) AND b.sha256 = sha256(b.content))
            """,
            (project,),
        ).fetchone()
    assert sorted(found) == sorted(views)
    assert sorted(latest) == sorted(
        {(kind, key): (kind, key, version) for kind, key, version, *_ in views}.values()
    )
    assert missing == (0,)
    return entries


def check_rows(head: LogHead, entries: Sequence[Entry]) -> list[tuple[str, str, int, int, str]]:
    """Assert what holds of a log's entries by themselves; answers the versions that they give."""
    assert [entry.position for entry in entries] == list(range(1, head.size + 1))
    versions: dict[str, int] = {}
    previous = ""
    views: list[tuple[str, str, int, int, str]] = []
    for entry in entries:
        recorded = parse(entry.line)
        assert (recorded.position, recorded.stream, recorded.version, recorded.id) == (
            entry.position,
            entry.stream,
            entry.version,
            entry.id,
        )
        assert entry.version == versions.get(entry.stream, 0) + 1
        versions[entry.stream] = entry.version
        assert recorded.time >= previous
        previous = recorded.time
        assert entry.leaf == merkle.leaf_hash(entry.line)
        views += [
            (row.kind, row.key, row.version, row.position, format_digest(row.sha256))
            for row in rows_of(recorded)
            if isinstance(row, ArtifactRow)
        ]
    assert merkle.root_of(head.frontier) == merkle.tree_root([entry.leaf for entry in entries])
    assert head.last_time == (previous or head.last_time)
    return views


def tables_of(url: str, project: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row that an append writes, for comparing two ledgers."""
    names = (
        "project_log",
        "event",
        "blob",
        "idempotency",
        "project_view",
        "artifact_version",
        "artifact_latest",
        "citation",
        "run_change",
        "erasure",
        "upload",
    )
    with psycopg.connect(url) as connection:
        found = {}
        for name in names:
            rows = connection.execute(
                f"SELECT t::text FROM {name} t WHERE project_id = %s ORDER BY 1",
                (project,),
            )
            found[name] = rows.fetchall()
    return found


def waiters(opened: Opened) -> int:
    """How many connections to this database wait for a lock."""
    with psycopg.connect(opened.url) as connection:
        row = connection.execute(
            """
            SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
            WHERE NOT granted AND datname = current_database()
            """
        ).fetchone()
    assert row is not None
    return int(row[0])


def soon(seconds: float) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Look until something that another thread or process does has happened."""
    deadline = soon(seconds)
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        pause.wait(0.005)
    return True


def project_title(entries: Sequence[Entry]) -> str | None:
    """The title that the first event of a log gives."""
    for row in rows_of(parse(entries[0].line)):
        if isinstance(row, ProjectRow):
            return row.title
    return None
