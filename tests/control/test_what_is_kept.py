"""The whole gateway over many transactions: gateway, store, local API. What each leaves behind has an end."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.control.house import START, House, Wire
from tests.kept import grown, reached

FILLS, COUNTED = 80, 60  # transactions: until everything that has a limit is full; while it is counted


async def _charges(house: House, wire: Wire, times: int) -> None:
    for _ in range(times):
        asked = wire.calls("StartTransaction", START)
        transaction = (await house.told(wire, asked))["transactionId"]
        stop = {"transactionId": transaction, "meterStop": 3500, "timestamp": "2026-11-20T11:00:00Z"}
        await house.told(wire, wire.calls("StopTransaction", stop))


async def _kept(house: House) -> Counter[str]:
    """With somebody who looks at the live picture, which keeps what it told."""
    await house.server.service.live.snapshot("operator")
    return reached(house.gateway, house.journal, house.server, besides=(House, Wire))


async def test_a_finished_transaction_leaves_nothing_in_the_gateway(tmp_path: Path):
    house = House(tmp_path, standalone=True)
    await house.start()
    try:
        wire = await house.boots("CP-1")
        await _charges(house, wire, FILLS)
        before = await _kept(house)
        await _charges(house, wire, COUNTED)
        assert grown(before, await _kept(house), COUNTED / 2) == {}
    finally:
        await house.stop()
