"""The meters of these tests: programs and libraries that are not the gateway's, filled with known values."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edgegw.meters.template import load_templates
from tests.e2e.children import DEADLINE_S, Children
from tests.interop.peers import Program
from tests.meters.lying_proxy import crc

GOLDEN = Path(__file__).parent / "golden"
INTEROP = Path(__file__).parent.parent / "interop"


def f32(value: float) -> list[int]:
    """Two words, the most significant first."""
    return list(struct.unpack(">HH", struct.pack(">f", value)))


def sdm630(
    amps: Sequence[float] = (10.0, 11.0, 12.0), volts: Sequence[float] = (230.1, 229.8, 231.0)
) -> dict[int, list[int]]:
    """Input registers of an Eastron SDM630 at cos phi 1: address -> words."""
    watts = [amp * volt for amp, volt in zip(amps, volts, strict=True)]
    values = dict(zip((0, 2, 4, 6, 8, 10, 12, 14, 16), (*volts, *amps, *watts), strict=True))
    values |= {30: 1.0, 32: 1.0, 34: 1.0, 52: sum(watts), 62: 1.0, 70: 50.02, 72: 1234.5, 74: 0.0}
    table = {address: [0, 0] for address in range(0, 380, 2)}
    return table | {address: f32(value) for address, value in values.items()}


def golden(template: str) -> dict[int, int]:
    """The registers of one meter; those that it answers in its gaps are 0."""
    dump = tomllib.loads((GOLDEN / f"{template}.toml").read_text())["registers"]
    words: dict[int, int] = {}
    for start, row in dump.items():
        data = bytes.fromhex(row)
        for at in range(0, len(data), 2):
            words[int(start) + at // 2] = int.from_bytes(data[at : at + 2], "big")
    known = sorted(words)
    for before, after in pairwise(known):
        if after - before - 1 <= load_templates()[template].gap_max:
            words |= dict.fromkeys(range(before + 1, after), 0)
    return words


def marks(template: str) -> dict[int, int]:
    """The registers by which this meter says who it is."""
    words: dict[int, int] = {}
    for mark in load_templates()[template].identify:
        expected = mark.values[0] if mark.values else mark.prefix
        if not expected:
            continue
        if isinstance(expected, int):
            data = expected.to_bytes(2 * mark.count, "big")
        else:
            data = expected.encode({"utf16": "utf-16-be", "ascii": "ascii"}[mark.type])
        data = data.ljust(2 * mark.count, b"\0")
        for at in range(0, len(data), 2):
            words[mark.address + at // 2] = int.from_bytes(data[at : at + 2], "big")
    return words


def sunspec(model_words: Mapping[int, int], model: int, at: int = 40000) -> dict[int, int]:
    """A device with the common model and a meter's, whose words count from the model's start."""
    length = 105 if model < 211 else 124
    words = dict.fromkeys(range(at, at + 70 + 2 + length + 2), 0)
    words |= {at: 0x5375, at + 1: 0x6E53, at + 2: 1, at + 3: 66, at + 70: model, at + 71: length}
    words |= {at + 70 + offset: word for offset, word in model_words.items()}
    return words | {at + 70 + 2 + length: 0xFFFF}


def _rows(words: Mapping[int, int]) -> Iterator[tuple[int, list[int]]]:
    """Words that follow each other, together."""
    start, row = -1, list[int]()
    for address in sorted(words):
        if address != start + len(row):
            if row:
                yield start, row
            start, row = address, []
        row.append(words[address])
    if row:
        yield start, row


class NodeMeter(Program):
    """meter.js: modbus-serial's ServerTCP."""

    port: int

    async def fill_meter(self, template: str, unit: int) -> None:
        """As tests/meters/golden has this meter, in the function that its template reads."""
        words = golden(template)
        if load_templates()[template].models:
            words = sunspec(words, load_templates()[template].models[-2])
        else:
            words |= marks(template)
        for start, row in _rows(words):
            await self.fill({start: row}, unit=unit, function=load_templates()[template].function)

    async def fill(self, table: Mapping[int, Sequence[int]], *, unit: int = 1, function: int = 4) -> None:
        for address, words in table.items():
            await self.do("fill", unit=unit, kind=function, address=address, words=list(words))


async def node_meter(children: Children) -> NodeMeter:
    """Skips the test where node or its packages are missing."""
    node = shutil.which("node")
    if node is None or not (INTEROP / "node_modules" / "modbus-serial").is_dir():
        pytest.skip("needs node and the packages of tests/interop: run make interop")
    meter = NodeMeter(await children.start("meter", node, str(INTEROP / "meter.js"), stdin=True))
    meter.port = (await meter.wait("listening"))["port"]
    return meter


@asynccontextmanager
async def rtu_meter(words: Sequence[int], unit: int = 1) -> AsyncIterator[int]:
    """The port of pymodbus' server that speaks RTU over TCP; register n holds words[n], holding and input."""
    device = SimDevice(unit, simdata=[SimData(0, values=list(words), datatype=DataType.REGISTERS)])
    server = ModbusTcpServer(device, framer=FramerType.RTU, address=("127.0.0.1", 0))
    await server.serve_forever(background=True)
    try:
        yield server.transport.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


class PtyMeter:
    """A meter at the other end of a serial line that is a pseudo terminal. Register n holds 1000 + n."""

    def __init__(self) -> None:
        self._mine, self._theirs = os.openpty()
        self.device = os.ttyname(self._theirs)
        self.asked = 0
        self.mute = 0  # requests that it does not answer, but keeps the answer of
        self._kept = b""
        self._buffer = b""

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._mine, self._read)

    def close(self) -> None:
        if self._mine >= 0:
            self.pull_out()

    def pull_out(self) -> None:
        """Whoever has the line open loses it, and it cannot be opened again."""
        asyncio.get_running_loop().remove_reader(self._mine)
        os.close(self._mine)
        os.close(self._theirs)
        self._mine = -1

    def speak_late(self) -> None:
        """The answer that was kept, now."""
        os.write(self._mine, self._kept)

    def _read(self) -> None:
        with suppress(OSError):
            self._buffer += os.read(self._mine, 256)
        while len(self._buffer) >= 8:
            request, self._buffer = self._buffer[:8], self._buffer[8:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        self.asked += 1
        address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
        words = b"".join((1000 + address + n).to_bytes(2, "big") for n in range(count))
        body = bytes([request[0], request[1], len(words)]) + words
        if self.mute:
            self.mute -= 1
            self._kept = body + crc(body)
            return
        os.write(self._mine, body + crc(body))


async def until(is_so: Callable[[], object]) -> None:
    """Wait for something that no event tells."""
    async with asyncio.timeout(DEADLINE_S):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.002)
