"""`python3 run.py bench`: every figure a ratio against a floor in the same run."""

import argparse
import sys
from collections.abc import Callable, Sequence

import msgspec

from bench import append, export, replay, start, verify
from bench.measure import Figure, Ratio, show, show_figure
from bench.place import Place, conditions, open_place

ROUNDS, QUICK_ROUNDS = 5, 3
Section = Callable[[Place, int, bool], Sequence[Ratio | Figure]]

SECTIONS: dict[str, tuple[str, Section]] = {
    "append": (
        "events/s",
        lambda place, rounds, quick: append.measure(place, rounds, quick=quick),
    ),
    "replay": (
        "events/s",
        lambda place, rounds, quick: replay.measure(place, rounds, quick=quick),
    ),
    "export": ("bytes/s", lambda place, rounds, _: export.measure(place, rounds)),
    "verify": ("bytes/s", lambda place, rounds, _: verify.measure(place, rounds)),
    "start": ("", lambda place, rounds, _: start.measure(place, rounds)),
}


def main(arguments: Sequence[str]) -> int:
    """Run the sections that are named, or all."""
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("sections", nargs="*", help=f"of {', '.join(SECTIONS)}; all if left away")
    parser.add_argument("--rounds", type=int, help=f"default {ROUNDS}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and less data")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target is missed")
    chosen = parser.parse_args(arguments)
    unknown = sorted(set(chosen.sections) - set(SECTIONS))
    if unknown:
        parser.error(f"there is no section {unknown[0]}; there are {', '.join(SECTIONS)}")
    rounds = chosen.rounds or (QUICK_ROUNDS if chosen.quick else ROUNDS)
    missed = 0
    for name in chosen.sections or SECTIONS:
        unit, measure = SECTIONS[name]
        with open_place() as place:
            _say({"section": name, "conditions": conditions(place)}, as_json=chosen.json)
            for one in measure(place, rounds, chosen.quick):
                missed += one.held is False
                _print(one, unit, as_json=chosen.json)
    if missed:
        print(f"\n{missed} targets were missed.", file=sys.stderr)
    return 1 if missed and chosen.strict else 0


def _say(heading: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print(msgspec.json.encode(heading).decode(), flush=True)
    else:
        print(f"\n{heading['section']}: {heading['conditions']}", flush=True)


def _print(one: Ratio | Figure, unit: str, *, as_json: bool) -> None:
    if as_json:
        print(
            msgspec.json.encode({**msgspec.to_builtins(one), "held": one.held}).decode(), flush=True
        )
    elif isinstance(one, Ratio):
        print(show(one, unit), flush=True)
    else:
        print(show_figure(one), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
