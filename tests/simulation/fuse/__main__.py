"""`python -m tests.simulation.fuse --seeds 500`: many seeds; `--seed 12 -v`: one, with all that happened."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.fuse.run import simulate


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.fuse", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seed", type=int)
    parser.add_argument("-v", "--verbose", action="store_true")
    given = parser.parse_args()
    if given.seed is not None:
        verdict = simulate(given.seed, print if given.verbose else None)
        print("\n".join(verdict.complaints) or "all is well")
        print(
            f"{verdict.over_s:g} s above a fuse, longest {verdict.longest_s:g} s, {verdict.calls} limits sent"
        )
        return 1 if verdict.complaints else 0
    failed = []
    for seed in range(given.first, given.first + given.seeds):
        verdict = simulate(seed)
        if verdict.complaints:
            failed.append(seed)
            print(
                f"seed {seed}: {len(verdict.complaints)} complaints, first {verdict.complaints[0]}",
                flush=True,
            )
    print(f"{given.seeds} seeds: {len(failed)} failed {failed or ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
