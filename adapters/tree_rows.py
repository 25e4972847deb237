"""The rows in which a project's tree lies: leaves in its events, every fourth height above in nodes."""

from collections.abc import Sequence

import psycopg

from domain.merkle import HASH_BYTES
from domain.tree_nodes import LEVEL_NODES, Group, NodeGroup, Nodes, full_nodes, parents

MAX_LEVEL = 15
"""A level more would begin at 2^64 leaves."""


Runs = dict[str, str]
"""Runs of nodes as parameters of `tree_runs`: their levels, first indexes, and those behind their last."""


def run_of(level: int, first: int, stop: int) -> Runs:
    """One run, of the nodes of a level."""
    return _runs([level], [first], [stop])


def runs_of(groups: Sequence[Group]) -> Runs:
    """A run for each group."""
    return _runs(
        [level for level, _ in groups],
        [parent * LEVEL_NODES for _, parent in groups],
        [(parent + 1) * LEVEL_NODES for _, parent in groups],
    )


def nodes_of(groups: Sequence[Group], read: Sequence[bytes]) -> Nodes:
    """The groups with what was read for them."""
    return Nodes(dict(zip(groups, map(NodeGroup, read), strict=True)))


def read_runs(connection: psycopg.Connection, project: str, runs: Runs) -> list[bytes]:
    """The nodes of each run, one behind the other, in one round trip; fewer if some are absent."""
    row = (
        connection.cursor(binary=True)
        .execute(
            """
            SELECT tree_runs(%(project)s, %(levels)s::bigint[], %(firsts)s::bigint[],
              %(stops)s::bigint[])
            """,
            {"project": project, **runs},
        )
        .fetchone()
    )
    assert row is not None
    found: list[bytes] = row[0]
    return found


def read_nodes(connection: psycopg.Connection, project: str, groups: Sequence[Group]) -> Nodes:
    """Groups of nodes, in one round trip."""
    return nodes_of(groups, read_runs(connection, project, runs_of(groups)))


def _runs(levels: Sequence[int], firsts: Sequence[int], stops: Sequence[int]) -> Runs:
    return {"levels": _array(levels), "firsts": _array(firsts), "stops": _array(stops)}


def _array(numbers: Sequence[int]) -> str:
    """An array as Postgres reads it; psycopg would look at the type of each of its elements."""
    return f"{{{','.join(map(str, numbers))}}}"


def extend_nodes(connection: psycopg.Connection, project: str, known: int, upto: int) -> None:
    """Keep the nodes that the log of one size has, and that of a smaller one had not.

    Those that are there already stay: before anything is signed, they must give the log's root.
    """
    for level in range(1, MAX_LEVEL + 1):
        first, stop = full_nodes(known, level), full_nodes(upto, level)
        if first == stop:
            return
        below = run_of(level - 1, first * LEVEL_NODES, stop * LEVEL_NODES)
        (raw,) = read_runs(connection, project, below)
        children = [raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES)]
        connection.execute(
            """
            INSERT INTO tree_node (project_id, level, index, hash)
            SELECT %b, %b::smallint, %b + ordinal - 1, hash
            FROM unnest(%b::bytea[]) WITH ORDINALITY AS n (hash, ordinal)
            ON CONFLICT DO NOTHING
            """,
            (project, level, first, parents(children)),
        )
