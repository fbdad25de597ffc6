"""The yardstick: the plainest proxy one would write with the asyncio API of `websockets`.

    python -m tests.benchmarks.pump ws://127.0.0.1:9000/csms

Accept, connect onward to the same last path segment, two tasks that copy. No parsing, no validation, no
compression, no limits; uvloop.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable
from typing import Any

import uvloop
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

V16 = Subprotocol("ocpp1.6")


async def _copy(source: AsyncIterable[str | bytes], sink: Any) -> None:
    try:
        async for message in source:
            await sink.send(message)
    except ConnectionClosed:
        pass
    finally:
        await sink.close()


async def _main(cloud: str) -> None:
    async def pump(charger: ServerConnection) -> None:
        assert charger.request is not None
        identity = charger.request.path.rpartition("/")[2]
        async with connect(
            f"{cloud}/{identity}", subprotocols=[V16], compression=None, ping_interval=None, proxy=None
        ) as onward:
            await asyncio.gather(_copy(charger, onward), _copy(onward, charger))

    async with serve(
        pump, "127.0.0.1", 0, subprotocols=[V16], compression=None, ping_interval=None, backlog=1024
    ) as server:
        print(f"listening on {next(iter(server.sockets)).getsockname()[1]}", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1]))
