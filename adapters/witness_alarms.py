"""Alarms of witnesses in Postgres: raised by the service, cleared by the database's owner alone.

While one stands, its log is not signed: the signer looks inside its own transaction, and raising takes the
same turn, so that nothing is signed once an alarm is committed.
"""

from datetime import datetime
from typing import Literal

import msgspec
import psycopg

from adapters.postgres_connect import connect_once
from domain.cosignature import parse_cosigner_key
from domain.errors import DeedbookError, NotFound

Kind = Literal["not-consistent", "rolled-back"]
MAX_ALARMS = 1_000


class Alarm(msgspec.Struct, frozen=True, kw_only=True):
    """A witness contradicts the log.

    Attributes:
        project: Whose log.
        ordinal: 1, 2, 3 … in the project.
        witness: Its verifier key.
        kind: It has cosigned something that the checkpoint does not go on from, or more than there is.
        old_size: What the witness has.
        size: Of the checkpoint that it was sent.
        note: That checkpoint.
        cleared_at: None while it stands.
        reason: Of whoever cleared it.
    """

    project: str
    ordinal: int
    raised_at: datetime
    witness: str
    kind: Kind
    old_size: int
    size: int
    note: str
    cleared_at: datetime | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """What it means."""
        name = witness_name(self.witness)
        if self.kind == "rolled-back":
            return (
                f"the witness {name} has cosigned this log at {self.old_size} events, and no "
                f"checkpoint beyond {self.size} is known here"
            )
        return (
            f"the witness {name} refused the checkpoint at {self.size} events: it does not go on "
            f"from what that witness cosigned at {self.old_size}"
        )


def witness_name(vkey: str) -> str:
    """The name in a verifier key, for people."""
    try:
        return parse_cosigner_key(vkey).name
    except DeedbookError:
        return "(unknown)"


def standing_alarm(connection: psycopg.Connection, project: str) -> Alarm | None:
    """The first alarm of a log that nobody has cleared."""
    found = alarms(connection, project, standing=True, limit=1)
    return found[0] if found else None


def alarms(
    connection: psycopg.Connection,
    project: str | None,
    *,
    standing: bool,
    limit: int = MAX_ALARMS,
) -> list[Alarm]:
    """The alarms of one log or of all, the oldest first.

    Args:
        connection: To the ledger's database.
        project: None means all.
        standing: Only those that are not cleared.
        limit: As many.
    """
    rows = connection.execute(
        """
        SELECT a.project_id, a.ordinal, a.raised_at, a.witness, a.kind, a.old_size, a.size, a.note,
          c.cleared_at, c.reason
        FROM witness_alarm a LEFT JOIN witness_alarm_cleared c USING (project_id, ordinal)
        WHERE (a.project_id = %(project)s OR %(project)s::text IS NULL)
          AND (c.ordinal IS NULL OR NOT %(standing)s)
        ORDER BY a.raised_at, a.project_id, a.ordinal LIMIT %(limit)s
        """,
        {"project": project, "standing": standing, "limit": limit},
    ).fetchall()
    return [
        Alarm(
            project=row[0],
            ordinal=row[1],
            raised_at=row[2],
            witness=row[3],
            kind=row[4],
            old_size=row[5],
            size=row[6],
            note=row[7],
            cleared_at=row[8],
            reason=row[9],
        )
        for row in rows
    ]


def raise_alarm(connection: psycopg.Connection, alarm: Alarm) -> Alarm | None:
    """Raise it, with the next ordinal, unless this witness's alarm about this log stands already.

    The caller holds the log's turn, or could not get it: then another's may come first, which is enough.
    """
    row = connection.execute(
        """
        INSERT INTO witness_alarm
          (project_id, ordinal, raised_at, witness, kind, old_size, size, note)
        SELECT %(project)s, coalesce(max(ordinal), 0) + 1, %(raised_at)s, %(witness)s, %(kind)s,
          %(old_size)s, %(size)s, %(note)s
        FROM witness_alarm WHERE project_id = %(project)s
        HAVING NOT EXISTS (
          SELECT FROM witness_alarm a LEFT JOIN witness_alarm_cleared c USING (project_id, ordinal)
          WHERE a.project_id = %(project)s AND a.witness = %(witness)s AND c.ordinal IS NULL)
        ON CONFLICT DO NOTHING RETURNING ordinal
        """,
        msgspec.structs.asdict(alarm),
    ).fetchone()
    return None if row is None else msgspec.structs.replace(alarm, ordinal=row[0])


def clear_alarms(url: str, project: str, reason: str, now: datetime) -> list[Alarm]:
    """Clear all alarms of a log that stand, as the database's owner; answers them.

    Raises:
        NotFound: `alarm-not-found`.
        Unavailable: `database-unavailable`.
    """
    with connect_once(url) as connection:
        standing = alarms(connection, project, standing=True)
        if not standing:
            raise NotFound(
                "alarm-not-found", f"No alarm of {project[:40] or 'the seal log'} stands."
            )
        connection.cursor().executemany(
            """
            INSERT INTO witness_alarm_cleared (project_id, ordinal, cleared_at, reason)
            VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
            """,
            [(project, one.ordinal, now, reason) for one in standing],
        )
    return standing
