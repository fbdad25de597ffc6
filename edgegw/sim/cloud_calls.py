"""CALLs of the simulated cloud to its chargers, one at a time per charger, and their answers.

A CALL is in the ledger before it is sent, and an answer before its caller hears of it.
"""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from typing import Any

from websockets.exceptions import ConnectionClosed

from edgegw.sim.cloud_socket import CloudConnection, NotConnected, dumps
from edgegw.sim.desk import CallRefused, Payload
from edgegw.sim.watch import PATIENCE_S, settle

CALL, CALLRESULT, CALLERROR, CALLRESULTERROR, SEND = 2, 3, 4, 5, 6


class Calls(ABC):
    """Base of `SimCloud`."""

    connections: dict[str, CloudConnection]

    async def call(
        self,
        identity: str,
        action: str,
        payload: Payload,
        *,
        message_id: str | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Payload:
        """Send a CALL to a charger and return the payload of its answer.

        Raises NotConnected, CallRefused (its CALLERROR) or TimeoutError.
        """
        connection = self._connection(identity)
        message_id = message_id or str(uuid.uuid4())
        text = dumps([CALL, message_id, action, payload])
        async with connection.lock:  # one outstanding CALL per direction
            return await self._exchange(connection, message_id, action, text, timeout_s)

    async def _exchange(
        self, connection: CloudConnection, message_id: str, action: str, text: str, timeout_s: float
    ) -> Payload:
        future: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
        connection.pending[message_id] = (action, future)
        self._note(connection.identity, "sent_call", connection, id=message_id, action=action, raw=text)
        try:
            await connection.ws.send(text)
            return await asyncio.wait_for(future, timeout_s)
        except ConnectionClosed:
            raise NotConnected(connection.identity) from None
        except TimeoutError:
            self._note(connection.identity, "timed_out", connection, id=message_id, action=action)
            raise
        finally:
            connection.pending.pop(message_id, None)
            settle(future)

    async def send_text(self, identity: str, text: str) -> None:
        """Send any text as it is: bad frames, SEND, stray answers. Raises NotConnected."""
        connection = self._connection(identity)
        self._note(identity, "note", connection, raw=text, note="sent as is")
        await connection.ws.send(text)

    def _on_answer(self, connection: CloudConnection, frame: list[Any], text: str) -> None:
        refused = frame[0] == CALLERROR
        action, future = connection.pending.get(frame[1], ("", None))
        self._note(
            connection.identity,
            "got_error" if refused else "got_result",
            connection,
            id=frame[1],
            action=action,
            raw=text,
        )
        if future is None or future.done():
            return
        if refused:
            future.set_exception(CallRefused(str(frame[2]), str(frame[3])))
        else:
            future.set_result(frame[2])

    def _connection(self, identity: str) -> CloudConnection:
        connection = self.connections.get(identity)
        if connection is None:
            raise NotConnected(identity)
        return connection

    @abstractmethod
    def _note(
        self, identity: str, kind: str, connection: CloudConnection | None = None, **facts: Any
    ) -> None:
        """Into the ledger."""
