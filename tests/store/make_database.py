"""Makes databases/NNNN.db, the store as the present schema writes it: `python -m tests.store.make_database`.

One is made and checked in for every schema that was released, and never made again: test_store_schema
opens them all. `content` is what each of them holds.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path

from edgegw.core.records import (
    Append,
    Discard,
    Lane,
    RowState,
    SaveDocument,
    SaveTransaction,
    Settle,
    StoreOp,
)
from edgegw.store.database import schema_version
from tests.store.rig import opened, record, row

DATABASES = Path(__file__).with_name("databases")


def content() -> list[StoreOp]:
    rows = [Append(row(f"CP{n % 3}", n)) for n in range(1, 31)]
    return [
        *rows,
        Append(row("CP1", 40, lane=Lane.BOOT, message_id="boot", flags=("clock_suspect",))),
        Append(row("CP1", 41, lane=Lane.STATUS, subject="connector 1")),
        Discard("CP1", (41,)),
        Settle(charger="CP0", seq=3, state=RowState.DELIVERED),
        Settle(charger="CP0", seq=6, state=RowState.PARKED, attempts=3, error="FormationViolation"),
        SaveDocument(kind="charger", charger="CP1", key="", value=b'{"vendor":"x"}'),
        SaveDocument(kind="site", charger="", key="k", value=b"[1.10]"),
        SaveTransaction(record("CP1", "7", running=False, meter_stop_wh=2**33)),
        SaveTransaction(record("CP2", "8")),
    ]


async def make() -> None:
    with tempfile.TemporaryDirectory() as place:
        async with opened(Path(place) / "store") as it:
            await it.journal.commit(content())
        shutil.copyfile(Path(place) / "store" / "edgegw.db", DATABASES / f"{schema_version():04d}.db")


if __name__ == "__main__":
    DATABASES.mkdir(exist_ok=True)
    asyncio.run(make())
