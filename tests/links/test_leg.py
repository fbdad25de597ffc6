"""An open leg on a real socket: messages, limits, keep-alive, closing (faults 14-17, 31, 32)."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import zlib

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from edgegw.links.charger_server import ServerSettings
from edgegw.links.keepalive import KeepAlive
from edgegw.links.sockets import bytes_acknowledged
from edgegw.links.websocket import LegSettings
from tests.links.chaos import DOWN, UP, ChaosProxy
from tests.links.house import DEADLINE_S, Gate, RawPeer, connect, eventually, frame, serving, text

FAST = LegSettings(ping_interval_s=0.0, close_timeout_s=0.5)
V16 = ["ocpp1.6"]


def with_leg(**changes) -> ServerSettings:
    return ServerSettings(leg=LegSettings(**({"ping_interval_s": 0.0, "close_timeout_s": 0.5} | changes)))


async def raw_leg(gate: Gate, port: int):
    """A raw peer with an open leg, and the leg's listener."""
    peer = await RawPeer.connect(port)
    head = await peer.upgrade()
    assert head.startswith(b"HTTP/1.1 101 ")
    await gate.listeners[-1].until_open()
    return peer, gate.listeners[-1]


async def test_messages_pass_both_ways_byte_for_byte():
    gate = Gate(echo=True)
    texts = [
        '[2,"1","Heartbeat",{}]',
        '{"energy": 1.0e3, "ü": "\\u0000"}',
        "x" * 200_000,
        "",
        "y" * 65535,
        "z" * 126,
    ]
    async with serving(gate, with_leg()) as (_, port):
        async with connect(f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=V16, proxy=None) as charger:
            for message in texts:
                await charger.send(message)
                assert await asyncio.wait_for(charger.recv(), DEADLINE_S) == message
        [listener] = gate.listeners
        assert listener.texts == [message.encode() for message in texts]
        assert await listener.until_closed() == (1000, "")


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
async def test_any_fragmentation_by_tcp_gives_the_same_messages(piece):
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port), ChaosProxy(port) as line:
        peer, listener = await raw_leg(gate, line.port)
        line.dribble(piece, 0.0)
        messages = [bytes([i]) * (i * 37 % 300) for i in range(40)]
        await peer.say(b"".join(map(text, messages)))
        assert await listener.until_texts(40) == messages
        line.dribble(0, 0.0)
        await peer.say(text(b"whole again"))
        assert (await listener.until_texts(41))[-1] == b"whole again"
        await peer.close()


async def test_fragments_are_joined_and_the_short_lane_waits_for_their_end():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"one ", fin=False))
        await peer.say(frame(9, b"in between"))
        assert (await peer.hear_frame()).data == b"in between"
        await peer.say(frame(0, b"message"))
        await peer.say(text(b"two"))
        assert await listener.until_texts(2) == [b"one message", b"two"]
        # A whole text frame where a continuation must come is a protocol error, not a message.
        await peer.say(text(b"begun", fin=False))
        await peer.say(frame(9, b""))
        await peer.hear_frame()
        await peer.say(text(b"intruder"))
        assert (await listener.until_closed())[0] == 1002
        assert listener.texts == [b"one message", b"two"]
        await peer.close()


async def test_a_frame_cut_anywhere_is_not_taken_for_a_boundary():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        inner = text(b"inside")
        outer = bytes((0x81, 0x80 | len(inner), 0, 0, 0, 0)) + inner  # a mask of zeros: inner shows as it is
        for cut in range(1, len(outer)):
            await peer.say(outer[:cut])
            await eventually(lambda cut=cut: listener.leg._owed == cut)
            await peer.say(outer[cut:])
            assert (await listener.until_texts(cut))[-1] == inner
        await peer.close()


async def test_fault_14_binary_closes_1003():
    gate = Gate()
    async with serving(gate, with_leg(close_timeout_s=DEADLINE_S)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"good") + frame(2, b"\x00\x01") + text(b"too late"))
        end = await peer.hear_frame()
        assert end.data[:2] == struct.pack("!H", 1003)
        await peer.say(frame(8, end.data))
        await peer.close()
        assert (await listener.until_closed())[0] == 1003
        assert listener.texts == [b"good"]


async def test_fault_15_bytes_that_are_not_utf8_are_the_frame_parsers_business():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"\xff\xfe"))
        [data] = await listener.until_texts(1)
        assert data == b"\xff\xfe"
        listener.leg.close(1007, "not UTF-8")
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1007)
        await peer.close()
        await listener.until_closed()


async def test_fault_15_continuation_flood_is_bounded():
    gate = Gate()
    async with serving(gate, with_leg(max_message_bytes=1000)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"a", fin=False) + frame(0, b"b", fin=False) * 5000)
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1009)
        await peer.close()
        assert (await listener.until_closed())[0] == 1009
        # Empty fragments have no size; their number is bounded.
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"", fin=False) + frame(0, b"", fin=False) * 20_000)
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1009)
        await peer.close()
        assert (await listener.until_closed())[0] == 1009


async def test_fault_15_ping_flood_gets_few_pongs_and_unsolicited_pongs_nothing():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        pings = b"".join(frame(9, struct.pack("!I", i)) for i in range(5000))
        await peer.say(frame(10, b"nobody asked") * 100 + pings + text(b"end"))
        await listener.until_texts(1)
        pongs = 1
        while (last := await peer.hear_frame()).data != struct.pack("!I", 4999):
            assert last.opcode == 10
            pongs += 1
        assert pongs <= 50
        await peer.close()


async def test_fault_16_over_the_size_limit_closes_1009():
    gate = Gate()
    async with serving(gate, with_leg(max_message_bytes=4096)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"x" * 4096))
        assert len((await listener.until_texts(1))[0]) == 4096
        await peer.say(text(b"x" * 4097))
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1009)
        assert (await listener.until_closed())[0] == 1009
        assert len(listener.texts) == 1
        await peer.close()


async def test_fault_16_one_mebibyte_and_one_byte():
    gate = Gate()
    async with (
        serving(gate, with_leg()) as (_, port),
        connect(f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=V16, proxy=None) as charger,
    ):
        await charger.send("x" * 2**20)
        await gate.listeners[0].until_texts(1)
        await charger.send("x" * (2**20 + 1))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(charger.recv(), DEADLINE_S)
        assert charger.close_code == 1009


async def test_fault_17_deflate_bomb_closes_1009():
    gate = Gate(lambda request: gate.admitted("ocpp2.0.1", compression=True))
    async with serving(gate, with_leg()) as (_, port):
        async with connect(
            f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=["ocpp2.0.1"], proxy=None
        ) as charger:
            assert charger.protocol.extensions
            await charger.send("x" * 50 * 2**20)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(charger.recv(), DEADLINE_S)
            assert charger.close_code == 1009
        assert gate.listeners[0].texts == []


async def test_compressed_legs_carry_messages_both_ways_and_keep_no_window():
    gate = Gate(lambda request: gate.admitted("ocpp2.0.1", compression=request.compression), echo=True)
    async with serving(gate, with_leg()) as (_, port):
        url = f"ws://127.0.0.1:{port}/ocpp/CP1"
        async with connect(url, subprotocols=["ocpp2.0.1"], proxy=None) as charger:
            header = charger.response.headers["Sec-WebSocket-Extensions"]
            assert "server_no_context_takeover" in header
            assert "client_no_context_takeover" in header
            assert "server_max_window_bits=12" in header
            for message in ("short", '{"a": 1}' * 5000, ""):
                await charger.send(message)
                assert await asyncio.wait_for(charger.recv(), DEADLINE_S) == message
        assert gate.requests[0].compression
        # Offered, but the gatekeeper said no.
        gate.decide = lambda request: gate.admitted("ocpp1.6")
        async with connect(url, subprotocols=V16, proxy=None) as charger:
            assert "Sec-WebSocket-Extensions" not in charger.response.headers
        # Not offered.
        async with connect(url, subprotocols=V16, proxy=None, compression=None) as charger:
            assert "Sec-WebSocket-Extensions" not in charger.response.headers
        assert [request.compression for request in gate.requests] == [True, True, False]


async def test_a_peer_with_its_own_deflate_window_is_understood():
    gate = Gate(lambda request: gate.admitted("ocpp2.1", compression=True), echo=True)
    factory = ClientPerMessageDeflateFactory(client_max_window_bits=True)
    async with serving(gate, with_leg()) as (_, port):
        url = f"ws://127.0.0.1:{port}/ocpp/CP1"
        async with connect(
            url, subprotocols=["ocpp2.1"], proxy=None, compression=None, extensions=[factory]
        ) as charger:
            message = os.urandom(20_000).hex()
            await charger.send(message)
            assert await asyncio.wait_for(charger.recv(), DEADLINE_S) == message


async def test_inflating_stops_at_the_limit():
    gate = Gate(lambda request: gate.admitted("ocpp2.0.1", compression=True))
    async with serving(gate, with_leg()) as (_, port):
        peer = await RawPeer.connect(port)
        head = await peer.upgrade(more="Sec-WebSocket-Extensions: permessage-deflate\r\n")
        assert b"permessage-deflate" in head
        squeezer = zlib.compressobj(9, zlib.DEFLATED, -12)
        bomb = squeezer.compress(b"\0" * 30 * 2**20) + squeezer.flush(zlib.Z_SYNC_FLUSH)
        data = frame(1, bomb[:-4])
        await peer.say(bytes([data[0] | 0x40]) + data[1:])
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1009)
        await peer.close()


async def test_fault_31_a_peer_that_never_reads_is_dropped_by_bytes():
    gate = Gate()
    async with serving(gate, with_leg(write_buffer_max_bytes=300_000)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        peer.writer.transport.pause_reading()
        leg = listener.leg
        for _ in range(2000):
            leg.send(b"x" * 20_000)
            assert leg.bytes_waiting < 2_000_000
            await asyncio.sleep(0)
            if listener.closed:
                break
        code, reason = await listener.until_closed()
        assert code == 1006
        assert "does not read" in reason
        leg.send(b"into nothing")
        leg.close(1000, "")
        assert len(listener.closed) == 1
        await peer.close()


async def test_fault_31_a_peer_that_never_reads_is_dropped_by_time():
    gate = Gate()
    async with serving(gate, with_leg(write_buffer_max_bytes=2**30, stall_timeout_s=0.3)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        peer.writer.transport.pause_reading()
        for _ in range(100):
            listener.leg.send(b"x" * 100_000)
        code, reason = await listener.until_closed()
        assert code == 1006
        assert "has read nothing for 0.3 s" in reason
        await peer.close()


async def test_a_slow_reader_is_not_a_dead_one():
    """Judged as the stall clock does, each time it took something; a real clock would time the machine."""
    gate = Gate()
    async with (
        serving(gate, with_leg(write_buffer_max_bytes=2**30, stall_timeout_s=600.0)) as (_, port),
        ChaosProxy(port, buffer_bytes=65536) as line,
    ):
        peer, listener = await raw_leg(gate, line.port)
        sock = listener.leg._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        line.dribble(65536, 0.002)
        leg, judged = listener.leg, 0
        for _ in range(40):
            leg.send(b"x" * 100_000)
        taken = bytes_acknowledged(leg._transport)
        for _ in range(40):
            assert len((await peer.hear_frame()).data) == 100_000
            if leg._stalled and bytes_acknowledged(leg._transport) > taken:
                leg._stall_timer.cancel()
                leg._judge_stall(taken)
                taken, judged = bytes_acknowledged(leg._transport), judged + 1
        assert judged > 3
        assert listener.closed == []
        await peer.close()


async def test_one_message_longer_than_the_write_buffer_reaches_a_peer_that_reads():
    """The largest message a charger may send must get through to a cloud on a slow line, and back."""
    gate = Gate()
    async with (
        serving(gate, with_leg(write_buffer_max_bytes=100_000)) as (_, port),
        ChaosProxy(port, buffer_bytes=65536) as line,
    ):
        peer, listener = await raw_leg(gate, line.port)
        sock = listener.leg._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        line.dribble(65536, 0.005)
        listener.leg.send(b"x" * 3_000_000)
        assert listener.leg.bytes_waiting > 100_000
        assert len((await peer.hear_frame()).data) == 3_000_000
        assert listener.closed == []
        await peer.close()


async def test_fault_32_half_open_peer_that_answered_pings_before():
    wheel_tick = 0.02
    gate = Gate()
    settings = with_leg(ping_interval_s=0.2, silence_margin_s=0.1)
    from edgegw.links.charger_server import ChargerServer

    wheel = KeepAlive(wheel_tick)
    server = ChargerServer(gate, settings, wheel)
    [(_, port)] = await server.start("127.0.0.1", 0)
    async with (
        ChaosProxy(port) as line,
        connect(
            f"ws://127.0.0.1:{line.port}/ocpp/CP1",
            subprotocols=V16,
            proxy=None,
            ping_interval=None,
            close_timeout=0.1,
        ),
    ):
        listener = gate.listeners[0]
        # Two pings answered.
        await eventually(lambda: listener.leg._ponged)
        line.freeze()
        code, reason = await listener.until_closed()
        assert code == 1006
        assert reason.startswith("no sign of life for 0.5")
    await server.stop()
    assert wheel.members == 0
    wheel.close()


async def test_a_peer_that_never_answers_pings_stays_as_long_as_tcp_does():
    gate = Gate()
    wheel = KeepAlive(0.01)
    from edgegw.links.charger_server import ChargerServer

    server = ChargerServer(gate, with_leg(ping_interval_s=0.05, silence_margin_s=0.02), wheel)
    [(_, port)] = await server.start("127.0.0.1", 0)
    peer, listener = await raw_leg(gate, port)
    for _ in range(10):
        assert (await peer.hear_frame()).opcode == 9
    await peer.say(text(b"still here"))
    assert await listener.until_texts(1) == [b"still here"]
    assert listener.closed == []
    await peer.close()
    await listener.until_closed()
    await server.stop()
    wheel.close()


async def test_the_kernel_watches_a_silent_peer():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        sock = listener.leg._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        await peer.close()


async def test_is_alive_asks_the_peer():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port), ChaosProxy(port) as line:
        peer, listener = await raw_leg(gate, line.port)
        leg = listener.leg
        asking = asyncio.gather(leg.is_alive(DEADLINE_S), leg.is_alive(DEADLINE_S))
        ping = await peer.hear_frame()
        assert ping.opcode == 9
        await peer.say(frame(10, ping.data))
        assert await asking == [True, True]
        # Any byte is life.
        asking = asyncio.gather(leg.is_alive(DEADLINE_S))
        await peer.hear_frame()
        await peer.say(text(b"busy"))
        assert await asking == [True]
        line.freeze(UP)
        assert await leg.is_alive(0.1) is False
        asking = asyncio.gather(leg.is_alive(DEADLINE_S))
        await asyncio.sleep(0)
        line.reset()
        assert await asking == [False]
        assert await leg.is_alive(DEADLINE_S) is False
        await listener.until_closed()
        await peer.close()


async def test_reset_is_reported_once():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        async with ChaosProxy(port) as line:
            peer, listener = await raw_leg(gate, line.port)
            line.reset()
            assert await listener.until_closed() == (1006, "connection reset by the peer")
            await peer.close()
        assert len(listener.closed) == 1


@pytest.mark.parametrize("cut", [1, 2, 5, 8, 60])
async def test_end_in_the_middle_of_a_frame(cut):
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"whole") + text(b"x" * 60)[:cut])
        await peer.close()
        assert await listener.until_closed() == (1006, "connection closed in the middle of a frame")
        assert listener.texts == [b"whole"]


async def test_end_without_a_closing_handshake():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.close()
        assert await listener.until_closed() == (1006, "connection closed")


@pytest.mark.parametrize(
    "bad",
    [
        b"\xc1\x80\0\0\0\0",
        b"\x83\x80\0\0\0\0",
        b"\x81\x00",
        b"\x89\xfe\x00\x80\0\0\0\0" + b"x" * 128,
        b"\x80\x80\0\0\0\0",
    ],
)
async def test_what_is_no_websocket_frame_closes_1002(bad):
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"before") + bad)
        assert (await peer.hear_frame()).data[:2] == struct.pack("!H", 1002)
        assert (await listener.until_closed())[0] == 1002
        assert listener.texts == [b"before"]
        await peer.close()


async def test_our_close_is_echoed():
    gate = Gate()
    async with (
        serving(gate, with_leg(close_timeout_s=DEADLINE_S)) as (_, port),
        connect(f"ws://127.0.0.1:{port}/ocpp/CP1", subprotocols=V16, proxy=None) as charger,
    ):
        listener = gate.listeners[0]
        listener.leg.close(1012, "é" * 100)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(charger.recv(), DEADLINE_S)
        assert charger.close_code == 1012
        assert charger.close_reason == "é" * 61
        assert await listener.until_closed() == (1012, "é" * 61)


async def test_after_our_close_nothing_is_delivered():
    gate = Gate()
    async with serving(gate, with_leg(close_timeout_s=DEADLINE_S)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        listener.leg.close(1000, "done")
        end = await peer.hear_frame()
        await peer.say(frame(9, b"?"))
        assert (await peer.hear_frame()).opcode == 10
        assert listener.leg._quick_max == 0  # the short lane stays shut
        await peer.say(text(b"too late"))
        await peer.say(frame(9, b"!"))
        assert (await peer.hear_frame()).data == b"!"
        await peer.say(frame(8, end.data))
        await peer.close()
        assert await listener.until_closed() == (1000, "done")
        assert listener.texts == []
        listener.leg.connection_lost(None)  # a TLS transport may tell the handshake and the leg
        assert len(listener.closed) == 1


async def test_codes_that_may_not_be_sent_become_1000():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        listener.leg.close(1006, "as the cloud did")
        assert (await peer.hear_frame()).data == struct.pack("!H", 1000) + b"as the cloud did"
        await peer.close()
        await listener.until_closed()


async def test_a_peer_that_ignores_our_close_is_dropped():
    gate = Gate()
    async with serving(gate, with_leg(close_timeout_s=0.2)) as (_, port):
        peer, listener = await raw_leg(gate, port)
        listener.leg.close(1000, "done")
        listener.leg.close(1001, "again")
        assert await listener.until_closed() == (1000, "done")
        assert len(listener.closed) == 1
        await peer.close()


async def test_messages_before_the_peers_close_arrive():
    gate = Gate(echo=True)
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        await peer.say(text(b"last words") + frame(8, struct.pack("!H", 1001) + b"bye"))
        assert await listener.until_closed() == (1001, "bye")
        assert listener.texts == [b"last words"]
        await peer.close()


async def test_pause_reading_holds_the_peer_back():
    gate = Gate()
    async with serving(gate, with_leg()) as (_, port):
        peer, listener = await raw_leg(gate, port)
        listener.leg.pause_reading()
        flood = asyncio.gather(peer.say(text(b"x" * 1000) * 20_000))
        await eventually(lambda: peer.writer.transport.get_write_buffer_size())
        assert len(listener.texts) <= 300  # one read at most, parsed in pieces
        listener.leg.resume_reading()
        await listener.until_texts(20_000)
        await flood
        await peer.close()


async def test_fault_29_a_flood_leaves_the_others_their_turn():
    gate = Gate(echo=True)
    async with serving(gate, with_leg()) as (_, port):
        flooder, flooded = await raw_leg(gate, port)
        async with connect(f"ws://127.0.0.1:{port}/ocpp/CP2", subprotocols=V16, proxy=None) as charger:
            flooder.writer.write(text(b"") * 100_000)
            before = len(flooded.texts)
            await eventually(lambda: len(flooded.texts) != before)
            await charger.send("me too")
            assert await asyncio.wait_for(charger.recv(), DEADLINE_S) == "me too"
            assert len(flooded.texts) < 100_000
        await flooder.close()


async def test_a_silent_line_downwards_does_not_stop_the_upward_one():
    gate = Gate(echo=True)
    async with serving(gate, with_leg()) as (_, port), ChaosProxy(port) as line:
        peer, listener = await raw_leg(gate, line.port)
        line.freeze(DOWN)
        await peer.say(text(b"up"))
        assert await listener.until_texts(1) == [b"up"]
        line.thaw()
        assert (await peer.hear_frame()).data == b"up"
        await peer.close()
