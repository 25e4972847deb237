"""Checkpoints in Postgres: signed outside of every append, kept for ever, and the tree below them.

Who signs holds the project's Tracking row `checkpoint`, not its log: appends go on meanwhile. Nothing is
signed that is smaller than what was, has another root at its size, or does not begin with it; nor while a
witness's alarm about the log stands.
"""

from collections.abc import Callable, Sequence
from typing import LiteralString

import msgspec
import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from adapters.kept_nodes import KeptNodes
from adapters.postgres_connect import reading
from adapters.postgres_keys import hold_log_key
from adapters.tree_rows import Runs, extend_nodes, read_nodes, run_of, runs_of
from adapters.witness_alarms import standing_alarm
from domain.checkpoint import MAX_SIZE, Checkpoint, format_checkpoint
from domain.errors import Damaged, NotFound
from domain.merkle import frontier_from_bytes, root_of
from domain.seal import SEAL_LOG
from domain.signed_note import Signer, format_note, sign
from domain.tree_nodes import Group, Nodes, boundary, groups_for

TRACKING = "checkpoint"
LEAVES_A_TRANSACTION = 65_536
LOCK_SECONDS = 5
MAX_GUESSES = 10_000
MAX_GUESSED = 2**62  # the end of a group behind it is no bigint
MAX_BEHIND = 1_000
"""Projects looked at together; the others have their turn when these are signed."""


class Signed(msgspec.Struct, frozen=True):
    """A checkpoint that was signed: what it says, and the note as it is handed out, cosigned or not."""

    size: int
    root: bytes
    note: str


class Known(msgspec.Struct, frozen=True):
    """How large a log is now, and a checkpoint of it, if there is one."""

    log_size: int
    signed: Signed | None


class Behind(msgspec.Struct, frozen=True):
    """A log with leaves that no checkpoint has yet."""

    project: str
    size: int
    signed_size: int


class PostgresCheckpoints:
    """Signs, keeps and reads checkpoints, nodes and entries."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._sizes: dict[str, int] = {}
        self._kept = KeptNodes()

    def find(self, project: str, size: int | None = None) -> Known:
        """The newest checkpoint of a project, or the one of a size.

        Raises:
            NotFound: `project-not-found`.
        """
        with reading(self._pool) as connection:
            return _find(connection, project, size)

    def nodes(
        self, project: str, size: int | None, plan: Callable[[int], Sequence[Group]]
    ) -> tuple[Known, Nodes]:
        """The same, with the groups of nodes that a plan for the checkpoint's size names.

        The newest size is guessed to be the last one that was seen, so that a right guess costs one
        round trip, and a wrong one another.

        Raises:
            NotFound: `project-not-found`.
        """
        guess = self._sizes.get(project, 0) if size is None else size
        if guess >= MAX_GUESSED:
            guess = 0
        groups = plan(guess)
        kept = self._kept.known(project, groups, guess)
        missing = [group for group in groups if group not in kept]
        with reading(self._pool) as connection:
            known, read = _find_with(connection, project, size, runs_of(missing))
            found = 0 if known.signed is None else known.signed.size
            if found == guess:
                return known, Nodes(kept | self._kept.keep(project, missing, read, guess))
            if size is None:
                if len(self._sizes) >= MAX_GUESSES:
                    self._sizes.clear()
                self._sizes[project] = found
            return known, read_nodes(connection, project, plan(found))

    def forget_nodes(self, project: str) -> None:
        """Read the nodes of a log anew: those that are kept do not lead to the root that was signed."""
        self._kept.forget(project)

    def hashes(self, project: str, level: int, first: int, stop: int) -> tuple[Known, bytes]:
        """The newest checkpoint, and the nodes of a level from one to before another.

        Raises:
            NotFound: `project-not-found`.
        """
        with reading(self._pool) as connection:
            known, (raw,) = _find_with(connection, project, None, run_of(level, first, stop))
            return known, raw

    def lines(self, project: str, first: int, stop: int) -> tuple[Known, list[bytes]]:
        """The newest checkpoint, and the stored lines from one leaf to before another.

        Raises:
            NotFound: `project-not-found`.
        """
        with reading(self._pool) as connection:
            known = _find(connection, project, None)
            rows = connection.cursor(binary=True).execute(
                _statements(project).lines, (project, first + 1, stop)
            )
            return known, [row[0] for row in rows]

    def behind(self) -> list[Behind]:
        """The logs that have grown since they were signed."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT l.project_id, l.size, coalesce(t.position, 0)
                FROM project_log l LEFT JOIN tracking t
                  ON t.project_id = l.project_id AND t.projection = %s
                WHERE l.size > coalesce(t.position, 0) LIMIT %s
                """,
                (TRACKING, MAX_BEHIND),
            ).fetchall()
        return [Behind(*row) for row in rows]

    def sign(self, project: str, signer: Signer, *, wait: bool = True) -> Signed | None:
        """Sign the log as it is now, unless that was done; answers the checkpoint.

        A log that has grown by much is taken in several transactions.

        Args:
            project: Which log.
            signer: With which key.
            wait: Until another process has signed; otherwise answer None when one is at it.

        Raises:
            NotFound: `project-not-found`.
            Damaged: `checkpoint-refused`: the log is not what was signed before, grown on.
            Conflict: `signing-key-retired`.
        """
        while True:
            with self._pool.connection() as connection:
                known = _take_turn(connection, project, wait=wait)
                if known is None:
                    return None
                hold_log_key(connection, signer.public_key)
                alarm = standing_alarm(connection, project)
                if alarm is not None:
                    raise refused(project, alarm.sentence)
                head = _head(connection, project)
                upto = min(head.size, known + LEAVES_A_TRANSACTION)
                if known > head.size:
                    raise refused(project, f"it had {known} events, and has {head.size}")
                extend_nodes(connection, project, known, upto)
                connection.execute(
                    """
                    UPDATE tracking SET position = %s WHERE project_id = %s AND projection = %s
                      AND position < %s
                    """,
                    (upto, project, TRACKING, upto),
                )
                if upto == head.size:
                    return _sign(connection, project, head, signer)


class _Head(msgspec.Struct, frozen=True):
    origin: str
    size: int
    frontier: list[bytes]


class _Statements:
    """What is asked of the logs of projects, or of the seal log."""

    def __init__(self, log: LiteralString, entries: LiteralString) -> None:
        self.find = f"""
            SELECT l.size, c.size AS signed_size, c.root, c.note || coalesce((
              SELECT string_agg(line, '' ORDER BY line) FROM cosignature k
              WHERE k.project_id = l.project_id AND k.size = c.size), '') AS note
            FROM {log} l LEFT JOIN LATERAL (
              SELECT size, root, note FROM checkpoint WHERE project_id = l.project_id
                AND size BETWEEN %(least)s::bigint AND %(most)s::bigint
              ORDER BY size DESC LIMIT 1) c ON true
            WHERE l.project_id = %(project)s
            """.encode()
        self.find_with = (
            b"""
            SELECT found.*, tree_runs(%%(project)s, %%(levels)s::bigint[], %%(firsts)s::bigint[],
              %%(stops)s::bigint[]) FROM (%b) AS found
            """
            % self.find
        )
        self.lines = f"""
            SELECT line FROM {entries} WHERE project_id = %s AND position BETWEEN %s AND %s
            ORDER BY position
            """.encode()


_PROJECTS = _Statements("project_log", "event")
_SEALS = _Statements("seal_log", "seal_entry")


def _statements(project: str) -> _Statements:
    return _SEALS if project == SEAL_LOG else _PROJECTS


def _find(connection: psycopg.Connection, project: str, size: int | None) -> Known:
    cursor = connection.cursor(binary=True)
    statement = _statements(project).find
    return _known(project, cursor.execute(statement, _which(project, size)).fetchone())


def _find_with(
    connection: psycopg.Connection, project: str, size: int | None, runs: Runs
) -> tuple[Known, list[bytes]]:
    """The same with runs of nodes, in one round trip."""
    cursor = connection.cursor(binary=True)
    values = {**_which(project, size), **runs}
    row = cursor.execute(_statements(project).find_with, values).fetchone()
    known = _known(project, row)
    assert row is not None
    return known, row[-1]


def _which(project: str, size: int | None) -> dict[str, object]:
    if size is None:
        return {"project": project, "least": 1, "most": MAX_SIZE}
    return {"project": project, "least": size, "most": size}


def _known(project: str, row: TupleRow | None) -> Known:
    if row is None:
        raise NotFound("project-not-found", f"There is no project {project!r}.")
    return Known(row[0], None if row[1] is None else Signed(row[1], row[2], row[3]))


def _take_turn(connection: psycopg.Connection, project: str, *, wait: bool) -> int | None:
    """Hold the project's Tracking; answers the size up to which its nodes are kept."""
    connection.execute("SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_SECONDS}s",))
    there = connection.execute("SELECT FROM project_log WHERE project_id = %s", (project,))
    if there.fetchone() is None:
        raise NotFound("project-not-found", f"There is no project {project!r}.")
    values = {"project": project, "tracking": TRACKING}
    connection.execute(
        """
        INSERT INTO tracking (project_id, projection, position)
        VALUES (%(project)s, %(tracking)s, 0) ON CONFLICT DO NOTHING
        """,
        values,
    )
    turn = """
        SELECT position FROM tracking WHERE project_id = %(project)s AND projection = %(tracking)s
        FOR UPDATE
        """
    statement = turn if wait else f"{turn} SKIP LOCKED"
    row = connection.execute(statement.encode(), values).fetchone()
    return None if row is None else int(row[0])


def _head(connection: psycopg.Connection, project: str) -> _Head:
    row = (
        connection.cursor(binary=True)
        .execute("SELECT origin, size, frontier FROM project_log WHERE project_id = %s", (project,))
        .fetchone()
    )
    assert row is not None
    return _Head(row[0], row[1], frontier_from_bytes(bytes(row[2]), row[1]))


def _sign(connection: psycopg.Connection, project: str, head: _Head, signer: Signer) -> Signed:
    last = _find(connection, project, None).signed
    if last is not None and last.size > head.size:
        raise refused(project, f"it was signed at {last.size} events, and has {head.size}")
    now = (0, head.size)
    before = (0, 0 if last is None else last.size)
    nodes = read_nodes(connection, project, groups_for(boundary(before[1]), head.size))
    if nodes.frontier(now) != head.frontier:
        raise refused(project, f"its {head.size} events do not give the root that it has")
    if last is not None:
        if nodes.root(before) != last.root:
            raise refused(
                project, f"its first {last.size} events are not those that were signed before"
            )
        if last.size == head.size:
            return last
    root = root_of(head.frontier)
    text = format_checkpoint(Checkpoint(head.origin, head.size, root))
    signed = Signed(head.size, root, format_note(sign(text, head.origin, signer)))
    connection.execute(
        """
        INSERT INTO checkpoint (project_id, size, root, note, ordinal)
        SELECT %(project)s, %(size)s, %(root)s, %(note)s, coalesce(max(ordinal), 0) + 1
        FROM checkpoint WHERE project_id = %(project)s
        """,
        {"project": project, "size": signed.size, "root": signed.root, "note": signed.note},
    )
    return signed


def refused(project: str, why: str) -> Damaged:
    """The problem of a log that must not be signed."""
    name = project or "the seal log"
    return Damaged(
        "checkpoint-refused",
        f"No checkpoint of {name} is signed any more: {why}. Keep the database as it is, and run "
        "deedbook doctor --verify; checkpoints that were handed out prove what it was.",
        members={"project": project},
    )
