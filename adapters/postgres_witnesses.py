"""Cosignatures in Postgres, which witnesses lack which checkpoint, and how it goes with each.

A log's witnesses are asked in rounds, all about the same checkpoint: were each asked when it suits, a busy
log's cosignatures would stand under many sizes, and no size would meet a quorum. A round is claimed for
some time, so that of several processes one asks; asking twice would be harmless.
"""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_checkpoints import LOCK_SECONDS, TRACKING
from adapters.witness_alarms import Alarm, alarms, raise_alarm, standing_alarm
from domain.checkpoint import MAX_SIZE
from domain.cosignature import Cosignature, format_cosigner_key
from domain.signed_note import format_signature

MAX_DUE = 1_000
"""Logs looked at together; the others have their turn later."""
PAGE_CANDIDATES = 50
MAX_CANDIDATES = 1_000
"""Sizes looked at for one that meets the quorum: each has as many cosignatures as that needs."""


class Due(msgspec.Struct, frozen=True):
    """A log whose newest checkpoint some witness has not cosigned, and when to ask."""

    project: str
    due_at: datetime


class Unwitnessed(msgspec.Struct, frozen=True):
    """The newest checkpoint of a log, and the witnesses to ask about it now.

    Attributes:
        size: Of the checkpoint.
        note: As the log signed it, without cosignatures.
        sizes: Witness → the size that it had when it last said so; 0: it never did.
    """

    size: int
    note: str
    sizes: dict[str, int]


class WitnessState(msgspec.Struct, frozen=True, kw_only=True):
    """How it goes with one witness and one log.

    Attributes:
        checkpoint: Size of the newest checkpoint of the log.
        cosigned: Of the newest that the witness cosigned; None: none.
        problem: What went wrong the last time.
        failures: How often since it last cosigned.
    """

    project: str
    witness: str
    checkpoint: int
    cosigned: int | None
    asked_at: datetime | None
    retry_at: datetime | None
    failures: int
    problem: str | None


class PostgresWitnesses:
    """Keeps cosignatures, rounds and alarms."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def due(self, witnesses: Sequence[str], origins: Sequence[str]) -> list[Due]:
        """The logs whose newest checkpoint lacks one of the witnesses, the most urgent first.

        One for which an alarm stands is not among them.

        Args:
            witnesses: Those that are asked.
            origins: Of the logs that they are asked about; empty: of all.
        """
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                SELECT t.project_id, p.due_at FROM tracking t
                CROSS JOIN LATERAL (SELECT size, split_part(note, chr(10), 1) AS origin
                  FROM checkpoint WHERE project_id = t.project_id ORDER BY size DESC LIMIT 1) c
                LEFT JOIN witness_round r ON r.project_id = t.project_id
                CROSS JOIN LATERAL (
                  SELECT greatest(min(coalesce(s.retry_at, 'epoch')),
                    coalesce(r.due_at, 'epoch')) AS due_at, count(*) AS lacking
                  FROM unnest(%(witnesses)s::text[]) AS w(witness)
                  LEFT JOIN witness_state s ON s.project_id = t.project_id AND s.witness = w.witness
                  WHERE NOT EXISTS (SELECT FROM cosignature k WHERE k.project_id = t.project_id
                    AND k.size = c.size AND k.witness = w.witness)) p
                WHERE t.projection = %(tracking)s AND p.lacking > 0
                  AND (c.origin = ANY(%(origins)s) OR cardinality(%(origins)s::text[]) = 0)
                  AND NOT EXISTS (
                  SELECT FROM witness_alarm a LEFT JOIN witness_alarm_cleared d
                    USING (project_id, ordinal)
                  WHERE a.project_id = t.project_id AND d.ordinal IS NULL)
                ORDER BY p.due_at, t.project_id LIMIT %(limit)s
                """,
                {
                    "witnesses": list(witnesses),
                    "origins": list(origins),
                    "tracking": TRACKING,
                    "limit": MAX_DUE,
                },
            ).fetchall()
        return [Due(*row) for row in rows]

    def begin(
        self, project: str, witnesses: Sequence[str], now: datetime, until: datetime
    ) -> Unwitnessed | None:
        """Claim a round for some time; None when it is not due, another process has it, or an alarm stands."""
        with self._pool.connection() as connection:
            if standing_alarm(connection, project) is not None:
                return None
            claimed = connection.execute(
                """
                INSERT INTO witness_round AS r (project_id, due_at)
                VALUES (%(project)s, %(until)s)
                ON CONFLICT (project_id) DO UPDATE SET due_at = excluded.due_at
                WHERE r.due_at <= %(now)s RETURNING true
                """,
                {"project": project, "until": until, "now": now},
            ).fetchone()
            row = connection.execute(
                """
                SELECT size, note FROM checkpoint WHERE project_id = %s ORDER BY size DESC LIMIT 1
                """,
                (project,),
            ).fetchone()
            if claimed is None or row is None:
                return None
            sizes = connection.execute(
                """
                SELECT w.witness, coalesce(s.size, 0) FROM unnest(%(witnesses)s::text[]) AS w(witness)
                LEFT JOIN witness_state s ON s.project_id = %(project)s AND s.witness = w.witness
                WHERE coalesce(s.retry_at, 'epoch') <= %(now)s AND NOT EXISTS (
                  SELECT FROM cosignature k WHERE k.project_id = %(project)s
                    AND k.size = %(size)s AND k.witness = w.witness)
                """,
                {"witnesses": list(witnesses), "project": project, "size": row[0], "now": now},
            ).fetchall()
        return Unwitnessed(row[0], row[1], dict(sizes))

    def end(self, project: str, due_at: datetime) -> None:
        """The round is over; the next one is not before."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE witness_round SET due_at = %s WHERE project_id = %s", (due_at, project)
            )

    def keep(self, project: str, size: int, cosignature: Cosignature, now: datetime) -> None:
        """Keep a cosignature that holds; a repeat changes nothing."""
        witness = format_cosigner_key(cosignature.key)
        with self._pool.connection() as connection:
            connection.execute(
                """
                INSERT INTO cosignature (project_id, size, witness, line) VALUES (%s, %s, %s, %s)
                ON CONFLICT DO NOTHING
                """,
                (project, size, witness, format_signature(cosignature.signature)),
            )
            _set_state(connection, project, witness, size, now, now, None)

    def note_problem(
        self, project: str, witness: str, size: int, problem: str, now: datetime, retry_at: datetime
    ) -> None:
        """Keep that it did not work, and when to ask again."""
        with self._pool.connection() as connection:
            _set_state(connection, project, witness, size, now, retry_at, problem)

    def failures(self, project: str, witness: str) -> int:
        """How often asking has failed since it last worked."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT failures FROM witness_state WHERE project_id = %s AND witness = %s",
                (project, witness),
            ).fetchone()
        return 0 if row is None else int(row[0])

    def signed_size(self, project: str) -> int:
        """The size of the newest checkpoint, as it is in the database now."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT coalesce(max(size), 0) FROM checkpoint WHERE project_id = %s", (project,)
            ).fetchone()
        assert row is not None
        return int(row[0])

    def raise_alarm(self, alarm: Alarm) -> Alarm | None:
        """Stop the signing of a log; None when this witness's alarm stands already."""
        with self._pool.connection() as connection, connection.transaction():
            # The turn of whoever signs: what is signed meanwhile, is signed before the alarm. One that
            # takes long is not waited for: the alarm counts more, and stops all that begins after it.
            with contextlib.suppress(psycopg.errors.LockNotAvailable), connection.transaction():
                connection.execute(
                    "SELECT set_config('lock_timeout', %s, true)", (f"{LOCK_SECONDS}s",)
                )
                connection.execute(
                    "SELECT FROM tracking WHERE project_id = %s AND projection = %s FOR UPDATE",
                    (alarm.project, TRACKING),
                )
            return raise_alarm(connection, alarm)

    def alarms(self, project: str | None, *, standing: bool) -> list[Alarm]:
        """The alarms of one log, or of all."""
        with self._pool.connection() as connection:
            return alarms(connection, project, standing=standing)

    def candidates(
        self, project: str, witnesses: Sequence[str], fewest: int
    ) -> Iterator[tuple[int, list[str], str]]:
        """Checkpoints, the newest first: size, witnesses that cosigned, and note with their lines.

        Args:
            project: Whose log.
            witnesses: That count.
            fewest: With fewer of them, a checkpoint is passed by.
        """
        below = MAX_SIZE
        for _ in range(0, MAX_CANDIDATES, PAGE_CANDIDATES):
            with self._pool.connection() as connection:
                rows = connection.execute(
                    """
                    SELECT c.size, k.witnesses, c.note || k.lines FROM (
                      SELECT size, array_agg(witness) AS witnesses,
                        string_agg(line, '' ORDER BY line) AS lines
                      FROM cosignature WHERE project_id = %(project)s AND size < %(below)s
                        AND witness = ANY(%(witnesses)s)
                      GROUP BY size HAVING count(*) >= %(fewest)s
                      ORDER BY size DESC LIMIT %(limit)s) k
                    JOIN checkpoint c ON c.project_id = %(project)s AND c.size = k.size
                    ORDER BY c.size DESC
                    """,
                    {
                        "project": project,
                        "below": below,
                        "witnesses": list(witnesses),
                        "fewest": fewest,
                        "limit": PAGE_CANDIDATES,
                    },
                ).fetchall()
            yield from rows
            if len(rows) < PAGE_CANDIDATES:
                return
            below = rows[-1][0]

    def is_known(self, project: str) -> bool:
        """Whether there is such a log."""
        with self._pool.connection() as connection:
            row = connection.execute(
                """
                SELECT EXISTS (SELECT FROM project_log WHERE project_id = %(project)s)
                  OR EXISTS (SELECT FROM tracking WHERE project_id = %(project)s)
                """,
                {"project": project},
            ).fetchone()
        return row is not None and bool(row[0])

    def states(self, project: str | None, witnesses: Sequence[str]) -> list[WitnessState]:
        """How it goes with each of the witnesses and each log that was signed."""
        with self._pool.connection() as connection:
            return states(connection, project, witnesses)


def states(
    connection: psycopg.Connection, project: str | None, witnesses: Sequence[str]
) -> list[WitnessState]:
    """The same, over any connection."""
    rows = connection.execute(
        """
        SELECT t.project_id, w.witness, c.size, k.size, s.asked_at, s.retry_at,
          coalesce(s.failures, 0), s.problem
        FROM tracking t
        CROSS JOIN LATERAL (SELECT size FROM checkpoint WHERE project_id = t.project_id
          ORDER BY size DESC LIMIT 1) c
        CROSS JOIN unnest(%(witnesses)s::text[]) AS w(witness)
        LEFT JOIN LATERAL (SELECT size FROM cosignature WHERE project_id = t.project_id
          AND witness = w.witness ORDER BY size DESC LIMIT 1) k ON true
        LEFT JOIN witness_state s ON s.project_id = t.project_id AND s.witness = w.witness
        WHERE t.projection = %(tracking)s
          AND (t.project_id = %(project)s OR %(project)s::text IS NULL)
        ORDER BY t.project_id, w.witness LIMIT %(limit)s
        """,
        {
            "witnesses": list(witnesses),
            "tracking": TRACKING,
            "project": project,
            "limit": MAX_DUE,
        },
    ).fetchall()
    return [
        WitnessState(
            project=row[0],
            witness=row[1],
            checkpoint=row[2],
            cosigned=row[3],
            asked_at=row[4],
            retry_at=row[5],
            failures=row[6],
            problem=row[7],
        )
        for row in rows
    ]


def _set_state(
    connection: psycopg.Connection,
    project: str,
    witness: str,
    size: int,
    now: datetime,
    retry_at: datetime,
    problem: str | None,
) -> None:
    connection.execute(
        """
        INSERT INTO witness_state AS s
          (project_id, witness, size, asked_at, retry_at, failures, problem)
        VALUES (%(project)s, %(witness)s, %(size)s, %(now)s, %(retry_at)s,
          CASE WHEN %(problem)s::text IS NULL THEN 0 ELSE 1 END, %(problem)s)
        ON CONFLICT (project_id, witness) DO UPDATE SET size = excluded.size,
          asked_at = excluded.asked_at, retry_at = excluded.retry_at, problem = excluded.problem,
          failures = CASE WHEN excluded.problem IS NULL THEN 0 ELSE s.failures + 1 END
        """,
        {
            "project": project,
            "witness": witness,
            "size": size,
            "now": now,
            "retry_at": retry_at,
            "problem": problem,
        },
    )
