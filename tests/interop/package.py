"""The `ocpp` package's ChargePoint as charger and as CSMS, in 1.6, 2.0.1 and 2.1.

Rules of this file:
- Payloads are given and told in wire names; the package makes its own dataclasses of them, validates and
  writes them. That is what makes it an independent peer.
- In 2.1 the package loses names on the way (`limit_L2`, `soc`, `taxRuleID`, `receiptUrl`, `fixedPF...`, 13
  messages in all) and answers nothing to an action it has no handler for: tests keep to what it can say.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from ocpp.charge_point import camel_to_snake_case, snake_to_camel_case
from ocpp.routing import on
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests.e2e.children import DEADLINE_S

MODULES = {"ocpp1.6": "ocpp.v16", "ocpp2.0.1": "ocpp.v201", "ocpp2.1": "ocpp.v21"}
Payload = Mapping[str, Any]


class Engine:
    """A ChargePoint on one connection. answers: payload by action; heard: what it was asked, in order."""

    def __init__(self, version: str, identity: str, ws: Any, answers: Mapping[str, Payload]) -> None:
        self._module = importlib.import_module(MODULES[version])
        self.heard: list[tuple[str, dict[str, Any]]] = []
        handlers = {f"on_{action}": self._handler(action, answers[action]) for action in answers}
        engine = type("Engine", (self._module.ChargePoint,), handlers)
        self._engine: Any = engine(identity, ws, response_timeout=DEADLINE_S)

    def _handler(self, action: str, answer: Payload) -> Any:
        def handle(_: Any, **fields: Any) -> Any:
            self.heard.append((action, snake_to_camel_case(fields)))
            return getattr(self._module.call_result, action)(**camel_to_snake_case(answer))

        handle.__name__ = f"on_{action}"  # the package finds its handlers by name
        return on(action)(handle)

    async def run(self) -> None:
        with suppress(ConnectionClosed):
            await self._engine.start()

    async def ask(self, action: str, payload: Payload) -> dict[str, Any]:
        """Send a CALL; the answer in wire names. Raises what the package raises, also for CALLERROR."""
        request = getattr(self._module.call, action)(**camel_to_snake_case(payload))
        result = await self._engine.call(request, suppress=False)
        fields = {name: value for name, value in vars(result).items() if value is not None}
        answer: dict[str, Any] = snake_to_camel_case(fields)
        return answer


class PackageCloud:
    """A CSMS of these engines; `engines` by identity."""

    def __init__(self, answers: Mapping[str, Mapping[str, Payload]]) -> None:
        self._answers = answers
        self.engines: dict[str, Engine] = {}
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[PackageCloud]:
        names = [Subprotocol(name) for name in MODULES]
        async with serve(self._serve, "127.0.0.1", 0, subprotocols=names) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _serve(self, ws: ServerConnection) -> None:
        assert ws.request is not None
        identity = ws.request.path.rpartition("/")[2]
        version = str(ws.subprotocol)
        engine = self.engines[identity] = Engine(version, identity, ws, self._answers[version])
        await engine.run()


@asynccontextmanager
async def package_charger(
    url: str, identity: str, version: str, answers: Mapping[str, Payload]
) -> AsyncIterator[Engine]:
    """A connected charger."""
    async with connect(
        f"{url}/{identity}", subprotocols=[Subprotocol(version)], open_timeout=DEADLINE_S, proxy=None
    ) as ws:
        assert ws.subprotocol == version
        engine = Engine(version, identity, ws, answers)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(engine.run())
            yield engine
            running.cancel()
