"""The simulated meter, read by an independent Modbus client, with everything that can be wrong with it."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edgegw.sim.lines import LineProcess
from edgegw.sim.meter import SimMeter

AMPS = (10.0, 20.0, 30.0)


@pytest.fixture
async def meter() -> AsyncIterator[SimMeter]:
    async with SimMeter(lambda: AMPS) as running:
        yield running


class Reader:
    """A client of the meter; closed at the end of the block."""

    def __init__(self, port: int, timeout_s: float = 30.0) -> None:
        self.client = AsyncModbusTcpClient(
            "127.0.0.1", port=port, timeout=timeout_s, retries=0, reconnect_delay=0
        )

    async def __aenter__(self) -> Reader:
        assert await self.client.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.close()

    async def raw(self, address: int, count: int) -> ModbusPDU:
        return await self.client.read_input_registers(address, count=count, device_id=1)

    async def floats(self, address: int, count: int) -> list[float]:
        answer = await self.raw(address, 2 * count)
        assert not answer.isError()
        found = self.client.convert_from_registers(answer.registers, self.client.DATATYPE.FLOAT32)
        return found if isinstance(found, list) else [found]


async def test_it_shows_what_flows(meter: SimMeter):
    async with Reader(meter.port) as reader:
        values = await reader.floats(0, 9)
        volts, amps, watts = values[:3], values[3:6], values[6:]
        assert all(228 < v < 232 for v in volts)
        assert amps == list(AMPS)
        assert watts == pytest.approx([v * a for v, a in zip(volts, amps, strict=True)])
        assert (await reader.floats(52, 1))[0] == pytest.approx(230 * 60, rel=0.01)
        assert (await reader.floats(70, 1))[0] == pytest.approx(50, abs=0.1)
        assert (await reader.floats(72, 1))[0] >= 1234
        serial = await reader.client.read_holding_registers(64512, count=2, device_id=1)
        assert serial.registers[0] << 16 | serial.registers[1] == 20_260_001


async def test_its_voltage_is_never_quite_the_same_unless_it_is_frozen(meter: SimMeter):
    async with Reader(meter.port) as reader:
        assert await reader.floats(0, 9) != await reader.floats(0, 9)
        meter.faults.frozen = True
        frozen = await reader.floats(0, 9)
        assert await reader.floats(0, 9) == frozen
        meter.mend()
        assert await reader.floats(0, 9) != frozen


async def test_wrong_values(meter: SimMeter):
    async with Reader(meter.port) as reader:
        meter.faults.nan = True
        assert all(math.isnan(value) for value in await reader.floats(6, 3))
        assert (await reader.floats(0, 1))[0] > 200
        meter.mend()
        meter.faults.negative = True
        assert await reader.floats(6, 3) == [-10, -20, -30]
        meter.mend()
        straight = (await reader.raw(6, 2)).registers
        meter.faults.swapped = True
        assert (await reader.raw(6, 2)).registers == straight[::-1]
        meter.mend()
        meter.faults.factors = (1.0, 0.0, 0.5)
        assert await reader.floats(6, 3) == [10, 0, 15]


async def test_what_it_does_not_have(meter: SimMeter):
    async with Reader(meter.port) as reader:
        assert (await reader.raw(400, 2)).exception_code == 2
        assert (await reader.raw(0, 81)).exception_code == 3
        assert (await reader.client.write_register(0, 1, device_id=1)).exception_code == 1
        assert not (await reader.raw(100, 2)).isError()


async def test_silent_and_cut(meter: SimMeter):
    async with Reader(meter.port) as reader:
        reader.client.ctx.comm_params.timeout_connect = 0.1  # of answers too
        meter.faults.silent = True
        with pytest.raises(ModbusException):
            await reader.raw(0, 2)
    port = meter.port
    await meter.cut()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):  # it will be back
        other.bind(("127.0.0.1", port))
    meter.mend()
    await meter.start()
    assert meter.port == port
    async with Reader(port) as reader:
        assert await reader.floats(6, 3) == list(AMPS)


async def test_latency(meter: SimMeter):
    meter.faults.latency_s = 0.2
    loop = asyncio.get_running_loop()
    async with Reader(meter.port) as reader:
        began = loop.time()
        await reader.floats(6, 3)
        assert loop.time() - began >= 0.19  # never sooner: a lower bound only


async def test_the_meter_as_a_program():
    async with await LineProcess.start("edgegw.sim.meter", "--building", "10,20,30") as process:
        port = int(process.ready["meter"].rpartition(":")[2])
        async with Reader(port) as reader:
            assert await reader.floats(6, 3) == list(AMPS)
            assert (await process.command("building 5"))["ok"]
            assert await reader.floats(6, 3) == [5, 5, 5]
            assert (await process.command("meter negative on"))["amps"] == [-5, -5, -5]
            assert (await process.command("meter ok"))["ok"]
            assert (await process.command("building auto"))["ok"]
        for wrong in ("meter explode", "building a b", "meter latency", "meter silent maybe", "what"):
            assert not (await process.command(wrong))["ok"]
        assert await process.stop() == 0
