"""How far a charger's clock is from ours, by the times it writes when it speaks of now.

Rules of this file:
- Only what is meant as "now": never what a charger kept while it was away (2.x says so; 1.6 does not, so
  billing messages count only when the charger has been here for a while).
- A time that is written late can only make a clock look slower. So the highest of the newest few is believed.
- An observer, and cheap: one message in EVERY_S is read. Of our own clock nothing is told while it is not
  trusted.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from edgegw.balance.model import INFINITE
from edgegw.core.events import Instant
from edgegw.wire.frames import Call
from edgegw.wire.timestamps import NO_ZONE, parse_timestamp
from edgegw.wire.versions import Version

EVERY_S = 60.0
KEPT = 5
AFTER_CONNECT_S = 120.0  # by then a 1.6 charger has sent what it kept
_BILLING_16 = frozenset({"StartTransaction", "StopTransaction", "MeterValues"})
ACTIONS = frozenset({"StatusNotification", "TransactionEvent", "NotifyEvent", *_BILLING_16})


class ClockWatch:
    """Of one charger. Mutable; `heard` writes it."""

    __slots__ = ("connected_at", "due_at", "offsets_s")

    def __init__(self) -> None:
        self.due_at = -INFINITE  # mono: not looked at before
        self.connected_at = -INFINITE  # mono
        self.offsets_s: deque[float] = deque(maxlen=KEPT)

    @property
    def offset_s(self) -> float | None:
        """Its clock less ours; positive: ahead. None: it has not said."""
        return max(self.offsets_s) if self.offsets_s else None

    def start_over(self, now: Instant, *, connected: bool = False) -> None:
        """It booted or connected: its clock may have been set."""
        self.offsets_s.clear()
        self.due_at = now.mono
        if connected:
            self.connected_at = now.mono


def heard(watch: ClockWatch, version: Version, call: Call, now: Instant) -> None:
    """A CALL of the charger, with one of ACTIONS, when `due_at` has come."""
    if not now.trusted or not _is_of_now(watch, version, call, now):
        return
    text = _time_in(call.payload)
    parsed = parse_timestamp(text) if isinstance(text, str) else None
    if parsed is None or NO_ZONE in parsed[1]:
        return  # without a zone it may be local time: an hour or two mean nothing then
    watch.offsets_s.append(parsed[0] - now.wall)
    watch.due_at = now.mono + EVERY_S


def _is_of_now(watch: ClockWatch, version: Version, call: Call, now: Instant) -> bool:
    if version.is_2x:
        return call.payload.get("offline") is not True
    return call.action not in _BILLING_16 or now.mono - watch.connected_at >= AFTER_CONNECT_S


def _time_in(payload: dict[str, Any]) -> object:
    for name in ("timestamp", "generatedAt"):
        if name in payload:
            return payload[name]
    values = payload.get("meterValue")
    last = values[-1] if isinstance(values, list) and values else None
    return last.get("timestamp") if isinstance(last, dict) else None
