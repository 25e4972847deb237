"""Timing: rounds in which all take turns, medians of the ratios, and the spread beside them."""

import math
import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import msgspec

Work = Callable[[], float | None]
"""Does one round of the work and answers its rate, in units a second; None when it hangs."""


Rates = list[dict[str, float]]
"""What each one reached, round by round."""


class Figure(msgspec.Struct, frozen=True):
    """One line of the table: a ratio to a floor or a peer, or a number that has a bound.

    Attributes:
        name: What was done, against what.
        value: The median of the ratios, or the number.
        low: The least of them.
        high: The greatest.
        unit: `x` for a ratio, or the number's unit.
        target: Written like ">= 0.4"; empty without one.
        detail: The rates behind it, or why there is no figure.
    """

    name: str
    value: float
    low: float
    high: float
    unit: str
    target: str
    detail: str

    @property
    def held(self) -> bool | None:
        """Whether the target holds; None without one."""
        if not self.target:
            return None
        sign, _, bound = self.target.partition(" ")
        return self.value >= float(bound) if sign == ">=" else self.value <= float(bound)

    def line(self) -> str:
        """The line of the table."""
        verdict = {None: "", True: "held", False: "MISSED"}[self.held]
        spread = f"({self.low:.2f} to {self.high:.2f})" if self.low < self.high else ""
        value = "-" if math.isnan(self.value) else f"{self.value:.2f}"
        return (
            f"{self.name:<70} {value:>7} {self.unit:<2} {spread:<17}"
            f" {self.target:<7} {verdict:<6} {self.detail}"
        ).rstrip()


def race(
    works: Mapping[str, Work], rounds: int, between: Callable[[], None] = lambda: None
) -> Rates:
    """All in turn: one warm-up, after which those that hang are left out, then rounds.

    The order alternates.

    Args:
        works: By name.
        rounds: How many.
        between: Done before each round, and not measured.
    """
    present = [name for name, work in works.items() if work() is not None]
    rates: Rates = []
    for index in range(rounds):
        between()
        reached = {name: works[name]() for name in present[:: -1 if index % 2 else 1]}
        rates.append({name: rate for name, rate in reached.items() if rate is not None})
    return rates


def ratio(
    name: str,
    rates: Rates,
    ours: str,
    theirs: str,
    unit: str,
    *,
    target: str = "",
    inverse: bool = False,
) -> Figure:
    """One's rate to another's in the same rounds.

    Args:
        name: Of the line.
        rates: From `race`.
        ours: Whose rate.
        theirs: To whose.
        unit: Of the rates, such as "events/s".
        target: Written like ">= 0.4".
        inverse: The ratio of durations, for targets such as "<= 4".
    """
    if any(theirs not in rate for rate in rates):
        nothing = float("nan")
        return Figure(name, nothing, nothing, nothing, "x", "", f"{theirs} hangs here")
    up, down = (theirs, ours) if inverse else (ours, theirs)
    ratios = [rate[up] / rate[down] for rate in rates]
    first, second = (statistics.median(rate[one] for rate in rates) for one in (ours, theirs))
    return Figure(
        name,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        "x",
        target,
        f"{first:,.0f} against {second:,.0f} {unit}",
    )


def middle(name: str, values: Sequence[float], unit: str, *, target: str = "") -> Figure:
    """The median of numbers that are no ratio, such as seconds."""
    return Figure(name, statistics.median(values), min(values), max(values), unit, target, "")


def rate_of(count: float, work: Callable[[], object]) -> float:
    """Units a second for work that does `count` of them."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def together(steps: Sequence[Callable[[], None]], units: int, seconds: float) -> float:
    """Units a second when each step is repeated in a thread of its own for some seconds."""
    barrier = threading.Barrier(len(steps) + 1)
    done = [0] * len(steps)
    errors: list[BaseException] = []
    ends = float("inf")

    def run(index: int) -> None:
        barrier.wait()
        try:
            while time.perf_counter() < ends:
                steps[index]()
                done[index] += units
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(steps))]
    for thread in threads:
        thread.start()
    began = time.perf_counter()
    ends = began + seconds
    barrier.wait()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if errors:
        raise errors[0]
    return sum(done) / took
