"""Reads of the core views, each as it stood at a position."""

from collections.abc import Collection

import msgspec
import psycopg
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from domain import canonical
from domain.citation import Citation
from domain.digest import format_digest
from domain.errors import NotFound
from domain.events import parse
from domain.times import format_time
from projections.trail import sentence

MAX_PAGE = 1_000
"""Rows of a page at most, whatever limit is asked for."""
_AFTER_KINDS = "a"  # kinds are capitals, and collate by bytes


class ProjectSummary(msgspec.Struct, frozen=True):
    """A project at a position: `version` is that of its stream `project`."""

    slug: str
    title: str
    description: str
    origin: str
    position: int
    version: int


class ArtifactVersion(msgspec.Struct, frozen=True, omit_defaults=True):
    """One version of an artifact; `erased_position` says from where on its content is gone."""

    kind: str
    key: str
    version: int
    position: int
    digest: str
    size_bytes: int
    media_type: str
    title: str | None
    actor: str
    time: str
    citations: int
    erased_position: int | None = None


class RunSummary(msgspec.Struct, frozen=True):
    """A run at a position: its phase, and the event that led there."""

    run_id: str
    title: str
    phase: str
    created_position: int
    position: int
    time: str


class RecentRun(msgspec.Struct, frozen=True):
    """A run at a position, when it was created, and the event by which it entered its phase."""

    run_id: str
    title: str
    phase: str
    created: str
    position: int
    time: str


class TrailItem(msgspec.Struct, frozen=True):
    """One event for a person: where it stands, who, when, and a sentence."""

    position: int
    time: str
    actor: str
    type: str
    stream: str
    version: int
    id: str
    summary: str


class TrailFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which events of the trail are meant; None means all."""

    stream: str | None = None
    type: str | None = None
    actor: str | None = None
    until: str | None = None


_PROJECT_COLUMNS = """
  l.project_id, l.origin, l.position,
  (SELECT title FROM project_view v WHERE v.project_id = l.project_id AND v.position <= l.position
     AND title IS NOT NULL ORDER BY v.position DESC LIMIT 1),
  (SELECT description FROM project_view v WHERE v.project_id = l.project_id
     AND v.position <= l.position AND description IS NOT NULL ORDER BY v.position DESC LIMIT 1),
  (SELECT count(*) FROM project_view v WHERE v.project_id = l.project_id
     AND v.position <= l.position)
"""
_VERSION_COLUMNS = """
  v.kind, v.key, v.version, v.position, v.sha256, v.size_bytes, v.media_type, v.title, v.actor,
  v.time, v.citations,
  (SELECT min(e.position) FROM erasure e WHERE e.project_id = v.project_id AND e.sha256 = v.sha256
     AND e.position <= %(at)s)
"""


class PostgresViews:
    """The core views; every read of a project takes the position to read at."""

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool

    def projects(
        self, *, allowed: Collection[str] | None, after: str = "", limit: int = MAX_PAGE
    ) -> list[ProjectSummary]:
        """The projects after a slug, in order; only the allowed ones unless None."""
        return [
            _project(row)
            for row in self._rows(
                f"""
                SELECT {_PROJECT_COLUMNS}
                FROM (SELECT project_id, origin, size AS position FROM project_log
                  WHERE project_id > %(after)s
                    AND (%(allowed)s::text[] IS NULL OR project_id = ANY(%(allowed)s))
                  ORDER BY project_id LIMIT %(limit)s) l
                ORDER BY l.project_id
                """,
                after=after,
                allowed=None if allowed is None else list(allowed),
                limit=min(limit, MAX_PAGE),
            )
        ]

    def project(self, project: str, at: int) -> ProjectSummary:
        """One project.

        Raises:
            NotFound: `project-not-found`.
        """
        rows = self._rows(
            f"""
            SELECT {_PROJECT_COLUMNS}
            FROM (SELECT project_id, origin, %(at)s::int8 AS position FROM project_log
              WHERE project_id = %(project)s) l
            """,
            project=project,
            at=at,
        )
        if not rows:
            raise NotFound("project-not-found", f"There is no project {project[:40]!r}.")
        return _project(rows[0])

    def artifacts(
        self,
        project: str,
        at: int,
        *,
        kind: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int = MAX_PAGE,
    ) -> list[ArtifactVersion]:
        """The latest version of each artifact, by kind and key, after a (kind, key)."""
        kind_after, key_after = after or ("", "")
        return [
            _version(row)
            for row in self._rows(
                f"""
                SELECT {_VERSION_COLUMNS}
                FROM artifact_latest l
                CROSS JOIN LATERAL (
                  SELECT * FROM artifact_version v
                  WHERE v.project_id = l.project_id AND v.kind = l.kind AND v.key = l.key
                    AND v.version <= l.version AND v.position <= %(at)s
                  ORDER BY v.version DESC LIMIT 1) v
                WHERE l.project_id = %(project)s AND (l.kind, l.key) > (%(kind_after)s, %(key_after)s)
                  AND l.kind BETWEEN %(first_kind)s AND %(last_kind)s
                ORDER BY l.kind, l.key LIMIT %(limit)s
                """,
                project=project,
                at=at,
                # A range, also where all are meant: one kind is then read without the others.
                first_kind=kind or "",
                last_kind=kind or _AFTER_KINDS,
                kind_after=kind_after,
                key_after=key_after,
                limit=min(limit, MAX_PAGE),
            )
        ]

    def kinds(self, project: str, keys: Collection[str], at: int) -> dict[str, str]:
        """Of which kind the artifacts of some keys are; of a key that several have, the first by name."""
        rows = self._rows(
            """
            SELECT l.key, min(l.kind COLLATE "C") FROM artifact_latest l
            WHERE l.project_id = %(project)s AND l.key = ANY(%(keys)s) AND EXISTS (
              SELECT FROM artifact_version v
              WHERE v.project_id = l.project_id AND v.kind = l.kind AND v.key = l.key
                AND v.version = 1 AND v.position <= %(at)s)
            GROUP BY l.key
            """,
            project=project,
            keys=list(keys),
            at=at,
        )
        return dict(rows)

    def artifact(self, project: str, kind: str, key: str, at: int) -> ArtifactVersion:
        """The latest version of one artifact.

        Raises:
            NotFound: `artifact-not-found`.
        """
        found = self.versions(project, kind, key, at, limit=1, newest_first=True)
        if not found:
            raise NotFound(
                "artifact-not-found", f"{project} has no artifact {kind}/{key} at position {at}."
            )
        return found[0]

    def versions(
        self,
        project: str,
        kind: str,
        key: str,
        at: int,
        *,
        after: int = 0,
        limit: int = MAX_PAGE,
        newest_first: bool = False,
    ) -> list[ArtifactVersion]:
        """The history of one artifact: its versions after a version."""
        order = "DESC" if newest_first else "ASC"
        return [
            _version(row)
            for row in self._rows(
                f"""
                SELECT {_VERSION_COLUMNS} FROM artifact_version v
                WHERE v.project_id = %(project)s AND v.kind = %(kind)s AND v.key = %(key)s
                  AND v.version > %(after)s AND v.position <= %(at)s
                ORDER BY v.version {order} LIMIT %(limit)s
                """,
                project=project,
                kind=kind,
                key=key,
                at=at,
                after=after,
                limit=min(limit, MAX_PAGE),
            )
        ]

    def version(self, project: str, kind: str, key: str, version: int, at: int) -> ArtifactVersion:
        """One version of one artifact.

        Raises:
            NotFound: `artifact-not-found`, `version-not-found`.
        """
        found = self.versions(project, kind, key, at, after=version - 1, limit=1)
        if not found or found[0].version != version:
            latest = self.artifact(project, kind, key, at)
            raise NotFound(
                "version-not-found",
                f"{kind}/{key} has versions 1 to {latest.version} at position {at}, not {version}.",
                members={"current_version": latest.version},
            )
        return found[0]

    def latest_digest(self, project: str, kind: str, key: str) -> tuple[int, str] | None:
        """Version and digest of the latest version now, None when there is none."""
        rows = self._rows(
            """
            SELECT version, sha256 FROM artifact_version
            WHERE project_id = %(project)s AND kind = %(kind)s AND key = %(key)s
            ORDER BY version DESC LIMIT 1
            """,
            project=project,
            kind=kind,
            key=key,
        )
        return (rows[0][0], format_digest(bytes(rows[0][1]))) if rows else None

    def citations(self, project: str, kind: str, key: str, version: int) -> tuple[Citation, ...]:
        """The citations of one version, by index."""
        rows = self._rows(
            """
            SELECT citation FROM citation WHERE project_id = %(project)s AND kind = %(kind)s
              AND key = %(key)s AND version = %(version)s ORDER BY index
            """,
            project=project,
            kind=kind,
            key=key,
            version=version,
        )
        return tuple(msgspec.convert(canonical.read(bytes(row[0])), Citation) for row in rows)

    def runs(
        self, project: str, at: int, *, after: str = "", limit: int = MAX_PAGE
    ) -> list[RunSummary]:
        """The runs after a run id, in order."""
        return [
            RunSummary(run_id, title or run_id, phase, created, position, format_time(time))
            for run_id, title, phase, created, position, time in self._rows(
                """
                SELECT r.run_id, (array_agg(title ORDER BY position))[1],
                  (array_agg(phase ORDER BY position DESC))[1], min(position), max(position), max(time)
                FROM run_change r
                WHERE r.project_id = %(project)s AND r.run_id > %(after)s AND r.position <= %(at)s
                GROUP BY r.run_id ORDER BY r.run_id LIMIT %(limit)s
                """,
                project=project,
                at=at,
                after=after,
                limit=min(limit, MAX_PAGE),
            )
        ]

    def recent_runs(
        self, project: str, at: int, *, before: int | None = None, limit: int = MAX_PAGE
    ) -> list[RecentRun]:
        """The runs that changed their phase last, newest first, before the position of such a change."""
        return [
            RecentRun(
                run_id, title or run_id, phase, format_time(created), position, format_time(time)
            )
            for run_id, title, phase, created, position, time in self._rows(
                """
                SELECT r.run_id, (array_agg(title ORDER BY position))[1],
                  (array_agg(phase ORDER BY position DESC))[1], min(time), max(position), max(time)
                FROM run_change r
                WHERE r.project_id = %(project)s AND r.position <= %(at)s
                GROUP BY r.run_id HAVING %(before)s::int8 IS NULL OR max(position) < %(before)s
                ORDER BY max(position) DESC LIMIT %(limit)s
                """,
                project=project,
                at=at,
                before=before,
                limit=min(limit, MAX_PAGE),
            )
        ]

    def run(self, project: str, run_id: str, at: int) -> RunSummary:
        """One run.

        Raises:
            NotFound: `run-not-found`.
        """
        rows = self._rows(
            """
            SELECT position, phase, title, time FROM run_change
            WHERE project_id = %(project)s AND run_id = %(run_id)s AND position <= %(at)s
            ORDER BY position
            """,
            project=project,
            run_id=run_id,
            at=at,
        )
        if not rows:
            raise NotFound("run-not-found", f"{project} has no run {run_id!r} at position {at}.")
        last = rows[-1]
        return RunSummary(
            run_id, rows[0][2] or run_id, last[1], rows[0][0], last[0], format_time(last[3])
        )

    def trail(
        self,
        project: str,
        at: int,
        *,
        which: TrailFilter,
        after: int | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[TrailItem]:
        """The audit trail after a position, oldest first, or before it, newest first."""
        if newest_first:
            low, high, order = 1, min(at, at if after is None else after - 1), "DESC"
        else:
            low, high, order = (after or 0) + 1, at, "ASC"
        # A stream's order is that of its versions, for which there is an index.
        within, key = "", "position"
        if which.stream is not None:
            within, key = "AND stream = %(stream)s", "version"
        rows = self._rows(
            f"""
            SELECT line FROM event
            WHERE project_id = %(project)s AND position BETWEEN %(low)s AND %(high)s {within}
              AND (%(type)s::text IS NULL OR type = %(type)s)
              AND (%(actor)s::text IS NULL OR actor = %(actor)s)
              AND (%(until)s::timestamptz IS NULL OR time <= %(until)s)
            ORDER BY {key} {order} LIMIT %(limit)s
            """,
            project=project,
            low=low,
            high=high,
            limit=min(limit, MAX_PAGE),
            **{name: getattr(which, name) for name in which.__struct_fields__},
        )
        return [_trail_item(bytes(row[0])) for row in rows]

    def _rows(self, statement: str, **parameters: object) -> list[TupleRow]:
        with self._pool.connection() as connection:
            cursor: psycopg.Cursor[TupleRow] = connection.cursor(binary=True)
            return cursor.execute(statement, parameters).fetchall()


def _project(row: TupleRow) -> ProjectSummary:
    slug, origin, position, title, description, version = row
    return ProjectSummary(slug, title or slug, description or "", origin, position, version)


def _version(row: TupleRow) -> ArtifactVersion:
    kind, key, version, position, sha256, size, media_type, title, actor, time, cited, erased = row
    return ArtifactVersion(
        kind,
        key,
        version,
        position,
        format_digest(bytes(sha256)),
        size,
        media_type,
        title,
        actor,
        format_time(time),
        cited,
        erased,
    )


def _trail_item(line: bytes) -> TrailItem:
    event = parse(line)
    return TrailItem(
        event.position,
        event.time,
        event.actor,
        event.type,
        event.stream,
        event.version,
        event.id,
        sentence(event),
    )
