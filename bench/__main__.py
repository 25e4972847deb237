"""`python3 run.py bench`: how fast the ledger is, each figure a ratio measured in the same run."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator

import msgspec

from bench import (
    append,
    export,
    markdown,
    proof,
    rebuild,
    replay,
    screen,
    seal,
    search,
    search_speed,
    start,
    verify,
)
from bench.ground import Ground, durability, machine, open_ground
from bench.measure import Figure

Section = Callable[[Ground, int], Iterator[Figure]]
SECTIONS: dict[str, Section] = {
    "append": append.measure,
    "replay": replay.measure,
    "rebuild": rebuild.measure,
    "export": export.measure,
    "verify": verify.measure,
    "proof": proof.measure,
    "seal": seal.measure,
    "search": search.measure,
    "search-speed": search_speed.measure,
    "markdown": markdown.measure,
    "start": start.measure,
    "screen": screen.measure,
}
ROUNDS, QUICK_ROUNDS = 5, 3


class Result(msgspec.Struct, frozen=True):
    """Everything of one run, for `--json`."""

    command: str
    machine: str
    durability: str
    seconds: float
    figures: list[Figure]


def main(arguments: list[str]) -> int:
    """Measure what is named, or everything; answers the exit code."""
    given = _parser().parse_args(arguments)
    rounds = given.rounds or (QUICK_ROUNDS if given.quick else ROUNDS)
    names = given.sections or list(SECTIONS)
    told = sys.stderr if given.json else sys.stdout

    def say(text: str) -> None:
        print(text, file=told, flush=True)

    began = time.monotonic()
    figures: list[Figure] = []
    what = machine()
    say(what)
    with open_ground(quick=given.quick) as ground:
        flushing = durability(ground)
        say(flushing)
        for name in names:
            options = f"{' --quick' if given.quick else ''} --rounds {rounds}"
            say(f"\n$ python3 run.py bench {name}{options}")
            for figure in SECTIONS[name](ground, rounds):
                figures.append(figure)
                say(figure.line())
    seconds = time.monotonic() - began
    missed = [one for one in figures if one.held is False]
    held = sum(one.held is True for one in figures)
    say(f"\n{held} targets held, {len(missed)} MISSED; load after {os.getloadavg()[0]:.1f}; "
        f"{seconds:.0f} s.")  # fmt: skip
    for one in missed:
        say(f"MISSED: {one.name}: {one.value:.2f}, wanted {one.target}")
    if given.json:
        command = " ".join(["python3 run.py bench", *arguments])
        result = Result(command, what, flushing, seconds, figures)
        print(msgspec.json.format(msgspec.json.encode(result)).decode())
    return 1 if missed and given.strict else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 run.py bench", description=__doc__)
    parser.add_argument(
        "sections", nargs="*", metavar="SECTION", choices=[*SECTIONS, []], help=", ".join(SECTIONS)
    )
    parser.add_argument("--quick", action="store_true", help="smaller inputs and fewer rounds")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}, quick {QUICK_ROUNDS}")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a target is missed")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
