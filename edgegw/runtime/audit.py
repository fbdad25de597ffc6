"""Who ordered what of this box, and what became of it: one entry per order, whatever door it came through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from edgegw.errors import StoreFault
from edgegw.runtime.watchers import Watchers


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


class AuditBook(AuditLog, Protocol):
    """Where orders are written and read again."""

    async def audit_entries(self, limit: int, before: int | None) -> Sequence[tuple[int, AuditEntry]]:
        """(row, entry), newest first; of rows below `before`. Raises StoreFault."""


class AuditTrail:
    """The book of a running gateway, and those who are told of each entry. `book` None: nothing is kept."""

    def __init__(self, book: AuditBook | None) -> None:
        self.book = book
        self.listeners: Watchers[AuditEntry] = Watchers()

    def write(self, entry: AuditEntry) -> None:
        if self.book is not None:
            self.book.write(entry)
        self.listeners.tell(entry)

    async def audit_entries(self, limit: int, before: int | None) -> Sequence[tuple[int, AuditEntry]]:
        """Raises StoreFault, also where nothing is kept."""
        if self.book is None:
            raise StoreFault("this box keeps no book of orders: the log of edgegw says why")
        return await self.book.audit_entries(limit, before)
