"""The scorecard: rows R1, R4, R5, R7, R8 and R11 of the torture tests, with numbers, seed and versions.

    python -m tests.torture.run --kills 1000 --seed 7

Each row is a run of real processes on this machine; a row that fails says why and the exit code is 1.
`--rows R1,R8` runs some of them; the sizes are options of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import platform
import sqlite3
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from edgegw import __version__
from edgegw.sim.cloud import SimCloud
from edgegw.sim.verdict import Verdict
from tests.e2e.children import Children
from tests.e2e.faults import until
from tests.e2e.gateway import GatewayProcess
from tests.torture.cycles import CHARGERS, cycle
from tests.torture.fuzz import open_files, rss_kib
from tests.torture.fuzz_campaign import campaign
from tests.torture.gateway_rig import percentile
from tests.torture.herd_campaign import CONNECT_RATE, REPLAY_RATE, herd_campaign
from tests.torture.kills import kill_campaign, outage_campaign
from tests.torture.lines_campaign import lines_campaign

Row = Callable[[argparse.Namespace], Awaitable[str]]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="torture-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def told(verdict: Verdict) -> str:
    facts = {name: f"{value:.10g}" for name, value in verdict.facts.items()}
    return (
        f"{facts['transactions']} transactions, {facts['transaction_messages']} messages, 0 lost,"
        f" {facts['arrived_more_than_once']} arrived twice"
        f" ({facts['answers_maybe_lost']} answers lost on the wire), 0 out of order,"
        f" {facts['energy_chargers_wh']} Wh = {facts['energy_cloud_wh']} Wh"
    )


async def r1(options: argparse.Namespace) -> str:
    with folder() as at:
        it, verdict = await kill_campaign(at, kills=options.kills, seed=options.seed)
        ready = f"ready again p50 {percentile(it.ready_s, 50):.2f} s, worst {max(it.ready_s):.2f} s"
        return f"{it.kills} kills, {it.cuts} cloud cuts: {told(verdict)}; {ready}"


async def r4(options: argparse.Namespace) -> str:
    with folder() as at:
        it, verdict = await outage_campaign(at, seed=options.seed)
        offline = f"{verdict.facts['transactions_answered_offline']:.10g} transactions without the cloud"
        return f"{it.kills} restarts, all chargers rebooted: {told(verdict)}; {offline}"


async def r5(options: argparse.Namespace) -> str:
    with folder() as at:
        _, herd = await herd_campaign(at, chargers=40, backlog=options.backlog, seed=options.seed)
        assert herd.replay_most_per_s <= REPLAY_RATE * 1.25, herd
        assert herd.replayed <= REPLAY_RATE * (herd.replay_s + 1), herd
        assert herd.dials_most_per_s <= CONNECT_RATE + 2, herd
        assert herd.live_p95_s <= 1.0, herd
        return (
            f"{herd.replayed} replayed in {herd.replay_s:.1f} s,"
            f" at most {herd.replay_most_per_s} in any second (configured {REPLAY_RATE});"
            f" dials at most {herd.dials_most_per_s} (configured {CONNECT_RATE});"
            f" {herd.live} live answers, p95 {herd.live_p95_s * 1000:.0f} ms,"
            f" worst {herd.live_worst_s * 1000:.0f} ms"
        )


async def r7(options: argparse.Namespace) -> str:
    transactions = doubles = 0.0
    for seed in range(options.seed, options.seed + options.lines):
        with folder() as at:
            _, verdict = await lines_campaign(at, seed=seed, trouble_s=5.0)
            transactions += verdict.facts["transactions"]
            doubles += verdict.facts["arrived_more_than_once"]
    seeds = f"seeds {options.seed} to {options.seed + options.lines - 1}"
    return (
        f"{seeds}: {transactions:.0f} transactions, 0 lost, {doubles:.0f} arrived twice after a lost answer"
    )


async def r8(options: argparse.Namespace) -> str:
    with folder() as at:
        outcome = await campaign(at, frames=options.frames, seed=options.seed)
        closes = ", ".join(f"{count} x {code}" for code, count in sorted(outcome.score.closes.items()))
        return (
            f"{outcome.score.frames} frames, 0 tracebacks, sessions closed: {closes or 'none'};"
            f" the charger beside: {outcome.answered} answers, p99 {outcome.p99_s * 1000:.0f} ms,"
            f" worst {outcome.worst_s * 1000:.0f} ms, {outcome.unanswered} unanswered;"
            f" RSS {', '.join(f'{kib / 1024:+.1f}' for kib in outcome.rss_growth_kib)} MiB after each third"
        )


async def r11(options: argparse.Namespace) -> str:
    with folder() as at:
        children = Children(at)
        try:
            async with SimCloud(keep=False) as cloud:
                gateway = GatewayProcess(children, at, cloud=cloud.url)
                await gateway.start()
                await cycle(gateway, rounds=5)
                await until(lambda: not cloud.connections)
                files, memory = open_files(gateway.pid), rss_kib(gateway.pid)
                await cycle(gateway, rounds=max(1, options.cycles // CHARGERS))
                await until(lambda: not cloud.connections)
                await until(lambda: open_files(gateway.pid) <= files)
                grown = (rss_kib(gateway.pid) - memory) / 1024
                await gateway.close()
                return (
                    f"{options.cycles} connections: open files {files} before and after, RSS {grown:+.1f} MiB"
                )
        finally:
            await children.close()


ROWS: dict[str, tuple[str, Row]] = {
    "R1": ("kill -9 at random instants, cloud flapping, chargers rebooting", r1),
    "R4": ("outage with restarts of everything", r4),
    "R5": ("the herd comes back", r5),
    "R7": ("bad lines on both sides", r7),
    "R8": ("fuzz from both sides", r8),
    "R11": ("connections come and go", r11),
}


def versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in ("websockets", "uvloop", "aiosqlite", "ocpp"))
    return (
        f"edgegw {__version__}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version},"
        f" {ssl.OPENSSL_VERSION}, {packages}, {platform.system()} {platform.release()}"
    )


async def main_async(options: argparse.Namespace) -> int:
    print(versions())
    print(f"seed {options.seed}")
    failed = 0
    for name in options.rows.split(","):
        title, row = ROWS[name]
        begun = time.monotonic()
        try:
            outcome = f"ok      {await row(options)}"
        except (AssertionError, TimeoutError) as error:
            failed += 1
            outcome = f"BROKEN  {type(error).__name__}: {error}"
        print(f"{name:<4} {title} ({time.monotonic() - begun:.0f} s)\n     {outcome}", flush=True)
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.run", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="R1")
    parser.add_argument("--backlog", type=int, default=1000, help="R5: messages that wait")
    parser.add_argument("--lines", type=int, default=20, help="R7: seeds")
    parser.add_argument("--frames", type=int, default=100_000, help="R8")
    parser.add_argument("--cycles", type=int, default=10_000, help="R11")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", default=",".join(ROWS), help="which, with commas")
    return asyncio.run(main_async(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
