"""`deedbook verify` against `sha256sum` of the same file: whole processes, start to end."""

import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from app.offline.verify import SIDECAR
from bench.export import (
    COUNT,
    DOCUMENTS,
    HIGH,
    LARGE,
    LOW,
    download,
    large_contents,
    large_count,
)
from bench.ground import Ground, serving
from bench.measure import Figure, race, rate_of, ratio
from bench.samples import documents, fill
from domain.errors import NotFound
from domain.trust import encode_trust

OURS, FLOOR = "deedbook verify", "sha256sum"
LIMIT_SECONDS = 120.0


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """An export of many documents, and one of large contents."""
    try:
        small = ground.ledger.position(DOCUMENTS, None)
    except NotFound:
        small = fill(ground, DOCUMENTS, documents(COUNT, LOW, HIGH))
    for project, position, name, target in (
        (DOCUMENTS, small, f"{COUNT:,} documents", ">= 0.4"),
        (LARGE, large_contents(ground), f"{large_count(ground)} x 20 MB", ">= 0.4"),
    ):
        file = ground.folder / f"{project}.zip"
        with serving(ground) as service:
            size = download(service, project, position, file)
        trust = _seal(ground, project, position, file)
        megabytes = size / 1e6
        rates = race(
            {
                OURS: partial(rate_of, megabytes, partial(_verify, ground, file, trust)),
                FLOOR: partial(rate_of, megabytes, partial(_sha256sum, file)),
            },
            rounds,
        )
        yield ratio(
            f"verify a sealed export of {name}, against sha256sum",
            rates,
            OURS,
            FLOOR,
            "MB/s",
            target=target,
        )
        file.unlink()


def _seal(ground: Ground, project: str, position: int, file: Path) -> Path:
    """Put the seal beside the export; answers the file with the ledger's keys."""
    seals = ground.ledger.seals
    sealed = seals.seal(project, position, "project", None)
    file.with_name(file.name + SIDECAR).write_bytes(sealed.sidecar)
    trust = ground.folder / "trust.json"
    trust.write_bytes(encode_trust(seals.trust()))
    return trust


def _verify(ground: Ground, file: Path, trust: Path) -> None:
    command = [sys.executable, "-P", "-m", "app", "verify", str(file), "--trust", str(trust)]
    _run(command, ground.variables())


def _sha256sum(file: Path) -> None:
    _run(["sha256sum", "--", str(file)])


def _run(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """To its end; `subprocess.run` with a timeout polls, and notices the end up to 50 ms late."""
    with subprocess.Popen(
        command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        too_slow = threading.Timer(LIMIT_SECONDS, process.kill)
        too_slow.start()
        try:
            code = process.wait()
        finally:
            too_slow.cancel()
    if code != 0:
        raise RuntimeError(f"{command[0]} ended with {code}")
