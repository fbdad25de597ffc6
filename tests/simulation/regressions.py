"""Seeds with a history: what each found in the core, and the planted faults they are known to show."""

from __future__ import annotations

from typing import NamedTuple


class Regression(NamedTuple):
    seed: int
    relapse: str  # the fault as `relapses` puts it back
    found: str


REGRESSIONS: tuple[Regression, ...] = ()
KNOWN: dict[str, tuple[int, ...]] = {}
