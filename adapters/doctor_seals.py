"""Whether the seal log is what was signed: each entry, its checkpoint, its sidecar, and the keys."""

import hashlib
from collections.abc import Iterator

import msgspec
import psycopg

from adapters.examined import Finding
from adapters.postgres_keys import read_trust
from adapters.signature_check import verify_p256, verify_signature
from domain.dsse import pae
from domain.errors import DeedbookError
from domain.hashed_rekord import LeafKey, encode_leaf
from domain.key_change import parse_key_change
from domain.log_entry import LogEntry, check_entry
from domain.merkle import extend, frontier_to_bytes, leaf_hash, root_of
from domain.seal import SEAL_LOG, parse_statement
from domain.sigstore_bundle import SignedSeal, encode_bundle, parse_bundle
from domain.trust import Trust, hint_of
from projections.bundle import FORMAT_VERSION

PAGE_ENTRIES = 500


class _Entry(msgspec.Struct, frozen=True):
    """A row, with the checkpoint of the log that ends with it."""

    position: int
    line: bytes
    leaf: bytes
    statement: bytes
    statement_sha256: bytes
    signature: bytes
    sidecar: bytes
    project: str | None
    of_position: int | None
    scope: str | None
    spki: bytes | None
    note: str | None
    zip_sha256: bytes | None


def examine_seals(connection: psycopg.Connection) -> Iterator[Finding]:
    """Everything that is wrong with the seal log and with the keys."""
    row = (
        connection.cursor(binary=True)
        .execute("SELECT origin, size, frontier, (SELECT host FROM ledger) FROM seal_log")
        .fetchone()
    )
    if row is None:
        if _count(connection):
            yield Finding("seal_log", "It is missing: there are entries.")
        return
    origin, size, stored, host = row
    if origin != host:
        yield Finding("seal_log (origin)", f"It is {origin!r}, and must be {host!r}.")
    try:
        trust = read_trust(connection)
    except DeedbookError as error:
        if size:
            yield Finding("seal_key", error.detail)
        return
    yield from _examine_keys(connection, trust)
    frontier: list[bytes] = []
    expected = 0
    for entry in _entries(connection):
        expected += 1
        place = f"seal_entry {entry.position - 1}"
        if entry.position != expected:
            yield Finding(place, f"It stands where index {expected - 1} belongs: one is gone.")
            return
        before = tuple(frontier)
        extend(frontier, expected - 1, leaf_hash(entry.line))
        yield from _examine_entry(entry, place, origin, before, frontier, trust)
    if size != expected:
        yield Finding("seal_log (size)", f"It says {size}, and there are {expected} entries.")
    if bytes(stored) != frontier_to_bytes(frontier):
        yield Finding("seal_log (frontier)", "It is not the one that the entries give.")


def _examine_entry(
    entry: _Entry,
    place: str,
    origin: str,
    before: tuple[bytes, ...],
    frontier: list[bytes],
    trust: Trust,
) -> Iterator[Finding]:
    if entry.spki is None:
        yield Finding(f"{place} (key_ordinal)", "There is no such key.")
        return
    signed = pae(entry.statement)
    if not verify_p256(entry.spki, signed, entry.signature):
        yield Finding(f"{place} (signature)", "The key did not sign this statement.")
    if hashlib.sha256(entry.statement).digest() != entry.statement_sha256:
        yield Finding(f"{place} (statement_sha256)", "It is not that of the statement.")
    line = encode_leaf(hashlib.sha256(signed).digest(), entry.signature, LeafKey(entry.spki))
    if line != entry.line:
        yield Finding(f"{place} (line)", "Statement, signature and key give another leaf.")
    if leaf_hash(entry.line) != entry.leaf:
        yield Finding(f"{place} (leaf)", "It is not the hash of the line.")
    if entry.note is None:
        yield Finding(place, "The checkpoint that was signed with it is gone.")
        return
    index, size = entry.position - 1, entry.position
    try:
        log_id = parse_bundle(entry.sidecar).entry.log_id
        root = root_of(frontier)
        rebuilt = LogEntry(
            log_id=log_id,
            index=index,
            body=entry.line,
            proof_index=index,
            size=size,
            root=root,
            hashes=tuple(reversed(before)),
            checkpoint=entry.note,
        )
        check_entry(rebuilt, line, trust.note_keys(origin, size), verify_signature)
        hint = hint_of(entry.spki)
        whole = encode_bundle(SignedSeal(entry.statement, entry.signature, hint, rebuilt))
    except DeedbookError as error:
        yield Finding(f"{place} (sidecar)", error.detail)
        return
    if whole != entry.sidecar:
        yield Finding(f"{place} (sidecar)", "It is not the one that the entry gives.")
    yield from _examine_statement(entry, place)


def _examine_statement(entry: _Entry, place: str) -> Iterator[Finding]:
    """The columns by which it is found say what its statement says."""
    told = (entry.project, entry.of_position, entry.scope)
    try:
        if entry.project is None:
            parse_key_change(entry.statement)
            wanted: tuple[str | None, int | None, str | None] = (None, None, None)
        else:
            seal = parse_statement(entry.statement)
            wanted = (seal.origin.partition(".")[0], seal.position, seal.scope)
            if entry.zip_sha256 not in {None, seal.zip_sha256}:
                yield Finding(
                    f"export {entry.project}/{entry.of_position} (zip_sha256)",
                    "It is not the one that was sealed.",
                )
    except DeedbookError as error:
        yield Finding(f"{place} (of_project)", error.detail)
        return
    names = ("of_project", "of_position", "scope")
    for name, said, meant in zip(names, told, wanted, strict=True):
        if said != meant:
            yield Finding(f"{place} ({name})", f"It is {said!r}, the statement says {meant!r}.")


def _examine_keys(connection: psycopg.Connection, trust: Trust) -> Iterator[Finding]:
    """The keys are the first ones and those that the changes name, in that order."""
    wanted = {
        "log_key": [key.public_key for key in trust.log_keys],
        "seal_key": [key.spki for key in trust.seal_keys],
    }
    kept = {
        "log_key": b"SELECT ordinal, ed25519 FROM log_key ORDER BY ordinal",
        "seal_key": b"SELECT ordinal, spki FROM seal_key ORDER BY ordinal",
    }
    for table, statement in kept.items():
        rows = connection.cursor(binary=True).execute(statement).fetchall()
        if [(ordinal, bytes(key)) for ordinal, key in rows] != list(enumerate(wanted[table], 1)):
            yield Finding(table, "Its keys are not those that the seal log tells.")


def _entries(connection: psycopg.Connection) -> Iterator[_Entry]:
    position = 0
    while True:
        rows = (
            connection.cursor(binary=True)
            .execute(
                """
                SELECT e.position, e.line, e.leaf, e.statement, e.statement_sha256, e.signature,
                  e.sidecar, e.of_project, e.of_position, e.scope, k.spki, c.note,
                  x.zip_sha256
                FROM seal_entry e LEFT JOIN seal_key k ON k.ordinal = e.key_ordinal
                LEFT JOIN checkpoint c ON c.project_id = e.project_id AND c.size = e.position
                LEFT JOIN export x ON x.project_id = e.of_project AND x.position = e.of_position
                  AND x.scope = e.scope AND x.format_version = %b
                WHERE e.project_id = %b AND e.position > %b ORDER BY e.position LIMIT %b
                """,
                (FORMAT_VERSION, SEAL_LOG, position, PAGE_ENTRIES),
            )
            .fetchall()
        )
        for row in rows:
            yield _Entry(*row)
        if len(rows) < PAGE_ENTRIES:
            return
        position = rows[-1][0]


def _count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM seal_entry").fetchone()
    assert row is not None
    return int(row[0])
