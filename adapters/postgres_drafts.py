"""Drafts and their text, piece by piece. Whoever changes one holds its row's lock, for a moment.

A draft that nobody has written in for some days is discarded by the next one that is opened, and the
record of what became of old ones goes likewise.
"""

import hashlib
import re
import uuid

import msgspec
import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from domain.digest import format_digest
from domain.draft import (
    KEPT_DAYS,
    MAX_OPEN_DRAFTS,
    Draft,
    check_open,
    check_there,
    check_whole,
    extend,
)
from domain.errors import Conflict, Invalid, NotFound
from domain.times import format_time

SWEPT_DRAFTS = 100
MAX_LISTED = 100
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_COLUMNS = """
draft_id, kind, key, media_type, title, actor, state, size_bytes, version, opened_at, changed_at
"""


class Sealed(msgspec.Struct, frozen=True):
    """A draft whose commit was begun, now or before: what the append says.

    Attributes:
        draft: As it is now.
        content: Its text; empty when it is committed already.
        event_id: Of the event.
        recorded: The version that this event wrote, if it is in the log.
    """

    draft: Draft
    content: bytes
    event_id: str
    recorded: int | None


class PostgresDrafts:
    """The drafts of all projects."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def open(self, project: str, new: Draft, event_id: str) -> tuple[Draft, bool]:
        """Keep a new draft; answers it, and whether it was there already, by its id.

        Raises:
            Conflict: `draft-open`, with its id; `too-many-drafts`.
        """
        if _ID.fullmatch(new.id) is None:
            raise Invalid("validation-failed", "A draft's id is a lower-case UUID.", pointer="/id")
        self._sweep()
        with self._pool.connection() as connection:
            _check_room(connection, project)
            made = connection.execute(
                f"""
                INSERT INTO draft
                  (project_id, draft_id, kind, key, media_type, title, actor, state, event_id)
                VALUES (%s, %s, %s, %s, %s, %s, %s, 'open', %s)
                ON CONFLICT DO NOTHING RETURNING {_COLUMNS}
                """,
                (
                    project,
                    new.id,
                    new.kind,
                    new.key,
                    new.media_type,
                    new.title,
                    new.actor,
                    event_id,
                ),
            ).fetchone()
        if made is not None:
            return _draft(made), False
        there = self.find(project, new.id)
        if there is not None and (there.kind, there.key) == (new.kind, new.key):
            check_there(there)
            return there, True
        for one in self.listed(project, new.kind, new.key):
            if one.state in {"open", "committing"}:
                raise Conflict(
                    "draft-open",
                    f"{new.kind} {new.key} has an open draft, {one.id}, by {one.actor}: go on "
                    "with that one, or discard it.",
                    members={"draft": one.id, "current_offset": one.offset},
                )
        raise Conflict("draft-open", "The draft that was open has just been closed: repeat it.")

    def find(self, project: str, draft_id: str) -> Draft | None:
        """One draft, in whatever state; None when there is none."""
        if _ID.fullmatch(draft_id) is None:
            return None
        with self._pool.connection() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM draft WHERE project_id = %s AND draft_id = %s",
                (project, draft_id),
            ).fetchone()
        return None if row is None else _draft(row)

    def listed(self, project: str, kind: str | None = None, key: str | None = None) -> list[Draft]:
        """The drafts of an artifact, the newest first; or all open ones of the project."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                f"""
                SELECT {_COLUMNS} FROM draft WHERE project_id = %(project)s
                  AND CASE WHEN %(kind)s::text IS NULL THEN state IN ('open', 'committing')
                    ELSE kind = %(kind)s AND key = %(key)s END
                ORDER BY opened_at DESC, draft_id DESC LIMIT %(limit)s
                """,
                {"project": project, "kind": kind, "key": key, "limit": MAX_LISTED},
            ).fetchall()
        return [_draft(row) for row in rows]

    def text(self, project: str, draft_id: str, after: int = 0) -> bytes:
        """The text from an offset on at which a piece begins; at most a draft's limit."""
        with self._pool.connection() as connection:
            return _text(connection, project, draft_id, after)

    def append(self, project: str, draft_id: str, offset: int, piece: bytes) -> int:
        """Add a piece of text at an offset, and answer the new one; or change nothing.

        Raises:
            NotFound: `draft-not-found`.
            Gone: `draft-discarded`.
            Conflict: `offset-mismatch`, `draft-committed`, `draft-committing`.
            TooLarge: `body-too-large`.
            Invalid: `nul-character`, `validation-failed`.
        """
        with self._pool.connection() as connection:
            draft, unfinished, _ = _locked(connection, project, draft_id)
            unfinished = extend(draft, unfinished, offset, piece)
            if piece:
                connection.execute(
                    """
                    INSERT INTO draft_text (project_id, draft_id, start_byte, piece)
                    VALUES (%s, %s, %s, %b)
                    """,
                    (project, draft_id, offset, piece),
                )
            connection.execute(
                """
                UPDATE draft SET size_bytes = %s, unfinished = %b, changed_at = now()
                WHERE project_id = %s AND draft_id = %s
                """,
                (offset + len(piece), unfinished, project, draft_id),
            )
        return offset + len(piece)

    def seal(self, project: str, draft_id: str, announced: str | None) -> Sealed:
        """Begin a commit, or take up one that was begun: no text is added from here on.

        Raises:
            NotFound: `draft-not-found`.
            Gone: `draft-discarded`.
            Invalid: `validation-failed`, `digest-mismatch`.
        """
        with self._pool.connection() as connection:
            draft, unfinished, kept = _locked(connection, project, draft_id)
            check_there(draft)
            content = _text(connection, project, draft_id, 0)
            sha256 = hashlib.sha256(content).digest() if kept.sha256 is None else kept.sha256
            check_whole(draft, unfinished, format_digest(sha256), announced)
            if draft.state == "open":
                connection.execute(
                    """
                    UPDATE draft SET state = 'committing', sha256 = %b, changed_at = now()
                    WHERE project_id = %s AND draft_id = %s
                    """,
                    (sha256, project, draft_id),
                )
                return Sealed(draft, content, kept.event_id, None)
            recorded = connection.execute(
                "SELECT version FROM event WHERE project_id = %s AND id = %s",
                (project, kept.event_id),
            ).fetchone()
        return Sealed(draft, content, kept.event_id, None if recorded is None else recorded[0])

    def committed(self, project: str, draft_id: str, event_id: str, version: int) -> None:
        """The event of the commit is in the log; the text goes.

        A draft that was opened anew meanwhile, because another commit of it was refused, stays open.
        """
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE draft SET state = 'committed', version = %s, changed_at = now()
                WHERE project_id = %s AND draft_id = %s AND event_id = %s AND state = 'committing'
                """,
                (version, project, draft_id, event_id),
            )

    def reopen(self, project: str, draft_id: str, event_id: str, next_event_id: str) -> None:
        """A commit was refused: the draft can be written in again, unless another one of it was recorded.

        From now on it commits as another event: should the refused one be recorded after all, by a
        caller whose answer was lost, then what is written from here on becomes a version after it.
        """
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE draft SET state = 'open', sha256 = NULL, event_id = %s, changed_at = now()
                WHERE project_id = %s AND draft_id = %s AND event_id = %s AND state = 'committing'
                  AND NOT EXISTS (SELECT FROM event e
                    WHERE e.project_id = draft.project_id AND e.id = draft.event_id)
                """,
                (next_event_id, project, draft_id, event_id),
            )

    def discard(self, project: str, draft_id: str) -> None:
        """Forget a draft's text; again, it changes nothing.

        Raises:
            NotFound: `draft-not-found`.
            Conflict: `draft-committed`, `draft-committing`.
        """
        with self._pool.connection() as connection:
            draft, _, _ = _locked(connection, project, draft_id)
            if draft.state == "discarded":
                return
            check_open(draft)
            connection.execute(
                """
                UPDATE draft SET state = 'discarded', changed_at = now()
                WHERE project_id = %s AND draft_id = %s
                """,
                (project, draft_id),
            )

    def _sweep(self) -> None:
        """Discard a few drafts that wait for long, and forget a few that were closed long ago."""
        values = {"kept": f"{KEPT_DAYS} days", "limit": SWEPT_DRAFTS}
        with self._pool.connection() as connection:
            connection.execute(
                """
                DELETE FROM draft WHERE (project_id, draft_id) IN (
                  SELECT project_id, draft_id FROM draft
                  WHERE changed_at < now() - %(kept)s::interval
                    AND state IN ('committed', 'discarded')
                  ORDER BY changed_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
                """,
                values,
            )
            connection.execute(
                """
                UPDATE draft SET state = 'discarded', changed_at = now()
                WHERE (project_id, draft_id) IN (
                  SELECT project_id, draft_id FROM draft
                  WHERE changed_at < now() - %(kept)s::interval
                    AND state IN ('open', 'committing')
                  ORDER BY changed_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
                """,
                values,
            )


def draft_not_found(draft_id: str) -> NotFound:
    """The error for a draft that there is not, or not any more."""
    return NotFound(
        "draft-not-found",
        f"There is no draft {draft_id[:40]!r} of this artifact; one that was closed is known for "
        f"{KEPT_DAYS} days.",
    )


class _Kept(msgspec.Struct, frozen=True):
    """What only a commit looks at."""

    event_id: str
    sha256: bytes | None


def _check_room(connection: psycopg.Connection[TupleRow], project: str) -> None:
    row = connection.execute(
        "SELECT count(*) FROM draft WHERE project_id = %s AND state IN ('open', 'committing')",
        (project,),
    ).fetchone()
    if row is not None and row[0] >= MAX_OPEN_DRAFTS:
        raise Conflict(
            "too-many-drafts",
            f"{project} has {row[0]} open drafts: commit or discard some of them first.",
        )


def _locked(
    connection: psycopg.Connection[TupleRow], project: str, draft_id: str
) -> tuple[Draft, bytes, _Kept]:
    row = connection.execute(
        f"""
        SELECT {_COLUMNS}, unfinished, event_id, sha256 FROM draft
        WHERE project_id = %s AND draft_id = %s FOR UPDATE
        """,
        (project, draft_id),
    ).fetchone()
    if row is None:
        raise draft_not_found(draft_id)
    unfinished, event_id, sha256 = row[-3:]
    return (
        _draft(row[:-3]),
        bytes(unfinished),
        _Kept(str(event_id), None if sha256 is None else bytes(sha256)),
    )


def _text(
    connection: psycopg.Connection[TupleRow], project: str, draft_id: str, after: int
) -> bytes:
    rows = connection.cursor(binary=True).execute(
        """
        SELECT piece FROM draft_text WHERE project_id = %s AND draft_id = %s AND start_byte >= %s
        ORDER BY start_byte
        """,
        (project, uuid.UUID(draft_id), after),
    )
    return b"".join(bytes(piece) for (piece,) in rows)


def _draft(row: TupleRow) -> Draft:
    """From the columns of `_COLUMNS`."""
    draft_id, kind, key, media_type, title, actor, state, size, version, opened, changed = row
    return Draft(
        id=str(draft_id),
        kind=kind,
        key=key,
        media_type=media_type,
        title=title,
        actor=actor,
        state=state,
        offset=size,
        version=version,
        opened_at=format_time(opened),
        changed_at=format_time(changed),
    )
