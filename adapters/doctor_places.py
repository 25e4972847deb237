"""Whether what points into a project's log points at something: idempotency keys, and Tracking."""

from collections.abc import Iterator

import psycopg

from adapters.examined import MAX_FINDINGS, Finding
from domain.log import MAX_BATCH_EVENTS


def examine_ranges(connection: psycopg.Connection, project: str) -> Iterator[Finding]:
    """Each key stands for events that one request recorded: there, next to each other, its alone."""
    rows = connection.execute(
        """
        SELECT * FROM (
          SELECT key, position, count, octet_length(request_sha256) AS digest_bytes,
            (max(position + count - 1) OVER (ORDER BY position, key
              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) >= position AS taken,
            found, requests
          FROM idempotency i CROSS JOIN LATERAL (
            SELECT count(*) AS found, count(DISTINCT (actor, time)) AS requests FROM event e
            WHERE e.project_id = i.project_id
              AND e.position BETWEEN i.position AND i.position + least(i.count, %(most)s) - 1) e
          WHERE project_id = %(project)s) r
        WHERE count < 1 OR found <> count OR requests > 1 OR taken OR digest_bytes <> 32
        ORDER BY position, key LIMIT %(limit)s
        """,
        {"project": project, "most": MAX_BATCH_EVENTS, "limit": MAX_FINDINGS + 1},
    )
    for key, position, count, digest_bytes, taken, found, requests in rows:
        place = f"idempotency {project}/{key}"
        if count < 1 or found != count:
            yield Finding(
                f"{place} (position, count)",
                f"It stands for {count} events from position {position} on; {found} are there.",
            )
        elif taken:
            yield Finding(
                f"{place} (position, count)", f"Another key stands for position {position}."
            )
        elif requests > 1:
            yield Finding(
                f"{place} (position, count)",
                f"The {count} events from position {position} on are of different requests.",
            )
        if digest_bytes != 32:
            yield Finding(f"{place} (request_sha256)", f"It has {digest_bytes} bytes, not 32.")


def examine_tracking(connection: psycopg.Connection, project: str) -> Iterator[Finding]:
    """No projection has read what is not there."""
    rows = connection.execute(
        """
        SELECT projection, position FROM tracking WHERE project_id = %(project)s
          AND (position < 0 OR position > coalesce(
            (SELECT size FROM project_log WHERE project_id = %(project)s), 0))
        """,
        {"project": project},
    )
    for projection, position in rows:
        yield Finding(
            f"tracking {project}/{projection} (position)",
            f"It says {position}, to which the log does not reach.",
        )
