"""Who ordered what of this box, and what became of it: one entry per order, whatever door it came through."""

from __future__ import annotations

from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Texts are printable and hold no password and no whole card id."""

    at: float  # wall clock, seconds since 1970
    door: str  # "mqtt", "api"
    asker: str  # as far as the door knows: an address, a source, "the control socket"
    order: str  # "limit/set", "POST /v1/limits"
    target: str = ""  # identity, circuit, id of an alarm
    outcome: str  # "ok" or the code of the refusal
    text: str = ""  # what was asked, shortened
    transaction: str = ""  # MQTT: the id the asker gave it


class AuditLog(Protocol):
    def write(self, entry: AuditEntry) -> None:
        """Keep it. Never blocks, never raises."""


class NoAuditLog:
    """Where nothing is kept (tests, a telemetry file that cannot be opened)."""

    def write(self, entry: AuditEntry) -> None:
        return
