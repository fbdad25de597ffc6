"""One open WebSocket, towards a charger or towards the cloud: the leg both sides share.

Rules of this file:
- An asyncio.Protocol over the Sans-I/O engine of `websockets`: no task, no queue and no await per
  message. Bytes come in, `listener.on_text` is called, bytes go out.
- Everything a peer can make us keep has a limit: message size, fragments, bytes parsed per turn of
  the loop, one pong, the write buffer in bytes and in time.
- The listener hears `on_closed` exactly once, with the close code and a reason in words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from edgegw.links import text_frames
from edgegw.links.keepalive import KeepAlive
from edgegw.links.sockets import bytes_acknowledged, peer_name, tune
from edgegw.runtime.ports import LegListener

OPEN = State.OPEN
TEXT, CONT, PING, PONG, BINARY = Opcode.TEXT, Opcode.CONT, Opcode.PING, Opcode.PONG, Opcode.BINARY

PARSE_BYTES_PER_TURN = 16 * 1024  # tiny frames: about 12 ms of parsing, then others have their turn
FRAGMENTS_MAX = 16 * 1024  # per message: 1 MiB in pieces of 64 bytes
WRITE_HIGH_WATER = 64 * 1024  # above it the stall clock runs
REASON_BYTES_MAX = 123  # RFC 6455 5.5: a control frame carries 125 bytes


@dataclass(frozen=True, slots=True)
class LegSettings:
    """Limits and times of one leg. Times in seconds, sizes in bytes."""

    max_message_bytes: int = 1024 * 1024  # after inflating; above it the leg closes with 1009
    write_buffer_max_bytes: int = 1024 * 1024  # more waiting than this, and no further message is taken
    stall_timeout_s: float = 20.0  # the peer read nothing for so long although much waits for it
    close_timeout_s: float = 5.0
    ping_interval_s: float = 20.0  # 0: no pings
    silence_margin_s: float = 5.0  # a peer that answers pings may be silent for 2 intervals and this


class WebSocketLeg(asyncio.Protocol):
    """A leg after its handshake; satisfies `runtime.ports.Leg`.

    Give it to the transport with `transport.set_protocol(leg)` and then call `start`.
    """

    __slots__ = (
        "_backlog",
        "_cause",
        "_close_timer",
        "_deaf",
        "_engine",
        "_fragment_count",
        "_fragments",
        "_gone",
        "_heard_at",
        "_held",
        "_listener",
        "_on_gone",
        "_on_text",
        "_owed",
        "_parsing_later",
        "_ping_payload",
        "_pong_waiting",
        "_ponged",
        "_probe",
        "_quick_max",
        "_read_frame",
        "_sendable",
        "_settings",
        "_stall_timer",
        "_stalled",
        "_transport",
        "_wheel",
        "_write",
        "_write_frame",
        "peer",
    )

    def __init__(
        self,
        engine: Protocol,
        listener: LegListener,
        settings: LegSettings,
        wheel: KeepAlive,
        on_gone: Callable[[WebSocketLeg], None] | None = None,
    ) -> None:
        self.peer = ""
        self._engine = engine
        self._listener = listener
        self._on_text = listener.on_text
        self._settings = settings
        self._wheel = wheel
        self._on_gone = on_gone
        server = engine.side is Side.SERVER
        self._read_frame = text_frames.read_masked if server else text_frames.read_plain
        self._write_frame = text_frames.write_plain if server else text_frames.write_masked
        self._transport: asyncio.Transport
        self._write: Callable[[bytes], None]
        # Reading.
        self._backlog = bytearray()  # received, not yet parsed
        self._parsing_later = False
        self._held = False  # the listener asked us not to read
        self._deaf = False  # we closed: what still comes is not delivered
        self._owed = 0  # bytes given to the engine that no frame accounts for yet
        self._fragments: bytearray | None = None
        self._fragment_count = 0
        self._quick_max = 0  # longest chunk that may take the short lane; 0 while there is none
        # Writing.
        self._sendable = False
        self._stalled = False
        self._stall_timer: asyncio.TimerHandle | None = None
        self._pong_waiting = b""
        # Life and end.
        self._heard_at = wheel.now
        self._ponged = False
        self._ping_payload = b""
        self._probe: asyncio.Future[bool] | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._cause: tuple[int, str] | None = None
        self._gone = False

    # --- for the handshakes ---------------------------------------------------------------------

    def start(self, transport: asyncio.Transport, early: bytes = b"") -> None:
        """Take over `transport`; call `on_open`; then deliver what came with the handshake."""
        self._transport = transport
        self._write = transport.write
        self.peer = peer_name(transport)
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        tune(transport)
        self._heard_at = self._wheel.now
        if self._settings.ping_interval_s > 0:
            self._wheel.add(self, self._wheel.ticks(self._settings.ping_interval_s))
        self._sendable = True
        self._settle()
        self._listener.on_open(self)
        if early:
            self._parse_later(early)
        else:
            self._go_on_reading()  # the handshake may have stopped it

    # --- runtime.ports.Leg ----------------------------------------------------------------------

    @property
    def subprotocol(self) -> str | None:
        return self._engine.subprotocol

    @property
    def bytes_waiting(self) -> int:
        """Bytes the peer has not taken yet."""
        return 0 if self._gone else self._transport.get_write_buffer_size()

    def send(self, data: bytes) -> None:
        """Send one text message. Never blocks, never raises; a leg that is closing drops it."""
        if self._stalled:
            self._check_write_buffer()
        if not self._sendable:
            return
        if self._engine.extensions:
            try:
                self._engine.send_text(data)
            except InvalidState:
                return  # its close frame is being handled right now
            self._flush(self._engine.data_to_send())
        else:
            self._write(self._write_frame(data))

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; `on_closed` follows within the close timeout."""
        if not self._sendable:
            return
        self._sendable = False
        self._deaf = True
        self._quick_max = 0
        if self._engine.state is OPEN:
            self._engine.send_close(_sendable_code(code), _short(reason))
        self._flush(self._engine.data_to_send())
        self._await_end()
        if self._held:
            self.resume_reading()  # else the peer's close frame would never be read

    def abort(self, reason: str) -> None:
        """Drop the connection now; `on_closed` gets 1006 and `reason`."""
        if self._gone:
            return
        if self._cause is None:
            self._cause = (1006, reason)
        self._sendable = False
        self._deaf = True
        self._quick_max = 0
        self._transport.abort()

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`; at most one turn's bytes are still delivered."""
        self._held = True
        if not self._gone and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if self._held:
            self._held = False
            self._go_on_reading()

    async def is_alive(self, timeout_s: float) -> bool:
        """Ping the peer; True when anything at all arrives from it within `timeout_s`."""
        if self._gone:
            return False
        if self._held or self._backlog:
            return True  # it sent more than we have taken
        if self._probe is None:
            self._probe = asyncio.get_running_loop().create_future()
        probe = self._probe
        self._ping()
        done, _ = await asyncio.wait((probe,), timeout=timeout_s)
        return bool(done) and probe.result()

    # --- asyncio.Protocol -----------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._wheel.now
        if self._probe is not None:
            self._probe.set_result(True)
            self._probe = None
        if len(data) <= self._quick_max:
            text = self._read_frame(data)
            if text is not None:
                self._on_text(text)
                return
        if self._backlog or len(data) > PARSE_BYTES_PER_TURN:
            self._parse_later(data)
        else:
            self._parse(data)

    def eof_received(self) -> None:
        # The connection ends with our own EOF: whoever still sends here must not hear of it as an error.
        self._sendable = False
        self._quick_max = 0
        if self._engine.state is not State.CLOSED:
            self._engine.receive_eof()
            self._flush(self._engine.data_to_send())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._gone:
            return
        self._gone = True
        self._sendable = False
        self._quick_max = 0
        self._wheel.discard(self)
        for timer in (self._close_timer, self._stall_timer):
            if timer is not None:
                timer.cancel()
        self._close_timer = self._stall_timer = None
        if self._probe is not None:
            self._probe.set_result(False)
            self._probe = None
        self._backlog.clear()
        if self._on_gone is not None:
            self._on_gone(self)
        self._listener.on_closed(*self._outcome(exc))

    def pause_writing(self) -> None:
        self._stalled = True
        self._watch_stall()

    def resume_writing(self) -> None:
        self._stalled = False
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
        pong, self._pong_waiting = self._pong_waiting, b""
        if pong:
            self._flush([pong])

    # --- reading --------------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        """Through the engine. Pongs go out first, at most one (RFC 6455 5.5.3); then the messages."""
        engine = self._engine
        if engine.state is State.CLOSED:
            return
        engine.receive_data(data)
        frames = cast("list[Frame]", engine.events_received())
        self._owed += len(data)
        if engine.state is not OPEN:
            self._sendable = False
        self._flush_one_pong(engine.data_to_send(), sum(frame.opcode is PING for frame in frames))
        for frame in frames:
            self._owed -= self._wire_size(len(frame.data))
            if not self._deaf:
                self._take(frame)
        if engine.close_expected():
            self._await_end()
        self._settle()

    def _take(self, frame: Frame) -> None:
        opcode = frame.opcode
        if opcode is TEXT and frame.fin:
            self._on_text(bytes(frame.data))
        elif opcode is TEXT:
            self._fragments = bytearray(frame.data)
            self._fragment_count = 1
        elif opcode is CONT:
            self._take_continuation(frame)
        elif opcode is BINARY:
            self.close(1003, "OCPP messages are text")
        elif opcode is PONG and self._ping_payload and frame.data == self._ping_payload:
            self._ponged = True

    def _take_continuation(self, frame: Frame) -> None:
        assert self._fragments is not None  # the engine refuses a continuation of nothing
        self._fragments += frame.data
        self._fragment_count += 1
        if frame.fin:
            text, self._fragments = bytes(self._fragments), None
            self._on_text(text)
        elif self._fragment_count > FRAGMENTS_MAX:
            self._fragments = None
            self.close(1009, "message in too many fragments")

    def _parse_later(self, data: bytes) -> None:
        """Parse in pieces, one per turn of the loop, and read nothing more until all is parsed."""
        self._backlog += data
        self._quick_max = 0
        if not self._transport.is_closing():
            self._transport.pause_reading()
        self._go_on_reading()

    def _go_on_reading(self) -> None:
        """What is still to be parsed first, then the socket."""
        if self._gone or self._held:
            return
        if self._backlog:
            if not self._parsing_later:
                self._parsing_later = True
                asyncio.get_running_loop().call_soon(self._parse_piece)
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _parse_piece(self) -> None:
        self._parsing_later = False
        if self._gone or self._held:
            return
        piece = bytes(self._backlog[:PARSE_BYTES_PER_TURN])
        del self._backlog[:PARSE_BYTES_PER_TURN]
        self._parse(piece)
        self._go_on_reading()

    def _settle(self) -> None:
        """Open the short lane when the engine stands between two messages."""
        plain = not self._engine.extensions and self._owed == 0 and self._fragments is None
        if plain and self._sendable and not self._backlog:
            self._quick_max = min(self._settings.max_message_bytes, PARSE_BYTES_PER_TURN)
        else:
            self._quick_max = 0

    def _wire_size(self, length: int) -> int:
        """Bytes of the shortest frame of this payload. A longer one leaves `_owed` above 0: no short lane."""
        header = 2 if length < 126 else 4 if length <= 0xFFFF else 10
        return header + length + (4 if self._engine.side is Side.SERVER else 0)

    # --- writing --------------------------------------------------------------------------------

    def _flush(self, writes: list[bytes]) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        for data in writes:
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()

    def _flush_one_pong(self, writes: list[bytes], pings: int) -> None:
        """The engine made one pong per ping, in front; only the last is owed, and none into a full pipe."""
        if pings:
            if self._stalled:
                self._pong_waiting = writes[pings - 1]
                del writes[:pings]
            else:
                del writes[: pings - 1]
        if writes:
            self._flush(writes)

    def _check_write_buffer(self) -> None:
        """Before a further message: one alone may be longer than the limit, and goes out all the same."""
        waiting = self._transport.get_write_buffer_size()
        if waiting > self._settings.write_buffer_max_bytes:
            self.abort(f"{waiting} bytes wait for a peer that does not read them")

    def _watch_stall(self) -> None:
        taken = bytes_acknowledged(self._transport)
        timeout_s = self._settings.stall_timeout_s
        self._stall_timer = asyncio.get_running_loop().call_later(timeout_s, self._judge_stall, taken)

    def _judge_stall(self, taken_before: int) -> None:
        if bytes_acknowledged(self._transport) > taken_before:
            self._watch_stall()  # a slow line, not a dead one
        else:
            self.abort(f"the peer has read nothing for {self._settings.stall_timeout_s:g} s")

    # --- life and end ---------------------------------------------------------------------------

    def visit(self, now: int) -> int | None:
        """The wheel came round: judge the silence, ping, say when to come again."""
        if self._gone or not self._sendable:
            return None
        if self._held or self._backlog:
            self._heard_at = now  # we are the ones who do not listen
        interval = self._wheel.ticks(self._settings.ping_interval_s)
        silence = now - self._heard_at
        if not self._ponged:
            # Many chargers never answer a ping; TCP keep-alive finds the dead ones.
            self._ping()
            return interval
        silence_max = 2 * interval + self._wheel.ticks(self._settings.silence_margin_s)
        if silence >= silence_max:
            self.abort(f"no sign of life for {silence * self._wheel.tick_s:.3g} s")
            return None
        self._ping()
        return min(interval, silence_max - silence)

    def _ping(self) -> None:
        if not self._sendable or self._stalled or self._engine.state is not OPEN:
            return
        self._ping_payload = self._wheel.now.to_bytes(4, "big")
        self._engine.send_ping(self._ping_payload)
        self._flush(self._engine.data_to_send())

    def _await_end(self) -> None:
        if self._close_timer is None and not self._gone:
            loop = asyncio.get_running_loop()
            self._close_timer = loop.call_later(self._settings.close_timeout_s, self._transport.abort)

    def _outcome(self, exc: Exception | None) -> tuple[int, str]:
        """Close code and reason for the listener: whoever closed first is quoted."""
        if self._cause is not None:
            return self._cause
        received, sent = self._engine.close_rcvd, self._engine.close_sent
        if received is not None and (sent is None or self._engine.close_rcvd_then_sent):
            return int(received.code), received.reason
        if sent is not None:
            return int(sent.code), sent.reason
        if isinstance(exc, ConnectionResetError):
            return 1006, "connection reset by the peer"
        if exc is not None:
            return 1006, f"connection lost: {exc}"
        cut = self._owed and not self._engine.extensions
        return 1006, "connection closed in the middle of a frame" if cut else "connection closed"


def _sendable_code(code: int) -> int:
    """A code that may stand in a close frame; 1005, 1006 and 1015 never may (RFC 6455 7.4.1)."""
    standard = 1000 <= code <= 1014 and code not in (1004, 1005, 1006)
    return code if standard or 3000 <= code < 5000 else 1000


def _short(reason: str) -> str:
    return reason.encode()[:REASON_BYTES_MAX].decode(errors="ignore")
