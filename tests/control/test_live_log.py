"""Log lines and power over time: bounded, without secrets, for who asks and who follows."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator

import msgspec
import pytest

from edgegw import logs
from edgegw.balance.model import Allocation, CircuitState
from edgegw.control.client import ControlClient, Refused
from edgegw.control.live_client import LiveClient
from edgegw.core.events import Instant
from edgegw.logs import LINE_CHARACTERS_MAX, LogRing
from edgegw.runtime.power_history import PowerHistory
from tests.control.house import GARAGE, Api, House
from tests.links.house import eventually

NOWHERE = "tests.live_log"


@pytest.fixture
def ring() -> Iterator[LogRing]:
    ring = LogRing()
    ring.install()
    logger = logging.getLogger(NOWHERE)
    logger.setLevel(logging.INFO)
    yield ring
    ring.remove()


@pytest.fixture
async def house(tmp_path, ring: LogRing) -> AsyncIterator[House]:
    house = House(tmp_path, known=frozenset({"CP-1"}), plan=GARAGE, log_ring=ring)
    await house.start(tcp=True)
    yield house
    await house.stop()


@pytest.fixture
async def api(house: House) -> AsyncIterator[Api]:
    async with house.http() as http:
        yield await Api.of(http)


log = logging.getLogger(NOWHERE)


# --- the log --------------------------------------------------------------------------------------


def test_a_line_holds_no_secret_no_control_code_and_no_traceback(ring: LogRing):
    log.info("hello \x1b[2J %s", '{"idTag": "04A1B2C3D4", "AuthorizationKey": "geheim"}')
    try:
        raise ValueError("04A1B2C3D4")
    except ValueError:
        log.exception("it broke")
    log.info("x" * 5000)
    first, second, third = (line for line in ring.after(0) if line.logger == NOWHERE)
    assert "geheim" not in first.text
    assert "04A1B2C3D4" not in first.text + second.text
    assert first.text.isprintable()
    assert second.text == "it broke [ValueError]"
    assert second.level == "error"
    assert len(third.text) == LINE_CHARACTERS_MAX


def test_whoever_logs_goes_on_whatever_is_wrong(ring: LogRing, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    alone = logging.getLogger(f"{NOWHERE}.alone")
    alone.propagate = False
    alone.addHandler(ring)
    try:
        alone.warning("%d cars", "two")  # a bug of whoever wrote the line
        ring.on_line = lambda: 1 / 0
        alone.warning("fine")
    finally:
        ring.on_line = None
        alone.removeHandler(ring)
    assert [line.text for line in ring.after(0) if line.logger == alone.name] == ["fine"]


def test_only_the_newest_lines_are_kept_and_their_numbers_go_on(ring: LogRing, monkeypatch):
    for number in range(logs.LINES_KEPT + 50):
        log.info("%d", number)
    kept = ring.after(0)
    assert len(kept) == logs.LINES_KEPT
    assert [line.n for line in kept] == list(range(kept[0].n, kept[0].n + logs.LINES_KEPT))
    assert [line.text for line in ring.after(kept[-3].n)] == [str(logs.LINES_KEPT + n) for n in (48, 49)]
    assert ring.after(kept[-1].n) == []


async def test_lines_over_the_api(house: House, api: Api):
    log.warning("one")
    log.info("two")
    found = await api.get("/v1/log", params={"limit": 2})
    assert [(line["level"], line["text"]) for line in found["lines"]] == [("warning", "one"), ("info", "two")]
    assert (await api.http.get("/v1/log", params={"limit": 2001})).status_code == 422

    def ask() -> list[str]:
        with ControlClient(house.socket) as client:
            return [line.text for line in client.log(limit=1).lines]

    assert await asyncio.to_thread(ask) == ["two"]


async def test_who_follows_is_told_lines_of_every_thread_once_and_in_order(house: House):
    log.info("before")
    async with LiveClient(house.socket) as live:
        heard: list[str] = []

        async def follow() -> None:
            async for line in live.log():
                if line.logger == NOWHERE:
                    heard.append(line.text)

        following = asyncio.create_task(follow())
        await eventually(lambda: heard == ["before"])
        thread = threading.Thread(target=lambda: log.info("from a thread"))
        thread.start()
        thread.join()
        await eventually(lambda: len(heard) == 2)
        for number in range(100):
            log.info("%d", number)
        await eventually(lambda: len(heard) == 102)
        assert heard == ["before", "from a thread", *map(str, range(100))]
        following.cancel()
        await asyncio.wait([following])


async def test_without_a_ring_there_are_no_lines(tmp_path):
    house = House(tmp_path)
    await house.start()
    async with house.http() as http:
        assert (await http.get("/v1/log")).json() == {"lines": []}
    await house.stop()


# --- power over time ------------------------------------------------------------------------------


def _state(name: str, measured: float | None, limit: float = 63.0) -> CircuitState:
    return CircuitState(
        name=name, limit_a=(limit,) * 3, limit_source="fuse", measured_a=(measured, None, 1.0),
        base_a=(0.0,) * 3, granted_a=(10.0,) * 3, free_a=(0.0,) * 3, reading_age_s=None,
    )  # fmt: skip


def _at(mono: float) -> Instant:
    return Instant(mono=mono, wall=1.8e9 + mono, trusted=True)


def _note(history: PowerHistory, mono: float, measured: float | None, limit: float = 63.0) -> None:
    history.note(Allocation(grants={}, circuits=(_state("main", measured, limit),)), _at(mono))


def test_a_silent_meter_leaves_a_hole_not_its_last_numbers():
    history = PowerHistory()
    silent = msgspec.structs.replace(_state("main", 92.0), stale=True)
    history.note(Allocation(grants={}, circuits=(silent,)), _at(100.1))
    _, (one,) = history.points("main", 900.0, _at(100.5))
    assert (one.measured_a, one.limit_a) == ((None,) * 3, (63.0,) * 3)


def test_a_step_has_the_highest_of_each_phase():
    history = PowerHistory()
    for mono, amps, limit in (
        (100.1, None, 40.0),
        (100.5, 12.34, 63.0),
        (100.9, 7.0, 20.0),
        (101.0, 3.0, 20.0),
    ):
        _note(history, mono, amps, limit)
    step_s, (one, two) = history.points("main", 900.0, _at(101.5))
    assert (step_s, one.at, two.at) == (1.0, 100.0, 101.0)
    assert one.measured_a == (12.3, None, 1.0)
    assert (one.limit_a, one.granted_a) == ((63.0,) * 3, (10.0,) * 3)
    assert two.measured_a == (3.0, None, 1.0)


def test_a_day_takes_as_much_memory_as_an_hour_and_the_old_goes():
    history = PowerHistory()
    for second in range(0, 3 * 86_400, 20):
        _note(history, float(second), second / 1000)
    now = _at(3 * 86_400.0)
    step_s, fine = history.points("main", 900.0, now)
    assert (step_s, len(fine)) == (1.0, 45 - 1)  # one each 20 s; the step of now has none
    step_s, coarse = history.points("main", 86_400.0, now)
    assert (step_s, len(coarse)) == (60.0, 1439)
    assert coarse[-1].measured_a[0] == round((3 * 86_400 - 20) / 1000, 1)
    assert [point.at for point in coarse] == sorted(point.at for point in coarse)
    assert history.points("main", 60.0, _at(10 * 86_400.0)) == (1.0, [])


def test_circuits_without_end_are_not_kept():
    history = PowerHistory()
    many = tuple(_state(f"c{number}", 1.0) for number in range(150))
    history.note(Allocation(grants={}, circuits=many), _at(5.0))
    assert history.points("c99", 900.0, _at(5.0))[1] != []
    assert history.points("c120", 900.0, _at(5.0))[1] == []


async def test_history_over_the_api(house: House, api: Api):
    house.reads(20.0, 30.0, 10.0)
    found = await api.get("/v1/power/history")
    assert (found["circuit"], found["step_s"]) == ("main", 1.0)
    assert max(point["measured_a"][1] or 0 for point in found["points"]) == 30.0
    assert (await api.get("/v1/power/history", params={"span_s": 3600}))["step_s"] == 60.0
    refused = await api.get("/v1/power/history", params={"circuit": "attic"}, status=404)
    assert "there are: main, garage" in refused["error"]["text"]

    def ask() -> None:
        with ControlClient(house.socket) as client:
            assert client.power_history("garage", span_s=60).circuit == "garage"

    await asyncio.to_thread(ask)


async def test_without_balancing_there_is_no_history(tmp_path):
    house = House(tmp_path)
    await house.start()

    def ask() -> None:
        with ControlClient(house.socket) as client, pytest.raises(Refused, match="nothing is balanced here"):
            client.power_history()

    await asyncio.to_thread(ask)
    await house.stop()
