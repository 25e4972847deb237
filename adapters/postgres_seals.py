"""The seal log in Postgres: each entry, its checkpoint and its sidecar in one transaction.

Who appends holds the log's row, so entries are given their places one after the other. What is signed is
refused if the log is not what was signed before.
"""

import hashlib
from collections.abc import Sequence

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_checkpoints import LOCK_SECONDS, TRACKING, refused
from adapters.postgres_connect import reading
from adapters.postgres_keys import read_trust, retired
from adapters.tree_rows import extend_nodes
from adapters.witness_alarms import standing_alarm
from domain.errors import Conflict, NotFound
from domain.merkle import frontier_from_bytes, frontier_to_bytes, root_of
from domain.seal import SEAL_LOG
from domain.seal_log import SignedStatement, next_entry
from domain.signed_note import Signer
from domain.trust import Trust, hint_of

MAX_LISTED = 1_000


class Subject(msgspec.Struct, frozen=True):
    """Which export an entry seals."""

    project: str
    position: int
    scope: str


class Sealed(msgspec.Struct, frozen=True):
    """An entry of the seal log.

    Attributes:
        index: Of its leaf, from 0.
        statement: What was signed.
        hint: Of the key that signed it.
        sidecar: The Sigstore bundle, as it is handed out.
    """

    index: int
    statement: bytes
    hint: str
    sidecar: bytes


class PostgresSeals:
    """Appends to the seal log, and reads it."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def trust(self) -> Trust:
        """The ledger's public keys.

        Raises:
            NotFound: `signing-key-absent`.
            Damaged: `statement-malformed`.
        """
        with reading(self._pool) as connection:
            return read_trust(connection)

    def find(self, statement: bytes) -> Sealed | None:
        """The newest seal of a statement by a key that is valid where it stands."""
        with reading(self._pool) as connection:
            return _find(connection, statement)

    def of_export(self, subject: Subject) -> list[Sealed]:
        """The seals of an export, newest first."""
        with reading(self._pool) as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT e.position - 1, e.statement, k.spki, e.sidecar
                    FROM seal_entry e JOIN seal_key k ON k.ordinal = e.key_ordinal
                    WHERE of_project = %b AND of_position = %b AND scope = %b
                    ORDER BY e.position DESC LIMIT %b
                    """,
                    (subject.project, subject.position, subject.scope, MAX_LISTED),
                )
                .fetchall()
            )
        return [_sealed(row) for row in rows]

    def of_file(self, zip_sha256: bytes) -> list[Sealed]:
        """The seals of an export that has this SHA-256, newest first; none when it was never made here."""
        with reading(self._pool) as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT e.position - 1, e.statement, k.spki, e.sidecar
                    FROM export x
                    JOIN seal_entry e ON e.of_project = x.project_id
                      AND e.of_position = x.position AND e.scope = x.scope
                    JOIN seal_key k ON k.ordinal = e.key_ordinal
                    WHERE x.zip_sha256 = %b ORDER BY e.position DESC LIMIT %b
                    """,
                    (zip_sha256, MAX_LISTED),
                )
                .fetchall()
            )
        return [_sealed(row) for row in rows]

    def of_project(self, project: str, limit: int) -> list[Sealed]:
        """The newest seals of a project's exports, newest first."""
        with reading(self._pool) as connection:
            rows = (
                connection.cursor(binary=True)
                .execute(
                    """
                    SELECT e.position - 1, e.statement, k.spki, e.sidecar
                    FROM seal_entry e JOIN seal_key k ON k.ordinal = e.key_ordinal
                    WHERE of_project = %b ORDER BY e.position DESC LIMIT %b
                    """,
                    (project, min(limit, MAX_LISTED)),
                )
                .fetchall()
            )
        return [_sealed(row) for row in rows]

    def append(self, signed: SignedStatement, subject: Subject, signer: Signer) -> Sealed:
        """Log a signed statement and sign the log's checkpoint; the same one again is found.

        Args:
            signed: By the current seal key.
            subject: Which export it is about.
            signer: The current log key.

        Raises:
            Conflict: `signing-key-retired`.
            Damaged: `checkpoint-refused`: the seal log is not what was signed before.
        """
        with self._pool.connection() as connection:
            head = take_turn(connection, signed.statement)
            if head.spki != signed.spki:
                raise retired("seal")
            if head.log_key != signer.public_key:
                raise retired("log")
            found = _find(connection, signed.statement) if head.sealed else None
            return found or append_entry(connection, head, signed, subject, [signer])


class SealHead(msgspec.Struct, frozen=True):
    """The seal log as it stands while its row is held, and the keys that sign it now."""

    origin: str
    size: int
    frontier: tuple[bytes, ...]
    log_key: bytes | None
    spki: bytes | None
    sealed: bool


def take_turn(connection: psycopg.Connection, statement: bytes = b"") -> SealHead:
    """Hold the seal log until the transaction ends; `sealed`: whether a statement is in it already.

    Raises:
        NotFound: `signing-key-absent`: no service has started on this database yet.
        Damaged: `checkpoint-refused`, `frontier-malformed`.
    """
    with connection.pipeline():  # one round trip; what follows on the lock sees what was committed
        connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_SECONDS}s",))
        held = connection.cursor(binary=True).execute(
            "SELECT origin, size, frontier FROM seal_log FOR UPDATE"
        )
        facts = connection.cursor(binary=True).execute(
            """
            SELECT (SELECT ed25519 FROM log_key ORDER BY ordinal DESC LIMIT 1),
              (SELECT spki FROM seal_key ORDER BY ordinal DESC LIMIT 1), c.size, c.root,
              EXISTS (SELECT FROM seal_entry WHERE project_id = %b AND statement_sha256 = %b),
              EXISTS (SELECT FROM witness_alarm a WHERE project_id = %b AND NOT EXISTS (
                SELECT FROM witness_alarm_cleared c
                WHERE c.project_id = a.project_id AND c.ordinal = a.ordinal))
            FROM (SELECT) AS one LEFT JOIN LATERAL (SELECT size, root FROM checkpoint
              WHERE project_id = %b ORDER BY size DESC LIMIT 1) AS c ON true
            """,
            (SEAL_LOG, hashlib.sha256(statement).digest(), SEAL_LOG, SEAL_LOG),
        )
        row, known = held.fetchone(), facts.fetchone()
    if row is None or known is None:
        raise NotFound(
            "signing-key-absent",
            "This ledger has no seal log yet: the first service that starts on it makes one.",
        )
    frontier = frontier_from_bytes(bytes(row[2]), row[1])
    log_key, spki, signed_size, signed_root, sealed, stopped = known
    alarm = standing_alarm(connection, SEAL_LOG) if stopped else None
    if alarm is not None:
        raise refused(SEAL_LOG, alarm.sentence)
    if (row[1], None if row[1] == 0 else root_of(frontier)) != (signed_size or 0, signed_root):
        raise refused(SEAL_LOG, f"its {row[1]} entries do not give the root that was signed last")
    return SealHead(row[0], row[1], tuple(frontier), log_key, spki, sealed)


def append_entry(
    connection: psycopg.Connection,
    head: SealHead,
    signed: SignedStatement,
    subject: Subject | None,
    signers: Sequence[Signer],
) -> Sealed:
    """Append one entry in the transaction that holds the log; without a subject, a change of keys."""
    index, size = head.size, head.size + 1
    made = next_entry(head.origin, index, head.frontier, signed, signers)
    statement = """
        WITH entry AS (
          INSERT INTO seal_entry (project_id, position, line, leaf, statement, statement_sha256,
            signature, key_ordinal, sidecar, of_project, of_position, scope)
          SELECT %(log)s, %(size)s, %(line)s, %(leaf)s, %(statement)s, %(statement_sha256)s,
            %(signature)s, ordinal, %(sidecar)s, %(project)s, %(position)s, %(scope)s
          FROM seal_key WHERE spki = %(spki)s
        ), log AS (
          UPDATE seal_log SET size = %(size)s, frontier = %(frontier)s
        ), tracked AS (
          INSERT INTO tracking (project_id, projection, position)
          VALUES (%(log)s, %(tracking)s, %(size)s)
          ON CONFLICT (project_id, projection) DO UPDATE SET position = excluded.position
        )
        INSERT INTO checkpoint (project_id, size, root, note, ordinal)
        VALUES (%(log)s, %(size)s, %(root)s, %(note)s, %(size)s)
        """
    values = {
        "log": SEAL_LOG,
        "tracking": TRACKING,
        "size": size,
        "line": made.line,
        "leaf": made.leaf,
        "statement": signed.statement,
        "statement_sha256": hashlib.sha256(signed.statement).digest(),
        "signature": signed.signature,
        "spki": signed.spki,
        "sidecar": made.sidecar,
        "project": None if subject is None else subject.project,
        "position": None if subject is None else subject.position,
        "scope": None if subject is None else subject.scope,
        "frontier": frontier_to_bytes(made.frontier),
        "root": made.root,
        "note": made.note,
    }
    connection.execute(statement, values)
    extend_nodes(connection, SEAL_LOG, index, size)
    return Sealed(index, signed.statement, hint_of(signed.spki), made.sidecar)


def open_seal_log(pool: ConnectionPool) -> None:
    """Make the seal log, unless it is there."""
    with pool.connection() as connection:
        connection.execute(
            """
            INSERT INTO seal_log (project_id, origin) SELECT %s, host FROM ledger
            ON CONFLICT DO NOTHING
            """,
            (SEAL_LOG,),
        )


def check_subject(found: Sealed | None, subject: Subject) -> Sealed:
    """What was looked for, found.

    Raises:
        NotFound: `seal-not-found`.
    """
    if found is None:
        raise NotFound(
            "seal-not-found",
            f"{subject.project} was not sealed at position {subject.position} in this scope: POST "
            "to the same address seals it.",
        )
    return found


def _find(connection: psycopg.Connection, statement: bytes) -> Sealed | None:
    rows = (
        connection.cursor(binary=True)
        .execute(
            """
            SELECT e.position - 1, e.statement, k.spki, e.sidecar
            FROM seal_entry e JOIN seal_key k ON k.ordinal = e.key_ordinal
            WHERE e.project_id = %b AND statement_sha256 = %b ORDER BY e.position DESC
            """,
            (SEAL_LOG, hashlib.sha256(statement).digest()),
        )
        .fetchall()
    )
    if not rows:
        return None
    trust = read_trust(connection)
    for row in rows:
        found = _sealed(row)
        key = trust.seal_key(found.hint)
        if key is not None and key.valid(found.index):
            if found.statement != statement:
                raise Conflict("seal-differs", "The kept statement is not the one asked for.")
            return found
    return None


def _sealed(row: Sequence[object]) -> Sealed:
    index, statement, spki, sidecar = row
    assert isinstance(index, int)
    assert isinstance(statement, bytes)
    assert isinstance(spki, bytes)
    assert isinstance(sidecar, bytes)
    return Sealed(index, statement, hint_of(spki), sidecar)
