"""What an index should hold of each source, and who is at work on it.

Written from the log in its order, so that an append knows nothing of it: a batch of new events becomes, for
each source that they concern, the position of the newest. Bursts collapse, what comes late changes nothing,
and a backend that is added later begins at the first event.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec
import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_connect import reading
from domain.times import format_time

LEASE_SECONDS = 120
EVENTS_A_BATCH = 20_000
MAX_BEHIND = 1_000
MAX_FAILED = 1_000
MAX_PROBLEM_CHARACTERS = 500

Backend = Literal["local", "upstash"]


class Claim(msgspec.Struct, frozen=True):
    """A source that this process is to index, as it stood at the position `wanted`."""

    project: str
    source: str
    wanted: int
    attempts: int
    lease: str


class DueSource(msgspec.Struct, frozen=True):
    """A source that is to be indexed, as of the position of the newest event that concerns it."""

    project: str
    stream: str
    position: int


class Failed(msgspec.Struct, frozen=True):
    """A source whose indexing was given up."""

    backend: Backend
    project: str
    source: str
    problem: str
    attempts: int


class IndexState(msgspec.Struct, frozen=True, kw_only=True):
    """How a project stands in an index.

    Attributes:
        position: Of the log.
        noted: The events up to here are taken note of.
        indexed_position: The events up to here can be found.
        without_vectors: Sources whose chunks have none yet.
        cut: Sources that have more chunks than are indexed.
        lag_seconds: Age of the oldest event that cannot be found yet; 0: all can.
        reconciled_at: When what the index holds was last compared with what it should hold; RFC 3339. None: never.
    """

    project: str
    backend: str
    position: int
    noted: int
    indexed_position: int
    sources: int
    chunks: int
    pending: int
    failed: int
    without_vectors: int
    cut: int
    lag_seconds: float
    reconciled_at: str | None


class Trouble(msgspec.Struct, frozen=True):
    """How many sources of all projects were given up, and how many wait for another try after a failed one."""

    failed: int
    waiting: int


class Freshness(msgspec.Struct, frozen=True):
    """How much of a project's log an index can find: `embedded`, unless some chunks lack vectors."""

    position: int
    indexed_position: int
    embedded: bool


class SearchState:
    """The desired state of one backend's index."""

    def __init__(self, pool: ConnectionPool, backend: Backend) -> None:
        self._pool = pool
        self.backend = backend

    def behind(self) -> list[str]:
        """Projects whose log has events that were not taken note of."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT l.project_id FROM project_log l LEFT JOIN search_project s
                  ON s.project_id = l.project_id AND s.backend = %s
                WHERE l.size > coalesce(s.position, 0) LIMIT %s
                """,
                (self.backend, MAX_BEHIND),
            ).fetchall()
        return [str(project) for (project,) in rows]

    def note_all(self) -> None:
        """Take note of all new events."""
        for project in self.behind():
            while self.note(project):
                pass

    def note(self, project: str) -> bool:
        """Take note of a batch of new events; answers whether there are more."""
        values: dict[str, object] = {"project": project, "backend": self.backend}
        with self._pool.connection() as connection:
            connection.execute(
                """
                INSERT INTO search_project (project_id, backend)
                VALUES (%(project)s, %(backend)s) ON CONFLICT DO NOTHING
                """,
                values,
            )
            row = connection.execute(
                """
                SELECT s.position, l.size FROM search_project s JOIN project_log l USING (project_id)
                WHERE s.project_id = %(project)s AND s.backend = %(backend)s
                FOR UPDATE OF s
                """,
                values,
            ).fetchone()
            assert row is not None
            after, size = row
            upto = min(size, after + EVENTS_A_BATCH)
            _want(connection, {**values, "after": after, "upto": upto})
            connection.execute(
                """
                UPDATE search_project SET position = %(upto)s
                WHERE project_id = %(project)s AND backend = %(backend)s
                """,
                {**values, "upto": upto},
            )
        return bool(upto < size)

    def claim(self, limit: int) -> list[Claim]:
        """Sources that are due, for this caller alone until their lease is over."""
        return self._claim(
            """
            SELECT ctid FROM search_state
            WHERE backend = %(backend)s AND state = 'pending' AND due_at <= now()
              AND (leased_until IS NULL OR leased_until < now())
            ORDER BY due_at, wanted DESC LIMIT %(limit)s FOR UPDATE SKIP LOCKED
            """,
            {"limit": limit},
        )

    def claim_one(self, project: str, source: str) -> Claim | None:
        """One source, if it is behind and nobody is at it."""
        found = self._claim(
            """
            SELECT ctid FROM search_state
            WHERE project_id = %(project)s AND backend = %(backend)s AND source = %(source)s
              AND state <> 'synced' AND (leased_until IS NULL OR leased_until < now())
            FOR UPDATE SKIP LOCKED
            """,
            {"project": project, "source": source},
        )
        return found[0] if found else None

    def announce(self, limit: int, seconds: float) -> list[DueSource]:
        """Sources that are due and that nobody is at; for so many seconds they are not due again."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                """
                UPDATE search_state SET due_at = now() + make_interval(secs => %(seconds)s)
                WHERE ctid = ANY(ARRAY(SELECT ctid FROM search_state
                  WHERE backend = %(backend)s AND state = 'pending' AND due_at <= now()
                    AND (leased_until IS NULL OR leased_until < now())
                  ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
                RETURNING project_id, source, wanted
                """,
                {"backend": self.backend, "seconds": seconds, "limit": limit},
            ).fetchall()
        return [DueSource(*row) for row in rows]

    def due_in(self, sources: Sequence[DueSource], seconds: float) -> None:
        """Have sources due in so many seconds that are not indexed yet."""
        with self._pool.connection() as connection:
            lock_projects(connection, self.backend, None)
            connection.execute(
                """
                UPDATE search_state SET due_at = now() + make_interval(secs => %s)
                FROM unnest(%s::text[], %s::text[]) AS u (project, stream)
                WHERE backend = %s AND project_id = u.project AND source = u.stream
                  AND state = 'pending'
                """,
                (
                    seconds,
                    [one.project for one in sources],
                    [one.stream for one in sources],
                    self.backend,
                ),
            )

    def failed(self, project: str, source: str) -> bool:
        """Whether indexing this source was given up."""
        with reading(self._pool) as connection:
            row = connection.execute(
                """
                SELECT FROM search_state
                WHERE project_id = %s AND backend = %s AND source = %s AND state = 'failed'
                """,
                (project, self.backend, source),
            ).fetchone()
        return row is not None

    def renew(self, claim: Claim) -> bool:
        """Work on; answers False when the lease was over and somebody else has it."""
        with reading(self._pool) as connection:
            renewed = connection.execute(
                """
                UPDATE search_state SET leased_until = now() + make_interval(secs => %s)
                WHERE project_id = %s AND backend = %s AND source = %s AND lease = %s
                """,
                (LEASE_SECONDS, claim.project, self.backend, claim.source, claim.lease),
            )
            return renewed.rowcount == 1

    def synced(self, claim: Claim, chunks: int, *, cut: bool, model: str | None) -> bool:
        """The index has the source as it was claimed; answers False when somebody else has it now."""
        with self._pool.connection() as connection:
            return finish(connection, self.backend, claim, chunks, cut=cut, model=model)

    def put_off(self, claim: Claim, seconds: float, problem: str) -> None:
        """Try again later."""
        self._give_back(claim, "pending", seconds, problem)

    def give_up(self, claim: Claim, problem: str) -> None:
        """Leave it until somebody asks for another try."""
        self._give_back(claim, "failed", 0.0, problem)

    def release(self, claims: Sequence[Claim]) -> None:
        """Leave claims to others, as if they had never been made."""
        with self._pool.connection() as connection:
            lock_projects(connection, self.backend, None)
            connection.execute(
                """
                UPDATE search_state SET lease = NULL, leased_until = NULL,
                  attempts = greatest(attempts - 1, 0)
                WHERE backend = %s AND lease = ANY(%s::uuid[])
                """,
                (self.backend, [one.lease for one in claims]),
            )

    def next_due(self) -> float | None:
        """In how many seconds the next source is due; None: all are synced or failed."""
        with reading(self._pool) as connection:
            row = connection.execute(
                """
                SELECT extract(epoch FROM min(greatest(due_at, coalesce(leased_until, due_at))) - now())
                FROM search_state WHERE backend = %s AND state = 'pending'
                """,
                (self.backend,),
            ).fetchone()
        return None if row is None or row[0] is None else max(float(row[0]), 0.0)

    def freshness(self, projects: Sequence[str]) -> list[Freshness]:
        """How fresh the index is of each project that there is."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT l.size, least(coalesce(p.position, 0), coalesce((
                    SELECT min(s.wanted) - 1 FROM search_state s
                    WHERE s.project_id = l.project_id AND s.backend = %(backend)s
                      AND s.state <> 'synced'), l.size)),
                  NOT EXISTS (SELECT FROM search_state s
                    WHERE s.project_id = l.project_id AND s.backend = %(backend)s
                      AND s.state = 'synced' AND s.model IS NULL AND s.chunks > 0)
                FROM project_log l
                LEFT JOIN search_project p ON p.project_id = l.project_id AND p.backend = %(backend)s
                WHERE l.project_id = ANY(%(projects)s)
                """,
                {"backend": self.backend, "projects": list(projects)},
            ).fetchall()
        return [Freshness(*row) for row in rows]

    def standing(self, project: str | None = None) -> list[IndexState]:
        """How one project stands, or all of them."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT s.*, greatest(0, coalesce((SELECT extract(epoch FROM now() - e.time)
                  FROM event e WHERE e.project_id = s.project_id AND e.position = s.indexed + 1), 0))::float8
                FROM (SELECT l.project_id, l.size, coalesce(p.position, 0) AS noted,
                  least(coalesce(p.position, 0), min(s.wanted) FILTER (WHERE s.state <> 'synced') - 1) AS indexed,
                  coalesce(p.chunks, 0),
                  count(s.source) FILTER (WHERE s.chunks > 0 OR s.state <> 'synced'),
                  count(*) FILTER (WHERE s.state = 'pending'),
                  count(*) FILTER (WHERE s.state = 'failed'),
                  count(*) FILTER (WHERE s.state = 'synced' AND s.model IS NULL AND s.chunks > 0),
                  count(*) FILTER (WHERE s.cut),
                  p.reconciled_at
                FROM project_log l
                LEFT JOIN search_project p ON p.project_id = l.project_id AND p.backend = %(backend)s
                LEFT JOIN search_state s ON s.project_id = l.project_id AND s.backend = %(backend)s
                WHERE %(project)s::text IS NULL OR l.project_id = %(project)s
                GROUP BY l.project_id, l.size, p.position, p.chunks, p.reconciled_at) AS s
                ORDER BY s.project_id
                """,
                {"backend": self.backend, "project": project},
            ).fetchall()
        return [
            IndexState(
                project=name,
                backend=self.backend,
                position=size,
                noted=noted,
                indexed_position=indexed or 0,
                sources=sources,
                chunks=chunks,
                pending=pending,
                failed=failed,
                without_vectors=without,
                cut=cut,
                lag_seconds=lag,
                reconciled_at=None if reconciled is None else format_time(reconciled),
            )
            for (
                name,
                size,
                noted,
                indexed,
                chunks,
                sources,
                pending,
                failed,
                without,
                cut,
                reconciled,
                lag,
            ) in rows
        ]

    def failures(self, project: str | None = None) -> list[Failed]:
        """The sources that were given up; up to 1,000."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT project_id, source, coalesce(problem, ''), attempts FROM search_state
                WHERE backend = %(backend)s AND state = 'failed'
                  AND (%(project)s::text IS NULL OR project_id = %(project)s)
                ORDER BY project_id, source LIMIT %(limit)s
                """,
                {"backend": self.backend, "project": project, "limit": MAX_FAILED},
            ).fetchall()
        return [Failed(self.backend, *row) for row in rows]

    def retry(self, project: str | None = None) -> int:
        """Have what was given up tried again; answers how many sources."""
        return self._again(
            project, "state = 'failed'", "state = 'pending', attempts = 0, due_at = now()"
        )

    def reindex(self, project: str | None = None) -> int:
        """Have the log read again and every source indexed anew; answers how many are known.

        What is there can be found meanwhile.
        """
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE search_project SET position = 0
                WHERE backend = %(backend)s AND (%(project)s::text IS NULL OR project_id = %(project)s)
                """,
                {"backend": self.backend, "project": project},
            )
        return self._again(
            project,
            "true",
            "state = 'pending', attempts = 0, due_at = now(), problem = NULL",
        )

    def want_again(self, project: str, sources: Sequence[str]) -> int:
        """Have these sources indexed anew, as reconciling found them amiss; answers how many.

        Who is at one just now may have written what was taken away since, and loses its lease.
        """
        with self._pool.connection() as connection:
            lock_projects(connection, self.backend, project)
            return connection.execute(
                """
                UPDATE search_state SET state = 'pending', attempts = 0, due_at = now(),
                  lease = NULL, leased_until = NULL
                WHERE project_id = %s AND backend = %s AND source = ANY(%s)
                """,
                (project, self.backend, list(sources)),
            ).rowcount

    def claim_reconcile(self, seconds: float) -> str | None:
        """A project whose index is to be compared, for so long the caller's alone; None: there is none."""
        with self._pool.connection() as connection:
            row = connection.execute(
                """
                UPDATE search_project SET reconcile_due_at = now() + make_interval(secs => %(seconds)s)
                WHERE backend = %(backend)s AND project_id = (
                  SELECT project_id FROM search_project
                  WHERE backend = %(backend)s AND reconcile_due_at <= now()
                  ORDER BY reconcile_due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
                RETURNING project_id
                """,
                {"backend": self.backend, "seconds": seconds},
            ).fetchone()
        return None if row is None else str(row[0])

    def reconciled(self, project: str, seconds: float) -> None:
        """A project's index was compared, and is to be again in so many seconds."""
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE search_project SET reconciled_at = now(),
                  reconcile_due_at = now() + make_interval(secs => %s)
                WHERE project_id = %s AND backend = %s
                """,
                (seconds, project, self.backend),
            )

    def fill_anew(self, model: str, project: str | None = None) -> int:
        """Have indexed anew what another model's vectors stand for; answers how many sources."""
        return self._again(
            project,
            "state <> 'pending' AND chunks > 0 AND (model < %(model)s OR model > %(model)s)",
            "state = 'pending', attempts = 0, due_at = now(), problem = NULL",
            model=model,
        )

    def filled_otherwise(self, model: str, project: str | None = None) -> bool:
        """Whether the index holds vectors of another model."""
        with reading(self._pool) as connection:
            row = connection.execute(
                """
                SELECT FROM search_state
                WHERE backend = %(backend)s AND chunks > 0 AND (model < %(model)s OR model > %(model)s)
                  AND (%(project)s::text IS NULL OR project_id = %(project)s)
                LIMIT 1
                """,
                {"backend": self.backend, "model": model, "project": project},
            ).fetchone()
        return row is not None

    def trouble(self) -> Trouble:
        """What could not be brought into the index."""
        with reading(self._pool) as connection:
            row = connection.execute(
                """
                SELECT count(*) FILTER (WHERE state = 'failed'),
                  count(*) FILTER (WHERE state = 'pending' AND problem IS NOT NULL)
                FROM search_state WHERE backend = %s AND state <> 'synced'
                """,
                (self.backend,),
            ).fetchone()
        assert row is not None
        return Trouble(*row)

    def wanted(self, project: str) -> dict[str, tuple[int, int] | None]:
        """What the index should hold: each source's position and chunks; None while it is worked at."""
        with reading(self._pool) as connection:
            rows = connection.execute(
                """
                SELECT source, state = 'synced', indexed, chunks FROM search_state
                WHERE project_id = %s AND backend = %s
                """,
                (project, self.backend),
            ).fetchall()
        return {
            source: (indexed, chunks) if synced else None
            for source, synced, indexed, chunks in rows
        }

    def _again(self, project: str | None, which: str, change: str, model: str = "") -> int:
        with self._pool.connection() as connection:
            lock_projects(connection, self.backend, project)
            return connection.execute(
                f"""
                UPDATE search_state SET {change}
                WHERE backend = %(backend)s AND {which}
                  AND (%(project)s::text IS NULL OR project_id = %(project)s)
                """.encode(),
                {"backend": self.backend, "project": project, "model": model},
            ).rowcount

    def _claim(self, which: str, values: dict[str, object]) -> list[Claim]:
        with self._pool.connection() as connection:
            rows = connection.execute(
                f"""
                UPDATE search_state s SET lease = gen_random_uuid(), attempts = attempts + 1,
                  leased_until = now() + make_interval(secs => %(seconds)s)
                WHERE ctid = ANY(ARRAY({which}))
                RETURNING project_id, source, wanted, attempts, lease::text
                """.encode(),
                {"backend": self.backend, "seconds": LEASE_SECONDS, **values},
            ).fetchall()
        return [Claim(*row) for row in rows]

    def _give_back(self, claim: Claim, state: str, seconds: float, problem: str) -> None:
        with self._pool.connection() as connection:
            connection.execute(
                """
                UPDATE search_state SET state = %s, problem = %s, lease = NULL, leased_until = NULL,
                  due_at = now() + make_interval(secs => %s)
                WHERE project_id = %s AND backend = %s AND source = %s AND lease = %s
                """,
                (
                    state,
                    problem[:MAX_PROBLEM_CHARACTERS],
                    seconds,
                    claim.project,
                    self.backend,
                    claim.source,
                    claim.lease,
                ),
            )


def finish(
    connection: psycopg.Connection,
    backend: Backend,
    claim: Claim,
    chunks: int,
    *,
    cut: bool,
    model: str | None,
) -> bool:
    """In a transaction: the source is in the index as it was claimed, unless the lease is another's.

    What is wanted may have moved on meanwhile: then the source is due again at once.
    """
    lock_projects(connection, backend, claim.project)
    row = connection.execute(
        """
        SELECT chunks FROM search_state
        WHERE project_id = %s AND backend = %s AND source = %s AND lease = %s FOR UPDATE
        """,
        (claim.project, backend, claim.source, claim.lease),
    ).fetchone()
    if row is None:
        return False
    values = {
        "project": claim.project,
        "backend": backend,
        "source": claim.source,
        "indexed": claim.wanted,
        "chunks": chunks,
        "cut": cut,
        "model": model,
        "more": chunks - int(row[0]),
    }
    connection.execute(
        """
        UPDATE search_state SET indexed = %(indexed)s, chunks = %(chunks)s, cut = %(cut)s,
          model = %(model)s, lease = NULL, leased_until = NULL, problem = NULL, attempts = 0,
          due_at = now(), state = CASE WHEN wanted > %(indexed)s THEN 'pending' ELSE 'synced' END
        WHERE project_id = %(project)s AND backend = %(backend)s AND source = %(source)s
        """,
        values,
    )
    connection.execute(
        """
        UPDATE search_project SET chunks = chunks + %(more)s
        WHERE project_id = %(project)s AND backend = %(backend)s AND %(more)s <> 0
        """,
        values,
    )
    return True


def lock_projects(connection: psycopg.Connection, backend: Backend, project: str | None) -> None:
    """Lock a project's row, or those of all: who changes rows of sources and waits for them does that first.

    So nobody waits for somebody who waits for them. Claims wait for nobody.
    """
    connection.execute(
        """
        SELECT FROM search_project
        WHERE backend = %(backend)s AND (%(project)s::text IS NULL OR project_id = %(project)s)
        ORDER BY project_id FOR UPDATE
        """,
        {"backend": backend, "project": project},
    )


def _want(connection: psycopg.Connection, values: dict[str, object]) -> None:
    connection.execute(
        """
        INSERT INTO search_state AS s (project_id, backend, source, wanted, state, due_at)
        SELECT %(project)s, %(backend)s, source, max(position), 'pending', now() FROM (
          SELECT stream AS source, position FROM event
          WHERE project_id = %(project)s AND position > %(after)s AND position <= %(upto)s
            AND (starts_with(stream, 'artifact/') OR starts_with(stream, 'run/'))
          UNION ALL
          SELECT artifact, position FROM erasure
          WHERE project_id = %(project)s AND position > %(after)s AND position <= %(upto)s) e
        GROUP BY source
        ON CONFLICT (project_id, backend, source) DO UPDATE
        SET wanted = excluded.wanted, state = 'pending', attempts = 0, due_at = now(), problem = NULL
        WHERE s.wanted < excluded.wanted
        """,
        values,
    )
