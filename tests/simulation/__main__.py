"""`python -m tests.simulation --seeds 5000`: many seeds; `--seed 1234 -v`: one, with all that happened."""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from tests.simulation import script
from tests.simulation.run import Verdict, simulate

CHUNK = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="only this one")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("-v", "--verbose", action="store_true", help="with --seed: every event and effect")
    given = parser.parse_args()
    if given.seed is not None:
        return _one(given.seed, given.verbose)
    return _many(range(given.first, given.first + given.seeds), given.jobs)


def _one(seed: int, verbose: bool) -> int:
    if verbose:
        print(script.write(seed))
    verdict = simulate(seed, print if verbose else None)
    print(verdict if verdict.complaints else f"seed {seed}: all is well")
    return 1 if verdict.complaints else 0


def _many(seeds: range, jobs: int) -> int:
    began = time.monotonic()
    hours, texts, cpu_s, failed = 0.0, 0, 0.0, []
    chunks = [range(s, min(s + CHUNK, seeds.stop)) for s in range(seeds.start, seeds.stop, CHUNK)]
    with ProcessPoolExecutor(max_workers=jobs) as pool:
        for done, (verdicts, used_s) in enumerate(pool.map(_chunk, chunks), start=1):
            cpu_s += used_s
            for verdict in verdicts:
                hours, texts = hours + verdict.hours, texts + verdict.texts
                if verdict.complaints:
                    failed.append(verdict.seed)
                    print(f"\n{verdict}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{min(done * CHUNK, len(seeds))} of {len(seeds)} seeds", end="", file=sys.stderr)
    print(
        f"{len(seeds)} seeds, {hours:,.0f} simulated hours, {texts:,} messages, "
        f"{cpu_s:.0f} s of CPU, {time.monotonic() - began:.0f} s: {len(failed)} failed {failed or ''}"
    )
    return 1 if failed else 0


def _chunk(seeds: range) -> tuple[list[Verdict], float]:
    began = time.process_time()
    return [simulate(seed) for seed in seeds], time.process_time() - began


if __name__ == "__main__":
    sys.exit(main())
