"""How much uploads may take, and how much they take now: per charger and in all, growing parts included."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

FREE_BYTES_MIN = 64 << 20  # left on the disk for the journal: hours of an outage


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    file_bytes_max: int
    charger_quota_bytes: int
    total_quota_bytes: int
    keep_s: float
    free_bytes_min: int = FREE_BYTES_MIN


class Quotas:
    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._used: Counter[str] = Counter()

    def count(self, charger: str, size_bytes: int) -> None:
        """So many more, or (negative) so many fewer."""
        self._used[charger] += size_bytes

    def tight(self, charger: str, size_bytes: int) -> Literal["charger", "total"] | None:
        """Which quota has no room for so many more."""
        if self._used[charger] + size_bytes > self._limits.charger_quota_bytes:
            return "charger"
        if self._used.total() + size_bytes > self._limits.total_quota_bytes:
            return "total"
        return None
