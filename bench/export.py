"""Exports over HTTP against `sha256sum` of every file and `cat` of all; and the service's memory."""

import http.client
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from bench.ground import Ground, Service, serving
from bench.measure import Figure, race, rate_of, ratio
from bench.samples import documents, fill
from domain.errors import NotFound

DOCUMENTS, LARGE = "bench-documents", "bench-large"
COUNT, LOW, HIGH = 2_000, 2_048, 20_480
LARGE_BYTES = 20 * 1024 * 1024
MAX_ABOVE_IDLE_MB = 80
MEMORY_ROUNDS = 2
FIRST, AGAIN, FLOOR = "first", "again", "sha256sum + cat"
READ_BYTES = 1024 * 1024
LIMIT_SECONDS = 120.0
IDLE_SECONDS = 1.0


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """2,000 documents, and 20 contents of 20 MB."""
    folder = ground.folder / "documents"
    folder.mkdir()
    contents = list(documents(COUNT, LOW, HIGH))
    for number, content in enumerate(contents):
        (folder / f"{number:06}.md").write_bytes(content)
    size = fill(ground, DOCUMENTS, iter(contents))
    with serving(ground) as service:
        yield from _speed(ground, service, folder, size, rounds)
    yield from _memory(ground, rounds)


def download(service: Service, project: str, position: int, target: Path) -> int:
    """The export into a file; answers its size."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=LIMIT_SECONDS)
    connection.request(
        "GET",
        f"/v1/projects/{project}/exports/{position}.zip",
        headers={"Authorization": f"Bearer {service.token}"},
    )
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read()[:200]!r}")
    with target.open("wb", buffering=0) as file:
        while piece := answer.read(READ_BYTES):
            file.write(piece)
    connection.close()
    return target.stat().st_size


def append_one(ground: Ground, project: str) -> None:
    """One event more: the next export is at a position of which nothing is known."""
    content = os.urandom(8).hex().encode()
    ground.ledger.write_artifact(project, "NOTE", "more", content, actor="bench")


def large_contents(ground: Ground) -> int:
    """A project with contents of 20 MB, made when first asked for; answers its position."""
    try:
        return ground.ledger.position(LARGE, None)
    except NotFound:
        ground.ledger.create_project(LARGE, title="Large", actor="bench")
    for number in range(large_count(ground)):
        ground.ledger.write_artifact(
            LARGE,
            "DATA",
            f"{number:02}",
            os.urandom(LARGE_BYTES),
            media_type="application/octet-stream",
            actor="bench",
        )
    return ground.ledger.position(LARGE, None)


def large_count(ground: Ground) -> int:
    """How many large contents there are."""
    return 5 if ground.quick else 20


def _speed(
    ground: Ground, service: Service, folder: Path, size: int, rounds: int
) -> Iterator[Figure]:
    target = ground.folder / "export.zip"

    def first() -> float:
        """At a new position: nothing of it is known yet."""
        append_one(ground, DOCUMENTS)
        position = ground.ledger.position(DOCUMENTS, None)
        return rate_of(COUNT, partial(download, service, DOCUMENTS, position, target))

    rates = race(
        {
            FIRST: first,
            AGAIN: partial(rate_of, COUNT, partial(download, service, DOCUMENTS, size, target)),
            FLOOR: partial(rate_of, COUNT, partial(_floor, folder, ground.folder / "all")),
        },
        rounds,
        ground.checkpoint,
    )
    for one, name in ((FIRST, "first time"), (AGAIN, "again")):
        yield ratio(
            f"export of {COUNT:,} documents, {name}, to {FLOOR}",
            rates,
            one,
            FLOOR,
            "documents/s",
            target="<= 4",
            inverse=True,
        )


def _floor(folder: Path, target: Path) -> None:
    """`sha256sum` of every file, then `cat` of all of them into one."""
    files = sorted(str(one) for one in folder.iterdir())
    with target.open("wb") as file:
        subprocess.run(["sha256sum", "--", *files], stdout=subprocess.DEVNULL, check=True)
        subprocess.run(["cat", "--", *files], stdout=file, check=True)


def _memory(ground: Ground, rounds: int) -> Iterator[Figure]:
    """The high-water mark of a service that has just started, for each of two exports."""
    if not Path("/proc/self/clear_refs").exists():
        return  # not Linux
    target = ground.folder / "export.zip"
    large_contents(ground)
    for project, name in (
        (DOCUMENTS, f"{COUNT:,} documents"),
        (LARGE, f"{large_count(ground)} x 20 MB"),
    ):
        peaks = []
        for _ in range(min(rounds, MEMORY_ROUNDS)):
            append_one(ground, project)
            position = ground.ledger.position(project, None)
            with serving(ground) as service:
                work = partial(download, service, project, position, target)
                peaks.append(_peak_above_idle(service, work))
        yield Figure(
            f"memory of the service, export of {name}, above idle",
            max(peaks),
            min(peaks),
            max(peaks),
            "MB",
            f"<= {MAX_ABOVE_IDLE_MB}",
            "",
        )


def _peak_above_idle(service: Service, work: Callable[[], object]) -> float:
    status = Path(f"/proc/{service.pid}/status")
    time.sleep(IDLE_SECONDS)
    Path(f"/proc/{service.pid}/clear_refs").write_text("5")  # the high-water mark begins anew
    before = _kilobytes(status, "VmRSS")
    work()
    return (_kilobytes(status, "VmHWM") - before) / 1024


def _kilobytes(status: Path, name: str) -> int:
    for line in status.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"{status} has no {name}")
