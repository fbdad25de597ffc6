"""One line to meters, against servers that are late, lie, or vanish."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerType

from edgegw.meter_address import parse_address
from edgegw.meters.connection import MeterConnection, MeterFault
from edgegw.meters.decode import Block
from tests.e2e.children import DEADLINE_S
from tests.meters import lying_proxy as lies
from tests.meters.counterparts import NodeMeter, PtyMeter, rtu_meter, until
from tests.meters.lying_proxy import LyingProxy, lying_proxy

WORDS = list(range(1000, 1100))
PATIENT_S = DEADLINE_S  # nothing in the test waits for it: an answer, or the fault, comes at once
HASTY_S = 0.15  # for answers that never come
MARKERS = (Block(3, 0, 1), Block(3, 0, 2), Block(3, 0, 3))


@pytest.fixture
async def tcp(meter: NodeMeter) -> AsyncIterator[LyingProxy]:
    await meter.fill({0: WORDS}, function=3)
    async with lying_proxy(meter.port) as proxy:
        yield proxy


@pytest.fixture
async def rtu() -> AsyncIterator[LyingProxy]:
    async with rtu_meter(WORDS) as port, lying_proxy(port, rtu=True) as proxy:
        yield proxy


@pytest.fixture
async def connect() -> AsyncIterator[object]:
    made: list[MeterConnection] = []

    def connect(text: str, **options) -> MeterConnection:
        made.append(MeterConnection(parse_address(text), **options))
        return made[-1]

    yield connect
    for one in made:
        await one.close()


async def registers(line: MeterConnection, address: int, count: int = 4, timeout_s=PATIENT_S, **more):
    return (await line.read(1, Block(3, address, count), timeout_s, **more)).registers


async def in_the_end(line: MeterConnection, address: int, late: int = 1, **more) -> tuple[int, ...]:
    """What is read once an answer comes in time: this machine may be slower than a hasty reader waits.

    late: answers that may still be on their way. Only a late one, also of our own haste, may cost reads.
    """
    lost = 0
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await registers(line, address, timeout_s=HASTY_S, **more)
            except MeterFault as fault:
                is_slow = "no answer within" in str(fault)
                late, lost = late + is_slow, lost + (not is_slow)
                if lost > 2 * late:
                    raise


def right(address: int, count: int = 4) -> tuple[int, ...]:
    return tuple(WORDS[address : address + count])


# --- what works -----------------------------------------------------------------------------------


async def test_registers_of_both_kinds(meter: NodeMeter, connect):
    await meter.fill({7: [1, 2]}, function=3)
    await meter.fill({7: [3, 4]}, function=4)
    line = connect(f"tcp://127.0.0.1:{meter.port}")
    assert (await line.read(1, Block(3, 7, 2), PATIENT_S)).registers == (1, 2)
    assert (await line.read(1, Block(4, 7, 2), PATIENT_S)).registers == (3, 4)
    assert line.opened == 1


async def test_requests_of_many_are_one_after_the_other(tcp: LyingProxy, connect):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    found = await asyncio.gather(*(registers(line, address) for address in range(20)))
    assert found == [right(address) for address in range(20)]
    assert tcp.connections == 1


async def test_rtu_over_tcp(rtu: LyingProxy, connect):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    assert await registers(line, 5) == right(5)
    assert await registers(line, 50, 40) == right(50, 40)


# --- fault 72: what a device or a gateway may answer ----------------------------------------------


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 10, 11])
async def test_fault_72_an_exception_is_an_error_in_words(tcp: LyingProxy, connect, code: int):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    tcp.once.append(lies.exception(code))
    with pytest.raises(MeterFault, match=f"exception {code}: (it|the gateway)") as caught:
        await registers(line, 0)
    assert (caught.value.kind, caught.value.code) == ("exception", code)
    assert await registers(line, 4) == right(4)
    assert tcp.connections == 1  # an exception is an answer: the line is in order


@pytest.mark.parametrize("code", [1, 2, 6, 11])
async def test_fault_72_an_exception_under_rtu(rtu: LyingProxy, connect, code: int):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    rtu.once.append(lies.exception(code))
    with pytest.raises(MeterFault, match=f"exception {code}"):
        await registers(line, 0)
    assert await registers(line, 4) == right(4)


TCP_LIES = {
    "unit": (lies.unit(7), "unit 7 answered in place of unit 1"),
    "function": (lies.function(4), "function 4 was answered, asked was 3"),
    "no transaction": (lies.transaction(0), "without a transaction id"),
    "fewer": (lies.shorter(1), "asked were 8"),
}


@pytest.mark.parametrize("lie", TCP_LIES)
async def test_fault_72_a_wrong_answer_is_refused_at_once(tcp: LyingProxy, connect, lie: str):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    tell, words = TCP_LIES[lie]
    tcp.once.append(tell)
    with pytest.raises(MeterFault, match=words) as caught:
        await registers(line, 0)
    assert caught.value.kind == "wrong_answer"
    assert await registers(line, 4) == right(4)
    assert tcp.connections == 2  # what else comes down that connection is anybody's guess


@pytest.mark.parametrize("lie", [lies.older_transaction, lies.transaction(4711)])
async def test_fault_72_the_answer_to_another_transaction_is_skipped(tcp: LyingProxy, connect, lie):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    assert await registers(line, 0) == right(0)
    assert await registers(line, 0) == right(0)
    tcp.once.append(lie)
    with pytest.raises(MeterFault):
        await registers(line, 4, timeout_s=HASTY_S)
    assert await registers(line, 8) == right(8)


@pytest.mark.parametrize("missing", [1, 5, 9, 16])
async def test_fault_72_a_short_frame_is_no_answer(tcp: LyingProxy, connect, missing: int):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    tcp.once.append(lies.cut(missing))
    with pytest.raises(MeterFault):
        await registers(line, 0, timeout_s=HASTY_S)
    for address in (4, 8, 12):
        assert await in_the_end(line, address) == right(address)


@pytest.mark.parametrize("missing", [1, 3, 8, 12])
async def test_fault_72_a_short_frame_under_rtu_is_no_answer(rtu: LyingProxy, connect, missing: int):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    rtu.once.append(lies.cut(missing))
    with pytest.raises(MeterFault):
        await registers(line, 0, timeout_s=HASTY_S)
    for address in (4, 8, 12):
        assert await in_the_end(line, address) == right(address)


@pytest.mark.parametrize("lie", [lies.unit(7), lies.shorter(1), lies.function(4)])
async def test_fault_72_a_wrong_answer_under_rtu(rtu: LyingProxy, connect, lie):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    rtu.once.append(lie)
    with pytest.raises(MeterFault):
        await registers(line, 0, timeout_s=HASTY_S)
    assert await in_the_end(line, 4) == right(4)
    assert rtu.connections >= 2


async def test_fault_72_noise_before_an_rtu_frame_is_passed_over(rtu: LyingProxy, connect):
    """Transceivers without bias put a byte on the line when they turn round; the check sum holds."""
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    rtu.once.append(lies.garbage(b"\0"))
    assert await registers(line, 3) == right(3)


async def test_fault_72_a_closed_connection_is_told_at_once_and_opened_again(tcp: LyingProxy, connect):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    tcp.once.append(lies.close)
    with pytest.raises(MeterFault, match="connection was closed") as caught:
        await registers(line, 0)
    assert caught.value.kind == "no_answer"
    assert await registers(line, 4) == right(4)


async def test_fault_72_three_misses_open_a_tcp_connection_again(tcp: LyingProxy, connect):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    tcp.once.extend([lies.drop] * 3)
    for _ in range(3):
        with pytest.raises(MeterFault, match="no answer within"):
            await registers(line, 0, timeout_s=HASTY_S)
    assert await registers(line, 0) == right(0)
    assert tcp.connections == 2


async def test_who_is_not_there_is_named_with_the_reason(meter: NodeMeter, connect):
    line = connect(f"tcp://127.0.0.1:{meter.port}")
    await meter.do("cut")
    with pytest.raises(MeterFault, match="cannot be opened: Connection refused") as caught:
        await line.read(1, Block(3, 0, 1), PATIENT_S)
    assert caught.value.kind == "unreachable"
    await meter.do("restore")
    await meter.fill({0: [5]}, function=3)
    assert (await line.read(1, Block(3, 0, 1), PATIENT_S)).registers == (5,)


async def test_a_serial_device_that_is_not_there(connect, tmp_path):
    line = connect("rtu:///dev/no-such-line")
    with pytest.raises(MeterFault, match=r"/dev/no-such-line cannot be opened: .*No such file") as caught:
        await line.read(1, Block(3, 0, 1), PATIENT_S)
    assert caught.value.kind == "unreachable"


# --- fault 72: the late answer --------------------------------------------------------------------


async def test_fault_72_control_pymodbus_alone_reads_one_behind_for_ever(rtu: LyingProxy):
    """What the rules of `connection` are for. If this fails, the library has learned to defend itself."""
    client = AsyncModbusTcpClient(
        "127.0.0.1", port=rtu.port, framer=FramerType.RTU, timeout=HASTY_S, retries=0, reconnect_delay=0
    )
    assert await client.connect()
    rtu.always.append(lies.late("next request"))
    with pytest.raises(ModbusException):
        await client.read_holding_registers(10, count=2)
    client.ctx.comm_params.timeout_connect = DEADLINE_S  # of answers too
    found = [(await client.read_holding_registers(at, count=2)).registers[0] for at in (20, 30, 40)]
    client.close()
    await asyncio.sleep(0)
    assert found == [1010, 1020, 1030]


async def test_fault_72_late_once_for_the_next_request(rtu: LyingProxy, connect):
    """The converter hands the late answer to the new connection, just before the one asked for."""
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    await no_stale_value(line, rtu, lies.late("next request"))


async def test_fault_72_late_once_for_the_next_connection(rtu: LyingProxy, connect):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    await no_stale_value(line, rtu, lies.late("next connection"))


async def no_stale_value(line: MeterConnection, proxy: LyingProxy, lie: lies.Lie) -> None:
    assert await registers(line, 0, markers=MARKERS) == right(0)
    proxy.once.append(lie)
    for address in range(10, 60, 4):
        assert await in_the_end(line, address, markers=MARKERS) == right(address)


async def test_fault_72_always_late_is_never_believed(rtu: LyingProxy, connect):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    assert await registers(line, 0, markers=MARKERS) == right(0)
    rtu.always.append(lies.late("next request"))
    for address in range(10, 40, 4):
        with pytest.raises(MeterFault):
            await registers(line, address, timeout_s=0.05, markers=MARKERS)
    rtu.always.clear()
    seen = [await in_the_end(line, 40, late=8, markers=MARKERS) for _ in range(3)]
    assert seen == [right(40)] * 3


async def test_fault_72_without_markers_silence_alone_must_do(rtu: LyingProxy, connect):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    assert await registers(line, 0) == right(0)
    rtu.once.append(lies.late("next connection"))
    with pytest.raises(MeterFault):
        await registers(line, 10, timeout_s=HASTY_S)
    assert await in_the_end(line, 20) == right(20)
    assert line.late >= 1


async def test_fault_72_late_under_modbus_tcp(tcp: LyingProxy, connect):
    line = connect(f"tcp://127.0.0.1:{tcp.port}")
    assert await registers(line, 0) == right(0)
    tcp.once.append(lies.late("next request"))
    with pytest.raises(MeterFault, match="no answer within"):
        await registers(line, 10, timeout_s=HASTY_S)
    for address in (20, 30, 40):
        assert await registers(line, address) == right(address)
    assert tcp.connections == 1


async def test_fault_72_an_answer_twice_does_not_shift_the_next_ones(rtu: LyingProxy, connect):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    assert await registers(line, 0, markers=MARKERS) == right(0)
    old = bytes([1, 3, 8]) + b"".join(word.to_bytes(2, "big") for word in right(70))
    await rtu.speak(old + lies.crc(old))
    await until(lambda: line.late)
    before = len(rtu.asked)
    assert await in_the_end(line, 10, markers=MARKERS) == right(10)
    assert rtu.asked[before].count == MARKERS[0].count  # a marker first: what came was not asked for
    assert await in_the_end(line, 20, markers=MARKERS) == right(20)


async def test_another_master_on_the_line_is_named(rtu: LyingProxy, connect):
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    assert await registers(line, 0) == right(0)
    rtu.once.append(lies.drop)
    with pytest.raises(MeterFault):
        await registers(line, 0, timeout_s=HASTY_S)

    async def chatter() -> None:
        while True:
            await rtu.speak(b"\x05\x03\x00\x00\x00\x02\xc4\x4f")
            await asyncio.sleep(0.02)

    why, talking = "", asyncio.create_task(chatter())
    try:
        async with asyncio.timeout(DEADLINE_S):
            while "another master" not in why:
                with pytest.raises(MeterFault) as caught:
                    await registers(line, 0, timeout_s=HASTY_S)
                why = str(caught.value)
    finally:
        talking.cancel()


async def test_who_gives_up_leaves_no_answer_behind(rtu: LyingProxy, connect):
    """Two meters on one line: one poller is stopped while it waits."""
    line = connect(f"rtu+tcp://127.0.0.1:{rtu.port}")
    assert await registers(line, 0, markers=MARKERS) == right(0)
    rtu.once.append(lies.late("next request"))
    asked = len(rtu.asked)
    impatient = asyncio.create_task(registers(line, 10, markers=MARKERS))
    await rtu.until(lambda: len(rtu.asked) > asked)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    seen = {await in_the_end(line, 20, markers=MARKERS) for _ in range(3)}
    assert seen == {right(20)}


# --- a serial line --------------------------------------------------------------------------------


@pytest.fixture
async def pty() -> AsyncIterator[PtyMeter]:
    meter = PtyMeter()
    meter.start()
    yield meter
    meter.close()


async def test_a_serial_line(pty: PtyMeter, connect):
    line = connect(f"rtu://{pty.device}?baud=19200")
    assert await registers(line, 5, markers=MARKERS) == right(5)
    assert await registers(line, 6, markers=MARKERS) == right(6)
    assert pty.asked == 3  # and the marker, once


async def test_a_serial_device_that_does_not_take_the_settings(pty: PtyMeter, connect):
    line = connect(f"rtu://{pty.device}?parity=E")  # a pseudo terminal has no parity
    with pytest.raises(MeterFault, match="cannot be opened") as caught:
        await registers(line, 5)
    assert caught.value.kind == "unreachable"


async def test_fault_72_late_on_a_serial_line(pty: PtyMeter, connect):
    line = connect(f"rtu://{pty.device}?baud=115200")
    assert await registers(line, 5, markers=MARKERS) == right(5)
    pty.mute = 1
    with pytest.raises(MeterFault, match="no answer within"):
        await registers(line, 10, timeout_s=HASTY_S, markers=MARKERS)
    again = asyncio.create_task(in_the_end(line, 20, markers=MARKERS))
    await until(lambda: line.opened >= 2)
    pty.speak_late()
    assert await again == right(20)


async def test_a_serial_adapter_that_is_pulled_out(pty: PtyMeter, connect):
    line = connect(f"rtu://{pty.device}")
    assert await registers(line, 5) == right(5)
    pty.pull_out()
    with pytest.raises(MeterFault) as caught:
        await registers(line, 5)
    assert caught.value.kind in ("no_answer", "unreachable")
    with pytest.raises(MeterFault, match="cannot be opened") as caught:
        await registers(line, 5)
    assert caught.value.kind == "unreachable"


async def test_a_pause_between_an_answer_and_the_next_request(tcp: LyingProxy, connect):
    line = connect(f"tcp://127.0.0.1:{tcp.port}", pause_s=0.1)
    first = await line.read(1, Block(3, 0, 2), PATIENT_S)
    second = await line.read(1, Block(3, 0, 2), PATIENT_S)
    assert second.at - first.at >= 0.1
