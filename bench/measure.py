"""Timing: rounds in alternating order, medians of the ratios, and the spread beside them."""

import statistics
import threading
import time
from collections.abc import Callable, Sequence

import msgspec

Work = Callable[[], float]
"""Does one round of the work and answers its rate, in units a second."""


class Ratio(msgspec.Struct, frozen=True):
    """A rate against a floor's rate, over rounds in which both were measured."""

    name: str
    rate: float
    floor_rate: float
    median: float
    low: float
    high: float
    target: str

    @property
    def held(self) -> bool | None:
        """Whether the target (written like '>= 0.4') holds; None without one."""
        if not self.target:
            return None
        sign, _, bound = self.target.partition(" ")
        return self.median >= float(bound) if sign == ">=" else self.median <= float(bound)


class Figure(msgspec.Struct, frozen=True):
    """A figure that is no ratio, such as bytes or seconds; `held` is None without a target."""

    name: str
    value: str
    target: str
    held: bool | None


def rate_of(count: int, work: Callable[[], object]) -> float:
    """Units a second for work that does `count` of them."""
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


def in_threads(workers: Sequence[Callable[[], None]]) -> float:
    """Seconds until all workers, started together, are done; the first error is raised."""
    barrier = threading.Barrier(len(workers) + 1)
    errors: list[BaseException] = []

    def run(worker: Callable[[], None]) -> None:
        barrier.wait()
        try:
            worker()
        except BaseException as error:  # noqa: BLE001 - handed to the caller below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(worker,)) for worker in workers]
    for thread in threads:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    if errors:
        raise errors[0]
    return took


def compare(
    name: str, ours: Work, floor: Work, *, rounds: int, target: str = "", inverse: bool = False
) -> Ratio:
    """Ours against the floor: one warm-up, then rounds in alternating order.

    With `inverse` the ratio is of durations (floor's rate over ours), for targets such as '<= 4'.
    """
    ours()
    floor()
    ratios, our_rates, floor_rates = [], [], []
    for index in range(rounds):
        if index % 2:
            floor_rate, our_rate = floor(), ours()
        else:
            our_rate, floor_rate = ours(), floor()
        our_rates.append(our_rate)
        floor_rates.append(floor_rate)
        ratios.append(floor_rate / our_rate if inverse else our_rate / floor_rate)
    return Ratio(
        name,
        statistics.median(our_rates),
        statistics.median(floor_rates),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        target,
    )


def show(ratio: Ratio, unit: str) -> str:
    """One line of the table."""
    verdict = {None: "", True: "held", False: "MISSED"}[ratio.held]
    return (
        f"{ratio.name:<62} {ratio.median:6.2f}  ({ratio.low:.2f} to {ratio.high:.2f})"
        f"  {ratio.rate:>12,.0f} against {ratio.floor_rate:>12,.0f} {unit:<9}"
        f" {ratio.target:<8} {verdict}"
    )


def show_figure(figure: Figure) -> str:
    """One line of the table, for a figure that is no ratio."""
    verdict = {None: "", True: "held", False: "MISSED"}[figure.held]
    return f"{figure.name:<62} {figure.value:>10}  {figure.target:<10} {verdict}"
