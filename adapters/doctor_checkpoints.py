"""Whether a project's stored tree is that of its leaves, and each checkpoint what was signed of it."""

from collections.abc import Iterator, Sequence

import psycopg

from adapters.examined import MAX_FINDINGS, Finding
from adapters.postgres_checkpoints import TRACKING
from adapters.postgres_keys import read_trust
from adapters.signature_check import verify_signature
from adapters.tree_rows import MAX_LEVEL, read_nodes, read_runs, run_of
from domain.checkpoint import Checkpoint, open_checkpoint
from domain.errors import Damaged, DeedbookError, NotFound
from domain.merkle import HASH_BYTES
from domain.signed_note import NoteKey
from domain.tree_nodes import LEVEL_HEIGHT, LEVEL_NODES, full_nodes, groups_for, parents
from domain.trust import LogKey, Trust

PAGE_LEVELS = 4
PAGE_LEAVES = LEVEL_NODES**PAGE_LEVELS
"""Leaves read together: as many as a node has below it that is so many levels up."""
PAGE_CHECKPOINTS = 1_000


def examine_nodes(connection: psycopg.Connection, project: str, size: int) -> Iterator[Finding]:
    """Each node is made of those below it, all that were kept are there, and no others."""
    known = min(_tracked(connection, project), size)
    yield from _unmade(connection, project, known)
    tops: list[bytes] = []
    for first in range(0, known, PAGE_LEAVES):
        stop = min(first + PAGE_LEAVES, known)
        (raw,) = read_runs(connection, project, run_of(0, first, stop))
        if len(raw) != (stop - first) * HASH_BYTES:
            return  # which events are missing has been said
        hashes = [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]
        for level in range(1, PAGE_LEVELS + 1):
            hashes = parents(hashes)
            begin = full_nodes(first, level)
            yield from _compare(connection, project, level, begin, hashes)
        tops += hashes
    for level in range(PAGE_LEVELS + 1, MAX_LEVEL + 1):
        tops = parents(tops)
        yield from _compare(connection, project, level, 0, tops)


def examine_checkpoints(
    connection: psycopg.Connection, project: str, origin: str, size: int
) -> Iterator[Finding]:
    """Each checkpoint is signed by a key that was valid there, and has the root of the log at its size."""
    trust = _trust(connection)
    after = count = 0
    while True:
        page = (
            connection.cursor(binary=True)
            .execute(
                """
                SELECT size, root, note, ordinal FROM checkpoint WHERE project_id = %s AND size > %s
                ORDER BY size LIMIT %s
                """,
                (project, after, PAGE_CHECKPOINTS),
            )
            .fetchall()
        )
        for at, root, note, ordinal in page:
            place = f"checkpoint {project}/{at}"
            count += 1
            if ordinal != count:
                yield Finding(
                    f"{place} (ordinal)", f"It is {ordinal} and not {count}: one is gone or forged."
                )
                count = ordinal
            if at > size:
                yield Finding(
                    place, f"The log has {size} events: newer ones that were signed are gone."
                )
                continue
            keys = [] if trust is None else trust.note_keys(origin, at)
            yield from _checkpoint(
                connection, project, place, Checkpoint(origin, at, root), note, keys
            )
        if len(page) < PAGE_CHECKPOINTS:
            return
        after = page[-1][0]


def _trust(connection: psycopg.Connection) -> Trust | None:
    """The keys and where they are valid; of a ledger that has not sealed yet, those for checkpoints."""
    try:
        return read_trust(connection)
    except NotFound:
        rows = connection.execute("SELECT ed25519 FROM log_key ORDER BY ordinal").fetchall()
        return Trust("", tuple(LogKey(bytes(key)) for (key,) in rows), ())
    except Damaged:
        return None  # what the seal log's own examination says


def _checkpoint(
    connection: psycopg.Connection,
    project: str,
    place: str,
    kept: Checkpoint,
    note: str,
    keys: Sequence[NoteKey],
) -> Iterator[Finding]:
    try:
        signed = open_checkpoint(note, keys, verify_signature)
    except DeedbookError as error:
        yield Finding(f"{place} (note)", error.detail)
        return
    try:
        leaves = (0, kept.size)
        root = read_nodes(connection, project, groups_for([], kept.size)).root(leaves)
    except DeedbookError as error:
        yield Finding(place, error.detail)
        return
    if (signed.origin, signed.size) != (kept.origin, kept.size):
        yield Finding(
            f"{place} (note)", f"It was signed for {signed.origin} at {signed.size} events."
        )
    elif signed.root != root:
        yield Finding(
            f"{place} (note)",
            f"The first {kept.size} events do not give the root that was signed: they are not those "
            "that were recorded.",
        )
    if kept.root != root:
        yield Finding(f"{place} (root)", f"It is not the root of the first {kept.size} events.")


def _tracked(connection: psycopg.Connection, project: str) -> int:
    row = connection.execute(
        "SELECT position FROM tracking WHERE project_id = %s AND projection = %s",
        (project, TRACKING),
    ).fetchone()
    return 0 if row is None else int(row[0])


def _unmade(connection: psycopg.Connection, project: str, known: int) -> Iterator[Finding]:
    """Nodes that no log of the size has."""
    rows = connection.execute(
        """
        SELECT level, index FROM tree_node WHERE project_id = %s AND index >= %s >> (%s * level)
        ORDER BY level, index LIMIT %s
        """,
        (project, known, LEVEL_HEIGHT, MAX_FINDINGS + 1),
    )
    for level, index in rows:
        yield Finding(
            f"tree_node {project}/{level}/{index}",
            f"The {known} events up to which nodes are kept do not give it.",
        )


def _compare(
    connection: psycopg.Connection, project: str, level: int, first: int, made: Sequence[bytes]
) -> Iterator[Finding]:
    """The stored nodes of a level from an index on, against those that the leaves give."""
    if not made:
        return
    rows = connection.cursor(binary=True).execute(
        """
        SELECT index, hash FROM tree_node WHERE project_id = %s AND level = %s
          AND index BETWEEN %s AND %s
        """,
        (project, level, first, first + len(made) - 1),
    )
    kept = {index: bytes(node) for index, node in rows}
    for index, node in enumerate(made, first):
        place = f"tree_node {project}/{level}/{index}"
        if index not in kept:
            yield Finding(place, "It is missing: the leaves give it.")
        elif kept[index] != node:
            yield Finding(f"{place} (hash)", "The leaves give something else.")
