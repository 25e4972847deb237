"""The `eventsourcing` library's own tests of its recorders, run against ours.

Its tests write opaque states under made-up topics to UUIDs. Ours takes only events that it knows, so a
shim puts each state as text into an event, stands for each topic with a type, and writes UUIDs as text.
Some of its tests number versions from 0; ours begin at 1, so there the shim adds one.

Not applicable:
- AggregateRecorderTestCase expects `insert_events` to answer None, and numbers one stream from 1 and
  another from 0; ours answers positions (as the application recorder's test demands) and begins at 1.
- ProcessRecorderTestCase writes events and tracking in one call; our followers write Tracking with
  their own rows, and appends go through the group writer.
- The factory's tests construct recorders from environment variables; app/bootstrap.py constructs ours.
"""

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

import msgspec
import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Subscription,
    Tracking,
)
from eventsourcing.persistence import DataError as LibraryDataError
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    TrackingRecorderTestCase,
)

from adapters.project_log import LedgerDatastore, ProjectionTracking, ProjectLog
from domain.errors import NotFound
from domain.events import parse
from tests.log_samples import Opened, check_log, creation, eventually, new_id, open_log

# Types without rows in a view, each with a member that takes any text.
TYPES = {
    "topic1": "ApprovalRequested",
    "topic2": "SideEffectIntended",
    "topic3": "ApprovalRecorded",
    "topic": "ApprovalRequested",
    "non-interleaving-test-event": "ApprovalRequested",
}
TEXT = {
    "ApprovalRequested": ("intent", {"approval": "a", "scope": "s"}),
    "SideEffectIntended": ("intent", {"effect": "e", "scope": "s"}),
    "ApprovalRecorded": ("reason", {"decision": "approved"}),
}


def wrapped(event: StoredEvent, first_version: int) -> StoredEvent:
    """A stored event of the library's tests as one of ours."""
    type_name = TYPES[event.topic]
    member, others = TEXT[type_name]
    state = {
        "actor": "user:ada",
        "data": {**others, member: event.state.decode()},
        "id": new_id(),
    }
    return StoredEvent(
        str(event.originator_id),
        event.originator_version + 1 - first_version,
        type_name,
        msgspec.json.encode(state),
    )


class Shim(ApplicationRecorder):
    """Between the library's tests and our recorder."""

    def __init__(self, recorder: ProjectLog, first_version: int) -> None:
        self._recorder = recorder
        self._first = first_version

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Any:
        return self._recorder.insert_events(
            [wrapped(event, self._first) for event in stored_events], **kwargs
        )

    def select_events(self, originator_id: Any, **kwargs: Any) -> Any:
        return [
            StoredEvent(
                uuid.UUID(str(one.originator_id)), self._version(one), *self._unwrapped(one)
            )
            for one in self._recorder.select_events(originator_id, **kwargs)
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> list[Notification]:
        return [
            self._notification(one)
            for one in self._recorder.select_notifications(
                start,
                limit,
                stop,
                [TYPES[topic] for topic in topics],
                inclusive_of_start=inclusive_of_start,
            )
        ]

    def max_notification_id(self) -> int | None:
        return self._recorder.max_notification_id()

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> Any:
        subscription = self._recorder.subscribe(gt, [TYPES[topic] for topic in topics])
        return ShimSubscription(subscription, self._notification)

    def _notification(self, one: Notification) -> Notification:
        topic, state = self._unwrapped(one)
        return Notification(
            uuid.UUID(str(one.originator_id)), self._version(one), topic, state, one.id
        )

    def _version(self, one: StoredEvent) -> int:
        return one.originator_version - 1 + self._first

    def _unwrapped(self, one: StoredEvent) -> tuple[str, bytes]:
        data = msgspec.to_builtins(parse(one.state).data)
        text = data[TEXT[one.topic][0]]
        return next(name for name, kind in TYPES.items() if kind == one.topic), text.encode()


class ShimSubscription:
    """Gives each notification as the library's tests know it."""

    def __init__(
        self, subscription: Subscription[Any], translate: Callable[[Notification], Notification]
    ) -> None:
        self._subscription = subscription
        self._translate = translate

    def __enter__(self) -> Self:
        self._subscription.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._subscription.__exit__(*problem)

    def __iter__(self) -> Iterator[Notification]:
        return (self._translate(one) for one in self._subscription)

    def stop(self) -> None:
        self._subscription.stop()


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    with open_log(database_url, connections=8) as opened:
        yield opened


@pytest.fixture
def project(opened: Opened) -> str:
    """An empty log: the library's tests count positions from 1."""
    opened.log.import_log("alpha", "alpha.ledger.example", [], [])
    return "alpha"


def recorder_of(opened: Opened, project: str) -> ProjectLog:
    return ProjectLog(LedgerDatastore(opened.pool), opened.log, opened.signal, project)


class Cases:
    """Hands the fixtures to the library's unittest classes."""

    FIRST_VERSION = 1
    shim: Shim

    @pytest.fixture(autouse=True)
    def _given(self, opened: Opened, project: str) -> Iterator[None]:
        self.shim = Shim(recorder_of(opened, project), self.FIRST_VERSION)
        yield
        check_log(opened, project)

    def create_recorder(self) -> Any:
        return self.shim


class TestApplicationRecorder(
    Cases,
    ApplicationRecorderTestCase[Any],  # type: ignore[misc] # the library's tests are untyped to us
):
    # These two number versions from 0.
    test_concurrent_no_conflicts = None
    test_concurrent_throughput = None

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderUnderLoad(
    Cases,
    ApplicationRecorderTestCase[Any],  # type: ignore[misc] # the library's tests are untyped to us
):
    FIRST_VERSION = 0
    # These number versions from 1, and run above.
    test_insert_select = None
    test_performance = None


class TestNonInterleaving(
    Cases,
    NonInterleavingNotificationIDsBaseCase,  # type: ignore[misc] # as above
):
    FIRST_VERSION = 0


class TestTracking(TrackingRecorderTestCase):  # type: ignore[misc] # as above
    @pytest.fixture(autouse=True)
    def _given(self, opened: Opened) -> None:
        self._recorder = ProjectionTracking(LedgerDatastore(opened.pool), "search")

    def create_recorder(self) -> ProjectionTracking:
        return self._recorder


def test_making_a_recorder_opens_no_connection(opened: Opened) -> None:
    before = opened.pool.get_stats().get("requests_num", 0)

    recorder_of(opened, "nowhere")
    ProjectionTracking(LedgerDatastore(opened.pool), "search")

    assert opened.pool.get_stats().get("requests_num", 0) == before


def test_the_function_that_takes_no_lock_cannot_be_switched_on(
    opened: Opened, project: str
) -> None:
    recorder = recorder_of(opened, project)

    with pytest.raises(ProgrammingError):
        recorder.datastore.enable_db_functions = True
    assert recorder.datastore.enable_db_functions is False


def test_a_recorder_makes_no_tables(opened: Opened, project: str) -> None:
    with pytest.raises(ProgrammingError):
        recorder_of(opened, project).create_table()
    with pytest.raises(ProgrammingError):
        ProjectionTracking(LedgerDatastore(opened.pool), "search").create_table()


def test_a_repeat_with_the_same_ids_gets_its_positions(opened: Opened, project: str) -> None:
    recorder = recorder_of(opened, project)
    events = [wrapped(StoredEvent("run/r1", version, "topic1", b"x"), 1) for version in (1, 2)]

    assert recorder.insert_events(events) == [1, 2]
    assert recorder.insert_events(events) == [1, 2]


@pytest.mark.parametrize(
    ("topic", "state"),
    [
        ("subprocess:Popen", b'{"actor":"a","data":{},"id":"%s"}' % new_id().encode()),
        ("RunStarted", b"not json"),
        ("RunStarted", b'{"actor":"a","data":{},"id":"no uuid"}'),
        ("RunStarted", b'{"actor":"a","data":{"more":1},"id":"%s"}' % new_id().encode()),
        ("RunStarted", b'{"actor":"a","data":{},"id":"%s","more":1}' % new_id().encode()),
    ],
)
def test_a_state_or_topic_that_is_no_event_is_refused_and_nothing_imported(
    opened: Opened, project: str, topic: str, state: bytes
) -> None:
    recorder = recorder_of(opened, project)
    modules = set(sys.modules)

    with pytest.raises(LibraryDataError):
        recorder.insert_events([StoredEvent("run/r1", 1, topic, state)])

    assert set(sys.modules) == modules
    assert recorder.max_notification_id() is None


def test_versions_that_do_not_follow_each_other_are_refused(opened: Opened, project: str) -> None:
    recorder = recorder_of(opened, project)

    for versions in ((1, 3), (1, 1), (2, 3)):
        with pytest.raises(IntegrityError):
            recorder.insert_events(
                [wrapped(StoredEvent("run/r1", version, "topic1", b"x"), 1) for version in versions]
            )
    assert recorder.max_notification_id() is None


def test_an_unknown_project_is_told(opened: Opened) -> None:
    recorder = recorder_of(opened, "nowhere")

    with pytest.raises(NotFound):
        recorder.insert_events([wrapped(StoredEvent("run/r1", 1, "topic1", b"x"), 1)])


def test_a_log_that_shuts_down_is_an_operational_error(opened: Opened, project: str) -> None:
    opened.log._writer.close()

    with pytest.raises(OperationalError):
        recorder_of(opened, project).insert_events(
            [wrapped(StoredEvent("run/r1", 1, "topic1", b"x"), 1)]
        )


def test_an_event_that_the_topics_leave_out_moves_the_position(opened: Opened) -> None:
    opened.log.create(creation("alpha"))
    recorder = recorder_of(opened, "alpha")
    recorder.insert_events([wrapped(StoredEvent("run/r1", 1, "topic1", b"x"), 1)])
    recorder.insert_events([wrapped(StoredEvent("run/r1", 2, "topic2", b"x"), 1)])
    subscription = recorder.subscribe(topics=["ApprovalRequested"])

    with subscription:
        assert next(subscription).id == 2

    assert subscription.position == 3  # type: ignore[attr-defined]


def test_tracking_is_kept_for_each_projection(opened: Opened) -> None:
    datastore = LedgerDatastore(opened.pool)
    search, mail = ProjectionTracking(datastore, "search"), ProjectionTracking(datastore, "mail")

    search.insert_tracking(Tracking("alpha", 7))

    assert search.max_tracking_id("alpha") == 7
    assert mail.max_tracking_id("alpha") is None


def test_who_waits_for_a_projection_is_woken_by_it(opened: Opened) -> None:
    from threading import Thread

    search = ProjectionTracking(LedgerDatastore(opened.pool), "search")
    waiting = Thread(target=search.wait, args=("alpha", 7, 30.0))
    waiting.start()

    search.insert_tracking(Tracking("alpha", 7))

    assert eventually(lambda: not waiting.is_alive(), 10)


def test_importing_the_library_leaves_psycopgs_warnings_on() -> None:
    script = (
        "import logging, psycopg, psycopg_pool\n"
        "def levels(): return [logging.getLogger(n).level for n in ('psycopg', 'psycopg.pool')]\n"
        "before = levels()\n"
        "import adapters.project_log\n"
        "print(before == levels())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "True"


def test_a_hostile_environment_changes_nothing(
    opened: Opened, project: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MAPPER_TOPIC", "POSTGRES_DBNAME", "POSTGRES_HOST", "CREATE_TABLE"):
        monkeypatch.setenv(name, "subprocess:Popen")

    recorder = recorder_of(opened, project)

    assert recorder.insert_events([wrapped(StoredEvent("run/r1", 1, "topic1", b"x"), 1)]) == [1]


def test_an_append_takes_nothing_but_events(opened: Opened, project: str) -> None:
    with pytest.raises(ProgrammingError):
        recorder_of(opened, project).insert_events(
            [wrapped(StoredEvent("run/r1", 1, "topic1", b"x"), 1)], tracking=Tracking("alpha", 1)
        )


def test_an_append_without_events_answers_none(opened: Opened, project: str) -> None:
    assert recorder_of(opened, project).insert_events([]) is None
