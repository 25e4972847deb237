"""`deedbook verify` against `sha256sum` of the same file: whole processes, and without the start."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from app.verify import verify_file
from bench.export import documents, fill, large_contents
from bench.measure import Ratio, compare, rate_of
from bench.place import Place, child_environment

TARGET = ">= 0.4"


def write(place: Place, project: str, file: Path) -> None:
    """The newest export as a file."""
    record = place.ledger.exports.layout(project, place.ledger.position(project, None))
    with file.open("wb") as opened:
        for piece in place.ledger.exports.stream(record):
            opened.write(piece)


def measure(place: Place, rounds: int) -> list[Ratio]:
    """Every line about verification."""
    small, large = place.folder / "small.zip", place.folder / "large.zip"
    fill(place, "bench-verify-small", documents())
    write(place, "bench-verify-small", small)
    fill(place, "bench-verify-large", large_contents(), "application/octet-stream")
    write(place, "bench-verify-large", large)
    results = []
    for name, file in (("2,000 documents", small), ("20 contents of 20 MB", large)):
        results.append(
            compare(
                f"verify {name}, against sha256sum",
                _process(file, sys.executable, "-P", "-m", "app", "verify", "-q", str(file)),
                _process(file, "sha256sum", str(file)),
                rounds=rounds,
                target=TARGET,
            )
        )
        results.append(
            compare(
                f"verify {name}, without the program's start",
                _in_process(file),
                _process(file, "sha256sum", str(file)),
                rounds=rounds,
            )
        )
    return results


def _process(file: Path, *command: str) -> Callable[[], float]:
    environment = child_environment()

    def work() -> float:
        return rate_of(
            file.stat().st_size,
            lambda: subprocess.run(
                command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ),
        )  # fmt: skip

    return work


def _in_process(file: Path) -> Callable[[], float]:
    def work() -> float:
        return rate_of(
            file.stat().st_size,
            lambda: verify_file(file, pin=None, progress=lambda _done, _total: None),
        )

    return work
