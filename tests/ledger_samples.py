"""A whole ledger over a database, and a project made through its use cases: for tests of exports."""

import hashlib
import itertools
import secrets
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
from psycopg.conninfo import make_conninfo

from app import bootstrap
from app.door import EventInput
from app.erasures import Erased
from app.ledger import Ledger
from app.settings import Settings
from domain import canonical
from domain.citation import Citation
from domain.digest import digest_of
from domain.events import ArtifactErased
from domain.log import Append, Proposed
from domain.plan import Task, plan_document
from tests.note_samples import published_signer
from tests.seal_samples import published_seal_signer

HOST = "ledger.example"
START = datetime(2026, 11, 20, 10, tzinfo=UTC)
ERASED = b"# A secret\n"
PLAN = plan_document((Task(id="t1", title="Write it down", acceptance=("It can be read.",)),))
PATCHSET = (
    b'{"commits":[],"diff_manifest":[{"change":"added","path":"README.md"}],'
    b'"head":"c0ffee","schema":"deedbook/patchset/v1"}'
)


def counted_ids(first: int = 1) -> Callable[[], str]:
    """Event ids that are the same in every run."""
    numbers = itertools.count(first)
    return lambda: str(uuid.UUID(int=next(numbers) | 7 << 76 | 2 << 62))


def running_clock() -> Callable[[], datetime]:
    """A clock that goes on by a second whenever it is read."""
    seconds = itertools.count()
    return lambda: START + timedelta(seconds=next(seconds))


@contextmanager
def another_database(server: str, template: str) -> Iterator[str]:
    """The URL of one more fresh, migrated database."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield make_conninfo(server, dbname=name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def open_ledger(
    url: str,
    *,
    host: str = HOST,
    first_id: int = 1,
    clock: Callable[[], datetime] = lambda: START,
) -> Iterator[Ledger]:
    """A ledger with a clock that stands still and ids that repeat."""
    settings = Settings(database_url=url, deedbook_host=host)
    with bootstrap.open_ledger(
        settings,
        url,
        clock=clock,
        ids=counted_ids(first_id),
        signer=published_signer(),
        seal_signer=published_seal_signer(),
    ) as ledger:
        yield ledger


def make_project(ledger: Ledger, url: str, slug: str = "alpha") -> int:
    """A small project with a bit of everything, one content of it erased; answers its position.

    Args:
        ledger: An open ledger.
        url: The same database, as its owner.
        slug: Of the project.
    """
    ada = "user:ada"
    ledger.create_project(slug, title="Alpha", description="A sample – with a dash.", actor=ada)
    ledger.write_artifact(slug, "PRD", "main", b"# Alpha\n\nFirst.\n", actor=ada)
    cited = (
        Citation(index=1, url="https://example.com/spec", title="Spec"),
        Citation(index=2, url="https://example.com/%C3%A6", title="Ænd aa, then å"),
    )
    second = "# Alpha\n\nSecond [1](citation:1), [2](citation:2); aa, å, 日本.\n".encode()
    ledger.write_artifact(slug, "PRD", "main", second, citations=cited, actor=ada)
    for key in ("README", "Readme", "readme", "aa", "B", "a", "z", "å", "å", "sub.md", "sub-1.md"):
        ledger.write_artifact(slug, "ADR", key, f"# {key}\n".encode(), actor=ada)
    ledger.write_artifact(slug, "NOTE", "empty", b"", media_type="text/plain", actor=ada)
    large = bytes(range(256)) * 6_000
    ledger.write_artifact(slug, "NOTE", "large", large, media_type="image/png", actor=ada)
    ledger.write_artifact(slug, "NOTE", "secret", ERASED, actor=ada)
    _make_run(ledger, slug)
    erase(ledger, url, slug, "artifact/NOTE/secret", 1, ERASED)
    return ledger.position(slug, None)


def erase(ledger: Ledger, url: str, slug: str, stream: str, version: int, content: bytes) -> None:
    """What erasing does: the event, and the content's row is gone."""
    data = ArtifactErased(
        artifact=stream, artifact_version=version, digest=digest_of(content), reason="asked"
    )
    event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{slug}/{stream}/{version}"))
    proposed = Proposed("erasures", "ArtifactErased", canonical.write(data), event_id, "user:ada")
    ledger.log.append(Append(project=slug, events=(proposed,)))
    with psycopg.connect(url) as connection:
        connection.execute(
            "DELETE FROM blob WHERE project_id = %s AND sha256 = %s",
            (slug, hashlib.sha256(content).digest()),
        )


def erase_for_good(
    ledger: Ledger, slug: str, stream: str, version: int | None = None, reason: str = "asked"
) -> Erased:
    """Erase as a person does: look, and confirm what was shown."""
    shown = ledger.erasures.preview(slug, stream, version)
    return ledger.erasures.erase(
        slug, stream, version, reason=reason, confirm=shown.confirm or "", actor="user:ada"
    )


def write_export(ledger: Ledger, file: Path, position: int, scope: str = "project") -> str:
    """Write an export to a file; answers its SHA-256 in hex."""
    digest = hashlib.sha256()
    record = ledger.exports.layout("alpha", position, scope)
    with file.open("wb") as opened:
        for piece in ledger.exports.stream(record):
            digest.update(piece)
            opened.write(piece)
    return digest.hexdigest()


def _make_run(ledger: Ledger, slug: str) -> None:
    names = [
        {"kind": "PRD", "key": "main", "version": 1, "digest": digest_of(b"# Alpha\n\nFirst.\n")}
    ]
    records: list[tuple[str, dict[str, object], bytes | None]] = [
        ("RunCreated", {"title": "First run", "artifacts": names}, None),
        ("RunStarted", {}, None),
        ("PlanRecorded", {"content": {"media_type": "application/json"}}, PLAN),
        (
            "PatchSetRecorded",
            {"commits": ["c0ffee"], "content": {"media_type": "application/json"}},
            PATCHSET,
        ),
        ("VerificationRecorded", {"result": "PASSED", "name": "tests"}, None),
        (
            "TranscriptRecorded",
            {
                "command": ["make"],
                "exit_code": 0,
                "duration_ms": 12,
                "content": {"media_type": "text/plain"},
            },
            b"ok\n",
        ),
        ("RunFinished", {"outcome": "succeeded"}, None),
    ]
    for kind, data, content in records:
        given = EventInput(stream="run/r1", type=kind, data=data, content=content)
        ledger.append(slug, [given], actor="agent:x")
