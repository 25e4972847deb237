"""Many writers at once, in one process and in several: no gap, no duplicate, nothing acknowledged lost."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from domain.errors import StaleVersion
from domain.log import Append, Entry, Receipt
from tests.log_samples import Opened, check_log, checking, creation, open_log, writing

PROJECTS = ("alpha", "beta", "delta", "gamma")
WRITERS = 16
APPENDS = 40


@pytest.fixture
def opened(database_url: str) -> Iterator[Opened]:
    with open_log(database_url, connections=8) as opened:
        for project in PROJECTS:
            opened.log.create(creation(project))
        yield opened


class Writer:
    """Appends at random, to shared streams, with preconditions and repeats; keeps every answer."""

    def __init__(self, logs: list[Opened], number: int) -> None:
        self._logs = logs
        self._number = number
        self._random = random.Random(number)
        self.acknowledged: list[tuple[str, Entry]] = []

    def work(self) -> None:
        mine: list[tuple[Append, Receipt]] = []
        for index in range(APPENDS):
            log = self._random.choice(self._logs).log
            if mine and self._random.random() < 0.2:
                request, first = self._random.choice(mine)
                assert log.append(request) == Receipt(first.entries, replayed=True)
                continue
            request = self._request(index)
            try:
                receipt = log.append(request)
            except StaleVersion:
                assert request.expected
            else:
                assert not receipt.replayed
                mine.append((request, receipt))
                self.acknowledged += [(request.project, entry) for entry in receipt.entries]

    def _request(self, index: int) -> Append:
        project = self._random.choice(PROJECTS)
        if self._random.random() < 0.2:
            events = tuple(checking(project, f"r{n % 3}").events[0] for n in range(5))
            return Append(project=project, events=events)
        return writing(
            project,
            f"shared-{self._random.randrange(5)}",
            f"{self._number}.{index % 7}".encode(),
            expected=self._random.randrange(30) if self._random.random() < 0.3 else None,
            request_key=f"{self._number}.{index}" if self._random.random() < 0.5 else None,
        )


def run(writers: list[Writer]) -> None:
    with ThreadPoolExecutor(len(writers)) as threads:
        for future in [threads.submit(writer.work) for writer in writers]:
            future.result()


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_sixteen_writers_over_four_projects_leave_four_whole_logs(
    opened: Opened, processes: int
) -> None:
    with ExitStack() as closing:
        logs = [opened] + [
            closing.enter_context(open_log(opened.url)) for _ in range(processes - 1)
        ]
        writers = [Writer(logs, number) for number in range(WRITERS)]

        run(writers)

    recorded = {project: set(check_log(opened, project)[1:]) for project in PROJECTS}
    acknowledged = [one for writer in writers for one in writer.acknowledged]
    assert len(acknowledged) == len(set(acknowledged))
    for project, entries in recorded.items():
        assert {entry for name, entry in acknowledged if name == project} == entries


def test_a_reader_at_the_tail_misses_nothing(opened: Opened) -> None:
    done = threading.Event()
    seen: list[Entry] = []

    def follow() -> None:
        last = False
        while not last:
            last = done.is_set()  # once more after the writers have ended
            position = len(seen)
            seen.extend(opened.log.read("alpha", position, opened.log.head("alpha").size))

    with ExitStack() as closing, ThreadPoolExecutor(1) as reader:
        other = closing.enter_context(open_log(opened.url))
        following = reader.submit(follow)
        run([Writer([opened, other], number) for number in range(WRITERS)])
        done.set()
        following.result()

    assert seen == check_log(opened, "alpha")


def test_writers_that_touch_the_same_projects_in_opposite_order_do_not_deadlock(
    opened: Opened,
) -> None:
    with open_log(opened.url) as other:

        def work(log: Opened, projects: tuple[str, ...]) -> None:
            for index in range(60):
                # The same contents in every project and group, in another order.
                log.log._write_group(
                    [
                        writing(project, f"k{index % 4}", f"{index % 3}.{key}".encode())
                        for project in projects
                        for key in (projects if index % 2 else projects[::-1])
                    ]
                )

        with ThreadPoolExecutor(2) as threads:
            first = threads.submit(work, opened, PROJECTS)
            second = threads.submit(work, other, PROJECTS[::-1])
            first.result()
            second.result()

        with opened.pool.connection() as connection:
            deadlocks = connection.execute(
                "SELECT pg_stat_force_next_flush(), deadlocks FROM pg_stat_database "
                "WHERE datname = current_database()"
            ).fetchone()
    assert deadlocks is not None
    assert deadlocks[1] == 0
    for project in PROJECTS:
        assert len(check_log(opened, project)) == 1 + 2 * 60 * 4
