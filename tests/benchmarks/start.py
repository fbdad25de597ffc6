"""From `edgegw run` to its ready line, with 200 chargers and 100,000 stored messages in the journal.

Rules of this file:
- The store is built once, through the gateway's own `Journal`; every start finds it as the last one left it.
- What counts is what a person with a stopwatch sees, interpreter and imports included; the parts are
  measured in a process of their own that does the same steps (`start_parts`).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import cast

import msgspec

from edgegw.core.records import Append, JournalRow, Lane, SaveDocument, StoreOp
from edgegw.core.state import Profile, Registration
from edgegw.store.journal import Journal
from tests.benchmarks import gauges
from tests.benchmarks.bench import Bench
from tests.benchmarks.payloads import Words
from tests.benchmarks.report import Row

CHARGERS = 200
ROWS = 100_000
PARTS = ("imports", "site file", "store", "recover", "doors", "local API")


async def measure(bench: Bench) -> list[Row]:
    rows = bench.some(ROWS, 20_000)
    bench.say(f"start: building a store of {rows} messages")
    gateway = await bench.gateway("start", "ws://127.0.0.1:9/csms")
    await gateway.terminate()
    await _fill(gateway.store, rows)
    took, cpu, rss, turns = [], [], [], []
    for round_ in range(bench.some(7, 3)):
        bench.say(f"start: round {round_ + 1}")
        began = time.perf_counter()
        await gateway.start()
        took.append(time.perf_counter() - began)
        turns.append(gauges.turns(gateway.pid))
        cpu.append(gauges.cpu_s(gateway.pid))
        rss.append(gauges.rss_bytes(gateway.pid))
        await gateway.terminate()
    parts = [await _parts(bench, gateway.config) for _ in range(bench.some(5, 2))]
    split = ", ".join(f"{name} {min(part[name] for part in parts) * 1e3:.0f}" for name in PARTS)
    what = f"ready after start, {CHARGERS} chargers, {rows:,} stored messages"
    best = turns[took.index(min(took))]
    detail = f"middle {gauges.middle(took):.2f} s, CPU {min(cpu):.2f} s; the best {best.text}; ms: {split}"
    return [
        Row(what, min(took), "s", "at most", 1.0, detail),
        Row("RSS when ready, same store", min(rss) / 2**20, "MiB"),
    ]


async def _parts(bench: Bench, config: Path) -> dict[str, float]:
    child = await bench.children.start(
        "start-parts", sys.executable, "-m", "tests.benchmarks.start_parts", str(config)
    )
    assert await child.ended() == 0, child.log
    return cast("dict[str, float]", json.loads(child.lines[-1]))


async def _fill(store: Path, rows: int) -> None:
    journal = await Journal.open(store, retention_s=1e9, reserve_bytes=0, wall=time.time)
    try:
        for charger in range(CHARGERS):
            await journal.commit(_kept_of(charger, rows // CHARGERS))
    finally:
        await journal.close()


def _kept_of(number: int, count: int) -> list[StoreOp]:
    """The profile of one accepted charger and its messages of an outage."""
    name = f"CP-{number:04d}"
    words = Words(number)
    profile = msgspec.json.encode(Profile(registration=Registration.ACCEPTED, boot=words.boot()))
    ops: list[StoreOp] = [SaveDocument(kind="charger", charger=name, key="", value=profile)]
    life, now = words.life(), time.time()
    for seq in range(1, count + 1):
        action = next(life)
        ops.append(Append(_row(name, seq, getattr(words, action)(), now + seq - count)))
    return ops


def _row(charger: str, seq: int, raw: bytes, at: float) -> JournalRow:
    _, message_id, _, action, _ = raw.split(b'"', 4)
    return JournalRow(
        charger=charger,
        seq=seq,
        epoch=1 + seq // 16,
        message_id=message_id.decode(),
        lane=Lane.TRANSACTION,
        version="ocpp1.6",
        action=action.decode(),
        raw=raw,
        answer=b'[3,"' + message_id + b'",{}]',
        received_at=at,
        clock_trusted=True,
        transaction=str(0x40000000 + seq // 5),
    )
