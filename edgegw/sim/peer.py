"""Two ways to speak OCPP-J from the charger's side: the `ocpp` package's ChargePoint, and our own few lines.

Rules of this file:
- `LibraryPeer` (1.6, 2.0.1) is the independent peer: the package routes, validates and spells. Its
  known weak points are handled here: `call` that outlives its connection, answers that fail the schema.
- `OwnPeer` takes any version; 2.1 needs it because the package's key converters lose names there.
- Both send one CALL at a time and answer the cloud's CALLs in order.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from websockets.exceptions import ConnectionClosed

from edgegw.errors import EdgegwError
from edgegw.sim.desk import CallRefused, Payload
from edgegw.sim.library import Library
from edgegw.sim.watch import settle
from edgegw.sim.wire_log import CALL, CALLERROR, CALLRESULT, Context, WireLog

FollowUp = Callable[[], None]
Handler = Callable[[str, Payload], Awaitable[tuple[Payload, FollowUp | None]]]


class LinkLost(EdgegwError):
    """The connection ended before the answer came, or there is none."""


class Peer(Protocol):
    async def run(self) -> None:
        """Read until the connection ends."""

    async def call(self, message_id: str, payload: Payload, context: Context) -> Payload:
        """Send a CALL, return the payload of its answer. Raises CallRefused, TimeoutError, LinkLost."""


class OwnPeer:
    """JSON-RPC with wire names, no validation. `spaced`: `[2, "id", ...]` instead of `[2,"id",...]`."""

    def __init__(self, wire: WireLog, handle: Handler, timeout_s: float, *, spaced: bool = True) -> None:
        self._wire = wire
        self._handle = handle
        self._timeout_s = timeout_s
        self._separators = (", ", ": ") if spaced else (",", ":")
        self._lock = asyncio.Lock()
        self._pending: dict[str, asyncio.Future[Payload]] = {}

    async def run(self) -> None:
        try:
            while True:
                await self._route(await self._wire.recv())
        except ConnectionClosed:
            pass
        finally:
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(LinkLost("connection ended"))

    async def call(self, message_id: str, payload: Payload, context: Context) -> Payload:
        async with self._lock:
            future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
            self._pending[message_id] = future
            self._wire.contexts[message_id] = context
            try:
                await self._send([CALL, message_id, context.action, payload])
                # Not asyncio.wait_for: before Python 3.12 it may swallow a cancellation.
                async with asyncio.timeout(self._timeout_s):
                    return await future
            finally:
                del self._pending[message_id], self._wire.contexts[message_id]
                settle(future)
                self._wire.answers.pop(message_id, None)

    async def _send(self, frame: list[Any]) -> None:
        try:
            await self._wire.send(json.dumps(frame, separators=self._separators))
        except ConnectionClosed as error:
            raise LinkLost("connection ended") from error

    async def _route(self, text: str) -> None:
        try:
            frame = json.loads(text)
            kind, message_id = frame[0], frame[1]
            if kind == CALL:
                await self._answer(message_id, frame[2], frame[3])
                return
            future = self._pending.get(message_id)
            if future is None or future.done():
                return  # late, or never asked for
            if kind == CALLRESULT:
                future.set_result(frame[2])
            elif kind == CALLERROR:
                future.set_exception(CallRefused(str(frame[2]), str(frame[3])))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return  # no OCPP-J frame: 1.6 says nothing, and the ledger has it

    async def _answer(self, message_id: str, action: str, payload: Payload) -> None:
        try:
            answer, follow_up = await self._handle(action, payload)
        except CallRefused as refusal:
            await self._send([CALLERROR, message_id, refusal.code, refusal.description, {}])
            return
        await self._send([CALLRESULT, message_id, answer])
        if follow_up is not None:
            follow_up()


class LibraryPeer:
    """The `ocpp` package's ChargePoint as the charger's engine. `actions`: CALLs it has handlers for."""

    def __init__(
        self, version: str, identity: str, wire: WireLog, handle: Handler, actions: set[str], timeout_s: float
    ) -> None:
        self._library = Library(version)
        self._wire = wire
        self._handle = handle
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._follow_up: FollowUp | None = None
        self._charge_point = self._library.charge_point(identity, wire, timeout_s)
        for action in actions:
            self._charge_point.route_map[action] = {
                "_on_action": self._on(action),
                "_after_action": self._after,
                "_skip_schema_validation": False,
            }

    async def run(self) -> None:
        try:
            await self._charge_point.start()
        except ConnectionClosed:
            pass
        except (TypeError, ValueError, RecursionError):
            # Known of the package: a frame such as [2, "1", ["a"], {}] ends its reading loop.
            await self._wire.ws.close(1011)
        finally:
            if not self._closed.done():
                self._closed.set_result(None)

    async def call(self, message_id: str, payload: Payload, context: Context) -> Payload:
        self._wire.contexts[message_id] = context
        request = self._library.request(context.action, payload)
        work = asyncio.ensure_future(self._charge_point.call(request, suppress=False, unique_id=message_id))
        try:
            # The package waits its whole timeout even when the connection is gone.
            await asyncio.wait({work, self._closed}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise LinkLost("connection ended")
            return self._outcome(message_id, work)
        finally:
            work.cancel()
            del self._wire.contexts[message_id]
            self._wire.answers.pop(message_id, None)

    def _outcome(self, message_id: str, work: asyncio.Future[Any]) -> Payload:
        """The answer as it was on the wire; the package's own reading of it decides nothing more."""
        answer = self._wire.answers.get(message_id)
        error = work.exception()
        if isinstance(error, ConnectionClosed):
            raise LinkLost("connection ended") from error
        if error is not None and answer is None:
            raise error  # TimeoutError, or a request that fails its own schema
        assert answer is not None
        if answer[0] == CALLERROR:
            raise CallRefused(str(answer[2]), str(answer[3]))
        result: Payload = answer[2]
        return result

    def _on(self, action: str) -> Callable[..., Awaitable[Any]]:
        async def handler(**fields: Any) -> Any:
            try:
                answer, self._follow_up = await self._handle(action, self._library.wire_names(fields))
            except CallRefused as refusal:
                raise self._library.error(refusal) from refusal
            return self._library.result(action, answer)

        return handler

    def _after(self, **_: Any) -> None:
        follow_up, self._follow_up = self._follow_up, None
        if follow_up is not None:
            follow_up()
