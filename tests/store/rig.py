"""Rows, a journal with its alarms, and waiting, for the tests of the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from edgegw.core.records import JournalRow, Lane, RowState, TransactionRecord
from edgegw.store.journal import Journal
from edgegw.store.session import StoreAlarm

NOW = 1_800_000_000.0


def row(charger: str = "CP1", seq: int = 1, **changed: Any) -> JournalRow:
    """A StopTransaction that was answered here, different in every field for every seq."""
    fields: dict[str, Any] = {
        "charger": charger,
        "seq": seq,
        "epoch": 1,
        "message_id": f"id-{seq}",
        "lane": Lane.TRANSACTION,
        "version": "ocpp1.6",
        "action": "StopTransaction",
        "raw": f'[2,"id-{seq}","StopTransaction",{{"meterStop":{seq},"idTag":"É"}}]'.encode(),
        "answer": f'[3,"id-{seq}",{{}}]'.encode(),
        "received_at": NOW + seq / 8,
        "clock_trusted": True,
        "transaction": str(seq // 10),
    }
    return JournalRow(**{**fields, **changed})


def record(charger: str = "CP1", id: str = "1", **changed: Any) -> TransactionRecord:
    return TransactionRecord(charger=charger, id=id, connector=1, id_tag="TAG", meter_start_wh=10, **changed)


class Told(list[StoreAlarm]):
    """The alarms of one journal."""

    @property
    def kinds(self) -> list[str]:
        return [alarm.kind for alarm in self]


class Opened:
    def __init__(self) -> None:
        self.alarms = Told()
        self.broken: list[str] = []
        self.now = NOW
        self.journal: Journal

    async def all_rows(self) -> dict[tuple[str, int], JournalRow]:
        found = await self.journal.listing(limit=1_000_000)
        return {(row.charger, row.seq): row for _, row in found}


@asynccontextmanager
async def opened(
    directory: Path, *, retention_s: float = 3600, reserve_bytes: int = 0
) -> AsyncIterator[Opened]:
    it = Opened()
    it.journal = await Journal.open(
        directory,
        retention_s=retention_s,
        reserve_bytes=reserve_bytes,
        wall=lambda: it.now,
        on_alarm=it.alarms.append,
        on_broken=it.broken.append,
    )
    try:
        yield it
    finally:
        await it.journal.close()


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.001)


def settled(row: JournalRow, state: RowState) -> JournalRow:
    return msgspec.structs.replace(row, state=state)
