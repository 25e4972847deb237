"""How densely the events of a log stand in time: the figure above the time slider, a pure function of few of them."""

import math
from collections.abc import Sequence
from itertools import pairwise

import msgspec

from domain.times import milliseconds_between

BARS = 60
LOWEST = 2
HIGHEST = 24


class Moment(msgspec.Struct, frozen=True):
    """A position of a log, and the time of its event."""

    position: int
    time: str


class Activity(msgspec.Struct, frozen=True):
    """What a log looks like from afar.

    Attributes:
        bars: From the first event to the newest, each over as many events as the others: `HIGHEST` where
            they came the quickest, `LOWEST` where the slowest. None for a log of one event.
        first_day: Of the first event, as 2026-11-03.
        last_day: Of the newest.
    """

    bars: tuple[int, ...]
    first_day: str
    last_day: str


def sampled_positions(size: int) -> tuple[int, ...]:
    """Where to look: the ends of up to `BARS` stretches of a log, the first position and the newest among them."""
    stretches = min(BARS, size - 1)
    if stretches < 1:
        return (1,)
    return tuple(1 + (size - 1) * one // stretches for one in range(stretches + 1))


def activity(moments: Sequence[Moment]) -> Activity:
    """The figure of the moments at `sampled_positions`.

    Events of one import lie milliseconds apart and others months, so heights go by the logarithm.
    """
    speeds = [
        math.log((to.position - since.position) / max(milliseconds_between(since.time, to.time), 1))
        for since, to in pairwise(moments)
    ]
    slowest, quickest = min(speeds, default=0.0), max(speeds, default=0.0)
    width = quickest - slowest
    return Activity(
        bars=tuple(
            LOWEST + round((HIGHEST - LOWEST) * ((one - slowest) / width if width else 0.5))
            for one in speeds
        ),
        first_day=moments[0].time[:10],
        last_day=moments[-1].time[:10],
    )
