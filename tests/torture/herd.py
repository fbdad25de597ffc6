"""R5: what the cloud feels when a whole site comes back with a backlog, measured from its own ledger.

A received CALL is a replayed one when its charger had been answered before it came. Live calls are those
that chargers sent while the replay was going on; how long they waited is in the chargers' ledgers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgegw.sim.ledger import Entry, read
from tests.torture.gateway_rig import Site, percentile


@dataclass(frozen=True)
class Herd:
    replayed: int
    replayed_by_s: float  # the last of them, after the cloud was back
    replay_s: float
    replay_most_per_s: int  # in any window of one second
    dialled: int
    dialled_by_s: float
    dials_most_per_s: int
    live: int
    live_p95_s: float
    live_worst_s: float


def measure(it: Site, restored_at: float) -> Herd:
    chargers = [list(read(path)) for path in sorted(it.charger_ledgers.glob("*.jsonl"))]
    answered = {
        (entry.who, entry.id): entry.at
        for entries in chargers
        for entry in reversed(entries)
        if entry.kind == "got_result"
    }
    cloud = [entry for entry in read(it.cloud_ledger) if entry.at >= restored_at]
    replayed = [entry.at for entry in cloud if _is_replayed(entry, answered)]
    dials = [entry.at for entry in cloud if entry.kind == "connected"]
    first, last = (replayed[0], replayed[-1]) if replayed else (0.0, 0.0)
    waits = [wait for entries in chargers for wait in _waits(entries, first, last)]
    return Herd(
        replayed=len(replayed),
        replayed_by_s=last - restored_at,
        replay_s=last - first,
        replay_most_per_s=most_per_second(replayed),
        dialled=len(dials),
        dialled_by_s=max(dials, default=restored_at) - restored_at,
        dials_most_per_s=most_per_second(dials),
        live=len(waits),
        live_p95_s=percentile(waits, 95),
        live_worst_s=max(waits, default=0.0),
    )


def _is_replayed(entry: Entry, answered: dict[tuple[str, str], float]) -> bool:
    told = answered.get((entry.who, entry.id))
    return entry.kind == "received_call" and told is not None and told < entry.at


def _waits(entries: Iterable[Entry], first: float, last: float) -> list[float]:
    sent = {
        entry.id: entry.at for entry in entries if entry.kind == "sent_call" and first <= entry.at <= last
    }
    return [
        entry.at - sent.pop(entry.id)
        for entry in entries
        if entry.kind in ("got_result", "got_error") and entry.id in sent
    ]


def most_per_second(times: list[float]) -> int:
    """The fullest window of one second."""
    most = start = 0
    for end, at in enumerate(times):
        while times[start] <= at - 1.0:
            start += 1
        most = max(most, end - start + 1)
    return most


def ledger_now(path: Path) -> float:
    """When the newest line was written: the cloud's own clock."""
    return max((entry.at for entry in read(path)), default=0.0)
