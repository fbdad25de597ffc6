"""`python -m tests.simulation.hunt --seeds 200`: which seeds show which planted fault."""

from __future__ import annotations

import argparse
import sys

from tests.simulation import planted as faults
from tests.simulation import relapses
from tests.simulation.planting import names, planted
from tests.simulation.run import simulate

MODULES = (faults, relapses)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.hunt", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--enough", type=int, default=1000, help="stop a hunt after so many finds")
    parser.add_argument("--only", nargs="*", help="these planted faults")
    given = parser.parse_args()
    missed = 0
    last = given.first + given.seeds
    for name in given.only or names():
        found: list[int] = []
        kinds: set[str] = set()
        with planted(name):
            tried = 0
            for seed in range(given.first, last):
                tried += 1
                complaints = simulate(seed).complaints
                if complaints:
                    found.append(seed)
                    kinds |= {text.split(":")[0] for text in complaints}
                if len(found) >= given.enough:
                    break
        missed += not found
        print(f"{name}: {len(found)} of {tried} {found[:4]} {sorted(kinds)}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
