"""The cloud on the `ocpp` package's own ChargePoint: the same desk and ledger, somebody else's engine.

Rules of this file:
- 1.6 and 2.0.1. It can be cut and restored, refuse handshakes and CALLs; the finer troubles are `SimCloud`'s.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from edgegw.sim.cloud import SimCloud
from edgegw.sim.cloud_calls import CALL, CALLERROR, CALLRESULT
from edgegw.sim.cloud_socket import CloudConnection, NotConnected
from edgegw.sim.desk import CallRefused, Payload, actions, transaction_of
from edgegw.sim.library import VERSIONS_OF_LIBRARY, Library
from edgegw.sim.watch import PATIENCE_S


class OcppCloud(SimCloud):
    """`SimCloud` whose frames are read, validated and written by the `ocpp` package."""

    def __init__(self, *, response_timeout_s: float = PATIENCE_S, **options: Any) -> None:
        super().__init__(**{"versions": VERSIONS_OF_LIBRARY, **options})
        self._response_timeout_s = response_timeout_s
        self._libraries: dict[str, Library] = {}
        self._engines: dict[int, tuple[Library, Any, _Recorded]] = {}

    async def _serve(self, ws: ServerConnection) -> None:
        connection = self._opened(ws)
        try:
            if connection.subprotocol is None:
                await ws.close(1002, "no common subprotocol")
            else:
                await self._engine(connection).start()
        except ConnectionClosed:
            pass
        finally:
            self._engines.pop(connection.number, None)
            self._closed(connection)

    def _engine(self, connection: CloudConnection) -> Any:
        version = str(connection.subprotocol)
        library = self._libraries.setdefault(version, Library(version))
        recorded = _Recorded(self, connection)
        charge_point = library.charge_point(connection.identity, recorded, self._response_timeout_s)
        for action in actions(version):
            charge_point.route_map[action] = {
                "_on_action": self._handler(library, connection, action),
                "_skip_schema_validation": False,
            }
        self._engines[connection.number] = (library, charge_point, recorded)
        return charge_point

    def _handler(
        self, library: Library, connection: CloudConnection, action: str
    ) -> Callable[..., Awaitable[Any]]:
        async def handler(call_unique_id: str, **fields: Any) -> Any:
            payload = library.wire_names(fields)
            refusal = self.faults.take_refusal(action)
            try:
                if refusal is not None:
                    raise CallRefused(refusal.code, refusal.description)
                version = str(connection.subprotocol)
                result = self.desk.answer(connection.identity, version, action, payload, call_unique_id)
            except CallRefused as error:
                raise library.error(error) from error
            return library.result(action, result)

        return handler

    async def call(
        self,
        identity: str,
        action: str,
        payload: Payload,
        *,
        message_id: str | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Payload:
        """As `SimCloud.call`; the package also validates both ways. `timeout_s` may only shorten
        the engine's own."""
        connection = self._connection(identity)
        library, charge_point, recorded = self._engines[connection.number]
        message_id = message_id or str(uuid.uuid4())
        recorded.calls[message_id] = action
        request = library.request(action, payload)
        try:
            async with asyncio.timeout(timeout_s):
                await charge_point.call(request, suppress=True, unique_id=message_id)
        except ConnectionClosed:
            raise NotConnected(identity) from None
        finally:
            recorded.calls.pop(message_id)
        answer = recorded.answers.pop(message_id)
        if answer[0] == CALLERROR:
            raise CallRefused(str(answer[2]), str(answer[3]))
        result: Payload = answer[2]
        return result

    def record(self, connection: CloudConnection, text: str, *, sent: bool, action: str = "") -> list[Any]:
        """Write a frame to the ledger and return it parsed."""
        frame: list[Any] = json.loads(text)
        kind, message_id = frame[0], frame[1]
        if kind == CALL and not sent:
            self._received(connection, "received_call", message_id, frame[2], frame[3], text)
        elif kind == CALL:
            facts = {"id": message_id, "action": frame[2], "tx": transaction_of(frame[2], frame[3])}
            self._note(connection.identity, "sent_call", connection, raw=text, **facts)
        else:
            name = ("sent_" if sent else "got_") + ("error" if kind == CALLERROR else "result")
            tx = transaction_of(action, frame[2]) if kind == CALLRESULT else ""
            self._note(connection.identity, name, connection, id=message_id, action=action, tx=tx, raw=text)
        self._happened()
        return frame


class _Recorded:
    """One connection as the package sees it, with the ledger behind it."""

    def __init__(self, cloud: OcppCloud, connection: CloudConnection) -> None:
        self._cloud = cloud
        self._connection = connection
        self._actions: dict[str, str] = {}
        self.calls: dict[str, str] = {}
        self.answers: dict[str, list[Any]] = {}

    async def recv(self) -> str:
        data = await self._connection.ws.recv()
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            frame = self._cloud.record(self._connection, text, sent=False)
            if frame[0] == CALL:
                self._actions[frame[1]] = frame[2]
            elif frame[1] in self.calls:
                self.answers[frame[1]] = frame
        except (ValueError, LookupError, TypeError, AttributeError):
            self._cloud.junk.append((self._connection.identity, text))
        return text

    async def send(self, text: str) -> None:
        message_id = json.loads(text)[1]
        self._cloud.record(self._connection, text, sent=True, action=self._actions.pop(message_id, ""))
        await self._connection.ws.send(text)
