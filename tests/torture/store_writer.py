"""A process that stores rows and says on stdout which ones it was told are on disk.

    python store_writer.py DIRECTORY CHARGERS ROWS [unsafe]

Each charger goes on behind its last row until it has stored ROWS more. Every acknowledged row is one
line, "charger seq", written at once. `unsafe` sets synchronous=OFF, for control runs that must lose
rows. Exit codes: 0 done, 3 the store said it cannot go on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from edgegw.core.records import Append
from edgegw.errors import StoreFault, StoreFull, StoreUnknownOutcome
from edgegw.store import database
from edgegw.store.journal import Journal
from tests.store.rig import row


async def store(journal: Journal, charger: str, first: int, rows: int) -> None:
    for seq in range(first, first + rows):
        for _ in range(50):
            try:
                await journal.commit([Append(row(charger, seq))])
                break
            except StoreUnknownOutcome:
                await journal.recover()
            except StoreFull:
                await asyncio.sleep(0.01)
        else:
            raise StoreFault("does not take the row")
        os.write(1, f"{charger} {seq}\n".encode())


async def main(directory: str, chargers: str, rows: str, *unsafe: str) -> None:
    if unsafe:
        pragmas = [p.replace("synchronous = FULL", "synchronous = OFF") for p in database.PRAGMAS]
        assert pragmas != list(database.PRAGMAS)
        database.PRAGMAS = pragmas
    journal = await Journal.open(Path(directory), retention_s=3600, reserve_bytes=0, wall=time.time)
    try:
        last = {about.charger: about.seq_last for about in (await journal.recover()).chargers}
        names = [f"CP{n}" for n in range(int(chargers))]
        os.write(1, b"ready\n")
        await asyncio.gather(*[store(journal, name, last.get(name, 0) + 1, int(rows)) for name in names])
    finally:
        await journal.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except StoreFault as fault:
        print(f"store fault: {fault}", file=sys.stderr)
        sys.exit(3)
