"""A project as the `eventsourcing` library sees it: a recorder of stored events, and one of tracking.

A project is the library's application, a position its notification id, a stream its originator (as
text), and a topic the event type's own name, which is looked up in our allow-list and never imported.
Going in, a stored event's state is JSON with the members `actor`, `data` and `id`; coming out, it is
the whole stored line.
"""

import logging
import threading
import time
from collections.abc import Sequence
from typing import Any, LiteralString, NoReturn
from uuid import UUID

import msgspec
from psycopg.rows import TupleRow
from psycopg_pool import ConnectionPool

from adapters.commit_signal import CommitSignal
from adapters.postgres_log import PostgresLog
from domain import canonical
from domain.errors import Conflict, DeedbookError, NotFound, StaleVersion, Unavailable
from domain.events import read_data
from domain.log import Append, Proposed

_LEVELS = {name: logging.getLogger(name).level for name in ("psycopg", "psycopg.pool")}

from eventsourcing.persistence import (  # noqa: E402 - the levels are noted before, see below
    DataError,
    IntegrityError,
    Notification,
    OperationalError,
    ProgrammingError,
    StoredEvent,
    Subscription,
    Tracking,
    WaitInterruptedError,
)
from eventsourcing.postgres import (  # noqa: E402
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresTrackingRecorder,
)

for _name, _level in _LEVELS.items():  # the library silences psycopg's warnings when it is imported
    logging.getLogger(_name).setLevel(_level)

PAGE_EVENTS = 500
POLL_SECONDS = 1.0
TRACKING_POLL_SECONDS = 0.1

_STREAM = """
SELECT position, stream, version, type, line FROM event
WHERE project_id = %(project)s AND stream = %(stream)s AND version > %(gt)s AND version <= %(lte)s
"""
_NOTIFICATIONS = """
SELECT position, stream, version, type, line FROM event
WHERE project_id = %(project)s AND position BETWEEN %(first)s AND %(last)s
  AND (%(types)s::text[] IS NULL OR type = ANY(%(types)s))
ORDER BY position LIMIT %(limit)s
"""
_LARGEST = 2**63 - 1


class _State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    actor: str
    data: msgspec.Raw
    id: str


class LedgerDatastore(PostgresDatastore):
    """The library's datastore over our pool: its own connections are never made.

    Its function that inserts without a lock cannot be switched on: readers would miss events.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        super().__init__("", "", "", "", "", originator_id_type="text")
        self.pool = pool  # type: ignore[assignment] # for the library's own eyes: rows by place
        self.ledger_pool = pool

    @property
    def enable_db_functions(self) -> bool:
        """Always false."""
        return False

    @enable_db_functions.setter
    def enable_db_functions(self, value: bool) -> None:
        if value:
            raise ProgrammingError("enable_db_functions takes no lock and is not available here.")

    def register_type_adapters(self) -> None:
        """Nothing: our tables have no composite types."""

    def close(self) -> None:
        """Nothing: the pool belongs to whoever opened it."""


class ProjectLog(PostgresApplicationRecorder):
    """One project as a recorder; making one opens no connection."""

    def __init__(
        self, datastore: LedgerDatastore, log: PostgresLog, signal: CommitSignal, project: str
    ) -> None:
        super().__init__(datastore)
        self._pool = datastore.ledger_pool
        self._log = log
        self._signal = signal
        self._project = project

    def create_table(self) -> NoReturn:
        """Refused: the migrations own the schema."""
        raise ProgrammingError("The schema belongs to the migrations: run deedbook migrate.")

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Append, each stream at the version that its first event names less one; the positions.

        Raises:
            IntegrityError: A version is taken, or versions do not follow each other.
            DataError: A state or topic is not an event of ours.
            OperationalError: The outcome is not known, or nothing was recorded: repeat.
        """
        if kwargs:
            raise ProgrammingError(f"{', '.join(kwargs)}: an append takes nothing but events.")
        if not stored_events:
            return None
        try:
            receipt = self._log.append(
                Append(
                    project=self._project,
                    events=tuple(_proposed(event) for event in stored_events),
                    expected=_expected(stored_events),
                )
            )
        except (StaleVersion, Conflict) as error:
            raise IntegrityError(error.detail) from error
        except Unavailable as error:
            raise OperationalError(error.detail) from error
        except NotFound:
            raise
        except DeedbookError as error:
            raise DataError(error.detail) from error
        return [entry.position for entry in receipt.entries]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """A stream's events by version."""
        rows = self._rows(
            _STREAM + " ORDER BY version DESC LIMIT %(limit)s"
            if desc
            else _STREAM + " ORDER BY version LIMIT %(limit)s",
            stream=str(originator_id),
            gt=0 if gt is None else gt,
            lte=_LARGEST if lte is None else lte,
            limit=limit,
        )
        return [
            StoredEvent(stream, version, type_name, bytes(line))
            for _, stream, version, type_name, line in rows
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events by position."""
        first = 1 if start is None else start
        rows = self._rows(
            _NOTIFICATIONS,
            first=first if inclusive_of_start or start is None else first + 1,
            last=_LARGEST if stop is None else stop,
            types=list(topics) or None,
            limit=limit,
        )
        return [
            Notification(stream, version, type_name, bytes(line), position)
            for position, stream, version, type_name, line in rows
        ]

    def max_notification_id(self) -> int | None:
        """The log's size, None while it is empty."""
        return self._log.head(self._project).size or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[PostgresApplicationRecorder]:
        """The events after a position, and those to come; holds no connection while it waits."""
        return ProjectSubscription(self, self._signal, self._project, gt, topics)

    def _rows(self, statement: LiteralString, **parameters: object) -> list[TupleRow]:
        with self._pool.connection() as connection:
            cursor = connection.cursor(binary=True)
            return cursor.execute(statement, {"project": self._project, **parameters}).fetchall()


class ProjectSubscription(Subscription[PostgresApplicationRecorder]):
    """Reads a project's events as they come: woken by commits, and looking by itself now and then."""

    def __init__(
        self,
        recorder: ProjectLog,
        signal: CommitSignal,
        project: str,
        gt: int | None,
        topics: Sequence[str],
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._signal = signal
        self._project = project
        self._position = gt or 0
        self._waiting: list[Notification] = []

    @property
    def position(self) -> int:
        """How far it has read; events that the topics leave out move it too."""
        return self._position

    def __next__(self) -> Notification:
        """The next event; waits for it, until stopped."""
        while not self._has_been_stopped and not self._signal.stopping:
            if self._waiting:
                return self._waiting.pop(0)
            size = self._recorder.max_notification_id() or 0
            if size > self._position:
                last = min(size, self._position + PAGE_EVENTS)
                self._waiting = list(
                    self._recorder.select_notifications(
                        self._position + 1, PAGE_EVENTS, last, self._topics
                    )
                )
                self._position = last
            else:
                self._signal.wait(self._project, self._position, POLL_SECONDS)
        raise StopIteration


class ProjectionTracking(PostgresTrackingRecorder):
    """How far one projection has read each project (the library's application)."""

    def __init__(self, datastore: LedgerDatastore, projection: str) -> None:
        super().__init__(datastore)
        self._pool = datastore.ledger_pool
        self._projection = projection
        self._moved = threading.Condition()

    def create_table(self) -> NoReturn:
        """Refused: the migrations own the schema."""
        raise ProgrammingError("The schema belongs to the migrations: run deedbook migrate.")

    def insert_tracking(self, tracking: Tracking) -> None:
        """Move forward.

        Raises:
            IntegrityError: The position was reached before; another follower is ahead.
        """
        with self._pool.connection() as connection:
            self._insert_tracking(connection.cursor(), tracking)
        with self._moved:
            self._moved.notify_all()

    def _insert_tracking(self, curs: Any, tracking: Tracking) -> None:
        moved = curs.execute(
            """
            INSERT INTO tracking (project_id, projection, position) VALUES (%s, %s, %s)
            ON CONFLICT (project_id, projection) DO UPDATE SET position = excluded.position
            WHERE tracking.position < excluded.position
            """,
            (tracking.application_name, self._projection, tracking.notification_id),
        )
        if moved.rowcount == 0:
            raise IntegrityError(
                f"{self._projection} has read {tracking.application_name} "
                f"as far as {tracking.notification_id} already."
            )

    def max_tracking_id(self, application_name: str) -> int | None:
        """How far the projection has read the project, None when it has not begun."""
        with self._pool.connection() as connection:
            return self._max_tracking_id(application_name, connection.cursor())

    def _max_tracking_id(self, application_name: str, curs: Any) -> int | None:
        row = curs.execute(
            "SELECT position FROM tracking WHERE project_id = %s AND projection = %s",
            (application_name, self._projection),
        ).fetchone()
        return None if row is None else int(row[0])

    def wait(
        self,
        application_name: str,
        notification_id: int | None,
        timeout: float = 1.0,
        interrupt: threading.Event | None = None,
    ) -> None:
        """Wait until the projection has read so far: woken at once by this process, else by polling.

        Raises:
            TimeoutError: It has not in time.
            WaitInterruptedError: The interrupt was set.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._moved:
                if self.has_tracking_id(application_name, notification_id):
                    return
                if interrupt is not None and interrupt.is_set():
                    raise WaitInterruptedError
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{self._projection} has not read {notification_id} yet.")
                self._moved.wait(min(left, TRACKING_POLL_SECONDS))


def _proposed(event: StoredEvent) -> Proposed:
    try:
        state = msgspec.json.decode(event.state, type=_State)
        data = read_data(event.topic, canonical.read(bytes(state.data)))
        UUID(state.id)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"The state of a {event.topic[:64]!r} is not an event: {error}.") from None
    return Proposed(
        str(event.originator_id), event.topic, canonical.write(data), state.id, state.actor
    )


def _expected(events: Sequence[StoredEvent]) -> tuple[tuple[str, int], ...]:
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for event in events:
        stream, version = str(event.originator_id), event.originator_version
        if version != last.get(stream, version - 1) + 1:
            raise IntegrityError(f"Version {version} of {stream} does not follow {last[stream]}.")
        first.setdefault(stream, version - 1)
        last[stream] = version
    return tuple(first.items())
