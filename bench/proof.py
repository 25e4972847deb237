"""Checkpoints, tiles and proofs of a small and a large project, against a `SELECT 1` of the same pool."""

import random
from collections.abc import Callable, Iterator
from functools import partial

import psycopg
from psycopg_pool import ConnectionPool

from adapters.postgres_checkpoints import PostgresCheckpoints
from adapters.postgres_connect import open_pool, reading
from app.checkpoints import Checkpoints
from bench.ground import HOST, Ground
from bench.measure import Figure, middle, race, rate_of, ratio
from domain.merkle import HASH_BYTES, extend, frontier_to_bytes
from domain.tiles import TILE_HASHES, Tile

SMALL = 1_000
FLOOR = "SELECT 1"
CALLS = 300
LEAVES_PAGE = 50_000
Call = Callable[[], object]


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """What a verifier asks for, of 1,000 events and of a million."""
    large = 100_000 if ground.quick else 1_000_000
    with open_pool(ground.url, max_size=1) as pool:
        checkpoints = Checkpoints(PostgresCheckpoints(pool), ground.signer)
        works: dict[str, Call] = {FLOOR: partial(_select, pool)}
        names = []
        for size in (SMALL, large):
            project = f"bench-proof-{size}"
            _fill(ground, project, size)
            rate = rate_of(size, partial(checkpoints.latest, project))
            yield middle(f"signing {size:,} events for the first time", [rate], "events/s")
            for name, call in _calls(checkpoints, project, size).items():
                names.append(name)
                works[f"{name} of {size:,}"] = call
        ground.checkpoint()
        rates = race({name: partial(_often, call) for name, call in works.items()}, rounds)
        for name in dict.fromkeys(names):
            few, many = f"{name} of {SMALL:,}", f"{name} of {large:,}"
            for one in (few, many):
                yield ratio(
                    f"{one} events, against {FLOOR}",
                    rates, one, FLOOR, "calls/s", target="<= 3", inverse=True,
                )  # fmt: skip
            yield ratio(
                f"{name} of {large:,} events, against {SMALL:,}",
                rates, many, few, "calls/s", target="<= 1.5", inverse=True,
            )  # fmt: skip

    yield from _appending(ground, large, rounds)


def _appending(ground: Ground, large: int, rounds: int) -> Iterator[Figure]:
    """An append extends the frontier, and knows nothing of the tree below it."""
    name = "an append to a project of {:,} events"
    works = {
        name.format(size): partial(_often, partial(_append, ground, f"bench-proof-{size}"))
        for size in (SMALL, large)
    }
    rates = race(works, rounds, ground.checkpoint)
    many, few = name.format(large), name.format(SMALL)
    yield ratio(
        f"{many}, against {SMALL:,}", rates, many, few, "calls/s", target="<= 1.5", inverse=True
    )


def _append(ground: Ground, project: str) -> None:
    ground.ledger.write_artifact(project, "NOTE", "n", b"# Note\n", actor="user:bench")


def _calls(checkpoints: Checkpoints, project: str, size: int) -> dict[str, Call]:
    chance = random.Random(size)
    full = size // TILE_HASHES
    edge = Tile(0, full, size % TILE_HASHES or 1)

    def tile() -> object:
        return checkpoints.tile(project, Tile(0, chance.randrange(full)))

    def upper() -> object:
        return checkpoints.tile(project, Tile(1, 0, min(full, TILE_HASHES)))

    def inclusion() -> object:
        return checkpoints.inclusion(project, chance.randint(1, size))

    def consistency() -> object:
        return checkpoints.consistency(project, chance.randint(1, size))

    return {
        "the checkpoint": partial(checkpoints.latest, project),
        "a full tile of leaves": tile,
        "a tile of level 1": upper,
        "the partial tile": partial(checkpoints.tile, project, edge),
        "an inclusion proof": inclusion,
        "a consistency proof": consistency,
    }


def _often(call: Call) -> float:
    def work() -> None:
        for _ in range(CALLS):
            call()

    return rate_of(CALLS, work)


def _select(pool: ConnectionPool) -> None:
    with reading(pool) as connection:
        assert connection.cursor(binary=True).execute("SELECT 1").fetchone() is not None


def _fill(ground: Ground, project: str, size: int) -> None:
    """A log as appends would have left it, in one statement; its lines are as long as ours."""
    with psycopg.connect(ground.owner_url) as connection:
        connection.execute(
            """
            INSERT INTO event (project_id, position, stream, version, type, id, actor, time, line, leaf)
            SELECT %(project)s, n, 'artifact/NOTE/' || n, 1, 'ArtifactWritten', gen_random_uuid(),
              'user:bench', 'epoch', line, sha256('\\x00'::bytea || line)
            FROM generate_series(1, %(size)s) AS n,
              LATERAL (SELECT convert_to(rpad(n::text, 490, 'x'), 'UTF8') AS line) AS l
            """,
            {"project": project, "size": size},
        )
        frontier: list[bytes] = []
        for first in range(1, size + 1, LEAVES_PAGE):
            row = connection.execute(
                "SELECT string_agg(leaf, ''::bytea ORDER BY position) FROM event"
                " WHERE project_id = %s AND position BETWEEN %s AND %s",
                (project, first, min(first + LEAVES_PAGE - 1, size)),
            ).fetchone()
            assert row is not None
            for at in range(0, len(row[0]), HASH_BYTES):
                index = first - 1 + at // HASH_BYTES
                extend(frontier, index, row[0][at : at + HASH_BYTES])
        connection.execute(
            "INSERT INTO project_log (project_id, origin, size, frontier) VALUES (%s, %s, %s, %s)",
            (project, f"{project}.{HOST}", size, frontier_to_bytes(frontier)),
        )
    with psycopg.connect(ground.owner_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE event, project_log, tree_node")
