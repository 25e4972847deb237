"""Rebuilding the views against the stock projection runner, which folds events into the same rows."""

from collections.abc import Iterator
from functools import partial

from adapters.rebuild import rebuild
from bench.ground import Ground
from bench.measure import Figure, race, rate_of, ratio
from bench.samples import documents, fill
from bench.stock import projection_rate

PROJECT = "bench-rebuild"
OURS, STOCK = "rebuild", "stock projection runner"


def measure(ground: Ground, rounds: int) -> Iterator[Figure]:
    """All views of a project, made anew and compared with those in use."""
    count = 5_000 if ground.quick else 20_000
    size = fill(ground, PROJECT, documents(count, 30, 60))
    rates = race(
        {
            OURS: partial(rate_of, size, partial(_rebuild, ground)),
            STOCK: partial(projection_rate, ground, 300 if ground.quick else 1_000),
        },
        rounds,
        ground.checkpoint,
    )
    yield ratio(
        f"rebuild of {size:,} events, against the stock projection runner",
        rates,
        OURS,
        STOCK,
        "events/s",
        target=">= 20",
    )


def _rebuild(ground: Ground) -> None:
    report = rebuild(ground.owner_url, PROJECT, repair=False, progress=_unseen)
    assert report.equal


def _unseen(done: int, total: int | None = None) -> None:
    """Nobody watches."""
