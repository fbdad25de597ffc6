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
    parser.add_argument("--only", nargs="*", help="these planted faults")
    given = parser.parse_args()
    missed = 0
    for name in given.only or names():
        found: list[int] = []
        kinds: set[str] = set()
        with planted(name):
            for seed in range(given.first, given.first + given.seeds):
                complaints = simulate(seed).complaints
                if complaints:
                    found.append(seed)
                    kinds |= {text.split(":")[0] for text in complaints}
        missed += not found
        print(f"{name}: {len(found)} of {given.seeds} {found[:4]} {sorted(kinds)}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
