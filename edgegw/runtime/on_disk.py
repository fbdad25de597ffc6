"""When an order of a person may be answered: when it is on the disk.

The same promise as for a charger's message. What a limit does is not delayed by it: who ordered waits, the
fuse does not.
"""

from __future__ import annotations

import asyncio

from edgegw.errors import StoreFault, StoreUnknownOutcome


async def on_disk(kept: asyncio.Future[None]) -> None:
    """Until `kept` (`Gateway.commit_site`) is synced; whoever leaves meanwhile does not end it for the store.

    Raises StoreFault: StoreFull when nothing was written, StoreUnknownOutcome when nobody knows.
    """
    await asyncio.wait([kept])
    if kept.cancelled():
        raise StoreFault("the store was closed before it was written")
    kept.result()


async def undone(kept: asyncio.Future[None]) -> None:
    """As `on_disk`, of what takes an order out again. Raises StoreUnknownOutcome: it is in the store."""
    try:
        await on_disk(kept)
    except StoreFault as fault:
        raise StoreUnknownOutcome(f"it was written, and could not be taken out again: {fault}") from fault
