"""One seed from script to verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation import script
from tests.simulation.checks.all import complaints
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Verdict:
    seed: int
    complaints: list[str]
    hours: float  # simulated
    texts: int  # text messages on all sockets

    def __str__(self) -> str:
        shown = "\n".join(f"  {text}" for text in self.complaints[:12])
        more = len(self.complaints) - 12
        rest = f"\n  and {more} more" if more > 0 else ""
        return f"seed {self.seed} (replay: python -m tests.simulation --seed {self.seed} -v)\n{shown}{rest}"


def simulate(seed: int, trace: Callable[[str], None] | None = None) -> Verdict:
    written = script.write(seed)
    world = World(written, trace)
    ledger = world.run()
    found = complaints(ledger, written)
    return Verdict(seed, found, ledger.ended_at / 3600.0, len(ledger.texts))
