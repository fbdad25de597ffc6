"""The book of orders, for who wants to read it."""

from __future__ import annotations

from edgegw.control.audit_models import AuditEntryView, AuditList
from edgegw.control.problem import Problem
from edgegw.runtime.audit import AuditBook, AuditEntry
from edgegw.wire.timestamps import format_timestamp


class AuditDesk:
    def __init__(self, book: AuditBook | None) -> None:
        self._book = book

    async def entries(self, limit: int, before: int | None) -> AuditList:
        """Raises Problem when nothing is kept, StoreFault."""
        if self._book is None:
            raise Problem(409, "no_audit", "this box keeps no book of orders: the log of edgegw says why")
        found = await self._book.audit_entries(limit, before)
        next_before = found[-1][0] if len(found) == limit else None
        return AuditList(entries=tuple(_shown(row, e) for row, e in found), next_before=next_before)


def _shown(row: int, entry: AuditEntry) -> AuditEntryView:
    return AuditEntryView(
        row=row,
        at=format_timestamp(entry.at),
        door=entry.door,
        asker=entry.asker,
        order=entry.order,
        target=entry.target,
        outcome=entry.outcome,
        text=entry.text,
        transaction=entry.transaction,
    )
