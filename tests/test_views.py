"""Reads of the core views: at each position, what a plain fold over the events up to it gives."""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec
import psycopg
import pytest
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from adapters.postgres_connect import open_pool
from adapters.postgres_views import (
    MAX_PAGE,
    ArtifactVersion,
    PostgresViews,
    ProjectSummary,
    RunSummary,
    TrailFilter,
    TrailItem,
)
from app.ledger import Ledger
from domain.citation import Citation
from domain.errors import Damaged, NotFound
from domain.events import (
    ArtifactErased,
    ArtifactWritten,
    EventData,
    ProjectChanged,
    ProjectCreated,
    Recorded,
    RunCreated,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    parse,
)
from projections.core_views import rows_of
from projections.trail import sentence
from tests.examined_samples import wander
from tests.ledger_samples import another_database, open_ledger

ANY = TrailFilter()


class Read(msgspec.Struct):
    """A project as the events say, folded without any table."""

    title: str
    description: str
    version: int
    artifacts: dict[tuple[str, str], list[ArtifactVersion]]
    citations: dict[tuple[str, str, int], tuple[Citation, ...]]
    runs: dict[str, RunSummary]
    trail: list[TrailItem]


def fold(events: Sequence[Recorded]) -> Read:
    """The plainest way to say what the views are."""
    read = Read("", "", 0, {}, {}, {}, [])
    for event in events:
        read.trail.append(
            TrailItem(
                event.position,
                event.time,
                event.actor,
                event.type,
                event.stream,
                event.version,
                event.id,
                sentence(event),
            )
        )
        first, _, rest = event.stream.partition("/")
        match event.data:
            case ProjectCreated(title=title, description=description):
                read.title, read.description, read.version = title, description, event.version
            case ProjectChanged(title=title, description=description):
                read.title = read.title if title is None else title
                read.description = read.description if description is None else description
                read.version = event.version
            case ArtifactWritten() as data:
                assert first == "artifact"
                kind, _, key = rest.partition("/")
                read.citations[kind, key, event.version] = data.citations
                read.artifacts.setdefault((kind, key), []).append(
                    ArtifactVersion(
                        kind,
                        key,
                        event.version,
                        event.position,
                        data.digest,
                        data.size_bytes,
                        data.media_type,
                        data.title,
                        event.actor,
                        event.time,
                        len(data.citations),
                    )
                )
            case ArtifactErased(artifact=artifact, artifact_version=version):
                kind, _, key = artifact.removeprefix("artifact/").partition("/")
                versions = read.artifacts[kind, key]
                versions[version - 1] = msgspec.structs.replace(
                    versions[version - 1], erased_position=event.position
                )
            case data:
                _fold_run(read, rest, event)
    return read


def _fold_run(read: Read, run_id: str, event: Recorded) -> None:
    phases: dict[type, Callable[[], str]] = {
        RunCreated: lambda: "created",
        RunStarted: lambda: "running",
        RunResumed: lambda: "running",
        RunPaused: lambda: f"waiting_{getattr(event.data, 'waiting_for')}",  # noqa: B009
        RunFinished: lambda: str(getattr(event.data, "outcome")),  # noqa: B009
    }
    phase = phases.get(type(event.data))
    if phase is None:
        return
    known = read.runs.get(run_id)
    title = known.title if known else str(getattr(event.data, "title", run_id))
    created = known.created_position if known else event.position
    read.runs[run_id] = RunSummary(run_id, title, phase(), created, event.position, event.time)


@pytest.fixture(scope="module")
def wandered(
    postgres_server: str, template_database: str
) -> Iterator[tuple[Ledger, list[Recorded]]]:
    """A ledger with a random history, and the events of `alpha`."""
    with another_database(postgres_server, template_database) as url, open_ledger(url) as ledger:
        wander(ledger, random.Random(7), steps=260)
        size = ledger.position("alpha", None)
        yield ledger, [parse(entry.line) for entry in ledger.log.read("alpha", 0, size)]


def positions(events: Sequence[Recorded]) -> list[int]:
    return [1, 2, *random.Random(1).sample(range(3, len(events)), 20), len(events)]


def test_the_history_is_worth_reading(wandered: tuple[Ledger, list[Recorded]]) -> None:
    _, events = wandered
    read = fold(events)
    assert len(events) > 100
    assert {row.phase for row in read.runs.values()} != {"created"}
    versions = [version for found in read.artifacts.values() for version in found]
    assert any(version.erased_position for version in versions)
    assert any(version.citations for version in versions)
    assert max(map(len, read.artifacts.values())) > 5


def test_every_read_is_what_the_events_up_to_its_position_say(
    wandered: tuple[Ledger, list[Recorded]],
) -> None:
    ledger, events = wandered
    views = ledger.views
    origin = ledger.log.head("alpha").origin
    for at in positions(events):
        read = fold(events[:at])
        assert views.project("alpha", at) == ProjectSummary(
            "alpha", read.title, read.description, origin, at, read.version
        )
        latest = [read.artifacts[name][-1] for name in sorted(read.artifacts)]
        assert views.artifacts("alpha", at) == latest
        for kind in ("ADR_1", "PRD", "NONE", "zzz"):
            assert views.artifacts("alpha", at, kind=kind) == [
                one for one in latest if one.kind == kind
            ]
        for (kind, key), versions in read.artifacts.items():
            assert views.artifact("alpha", kind, key, at) == versions[-1]
            assert views.versions("alpha", kind, key, at) == versions
            assert views.versions("alpha", kind, key, at, newest_first=True) == versions[::-1]
            for version in versions:
                found = views.version("alpha", kind, key, version.version, at)
                assert found == version
                assert (
                    views.citations("alpha", kind, key, version.version)
                    == read.citations[kind, key, version.version]
                )
        assert views.runs("alpha", at) == [read.runs[name] for name in sorted(read.runs)]
        for run_id, summary in read.runs.items():
            assert views.run("alpha", run_id, at) == summary
        assert views.trail("alpha", at, which=ANY, limit=MAX_PAGE) == read.trail


def test_pages_of_artifacts_join_without_gap_at_any_position(
    wandered: tuple[Ledger, list[Recorded]],
) -> None:
    ledger, events = wandered
    for at in positions(events)[:8]:
        for kind in (None, "PRD"):
            whole = ledger.views.artifacts("alpha", at, kind=kind)
            joined: list[ArtifactVersion] = []
            after: tuple[str, str] | None = None
            while page := ledger.views.artifacts("alpha", at, kind=kind, after=after, limit=2):
                assert len(page) <= 2
                joined += page
                after = (page[-1].kind, page[-1].key)
            assert joined == whole


def test_pages_of_versions_runs_and_projects_join_without_gap(
    wandered: tuple[Ledger, list[Recorded]],
) -> None:
    ledger, events = wandered
    views, at = ledger.views, len(events)
    (kind, key), versions = max(fold(events).artifacts.items(), key=lambda item: len(item[1]))
    joined: list[ArtifactVersion] = []
    while page := views.versions(
        "alpha", kind, key, at, after=joined[-1].version if joined else 0, limit=3
    ):
        joined += page
    assert joined == versions
    assert [views.runs("alpha", at, after=after, limit=1)[0].run_id for after in ("", "r1")] == [
        "r1",
        "r2",
    ]
    assert [one.slug for one in views.projects(allowed=None)] == ["alpha", "beta"]
    assert [one.slug for one in views.projects(allowed=None, after="alpha")] == ["beta"]
    assert [one.slug for one in views.projects(allowed=None, limit=1)] == ["alpha"]
    assert [one.slug for one in views.projects(allowed=["beta", "nowhere"])] == ["beta"]
    assert views.projects(allowed=[]) == []
    assert views.projects(allowed=None)[0] == views.project("alpha", at)


FILTERS = (
    ANY,
    TrailFilter(stream="run/r1"),
    TrailFilter(stream="artifact/PRD/ü"),
    TrailFilter(stream=""),
    TrailFilter(stream="run/r2", type="RunStarted"),
    TrailFilter(type="ArtifactWritten"),
    TrailFilter(actor="user:bob"),
    TrailFilter(type="ProjectChanged", actor="user:ada"),
)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("which", FILTERS, ids=str)
def test_the_trail_is_filtered_and_paged_at_any_position(
    wandered: tuple[Ledger, list[Recorded]], which: TrailFilter, *, newest_first: bool
) -> None:
    ledger, events = wandered
    for at in positions(events)[:6]:
        until = events[at // 2].time
        for one in (which, msgspec.structs.replace(which, until=until)):
            expected = [item for item in fold(events[:at]).trail if meant(one, item)]
            if newest_first:
                expected.reverse()
            joined: list[TrailItem] = []
            after: int | None = None
            while page := ledger.views.trail(
                "alpha", at, which=one, after=after, limit=7, newest_first=newest_first
            ):
                assert len(page) <= 7
                joined += page
                after = page[-1].position
            assert joined == expected


def meant(which: TrailFilter, item: TrailItem) -> bool:
    wanted = {name: getattr(which, name) for name in ("stream", "type", "actor")}
    return all(value in {None, getattr(item, name)} for name, value in wanted.items()) and (
        which.until is None or item.time <= which.until
    )


def test_what_is_not_there_at_a_position_is_not_found(
    wandered: tuple[Ledger, list[Recorded]],
) -> None:
    ledger, events = wandered
    views, at = ledger.views, len(events)
    (kind, key), versions = next(iter(fold(events).artifacts.items()))
    begun = versions[0].position
    run = fold(events).runs["r1"]
    with pytest.raises(NotFound, match="no project"):
        views.project("nowhere", 1)
    with pytest.raises(NotFound, match="has no artifact"):
        views.artifact("alpha", kind, key, begun - 1)
    with pytest.raises(NotFound, match="has no artifact"):
        views.version("alpha", kind, key, 1, begun - 1)
    for version in (-1, 0, len(versions) + 1):
        with pytest.raises(NotFound) as caught:
            views.version("alpha", kind, key, version, at)
        assert caught.value.code == "version-not-found"
        assert caught.value.members == {"current_version": len(versions)}
    with pytest.raises(NotFound, match="has no run"):
        views.run("alpha", "r1", run.created_position - 1)
    assert views.artifacts("alpha", begun - 1, kind=kind, after=(kind, key), limit=1) == []
    assert views.latest_digest("alpha", kind, "never") is None
    assert views.latest_digest("alpha", kind, key) == (len(versions), versions[-1].digest)
    assert views.trail("alpha", 0, which=ANY) == []
    assert views.trail("alpha", at, which=ANY, after=1, newest_first=True) == []


class Explained(PostgresViews):
    """Asks how each statement was run."""

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__(pool)
        self.pool = pool
        self.plans: list[Mapping[str, object]] = []

    def _rows(self, statement: str, **parameters: object) -> list[TupleRow]:
        with self.pool.connection() as connection:
            row = connection.execute(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}".encode(), parameters
            ).fetchone()
        assert row is not None
        self.plans.append(row[0][0]["Plan"])
        return super()._rows(statement, **parameters)


ARTIFACTS = 20_000


@pytest.fixture(scope="module")
def large(postgres_server: str, template_database: str) -> Iterator[Explained]:
    """A project with many artifacts and events among others, as tables only."""
    with another_database(postgres_server, template_database) as url:
        with open_ledger(url) as ledger:
            for slug in ("alpha", "beta"):
                ledger.create_project(slug, title=slug, actor="user:ada")
        with psycopg.connect(url, autocommit=True) as connection:
            for slug in ("alpha", "beta"):
                connection.execute(
                    """
                    INSERT INTO artifact_version
                    SELECT %(slug)s, CASE WHEN n %% 20 = 0 THEN 'SPEC' ELSE 'NOTE' END,
                      'k' || n / 2, n %% 2 + 1, n, sha256(n::text::bytea), 1, 'text/plain', NULL,
                      'user:ada', now(), 0
                    FROM generate_series(2, %(count)s * 2 + 1) n
                    """,
                    {"slug": slug, "count": ARTIFACTS},
                )
                connection.execute(
                    """
                    INSERT INTO event
                    SELECT %(slug)s, n, 'run/r' || n %% 500, n / 500 + 1, 'RunStarted',
                      gen_random_uuid(), 'user:ada', now(), e.line, e.leaf
                    FROM generate_series(2, %(count)s) n, event e
                    WHERE e.project_id = %(slug)s AND e.position = 1
                    """,
                    {"slug": slug, "count": ARTIFACTS},
                )
            connection.execute(
                """
                INSERT INTO artifact_latest
                SELECT project_id, kind, key, max(version) FROM artifact_version GROUP BY 1, 2, 3
                """
            )
            connection.execute(
                """
                INSERT INTO erasure SELECT 'alpha', n, 'artifact/NOTE/k' || n, 1, sha256(n::text::bytea)
                FROM generate_series(1, 5000) n
                """
            )
            connection.execute("ANALYZE")
        with open_pool(url, max_size=2) as pool:
            yield Explained(pool)


READS: dict[str, Callable[[PostgresViews], object]] = {
    "a page of artifacts": lambda views: views.artifacts("alpha", 10**6, limit=50),
    "a later page": lambda views: views.artifacts("alpha", 10**6, after=("NOTE", "k7"), limit=50),
    "a page of one kind": lambda views: views.artifacts("alpha", 10**6, kind="SPEC", limit=50),
    "one artifact": lambda views: views.artifact("alpha", "NOTE", "k7", 10**6),
    "one version": lambda views: views.version("alpha", "NOTE", "k7", 2, 10**6),
    "its citations": lambda views: views.citations("alpha", "NOTE", "k7", 1),
    "its digest": lambda views: views.latest_digest("alpha", "NOTE", "k7"),
    "a project": lambda views: views.project("alpha", 10**6),
    "projects": lambda views: views.projects(allowed=None),
    "the trail": lambda views: views.trail("alpha", 10**6, which=ANY, limit=50),
    "the newest of the trail": lambda views: views.trail(
        "alpha", 10**6, which=ANY, limit=50, newest_first=True
    ),
    "the trail of a stream": lambda views: views.trail(
        "alpha", 10**6, which=TrailFilter(stream="run/r7"), limit=50
    ),
    "the newest of a stream": lambda views: views.trail(
        "alpha", 10**6, which=TrailFilter(stream="run/r7"), limit=20, newest_first=True
    ),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_touches_about_as_many_rows_as_it_gives(large: Explained, name: str) -> None:
    large.plans.clear()
    READS[name](large)
    assert large.plans
    for plan in large.plans:
        assert touched(plan) < 500, plan


def touched(plan: object) -> float:
    """Rows read from tables, also those that a filter threw away."""
    match plan:
        case {"Actual Rows": rows, "Actual Loops": loops, **rest}:
            thrown = rest.get("Rows Removed by Filter", 0)
            assert isinstance(rows, int | float)
            assert isinstance(loops, int | float)
            assert isinstance(thrown, int | float)
            inner = rest.get("Plans", [])
            assert isinstance(inner, list)
            own = (rows + thrown) * loops if "Relation Name" in rest else 0
            return own + sum(map(touched, inner))
        case _:
            raise AssertionError(plan)


def test_more_than_a_page_is_never_given(large: Explained) -> None:
    assert len(large.artifacts("alpha", 10**6, limit=10**6)) == MAX_PAGE
    assert len(large.trail("alpha", 10**6, which=ANY, limit=10**6)) == MAX_PAGE


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        ("run/r1", ArtifactWritten(digest="x", size_bytes=1, media_type="x")),
        ("project", RunStarted()),
    ],
)
def test_an_event_outside_its_kind_of_stream_has_no_rows_but_an_error(
    stream: str, data: EventData
) -> None:
    event = Recorded(
        position=1,
        stream=stream,
        version=1,
        type=type(data).__name__,
        id="x",
        actor="user:ada",
        time="x",
        data=data,
    )
    with pytest.raises(Damaged):
        rows_of(event)
