"""A meter that is polled: what is delivered, what never is, and what people are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from edgegw.balance.model import Reading
from edgegw.errors import ConfigFault
from edgegw.meters.connection import Lines
from edgegw.meters.plausible import MeterOptions, Plausibility
from edgegw.meters.poller import MeterPoller, PollerSettings, markers
from edgegw.meters.template import find, load_templates
from edgegw.runtime import clock
from tests.e2e.children import DEADLINE_S
from tests.meters import lying_proxy as lies
from tests.meters.counterparts import NodeMeter, f32, rtu_meter, sdm630, until
from tests.meters.lying_proxy import LyingProxy, lying_proxy

TEMPLATES = load_templates()
SDM630 = TEMPLATES["eastron_sdm630"]
HASTY_S = 0.15  # for answers that never come


class Desk:
    """Makes pollers and writes down what they tell."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.troubles: list[tuple[str, str]] = []
        self.on_reading: Callable[[Reading], None] = self.readings.append
        self._made: list[MeterPoller] = []

    def poller(self, address: str, template=SDM630, *, lines: Lines | None = None, **more) -> MeterPoller:
        options = MeterOptions(frozen_after_s=more.pop("frozen_after_s", 30.0))
        settings = PollerSettings(
            name=more.pop("name", "main"),
            address=address,
            unit=more.pop("unit", 1),
            poll_interval_s=more.pop("poll_interval_s", 0.05),
            timeout_s=more.pop("timeout_s", DEADLINE_S),
        )
        plausibility = Plausibility(template, options)
        poller = MeterPoller(settings, template, plausibility, self._reading, self._trouble, lines)
        self._made.append(poller)
        return poller

    def _reading(self, name: str, reading: Reading) -> None:
        self.on_reading(reading)

    def _trouble(self, name: str, kind: str, text: str) -> None:
        self.troubles.append((kind, text))

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.troubles]

    async def close(self) -> None:
        for poller in self._made:
            await poller.stop()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.close()


@pytest.fixture
async def proxy(meter: NodeMeter) -> AsyncIterator[LyingProxy]:
    await meter.fill(sdm630())
    async with lying_proxy(meter.port) as proxy:
        yield proxy


# --- what is delivered ----------------------------------------------------------------------------


async def test_a_reading_carries_the_instant_of_its_answer(proxy: LyingProxy, desk: Desk):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}")
    before = clock.now().mono
    await poller.poll()
    [reading] = desk.readings
    assert before < reading.at <= clock.now().mono
    assert reading.current_a == pytest.approx((10.0, 11.0, 12.0))
    assert reading.voltage_v == pytest.approx((230.1, 229.8, 231.0))
    assert reading.import_wh == pytest.approx(1_234_500)
    status = poller.status
    assert (status.polls, status.good, status.misses, status.errors) == (1, 1, 0, {})
    assert status.reading == reading
    assert status.reading_age_s is not None
    assert status.latency_s is not None


async def test_energy_is_read_in_every_tenth_poll(proxy: LyingProxy, desk: Desk):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}")
    for _ in range(21):
        await poller.poll()
    known = [number for number, reading in enumerate(desk.readings) if reading.import_wh is not None]
    assert known == [0, 10, 20]
    assert all(asked.address + asked.count <= 72 for asked in proxy.asked[1:10])


async def test_polls_go_on_until_stop(proxy: LyingProxy, desk: Desk):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", poll_interval_s=0.02)
    poller.start()
    await until(lambda: len(desk.readings) >= 5)
    await poller.stop()
    asked = len(proxy.asked)
    assert [reading.at for reading in desk.readings] == sorted(reading.at for reading in desk.readings)
    await proxy.speak(b"")
    assert len(proxy.asked) == asked


async def test_polls_that_are_late_are_skipped_and_never_queued(proxy: LyingProxy, desk: Desk):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", poll_interval_s=0.04, timeout_s=0.4)
    proxy.once.append(lies.drop)
    began = clock.now().mono
    poller.start()
    await until(lambda: len(desk.readings) >= 2)
    await poller.stop()
    status = poller.status
    assert status.skipped >= 9  # 0.4 s in steps of 0.04 s
    assert status.polls > status.good
    instants = (clock.now().mono - began) / 0.04 + 1
    assert status.polls + status.skipped <= instants + 1  # each waits for its own; the last was cut short


async def test_a_meter_with_an_interval_of_its_own_is_not_asked_faster(desk: Desk):
    slow = next(one for one in TEMPLATES.values() if one.min_interval_s)
    poller = desk.poller("tcp://127.0.0.1:1", slow, poll_interval_s=0.2)
    assert poller._interval_s == slow.min_interval_s


# --- fault 72: what is never delivered ------------------------------------------------------------

NAN = [0x7FC0, 0x0000]
IMPLAUSIBLE = {
    "NaN": lies.put(6, NAN),
    "0x80000000": lies.put(0, [0x8000, 0x0000]),
    "0xFFFF": lies.put(6, [0xFFFF, 0xFFFF]),
    "all 0xFFFF": lies.put(0, [0xFFFF] * 76),
    "all zero": lies.put(0, [0] * 76),
    "word-swapped": lies.swapped,
    "no voltage": lies.put(0, f32(0.0)),
    "one transformer the wrong way round": lies.put(12, f32(-2301.0)),
    "absurd current": lies.put(6, f32(1e9)),
    "absurd frequency": lies.put(70, f32(13.0)),
}


@pytest.mark.parametrize("lie", IMPLAUSIBLE)
async def test_fault_72_implausible_values_are_never_delivered(proxy: LyingProxy, desk: Desk, lie: str):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}")
    await poller.poll()
    proxy.always.append(IMPLAUSIBLE[lie])
    for _ in range(4):
        await poller.poll()
    assert len(desk.readings) == 1
    assert desk.kinds == ["meter_implausible"]  # once, with its reason
    assert desk.troubles[0][1]
    assert poller.status.trouble == desk.troubles[0][1]
    assert sum(poller.status.errors.values()) == poller.status.misses == 4
    proxy.always.clear()
    for _ in range(4):
        await poller.poll()
    assert len(desk.readings) == 5
    assert desk.kinds == ["meter_implausible", "meter_ok"]
    assert poller.status.trouble == ""


async def test_fault_72_a_frozen_meter_is_not_believed(meter: NodeMeter, desk: Desk):
    await meter.fill(sdm630())
    async with lying_proxy(meter.port) as proxy:
        proxy.always.append(lies.frozen())
        poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", frozen_after_s=0.1)
        poller.start()
        await until(lambda: desk.troubles)
        assert desk.kinds == ["meter_implausible"]
        assert "same" in desk.troubles[0][1]
        delivered = len(desk.readings)
        polls = poller.status.polls
        await until(lambda: poller.status.polls >= polls + 3)
        assert len(desk.readings) == delivered
        await poller.stop()


async def test_fault_72_a_flickering_fault_is_told_once(proxy: LyingProxy, desk: Desk):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}")
    for _ in range(10):
        proxy.once.append(lies.put(6, NAN))
        await poller.poll()
        await poller.poll()
    assert len(desk.readings) == 10
    assert desk.kinds == ["meter_implausible"]


# --- fault 72: no usable answer -------------------------------------------------------------------


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 11])
async def test_fault_72_an_exception_is_told_after_three_polls(proxy: LyingProxy, desk: Desk, code: int):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}")
    proxy.always.append(lies.exception(code))
    for _ in range(5):
        await poller.poll()
    assert desk.readings == []
    assert desk.kinds == ["meter_exception"]
    assert f"exception {code}" in desk.troubles[0][1]
    assert poller.status.errors == {"exception": 5}


async def test_fault_72_one_lost_answer_is_counted_and_not_told(proxy: LyingProxy, desk: Desk):
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", timeout_s=HASTY_S)
    proxy.once.append(lies.drop)
    await poller.poll()
    poller.settings = msgspec.structs.replace(poller.settings, timeout_s=DEADLINE_S)
    for _ in range(2):
        await poller.poll()
    assert len(desk.readings) == 2
    assert desk.troubles == []
    assert poller.status.errors == {"no_answer": 1}


async def test_a_meter_that_is_gone_and_comes_back(meter: NodeMeter, desk: Desk):
    await meter.fill(sdm630())
    poller = desk.poller(f"tcp://127.0.0.1:{meter.port}")
    await poller.poll()
    await meter.do("cut")
    for _ in range(5):
        await poller.poll()
    assert desk.kinds == ["meter_unreachable"]
    assert "cannot be opened" in desk.troubles[0][1]
    await meter.do("restore")
    for _ in range(3):
        await poller.poll()
    assert desk.kinds == ["meter_unreachable", "meter_ok"]
    assert len(desk.readings) == 4
    assert poller.status.opened == 2


async def test_a_meter_that_comes_up_after_the_gateway(meter: NodeMeter, desk: Desk):
    await meter.fill(sdm630())
    await meter.do("cut")
    poller = desk.poller(f"tcp://127.0.0.1:{meter.port}", poll_interval_s=0.02)
    poller.start()
    await until(lambda: desk.troubles)
    await meter.do("restore")
    await until(lambda: desk.readings)


async def test_fault_72_late_answers_under_rtu_are_never_delivered(desk: Desk):
    """Two states of a meter: while answers are late only the present one may be told."""
    table = sdm630()
    words = [word for address in range(0, 380, 2) for word in table[address]]
    async with rtu_meter(words) as port, lying_proxy(port, rtu=True) as proxy:
        poller = desk.poller(f"rtu+tcp://127.0.0.1:{proxy.port}", timeout_s=HASTY_S)
        while not desk.readings:
            await poller.poll()
        proxy.once.append(lies.late("next request"))
        await poller.poll()  # its answer is on its way, with 10 A on L1
        proxy.always.append(lies.put(6, f32(20.0)))
        proxy.always.append(lies.put(12, f32(20.0 * 230.1)))
        proxy.always.append(lies.put(52, f32(20.0 * 230.1 + 11.0 * 229.8 + 12.0 * 231.0)))
        while len(desk.readings) < 6:
            await poller.poll()
        assert {round(reading.current_a[0] or 0) for reading in desk.readings[1:]} == {20}


# --- what a device lacks, what it moved -----------------------------------------------------------


async def test_a_register_that_this_firmware_lacks_costs_nothing_else(meter: NodeMeter, desk: Desk):
    template = TEMPLATES["abb_b2x"]
    await meter.fill_meter("abb_b2x", unit=1)
    async with lying_proxy(meter.port) as proxy:
        export = template.points["export"].address

        def lacks_export(told: lies.Told) -> None:
            if told.asked.address == export:
                told.code = 2

        proxy.always.append(lacks_export)
        poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", template)
        for _ in range(12):
            await poller.poll()
        assert len(desk.readings) == 12
        assert desk.readings[0].export_wh is None
        assert desk.readings[0].import_wh is not None
        assert [asked.address for asked in proxy.asked].count(export) == 1


async def test_a_sunspec_map_is_found_anew_after_every_reconnect(meter: NodeMeter, desk: Desk):
    await meter.fill_meter("sunspec_int", unit=1)
    async with lying_proxy(meter.port) as proxy:
        poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", TEMPLATES["sunspec_int"])
        await poller.poll()
        await poller.poll()
        assert len(desk.readings) == 2, desk.troubles
        assert poller.status.template.startswith("sunspec_20")
        walked = sum(asked.address == 40000 for asked in proxy.asked)
        proxy.once.append(lies.close)
        await poller.poll()
        await poller.poll()
        assert len(desk.readings) == 3
        assert sum(asked.address == 40000 for asked in proxy.asked) == 2 * walked


async def test_a_device_without_a_sunspec_meter_is_told(meter: NodeMeter, desk: Desk):
    await meter.fill({0: [0] * 10, 40000: [0] * 4, 50000: [0] * 4}, function=3)
    poller = desk.poller(f"tcp://127.0.0.1:{meter.port}", TEMPLATES["sunspec_int"])
    for _ in range(3):
        await poller.poll()
    assert desk.kinds == ["meter_wrong_answer"]
    assert "no SunSpec meter" in desk.troubles[0][1]


# --- one line for several, and what the site file says --------------------------------------------


async def test_meters_behind_one_converter_share_its_connection(desk: Desk):
    words = [word for address in range(0, 380, 2) for word in sdm630()[address]]
    async with rtu_meter(words) as port, lying_proxy(port, rtu=True) as proxy:
        lines = Lines()
        address = f"rtu+tcp://127.0.0.1:{proxy.port}"
        pollers = [desk.poller(address, lines=lines, name=name, poll_interval_s=0.02) for name in "ab"]
        for poller in pollers:
            poller.start()
        await until(lambda: all(poller.status.good >= 5 for poller in pollers))
        assert proxy.connections == 1
        assert desk.troubles == []


async def test_one_line_cannot_have_two_baud_rates(desk: Desk):
    lines = Lines()
    desk.poller("rtu:///dev/ttyUSB0?baud=9600", lines=lines)
    with pytest.raises(ConfigFault, match="one line with different settings"):
        desk.poller("rtu:///dev/ttyUSB0?baud=19200", lines=lines)


async def test_a_meter_without_a_usual_unit_needs_one(desk: Desk):
    nameless = next(one for one in TEMPLATES.values() if one.unit_id is None)
    with pytest.raises(ConfigFault, match=r"\[\[meter\]\] main: .* has no usual unit id"):
        desk.poller("tcp://127.0.0.1", nameless, unit=None)


async def test_a_bug_in_who_listens_does_not_end_the_polls(proxy: LyingProxy, desk: Desk, caplog):
    def broken(reading: Reading) -> None:
        desk.readings.append(reading)
        if len(desk.readings) == 1:
            raise ZeroDivisionError

    desk.on_reading = broken
    poller = desk.poller(f"tcp://127.0.0.1:{proxy.port}", poll_interval_s=0.02)
    poller.start()
    await until(lambda: len(desk.readings) >= 3)
    assert poller.status.errors == {"bug": 1}
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_meter_has_markers_of_different_lengths_that_it_takes(name: str):
    template = find(TEMPLATES, name)
    counts = [block.count for block in markers(template)]
    assert counts
    assert len(set(counts)) == len(counts)
    assert max(counts) <= template.max_registers_per_read
