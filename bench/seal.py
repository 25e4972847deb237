"""A seal, against a row that is inserted and committed on the same pool."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_checkpoints import PostgresCheckpoints
from adapters.postgres_connect import open_pool
from adapters.postgres_exports import PostgresExports
from adapters.postgres_seals import PostgresSeals
from app.checkpoints import Checkpoints
from app.exports import Exports
from app.seals import Seals
from bench.ground import Ground
from bench.measure import Figure, race, rate_of, ratio
from domain.seal import Head

FLOOR = "INSERT and COMMIT"
SEALING = "sealing an export whose digest is known"
AGAIN = "sealing it again"
CALLS = 100
PROJECT = "bench-seal"
ROW = b"x" * 500
"""As long as a leaf of the seal log."""


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """Sealing for one commit after another, beyond hashing the ZIP; and the same seal again."""
    ledger = ground.ledger
    ledger.create_project(PROJECT, title="Bench", actor="user:bench")
    for number in range(20):
        ledger.write_artifact(PROJECT, "NOTE", f"n{number}", b"# Note\n", actor="user:bench")
    position = ledger.position(PROJECT, None)
    log, sealing = ground.signer, ground.seal_signer
    with psycopg.connect(ground.owner_url) as connection:
        connection.execute("CREATE TABLE bench_row (id bigserial PRIMARY KEY, content bytea)")
        connection.execute("GRANT ALL ON bench_row, bench_row_id_seq TO deedbook_service")
    with open_pool(ground.url, max_size=1) as pool:
        exports = Exports(ledger.log, PostgresExports(pool))
        checkpoints = Checkpoints(PostgresCheckpoints(pool), log)
        seals = Seals(PostgresSeals(pool), exports, checkpoints, log, sealing)
        deque(exports.stream(exports.layout(PROJECT, position)), maxlen=0)
        numbers = itertools.count()

        def seal() -> None:
            head = Head(f"{next(numbers):040x}", "https://git.example/bench")
            seals.seal(PROJECT, position, "project", head)

        rates = race(
            {
                FLOOR: partial(_often, partial(_insert, pool)),
                SEALING: partial(_often, seal),
                AGAIN: partial(_often, lambda: seals.seal(PROJECT, position, "project", None)),
            },
            rounds,
            ground.checkpoint,
        )
    yield ratio(
        f"{SEALING}, against {FLOOR}", rates, SEALING, FLOOR, "calls/s",
        target="<= 4", inverse=True,
    )  # fmt: skip
    yield ratio(f"{AGAIN}, against {FLOOR}", rates, AGAIN, FLOOR, "calls/s", inverse=True)


def _insert(pool: ConnectionPool) -> None:
    with pool.connection() as connection:
        connection.execute("INSERT INTO bench_row (content) VALUES (%s)", (ROW,))


def _often(call: Callable[[], object]) -> float:
    def work() -> None:
        for _ in range(CALLS):
            call()

    return rate_of(CALLS, work)
