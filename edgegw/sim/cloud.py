"""A cloud CSMS on loopback that can be cut, slowed and made to misbehave, with its own ledger.

    python -m edgegw.sim.cloud --listen 127.0.0.1:9000 --ledger cloud.jsonl

Rules of this file:
- A CALL is in the ledger before it is answered and an answer before it is sent, so the ledger never
  knows less than a peer.
- The answers themselves are `desk`'s, the troubles are `cloud_faults`', its own CALLs `cloud_calls`'.
  Nothing here is shared with the gateway: frames are read with orjson alone.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import unquote

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from edgegw.sim.cloud_calls import CALL, CALLERROR, CALLRESULT, SEND, Calls
from edgegw.sim.cloud_faults import CloudFaults, Troubles
from edgegw.sim.cloud_socket import (
    CloudConnection,
    NotConnected,
    Received,
    bound,
    break_connection,
    dumps,
    frame_bytes,
    offered,
)
from edgegw.sim.desk import (
    V16,
    VERSIONS,
    CallRefused,
    Desk,
    Payload,
    energy_of,
    transaction_of,
)
from edgegw.sim.ledger import Ledger, read
from edgegw.sim.orders import Heard
from edgegw.sim.watch import PATIENCE_S, Watch


class SimCloud(Calls, Troubles, Watch):
    """See the module. Use as `async with SimCloud(ledger=...) as cloud:`.

    ledger: a path, a Ledger or None. path: chargers dial `cloud.url + "/" + identity`.
    keep: remember every received CALL in `received` (turn off for benchmarks).
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        path: str = "/csms",
        ledger: Ledger | str | Path | None = None,
        desk: Desk | None = None,
        versions: Sequence[str] = VERSIONS,
        compression: str | None = "deflate",
        ping_interval_s: float | None = None,
        keep: bool = True,
    ) -> None:
        super().__init__()
        self.host, self.port, self.path = host, port, path.rstrip("/")
        self.desk = desk or Desk()
        self.faults = CloudFaults()
        self.versions = tuple(versions)
        self.ledger = ledger if isinstance(ledger, Ledger) or ledger is None else Ledger(ledger, "cloud")
        self.connections: dict[str, CloudConnection] = {}  # newest per identity, open ones only
        self.history: list[CloudConnection] = []
        self.received: list[Received] = []
        self.heard = Heard()  # what chargers told of firmware and logs
        self.junk: list[tuple[str, str]] = []  # (identity, text) of what was no OCPP-J frame
        self.refused_handshakes = 0
        self._compression, self._ping_interval_s, self._keep = compression, ping_interval_s, keep
        self._next_conn = self.ledger.last_conn if self.ledger else 0
        if self.ledger is not None and self.ledger.last_n:
            self._remember(self.ledger.path)
        self._server: Server | None = None
        self._holder: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def _remember(self, path: Path) -> None:
        """Go on with the transaction ids of an earlier life of this ledger."""
        starts: dict[tuple[int, str], Payload] = {}
        highest = 0
        for entry in read(path):
            if entry.kind == "received_call" and entry.action == "StartTransaction":
                starts[entry.conn, entry.id] = orjson.loads(entry.raw)[3]
            elif entry.kind == "sent_result" and (entry.conn, entry.id) in starts and entry.tx:
                highest = max(highest, int(entry.tx))
                self.desk.remember(entry.who, entry.id, starts.pop((entry.conn, entry.id)), int(entry.tx))
        if highest >= self.desk.first_transaction_id:
            self.desk.assign_from(highest + 1)

    # --- life ---------------------------------------------------------------------------------

    async def start(self) -> Self:
        self._holder = bound(self.host, self.port)
        self.port = self._holder.getsockname()[1]
        await self._listen()
        return self

    async def stop(self) -> None:
        await self.cut()
        for task in list(self._tasks):
            task.cancel()
        if self._holder:
            self._holder.close()
        if self.ledger:
            self.ledger.close()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        """Base URL; a charger appends "/" and its identity."""
        return f"ws://{self.host}:{self.port}{self.path}"

    async def _listen(self) -> None:
        listener = bound(self.host, self.port)
        self._server = await serve(
            self._serve,
            sock=listener,
            select_subprotocol=self._choose,
            process_request=self._handshake,
            compression=self._compression,
            ping_interval=self._ping_interval_s,
            close_timeout=1,
            max_size=16 * 2**20,
        )

    # --- troubles -----------------------------------------------------------------------------

    @property
    def is_cut(self) -> bool:
        return self._server is None

    async def cut(self) -> None:
        """Break every connection without a close frame and refuse new ones (TCP reset)."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close(close_connections=False)
        for connection in self.history:
            if connection.open:
                connection.ws.transport.abort()
        await server.wait_closed()

    async def restore(self) -> None:
        """Listen again on the same port."""
        if self._server is None:
            await self._listen()

    def drop(self, identity: str) -> None:
        """Break one charger's connection. Raises NotConnected."""
        self._connection(identity).ws.transport.abort()

    # --- what it saw --------------------------------------------------------------------------

    def calls(self, action: str | None = None, identity: str | None = None) -> list[Received]:
        return [
            r
            for r in self.received
            if (action is None or r.action == action) and (identity is None or r.identity == identity)
        ]

    async def wait_calls(
        self,
        action: str | None = None,
        identity: str | None = None,
        *,
        count: int = 1,
        timeout_s: float = PATIENCE_S,
    ) -> list[Received]:
        """Until at least `count` such CALLs came."""
        await self.wait_for(lambda: len(self.calls(action, identity)) >= count, timeout_s)
        return self.calls(action, identity)

    async def wait_connected(self, identity: str, timeout_s: float = PATIENCE_S) -> CloudConnection:
        await self.wait_for(lambda: identity in self.connections, timeout_s)
        return self.connections[identity]

    # --- handshake ----------------------------------------------------------------------------

    def _choose(self, _: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The charger's order of preference counts (OCPP-J 2.x 3.3)."""
        return next((name for name in offered if name in self.versions), None)

    def _handshake(self, ws: ServerConnection, request: Request) -> Response | None:
        if self._server is None:
            ws.transport.abort()
            return None
        trouble = self.faults.handshake
        path = request.path.partition("?")[0]
        if trouble is not None:
            return self._refused(path, trouble.status, trouble.retry_after_s)
        if not path.startswith(self.path + "/") or "/" in path[len(self.path) + 1 :]:
            return self._refused(path, 404, None)
        return None

    def _refused(self, path: str, status: int, retry_after_s: float | None) -> Response:
        self.refused_handshakes += 1
        self._note(unquote(path.rpartition("/")[2]), "refused", note=f"HTTP {status}")
        self._happened()
        headers = Headers({"Content-Length": "0", "Connection": "close"})
        if retry_after_s is not None:
            headers["Retry-After"] = f"{retry_after_s:g}"
        return Response(status, HTTPStatus(status).phrase, headers)

    # --- one connection -----------------------------------------------------------------------

    async def _serve(self, ws: ServerConnection) -> None:
        connection = self._opened(ws)
        try:
            if self._server is None:
                ws.transport.abort()
            elif connection.subprotocol is None:
                await ws.close(1002, "no common subprotocol")
            while True:
                await self._on_message(connection, await ws.recv())
        except ConnectionClosed:
            pass
        finally:
            self._closed(connection)

    def _opened(self, ws: ServerConnection) -> CloudConnection:
        request = cast(Request, ws.request)
        segment = request.path.partition("?")[0].rpartition("/")[2]
        self._next_conn += 1
        connection = CloudConnection(
            ws=ws,
            number=self._next_conn,
            identity=unquote(segment),
            raw_segment=segment,
            path=request.path,
            offered=offered(request),
            subprotocol=ws.subprotocol,
            authorization=request.headers.get("Authorization"),
        )
        self.connections[connection.identity] = connection
        self.history.append(connection)
        self._note(connection.identity, "connected", connection, note=connection.path)
        self._happened()
        return connection

    def _closed(self, connection: CloudConnection) -> None:
        connection.open = False
        if self.connections.get(connection.identity) is connection:
            del self.connections[connection.identity]
        for _, future in connection.pending.values():
            if not future.done():
                future.set_exception(NotConnected(connection.identity))
        self._note(connection.identity, "disconnected", connection, note=str(connection.ws.close_code))
        self._happened()

    async def _on_message(self, connection: CloudConnection, data: str | bytes) -> None:
        text = data if isinstance(data, str) else data.decode("utf-8", "replace")
        try:
            frame = orjson.loads(text)
            kind, message_id = frame[0], frame[1]
            if kind == CALL and isinstance(data, str):
                await self._on_call(connection, message_id, frame[2], frame[3], text)
            elif kind in (CALLRESULT, CALLERROR):
                self._on_answer(connection, frame, text)
            elif kind == SEND:
                self._received(connection, "received_send", message_id, frame[2], frame[3], text)
            else:
                raise ValueError(f"message type {kind!r}")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            self.junk.append((connection.identity, text))
            self._note(connection.identity, "received_junk", connection, raw=text, note=str(error))
        self._happened()

    def _received(
        self,
        connection: CloudConnection,
        kind: str,
        message_id: str,
        action: str,
        payload: Payload,
        text: str,
    ) -> None:
        self._note(
            connection.identity,
            kind,
            connection,
            id=message_id,
            action=action,
            tx=transaction_of(action, payload),
            energy_wh=energy_of(action, payload),
            raw=text,
        )
        self.heard.hear(connection.identity, action, payload)
        if self._keep:
            self.received.append(
                Received(connection.identity, action, message_id, payload, text, connection.number)
            )

    async def _on_call(
        self, connection: CloudConnection, message_id: str, action: str, payload: Payload, text: str
    ) -> None:
        self._received(connection, "received_call", message_id, action, payload, text)
        if self.faults.is_silent(action):
            return
        answer, tx = self._answer(connection, message_id, action, payload)
        closing = self.faults.take_closing(action)
        if closing is not None:
            facts = {"id": message_id, "action": action, "tx": tx, "raw": answer}
            self._note(connection.identity, "answer_cut", connection, **facts)
            break_connection(connection.ws, frame_bytes(answer)[: closing.answer_bytes])
            return
        if self.faults.late_s:
            self._spawn(self._send_answer(connection, answer, message_id, action, tx, self.faults.late_s))
            return
        await self._send_answer(connection, answer, message_id, action, tx, self.faults.slow_s)

    def _answer(
        self, connection: CloudConnection, message_id: str, action: str, payload: Payload
    ) -> tuple[str, str]:
        """(frame text, transaction id in it)"""
        refusal = self.faults.take_refusal(action)
        try:
            if refusal is not None:
                raise CallRefused(refusal.code, refusal.description)
            version = connection.subprotocol or V16
            result = self.desk.answer(connection.identity, version, action, payload, message_id)
        except CallRefused as error:
            return dumps([CALLERROR, message_id, error.code, error.description, {}]), ""
        except (KeyError, TypeError) as error:
            return dumps([CALLERROR, message_id, "InternalError", f"no sense: {error!r}"[:255], {}]), ""
        return dumps([CALLRESULT, message_id, result]), transaction_of(action, result)

    async def _send_answer(
        self, connection: CloudConnection, answer: str, message_id: str, action: str, tx: str, delay_s: float
    ) -> None:
        if delay_s:
            await asyncio.sleep(delay_s)
        kind = "sent_result" if answer.startswith("[3") else "sent_error"
        self._note(connection.identity, kind, connection, id=message_id, action=action, tx=tx, raw=answer)
        try:
            await connection.ws.send(answer)
        except ConnectionClosed:
            self._note(connection.identity, "note", connection, id=message_id, note="answer not sent: closed")

    # --- ledger -------------------------------------------------------------------------------

    def _note(
        self, identity: str, kind: str, connection: CloudConnection | None = None, **facts: Any
    ) -> None:
        if self.ledger is None:
            return
        if connection is not None:
            facts.update(conn=connection.number, version=connection.subprotocol or "")
        self.ledger.write(identity, kind, **facts)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


if __name__ == "__main__":
    from edgegw.sim.cloud_control import main

    sys.exit(main())
