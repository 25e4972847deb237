"""Group commit: whatever waits becomes one transaction, and everybody gets an outcome of their own.

There is no writer thread. A caller who finds nobody writing leads: it takes what waits, its own
request among it, writes, hands out the outcomes and passes the lead on. So a lone append costs no
change of thread, and while one group commits the next one gathers.
"""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from domain.errors import DeedbookError, Unavailable
from domain.log import Append, Receipt

MAX_GROUP_EVENTS = 512
MAX_GROUP_BYTES = 8 * 1024 * 1024
MAX_WAITING_REQUESTS = 4_096
MAX_WAITING_EVENTS = 65_536
MAX_WAITING_BYTES = 256 * 1024 * 1024
DEFAULT_WAIT_SECONDS = 30.0
CLOSE_SECONDS = 60.0

Outcome = Receipt | BaseException
WriteGroup = Callable[[Sequence[Append]], list[Outcome]]
"""Writes a group and answers the outcomes in order; raises only when all of them share the error."""


class _Waiting:
    __slots__ = ("lead", "outcome", "request", "size_bytes", "taken", "woken")

    def __init__(self, request: Append) -> None:
        self.request = request
        self.size_bytes = sum(len(event.data) for event in request.events) + sum(
            len(blob.content) for blob in request.blobs if blob.content is not None
        )
        self.outcome: Outcome | None = None
        self.taken = False
        self.lead = False
        self.woken = threading.Lock()
        self.woken.acquire()  # released once, by whoever has news


class GroupWriter:
    """The queue before the log; bounded, fair between projects, in order within one."""

    def __init__(self, write: WriteGroup) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._queues: OrderedDict[str, deque[_Waiting]] = OrderedDict()
        self._requests = self._events = self._bytes = 0
        self._led = False
        self._closed = False

    def submit(self, request: Append) -> Receipt:
        """Have the request written, and wait for its own outcome.

        Raises:
            Unavailable: `queue-full`, `shutting-down`, or `database-unavailable` when its deadline
                passed before it was taken: then it is certainly not recorded. `outcome-unknown` when
                it passed afterwards.
        """
        waiting = _Waiting(request)
        with self._lock:
            self._admit(waiting)
            lead = not self._led
            self._led = True
        if not lead:
            try:
                lead = self._await(waiting)
            except BaseException:
                self._abandon(waiting)
                raise
        if lead:
            self._lead(waiting)
        outcome = waiting.outcome
        assert outcome is not None
        if isinstance(outcome, Receipt):
            return outcome
        raise outcome

    def close(self) -> None:
        """Take nothing more, and wait until what was admitted is finished."""
        with self._lock:
            self._closed = True
            self._idle.wait_for(lambda: not self._led, CLOSE_SECONDS)

    def _admit(self, waiting: _Waiting) -> None:
        if self._closed:
            raise Unavailable(
                "shutting-down", "The ledger is shutting down: repeat a little later."
            )
        if (
            self._requests >= MAX_WAITING_REQUESTS
            or self._events + len(waiting.request.events) > MAX_WAITING_EVENTS
            or self._bytes + waiting.size_bytes > MAX_WAITING_BYTES
        ):
            raise Unavailable(
                "queue-full", "Too many appends are waiting: nothing was recorded, repeat later."
            )
        self._count(waiting, 1)
        self._queues.setdefault(waiting.request.project, deque()).append(waiting)

    def _count(self, waiting: _Waiting, sign: int) -> None:
        self._requests += sign
        self._events += sign * len(waiting.request.events)
        self._bytes += sign * waiting.size_bytes

    def _await(self, waiting: _Waiting) -> bool:
        """Wait for an outcome, or for the lead."""
        limit = _deadline(waiting.request) - time.monotonic()
        if waiting.woken.acquire(timeout=max(limit, 0.001)):
            return waiting.lead
        with self._lock:
            if waiting.lead:
                return True  # the news is on its way
            if waiting.outcome is None and not waiting.taken:
                self._withdraw(waiting)
                waiting.outcome = _expired()
            elif waiting.outcome is None:
                # It can no longer be withdrawn: the group is written, or not, without this caller.
                waiting.outcome = Unavailable(
                    "outcome-unknown",
                    "The database did not answer in time and whether this was recorded is not "
                    "known: repeat it with the same key or the same event ids.",
                )
        return False

    def _abandon(self, waiting: _Waiting) -> None:
        """The caller's thread was interrupted while it waited: nobody may wait for it in turn."""
        with self._lock:
            if not waiting.taken and waiting.outcome is None:
                self._withdraw(waiting)
        if waiting.lead:
            self._pass_lead()

    def _withdraw(self, waiting: _Waiting) -> None:
        queue = self._queues[waiting.request.project]
        queue.remove(waiting)
        if not queue:
            del self._queues[waiting.request.project]
        self._count(waiting, -1)

    def _lead(self, own: _Waiting) -> None:
        served: list[_Waiting] = []
        try:
            while own.outcome is None:
                _wake(served)
                with self._lock:
                    served = self._take()
                self._write_group(served, own)
        finally:
            with self._lock:
                if not own.taken:  # interrupted: nobody may wait for this thread
                    self._withdraw(own)
            # First who leads next, so that its group is on its way while the others wake.
            self._pass_lead()
            _wake(served)

    def _pass_lead(self) -> None:
        with self._lock:
            successor = self._successor()
            self._led = successor is not None
            if successor is None:
                self._idle.notify_all()
            else:
                successor.lead = True
        if successor is not None:
            successor.woken.release()

    def _successor(self) -> _Waiting | None:
        """Who waits longest in the project that is next."""
        for queue in self._queues.values():
            return queue[0]
        return None

    def _take(self) -> list[_Waiting]:
        """The next group: one request a project in turn, until it is full; some may have expired."""
        group: list[_Waiting] = []
        events = size_bytes = 0
        now = time.monotonic()
        while self._queues:
            project, queue = next(iter(self._queues.items()))
            waiting = queue[0]
            if group and (
                events + len(waiting.request.events) > MAX_GROUP_EVENTS
                or size_bytes + waiting.size_bytes > MAX_GROUP_BYTES
            ):
                break
            queue.popleft()
            self._queues.move_to_end(project)
            if not queue:
                del self._queues[project]
            self._count(waiting, -1)
            waiting.taken = True
            group.append(waiting)
            if _deadline(waiting.request) < now:
                waiting.outcome = _expired()
                continue
            events += len(waiting.request.events)
            size_bytes += waiting.size_bytes
        return group

    def _write_group(self, taken: list[_Waiting], own: _Waiting) -> None:
        group = [waiting for waiting in taken if waiting.outcome is None]
        try:
            outcomes = self._write([waiting.request for waiting in group]) if group else []
        except BaseException as error:  # noqa: BLE001 - every waiter must get an outcome
            outcomes = [_for_each(error, own=waiting is own) for waiting in group]
        with self._lock:
            for waiting, outcome in zip(group, outcomes, strict=True):
                if waiting.outcome is None:  # else its caller has gone
                    waiting.outcome = outcome


def _wake(served: list[_Waiting]) -> None:
    """Tell those who have an outcome now, each once."""
    while served:
        waiting = served.pop()
        if not waiting.lead:
            waiting.woken.release()


def _deadline(request: Append) -> float:
    return time.monotonic() + DEFAULT_WAIT_SECONDS if request.deadline is None else request.deadline


def _expired() -> Unavailable:
    return Unavailable(
        "database-unavailable",
        "The database did not take the request in time: it is not recorded, repeat it.",
    )


def _for_each(error: BaseException, *, own: bool) -> BaseException:
    """An error of its own for each waiter: a raised exception collects the traceback of its thread."""
    if isinstance(error, DeedbookError):
        return type(error)(error.code, error.detail, pointer=error.pointer, members=error.members)
    if own:
        return error
    return Unavailable(
        "outcome-unknown",
        f"The writer broke off ({type(error).__name__}) and whether this was recorded is not known: "
        "repeat it with the same key or the same event ids.",
    )
