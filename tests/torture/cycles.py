"""Connections that come, say a word and go, in every way a connection can go (R11)."""

from __future__ import annotations

import asyncio

from tests.e2e.faults import dial
from tests.e2e.gateway import GatewayProcess

CHARGERS = 20


async def cycle(gateway: GatewayProcess, rounds: int) -> None:
    """CHARGERS chargers connect and leave `rounds` times each."""
    await asyncio.gather(*(_come_and_go(gateway, f"CP{number:02}", rounds) for number in range(CHARGERS)))


async def _come_and_go(gateway: GatewayProcess, identity: str, rounds: int) -> None:
    for number in range(rounds):
        one = await dial(gateway, identity)
        assert (await one.call("Heartbeat", {}))[0] in (3, 4)
        if number % 3 == 0:
            one.ws.transport.abort()
        elif number % 3 == 1:
            one.ws.transport.close()
        await one.close()
