"""The short lane gives what the engine gives, or nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from edgegw.links import text_frames

LENGTHS = st.one_of(st.integers(0, 300), st.sampled_from([125, 126, 127, 65535, 65536, 70000]))


def engine(server: bool):
    if server:
        return ServerProtocol(state=OPEN)
    return ClientProtocol(parse_uri("ws://cloud/"), state=OPEN)


def engine_reads(server: bool, chunk: bytes) -> list[Frame]:
    protocol = engine(server)
    protocol.receive_data(chunk)
    return protocol.events_received()


@given(LENGTHS, st.booleans())
def test_what_it_writes_the_engine_reads(length, from_server):
    text = bytes(i * 7 & 0xFF for i in range(length))
    write = text_frames.write_plain if from_server else text_frames.write_masked
    [frame] = engine_reads(not from_server, write(text))
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, text, True)


@given(LENGTHS, st.booleans())
def test_what_the_engine_writes_it_reads_or_leaves(length, from_server):
    text = bytes(i * 11 & 0xFF for i in range(length))
    chunk = Frame(Opcode.TEXT, text).serialize(mask=not from_server)
    read = text_frames.read_plain if from_server else text_frames.read_masked
    assert read(chunk) == (text if length <= 65535 else None)


@given(st.binary(max_size=40), st.booleans(), st.integers(0, 255), st.integers(0, 255))
def test_it_never_reads_what_the_engine_does_not(noise, from_server, first, second):
    for chunk in (noise, bytes((0x81, second)) + noise, bytes((first, second)) + noise):
        text = (text_frames.read_plain if from_server else text_frames.read_masked)(chunk)
        if text is not None:
            [frame] = engine_reads(not from_server, chunk)
            assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.TEXT, text, True)


def test_every_mask_is_fresh():
    assert len({text_frames.write_masked(b"same") for _ in range(50)}) == 50
