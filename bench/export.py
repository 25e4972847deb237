"""Exports over HTTP against `sha256sum` of every file and `cat` of all; and the service's memory."""

import random
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.measure import Figure, Ratio, compare, rate_of
from bench.place import Place, Service, serve
from bench.served import connection, drain

DOCUMENTS = 2_000
DOCUMENT_BYTES = (2_000, 20_000)
LARGE = 20
LARGE_BYTES = 20 * 1024 * 1024
BATCH = 100
TARGET = "<= 4"
MAX_MEGABYTES = 80
_WORDS = Path(__file__).with_name("append.py").read_text().split()


def documents() -> list[bytes]:
    """Text in lines and paragraphs, the same in every run."""
    chosen = random.Random(2026)
    made = []
    for number in range(DOCUMENTS):
        size = chosen.randint(*DOCUMENT_BYTES)
        lines = [f"# Document {number}\n"]
        length = len(lines[0])
        while length < size:
            line = " ".join(chosen.choices(_WORDS, k=12)) + "\n"
            lines.append(line)
            length += len(line)
        made.append("".join(lines).encode()[:size])
    return made


def large_contents() -> Iterator[bytes]:
    """Bytes without a pattern, the same in every run."""
    chosen = random.Random(20)
    return (chosen.randbytes(LARGE_BYTES) for _ in range(LARGE))


def fill(
    place: Place, project: str, contents: Iterable[bytes], media_type: str = "text/plain"
) -> int:
    """A project of these contents; answers its position."""
    place.ledger.create_project(project, title="bench", actor="bench")
    for number, content in enumerate(contents):
        place.ledger.write_artifact(
            project, "DOCUMENT", f"d{number:05d}", content, media_type=media_type, actor="bench"
        )
    return place.ledger.position(project, None)


def measure(place: Place, rounds: int) -> list[Ratio | Figure]:
    """Every line about exports."""
    contents = documents()
    fill(place, "bench-export", contents)
    folder = place.folder / "files"
    folder.mkdir()
    for number, content in enumerate(contents):
        (folder / f"{number:05d}.md").write_bytes(content)
    size = sum(len(content) for content in contents)

    def floor() -> float:
        def work() -> None:
            with (place.folder / "sums").open("wb") as sums:
                subprocess.run("sha256sum *.md", shell=True, cwd=folder, stdout=sums, check=True)
            with (place.folder / "all").open("wb") as together:
                subprocess.run("cat *.md", shell=True, cwd=folder, stdout=together, check=True)

        return rate_of(size, work)

    results: list[Ratio | Figure] = []
    with serve(place) as service, connection(service) as opened:

        def fetch(position: int) -> None:
            drain(opened, service, f"/v1/projects/bench-export/exports/{position}.zip")

        def first() -> float:
            place.ledger.change_project("bench-export", title="again", actor="bench")
            position = place.ledger.position("bench-export", None)
            return rate_of(size, lambda: fetch(position))

        latest = place.ledger.position("bench-export", None)
        for name, ours in (
            ("a new position", first),
            ("a known position", lambda: rate_of(size, lambda: fetch(latest))),
        ):
            results.append(
                compare(
                    f"export of 2,000 documents, {name}, against sha256sum + cat",
                    ours,
                    floor,
                    rounds=rounds,
                    target=TARGET,
                    inverse=True,
                )
            )
        results.append(_memory(service, "2,000 documents", first))
    results.append(_large(place))
    return results


def _large(place: Place) -> Figure:
    """20 contents of 20 MB, in a service that has done nothing else."""
    project = "bench-large"
    position = fill(place, project, large_contents(), "application/octet-stream")
    with serve(place) as service, connection(service) as opened:
        drain(opened, service, f"/v1/projects/{project}")
        return _memory(
            service,
            "20 contents of 20 MB",
            lambda: drain(opened, service, f"/v1/projects/{project}/exports/{position}.zip"),
        )


def _memory(service: Service, what: str, work: object) -> Figure:
    assert callable(work)
    idle = service.resident_bytes()
    service.forget_peak()
    work()
    above = (service.peak_bytes() - idle) / 1e6
    return Figure(
        f"memory of the service above idle, export of {what}",
        f"{above:.0f} MB",
        f"<= {MAX_MEGABYTES} MB",
        above <= MAX_MEGABYTES,
    )
