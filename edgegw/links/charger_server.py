"""Where chargers connect: from an accepted socket to an open leg, or to a refusal.

Rules of this file:
- Who may come in is the gatekeeper's decision; this file reads the request, asks, and answers.
- A stranger costs little: half-done handshakes are few per address and few in all, their bytes and
  their time are limited, and what is no handshake gets one line in the log (faults 5, 10, 11, 13).
- The answers give nothing away: no Server header, no product name, no reason beyond the status.
"""

from __future__ import annotations

import asyncio
import http
import logging
import socket
import ssl
from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from edgegw.links.acceptor import Acceptor, open_listeners
from edgegw.links.http_head import REST_BYTES_MAX, HeadCollector, HeadRefused
from edgegw.links.keepalive import KeepAlive
from edgegw.links.tls import describe_failure
from edgegw.links.unfinished import Unfinished
from edgegw.links.websocket import LegSettings, WebSocketLeg
from edgegw.runtime.ports import Admitted, Gatekeeper, HandshakeRequest, Refused
from edgegw.runtime.tasks import Tasks

# The engine's own log lines (one per connection, tracebacks at DEBUG) stay out of ours.
engine_log = logging.getLogger("edgegw.links.engine")
engine_log.setLevel(logging.CRITICAL)

FAREWELL_S = 1.0  # for a refused peer to read the answer before the connection goes
# Without context takeover an idle connection keeps no window at all; 12 bits is 4 KiB while a
# message is being (de)compressed.
DEFLATE = ServerPerMessageDeflateFactory(
    server_no_context_takeover=True,
    client_no_context_takeover=True,
    server_max_window_bits=12,
    client_max_window_bits=12,
    compress_settings={"memLevel": 5},
)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Limits of the charger side. Times in seconds."""

    leg: LegSettings = field(default_factory=LegSettings)
    handshake_timeout_s: float = 10.0  # from the TCP connect to the end of the request, TLS included
    admission_timeout_s: float = 60.0  # for the gatekeeper: it may dial the cloud first
    half_open_per_ip_max: int = 64
    half_open_max: int = 512
    connections_max: int = 4096  # open legs and handshakes together


class ChargerServer:
    """Listens for chargers. `refused` counts connections closed at a limit, by limit."""

    def __init__(
        self, gatekeeper: Gatekeeper, settings: ServerSettings | None = None, wheel: KeepAlive | None = None
    ) -> None:
        self.refused: Counter[str] = Counter()
        self._gatekeeper = gatekeeper
        self._settings = settings or ServerSettings()
        self._wheel = KeepAlive() if wheel is None else wheel
        self._own_wheel = wheel is None
        self._acceptors: list[Acceptor] = []
        self._unfinished = Unfinished(
            self._settings.half_open_per_ip_max, self._settings.half_open_max, self._pause_accepting
        )
        self._handshakes = 0
        self._tasks = Tasks()
        self._legs: set[WebSocketLeg] = set()
        self._all_gone: asyncio.Event | None = None

    @property
    def connections(self) -> int:
        """Open legs and handshakes."""
        return len(self._legs) + self._handshakes

    async def start(
        self, host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> list[tuple[str, int]]:
        """Listen; may be called again for another port. Returns the bound addresses. Raises OSError."""

        def admit(connection: socket.socket, ip: str) -> None:
            self._connected(connection, ip, tls)

        acceptors = [Acceptor(sock, admit) for sock in await open_listeners(host, port)]
        self._acceptors += acceptors
        return [acceptor.address for acceptor in acceptors]

    async def stop(self, close_code: int = 1001, timeout_s: float = 2.5) -> None:
        """Stop listening and close every leg; what has not closed in `timeout_s` is dropped."""
        for acceptor in self._acceptors:
            acceptor.close()
        self._acceptors.clear()
        await self._tasks.cancel()
        for leg in tuple(self._legs):
            leg.close(close_code, "the gateway stops")
        await self._wait_gone(timeout_s)
        for leg in tuple(self._legs):
            leg.abort("the gateway stops; the peer did not close in time")
        await self._wait_gone(timeout_s)
        if self._own_wheel:
            self._wheel.close()

    # --- one connection -------------------------------------------------------------------------

    def _connected(self, connection: socket.socket, ip: str, tls: ssl.SSLContext | None) -> None:
        if self.connections >= self._settings.connections_max:
            connection.close()
            self._count_refused(ip, "too many connections")
            return
        handshake = ServerHandshake()
        self._handshakes += 1
        task = self._tasks.spawn(self._welcome(handshake, connection, ip, tls), f"handshake {ip}")
        entry = self._unfinished.begin(ip, task, lambda limit: self._count_refused(ip, limit))
        handshake.head_read.add_done_callback(lambda _: self._unfinished.end(entry))
        task.add_done_callback(lambda _: self._handshake_ended(handshake, connection))

    def _handshake_ended(self, handshake: ServerHandshake, connection: socket.socket) -> None:
        self._handshakes -= 1
        handshake.ended()
        if not handshake.begun:
            connection.close()  # its task was cancelled before it ran

    def _count_refused(self, ip: str, limit: str) -> None:
        self.refused[limit] += 1
        self._gatekeeper.handshake_failed(ip, limit)

    def _pause_accepting(self, pause: bool) -> None:
        for acceptor in self._acceptors:
            acceptor.hold(pause)

    async def _welcome(
        self, handshake: ServerHandshake, connection: socket.socket, ip: str, tls: ssl.SSLContext | None
    ) -> None:
        try:
            if await self._read_request(handshake, connection, ip, tls):
                await self._answer(handshake, ip, tls is not None)
        finally:
            handshake.close()

    async def _read_request(
        self, handshake: ServerHandshake, connection: socket.socket, ip: str, tls: ssl.SSLContext | None
    ) -> bool:
        """TLS and the request head within the handshake timeout; False when that did not come about."""
        handshake.begun = True
        loop = asyncio.get_running_loop()
        timeout_s = self._settings.handshake_timeout_s
        deadline = loop.time() + timeout_s
        try:
            await loop.connect_accepted_socket(
                lambda: handshake, connection, ssl=tls, ssl_handshake_timeout=timeout_s if tls else None
            )
        except OSError as exc:
            self._gatekeeper.handshake_failed(ip, f"TLS: {describe_failure(exc)}" if tls else str(exc))
            return False
        try:
            async with asyncio.timeout_at(deadline):
                await handshake.head_read
        except TimeoutError:
            handshake.refuse("no complete request in time", 408)
        except HeadRefused as refusal:
            handshake.refuse(refusal.reason, refusal.status)
        if handshake.failure:
            self._gatekeeper.handshake_failed(ip, handshake.failure)
        return not handshake.failure

    async def _answer(self, handshake: ServerHandshake, ip: str, tls: bool) -> None:
        engine = ServerProtocol(
            extensions=[DEFLATE], max_size=self._settings.leg.max_message_bytes, logger=engine_log
        )
        request = _parse(engine, handshake.head)
        problem = "not an HTTP/1.1 request" if request is None else _problem(engine, request)
        if request is None or problem:
            handshake.respond(_refusal(engine, request))
            self._gatekeeper.handshake_failed(ip, problem)
            return
        decision = await self._ask(handshake, _question(engine, request, ip, tls))
        if handshake.lost:
            return
        if isinstance(decision, Refused):
            handshake.respond(_refused_response(engine, decision))
        else:
            self._open(handshake, engine, request, decision)

    async def _ask(self, handshake: ServerHandshake, question: HandshakeRequest) -> Admitted | Refused:
        """The gatekeeper's decision. Its question is cancelled when the charger leaves."""
        handshake.waiting = asyncio.current_task()
        try:
            async with asyncio.timeout(self._settings.admission_timeout_s):
                return await self._gatekeeper.admit(question)
        except TimeoutError:
            return Refused(status=503, reason="no decision in time")
        finally:
            handshake.waiting = None

    def _open(
        self, handshake: ServerHandshake, engine: ServerProtocol, request: Request, decision: Admitted
    ) -> None:
        engine.available_extensions = [DEFLATE] if decision.compression else None
        response = engine.accept(request)
        engine.subprotocol = None
        if decision.subprotocol is not None:
            engine.subprotocol = Subprotocol(decision.subprotocol)
            response.headers["Sec-WebSocket-Protocol"] = decision.subprotocol
        engine.send_response(response)
        if decision.close_reason:
            # OCPP-J 3.3: no common subprotocol: complete the handshake without the header, then close.
            engine.send_close(1002, decision.close_reason[:100])
            handshake.say_goodbye(b"".join(engine.data_to_send()))
            return
        leg = WebSocketLeg(engine, decision.listener, self._settings.leg, self._wheel, self._gone)
        self._legs.add(leg)
        transport, early = handshake.hand_over(leg)
        transport.write(b"".join(engine.data_to_send()))
        transport.set_protocol(leg)
        leg.start(transport, early)

    def _gone(self, leg: WebSocketLeg) -> None:
        self._legs.discard(leg)
        if not self._legs and self._all_gone is not None:
            self._all_gone.set()

    async def _wait_gone(self, timeout_s: float) -> None:
        if self._legs:
            self._all_gone = asyncio.Event()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._all_gone.wait()
            except TimeoutError:
                return


class ServerHandshake(asyncio.Protocol):
    """A connection until its leg opens: collects the request head, notices when the peer leaves."""

    def __init__(self) -> None:
        self.head_read: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting: asyncio.Task[None] | None = None  # cancelled when the peer leaves
        self.begun = False
        self.lost = False
        self.failure = ""
        self._collector = HeadCollector()
        self._transport: asyncio.Transport | None = None
        self._leg: WebSocketLeg | None = None
        self._deaf = False

    @property
    def head(self) -> bytes:
        return self._collector.head

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._collector.feed(data)
        except HeadRefused as refusal:
            self._deaf = True
            self._collector.drop()
            if not self.head_read.done():
                # Its traceback would keep the bytes until a collection, which this process makes seldom.
                self.head_read.set_exception(refusal.with_traceback(None))
            return
        if self._collector.complete and not self.head_read.done():
            self.head_read.set_result(None)
        if len(self._collector.rest) > REST_BYTES_MAX and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if self._leg is not None:
            self._leg.connection_lost(exc)  # it was on its way here when the leg took over
        if not self.head_read.done():
            self.head_read.set_exception(HeadRefused("left without a request", None))
        if self.waiting is not None:
            self.waiting.cancel()

    def ended(self) -> None:
        """The task of this connection is done, however it ended."""
        if not self.head_read.done():
            self.head_read.cancel()
        elif not self.head_read.cancelled():
            self.head_read.exception()  # nobody may have waited for it
        self._collector.drop()

    def refuse(self, reason: str, status: int | None) -> None:
        """Answer `status` without asking anyone; None: just close."""
        self.failure = reason
        if status is None:
            self.close()
        else:
            self.respond(ServerProtocol(logger=engine_log).reject(status, ""))

    def respond(self, response: Response) -> None:
        self.say_goodbye(response.serialize())

    def say_goodbye(self, data: bytes) -> None:
        """Send the last bytes, and let the peer read them before the connection goes."""
        transport, self._transport = self._transport, None
        self._deaf = True
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.can_write_eof():
            transport.write_eof()
            asyncio.get_running_loop().call_later(FAREWELL_S, transport.abort)
        else:
            transport.close()

    def hand_over(self, leg: WebSocketLeg) -> tuple[asyncio.Transport, bytes]:
        """The transport and what came after the request, for the leg."""
        assert self._transport is not None
        self._leg = leg
        transport, self._transport = self._transport, None
        return transport, bytes(self._collector.rest)

    def close(self) -> None:
        """Drop the connection, unless it was handed over or is saying goodbye."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()


def _parse(engine: ServerProtocol, head: bytes) -> Request | None:
    engine.receive_data(head)
    events = engine.events_received()
    return events[0] if events and isinstance(events[0], Request) else None


def _problem(engine: ServerProtocol, request: Request) -> str:
    """Why this request is no WebSocket handshake; "" when it is one."""
    if engine.accept(request).status_code == 101:
        return ""
    return f"no WebSocket handshake: {engine.handshake_exc}"[:200]


def _refusal(engine: ServerProtocol, request: Request | None) -> Response:
    """The status the engine gives the request, with one line of ours."""
    status = 400 if request is None else engine.accept(request).status_code
    response = engine.reject(status, f"{http.HTTPStatus(status).phrase}\n")
    if status == 426:
        response.headers["Upgrade"] = "websocket"
    if status == 405:
        response.headers["Allow"] = "GET"
    return response


def _question(engine: ServerProtocol, request: Request, ip: str, tls: bool) -> HandshakeRequest:
    offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol"))
    authorization = request.headers.get_all("Authorization")
    return HandshakeRequest(
        target=request.path,
        subprotocols=tuple(token for part in offered.split(",") if (token := part.strip())),
        authorization=authorization[0] if len(authorization) == 1 else None,
        compression=bool(engine.extensions),
        peer_ip=ip,
        tls=tls,
    )


def _refused_response(engine: ServerProtocol, refused: Refused) -> Response:
    response = engine.reject(refused.status, refused.text)
    for name, value in refused.headers.items():
        response.headers[name] = value
    if refused.status == 401 and "WWW-Authenticate" not in response.headers:
        response.headers["WWW-Authenticate"] = 'Basic realm="edgegw"'
    return response
