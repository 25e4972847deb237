"""A ledger with every kind of event, and how its owner would tamper with it: for rebuild and doctor."""

import hashlib
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from adapters.postgres_checkpoints import Signed
from app.attestations import record_attestation
from app.door import EventInput
from app.ledger import Ledger, RequestKey
from domain.citation import Citation
from domain.errors import DeedbookError
from domain.events import PolicyChanged
from domain.seal import Head
from domain.signed_note import parse_note
from tests import attestation_samples as attested
from tests.ledger_samples import erase_for_good, make_project
from tests.witness_double import WitnessDouble

LARGE = b"0123456789abcdef" * 320_000
"""Longer than the piece in which a content is read."""


def fill(ledger: Ledger, url: str) -> None:
    """Two projects: `alpha` with every kind of event, contents, keys and exports; `beta` is small."""
    make_project(ledger, url)
    ledger.checkpoints.latest("alpha")
    ledger.change_project("alpha", description="Changed.", actor="user:bob")
    ledger.write_artifact(
        "alpha", "NOTE", "huge", LARGE, media_type="application/x-large", actor="user:ada"
    )
    _second_run(ledger)
    erase_for_good(ledger, "alpha", "run/r2", 3)
    ledger.change_policy("alpha", PolicyChanged(four_eyes=True), actor="user:ada")
    batch = [
        EventInput(
            stream=f"artifact/SPEC_1/{key}",
            type="ArtifactWritten",
            data={"media_type": "text/markdown", "title": key},
            content=f"# {key}\n".encode(),
        )
        for key in ("one", "two", "three")
    ]
    for number, events in enumerate((batch, batch[:1])):
        ledger.append(
            "alpha",
            events,
            actor="build:ci",
            key=RequestKey(f"key-{number}", hashlib.sha256(bytes([number])).digest()),
        )
    position = ledger.position("alpha", None)
    ledger.exports.layout("alpha", position)
    ledger.exports.layout("alpha", position, "run:r1")
    ledger.seals.seal("alpha", position, "project", None)
    head = Head("3c8f0a3d1f3c6d0b5a1e7f2d9c4b8a6e5d7f1c20", "https://git.example/alpha")
    ledger.seals.seal("alpha", position, "project", head)
    ledger.seals.seal("alpha", position, "run:r1", head)
    _cosign(url, ledger.checkpoints.latest("alpha"))
    ledger.create_project("beta", title="Beta", actor="user:ada")
    ledger.write_artifact("beta", "NOTE", "only", b"# Only\n", actor="user:ada")


def _cosign(url: str, signed: Signed) -> None:
    """A witness cosigns a checkpoint."""
    witness = WitnessDouble("witness.example")
    line = witness.cosign(parse_note(signed.note).text)
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO cosignature VALUES ('alpha', %s, %s, %s)",
            (signed.size, witness.vkey, line),
        )


def _second_run(ledger: Ledger) -> None:
    steps: Sequence[tuple[str, dict[str, object]]] = (
        ("RunCreated", {"title": "Second run"}),
        ("RunStarted", {}),
        (
            "TranscriptRecorded",
            {
                "command": ["env"],
                "exit_code": 0,
                "duration_ms": 1,
                "content": {"media_type": "text/plain"},
            },
        ),
        ("StepStarted", {"step": "s1", "inputs": [{"name": "on", "value": "main"}]}),
        ("StepFinished", {"step": "s1", "outcome": "succeeded"}),
        ("InfrastructureRecorded", {"provider": "here", "resources": [{"kind": "vm", "id": "1"}]}),
        ("ApprovalRequested", {"approval": "a1", "scope": "deploy", "intent": "Go live"}),
        ("RunPaused", {"waiting_for": "approval"}),
        ("ApprovalRecorded", {"decision": "approved", "approval": "a1"}),
        ("RunResumed", {}),
        ("SideEffectIntended", {"effect": "e1", "scope": "deploy", "intent": "Go live"}),
        ("SideEffectFinished", {"effect": "e1", "outcome": "succeeded"}),
        (
            "DeploymentRecorded",
            {
                "provider": "here",
                "environment": "production",
                "commit": "c0ffee",
                "outcome": "succeeded",
            },
        ),
        ("RunPaused", {"waiting_for": "external", "reason": "nightly"}),
        ("RunFinished", {"outcome": "canceled"}),
    )
    for kind, data in steps:
        content = b"token: none of yours\n" if kind == "TranscriptRecorded" else None
        given = EventInput(stream="run/r2", type=kind, data=data, content=content)
        ledger.append("alpha", [given], actor="agent:x")
        if kind == "InfrastructureRecorded":
            signed = attested.raw(attested.envelope(attested.statement(), attested.ed25519()))
            record_attestation(ledger, "alpha", "r2", signed, actor="build:ci")


@contextmanager
def tampering(url: str) -> Iterator[psycopg.Connection]:
    """The owner's transaction, with the triggers off; they are on again at its end."""
    with psycopg.connect(url) as connection:
        connection.execute(TRIGGERS_OFF)
        yield connection
        connection.execute(TRIGGERS_ON)


@contextmanager
def undone(url: str) -> Iterator[psycopg.Connection]:
    """A transaction of the owner's that is rolled back, so that many tests can share a database."""
    with psycopg.connect(url) as connection:
        yield connection
        connection.rollback()


def columns_of(url: str, table: str) -> list[tuple[str, str]]:
    """The columns of a table and their types, from the catalogue."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """
            SELECT column_name, data_type FROM information_schema.columns
            WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position
            """,
            (table,),
        ).fetchall()


def key_of(url: str, table: str) -> set[str]:
    """The columns of a table's primary key."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """
            SELECT attname FROM pg_index JOIN pg_attribute
              ON attrelid = indrelid AND attnum = ANY(indkey)
            WHERE indrelid = to_regclass(%s) AND indisprimary
            """,
            (table,),
        ).fetchall()
    return {name for (name,) in rows}


def tables_with_projects(url: str) -> set[str]:
    """The tables that hold rows of projects, from the catalogue."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            """
            SELECT table_name FROM information_schema.columns
            WHERE table_schema = 'public' AND column_name = 'project_id'
            """
        ).fetchall()
    return {name for (name,) in rows}


CHANGES = {
    "text": "coalesce({0}, '') || 'x'",
    "bigint": "{0} + 1000",
    "integer": "{0} + 1000",
    "smallint": "{0} + 7",
    "uuid": "overlay({0}::text placing 'ffff' from 20)::uuid",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "bytea": "CASE WHEN {0} = '' THEN 'x'::bytea ELSE set_byte({0}, 0, get_byte({0}, 0) # 1) END",
}
"""By type: another value."""


def change_one(
    connection: psycopg.Connection, table: str, column: str, kind: str, project: str = "alpha"
) -> None:
    """Give one row of a project, from the middle, another value in a column."""
    names = {"table": sql.Identifier(table), "column": sql.Identifier(column)}
    statement = sql.SQL(
        """
        UPDATE {table} SET {column} = {change} WHERE ctid = (
          SELECT ctid FROM {table} WHERE project_id = {project} ORDER BY {table} DESC
          LIMIT 1 OFFSET (SELECT count(*) / 2 FROM {table} WHERE project_id = {project}))
        """
    ).format(
        project=project, change=sql.SQL(CHANGES[kind].format("{column}")).format(**names), **names
    )
    tamper(connection, statement)


def tamper(connection: psycopg.Connection, *statements: sql.SQL | sql.Composed) -> None:
    """Change rows with the triggers off; each statement must change something."""
    connection.execute(TRIGGERS_OFF)
    for statement in statements:
        assert connection.execute(statement).rowcount != 0, statement
    connection.execute(TRIGGERS_ON)


TRIGGERS_OFF = """
ALTER TABLE event DISABLE TRIGGER USER;
ALTER TABLE checkpoint DISABLE TRIGGER USER;
ALTER TABLE cosignature DISABLE TRIGGER USER;
ALTER TABLE log_key DISABLE TRIGGER USER;
ALTER TABLE seal_key DISABLE TRIGGER USER;
ALTER TABLE seal_entry DISABLE TRIGGER USER
"""
TRIGGERS_ON = """
ALTER TABLE event ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE checkpoint ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE cosignature ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE log_key ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE seal_key ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate;
ALTER TABLE seal_entry ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_truncate
"""


CITED = (
    Citation(index=1, url="https://example.com/spec", title="Spec"),
    Citation(index=2, url="https://example.com/other"),
)


def wander(ledger: Ledger, chance: random.Random, steps: int) -> None:
    """A random history of two projects; what the rules refuse is simply not recorded."""
    projects, kinds, keys, runs = ("alpha", "beta"), ("PRD", "ADR_1"), ("a", "B", "ü"), ("r1", "r2")
    for slug in projects:
        ledger.create_project(slug, title=slug, actor="user:ada")
    written: list[tuple[str, str, str, int, bytes]] = []
    for step in range(steps):
        slug = chance.choice(projects)
        try:
            match chance.randrange(8):
                case 0 | 1 | 2:
                    kind, key = chance.choice(kinds), chance.choice(keys)
                    text = f"# {step}\n".encode()
                    receipt = ledger.write_artifact(
                        slug,
                        kind,
                        key,
                        text,
                        title=chance.choice((None, "T")),
                        citations=chance.choice(((), CITED)),
                        actor=chance.choice(("user:ada", "user:bob")),
                    )
                    version = receipt.entries[0].version
                    written.append((slug, kind, key, version, text))
                case 3:
                    title, description = chance.choice(((None, ""), (f"Title {step}", None)))
                    ledger.change_project(
                        slug, title=title, description=description, actor="user:bob"
                    )
                case 4 if written:
                    gone = written.pop(chance.randrange(len(written)))
                    stream = f"artifact/{gone[1]}/{gone[2]}"
                    erase_for_good(ledger, gone[0], stream, gone[3])
                case _:
                    kind, data = chance.choice(RUN_STEPS)
                    stream = f"run/{chance.choice(runs)}"
                    given = [EventInput(stream=stream, type=kind, data=data)]
                    ledger.append(slug, given, actor="agent:x")
        except DeedbookError:
            continue


RUN_STEPS: tuple[tuple[str, dict[str, object]], ...] = (
    ("RunCreated", {"title": "A run"}),
    ("RunStarted", {}),
    ("RunPaused", {"waiting_for": "approval"}),
    ("RunResumed", {}),
    ("VerificationRecorded", {"result": "PASSED"}),
    ("RunFinished", {"outcome": "succeeded"}),
)
