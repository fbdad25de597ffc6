"""The live picture: what is told equals what is, seldom enough, to everybody, and never more than that."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import orjson
import pytest

from edgegw.control import live_desk
from edgegw.control.client import NotReachable, Refused
from edgegw.control.event_stream import SEATS
from edgegw.control.live_client import LiveClient
from edgegw.control.live_desk import LiveDesk
from edgegw.control.live_models import Change, ChargerRow, Snapshot
from edgegw.control.live_rows import MOVING, RowMaker, StillFacts
from edgegw.control.live_view import apply
from edgegw.runtime import clock
from tests.control.house import GARAGE, House
from tests.control.watched import Alarms, alarm
from tests.e2e.faults import until
from tests.links.house import eventually

DEADLINE_S = 30.0
NAMES = ("CP-1", "CP-2", "CP-3", "CP-4")


@pytest.fixture
async def house(tmp_path) -> AsyncIterator[House]:
    house = House(tmp_path, known=frozenset(NAMES), plan=GARAGE, alarms=Alarms())
    await house.start(tcp=True)
    yield house
    await house.stop()


@pytest.fixture
def desk(house: House) -> LiveDesk:
    return house.server.service.live


class Listener:
    """Of one stream, in this process: each block is made when it is asked for."""

    def __init__(self, desk: LiveDesk) -> None:
        self.blocks = desk.stream("operator")
        self.names: list[str] = []
        self.snapshot: Snapshot

    async def hears(self) -> str:
        """The name of the next event, comments left out."""
        while True:
            async with asyncio.timeout(DEADLINE_S):
                block = await anext(self.blocks)
            if block.startswith(b"event: "):
                break
        head, _, rest = block.partition(b"\ndata: ")
        name, document = head.removeprefix(b"event: ").decode(), orjson.loads(rest)
        if name == "snapshot":
            self.snapshot = Snapshot.model_validate(document)
        else:
            self.snapshot = apply(self.snapshot, Change.model_validate(document))
        self.names.append(name)
        return name

    def row(self, identity: str) -> ChargerRow:
        return next(row for row in self.snapshot.chargers if row.identity == identity)

    async def until(self, condition) -> None:
        while not condition(self):
            await self.hears()


@pytest.fixture
async def listener(desk: LiveDesk) -> AsyncIterator[Listener]:
    listener = Listener(desk)
    async with aclosing(listener.blocks):
        await listener.hears()
        yield listener


def _calm(snapshot: Snapshot) -> dict:
    """Without what only time changes."""
    found = snapshot.model_dump()
    for name in ("seq", "at", "role"):
        del found[name]
    del found["site"]["now"], found["health"]["uptime_s"], found["health"]["clock"]["now"]
    for name in ("oldest_unsent_s", "free_disk_bytes"):
        del found["health"]["store"][name]
    for part in found["power"]["meters"]:
        del part["age_s"]
    for part in found["power"]["circuits"]:
        del part["reading_age_s"]
    return found


def _stale(desk: LiveDesk) -> list[str]:
    """Rows that somebody who sees the charger for the first time would write otherwise."""
    sources, now = desk._from, clock.now()
    return [
        name
        for name, row in desk._rows.items()
        if RowMaker().row(row.session, row.notes, sources.catalogue, now) != row.json
    ]


def test_a_row_has_the_members_of_its_model():
    assert sorted([*StillFacts.__struct_fields__, *MOVING]) == sorted(ChargerRow.model_fields)


# --- the same as what is --------------------------------------------------------------------------


class Activity:
    """Of a site for some time, by a seed."""

    def __init__(self, house: House, seed: int) -> None:
        self.house = house
        self.rng = random.Random(seed)
        self.wires: dict = {}

    async def goes_on(self, steps: int) -> None:
        deeds = (self.speaks, self.speaks, self.speaks, self.comes, self.leaves, self.measures, self.cloud)
        more = (self.limits, self.stranger, self.alarms, self.garbage)
        for _ in range(steps):
            await self.rng.choice((*deeds, *more))()
            await asyncio.sleep(self.rng.choice((0.0, 0.0, 0.01, 0.06)))

    async def comes(self) -> None:
        name = self.rng.choice(NAMES)
        if name not in self.wires and self.house.cloud.up:
            self.wires[name] = await self.house.connects(name)

    async def leaves(self) -> None:
        if self.wires and self.rng.random() < 0.5:
            self.wires.pop(self.rng.choice(sorted(self.wires))).cut()

    async def speaks(self) -> None:
        if not self.wires:
            return await self.comes()
        wire, rng = self.wires[self.rng.choice(sorted(self.wires))], self.rng
        status = rng.choice(("Available", "Charging", "Faulted", "Weird\x1b[2J"))
        amps = [
            {"measurand": "Current.Import", "phase": f"L{n}", "value": str(rng.randint(0, 32))}
            for n in (1, 2)
        ]
        sample = [{"timestamp": "2026-11-20T10:00:00Z", "sampledValue": amps}]
        action, payload = rng.choice(
            (
                ("BootNotification", {"chargePointVendor": "V", "chargePointModel": rng.choice("ABC")}),
                ("StatusNotification", {"connectorId": 1, "errorCode": "GroundFailure", "status": status}),
                ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status}),
                ("MeterValues", {"connectorId": 1, "meterValue": sample}),
                ("Heartbeat", {}),
            )
        )
        wire.calls(action, payload)

    async def measures(self) -> None:
        self.house.reads(*(self.rng.uniform(0, 70) for _ in range(3)))

    async def cloud(self) -> None:
        if self.house.cloud.up:
            self.house.cloud.goes_down()
        else:
            self.house.cloud.up = True

    async def limits(self) -> None:
        async with self.house.http() as http:
            await http.post("/v1/limits", json={"circuit": "garage", "limit_a": self.rng.randint(0, 32)})

    async def stranger(self) -> None:
        """An identity that the site file does not know comes, and one that came is forgotten."""
        name = f"X-{self.rng.randint(1, 3)}"
        if self.house.gateway.sessions.pop(name, None) is None:
            (await self.house.connects(name)).cut()

    async def alarms(self) -> None:
        one = alarm(self.rng.choice(("cloud_away", "over_limit")), self.rng.choice(("warning", "critical")))
        self.house.parts["alarms"].alarms = (one,)

    async def garbage(self) -> None:
        if self.wires:
            self.wires[self.rng.choice(sorted(self.wires))].says(b"no frame")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_the_snapshot_with_its_changes_is_what_a_fresh_one_says(house: House, seed: int):
    async with LiveClient(base_url=f"http://{house.server.address}", token=house.token) as live:
        heard: list[Snapshot] = []

        async def follow() -> None:
            async for snapshot in live.snapshots():
                heard.append(snapshot)

        following = asyncio.create_task(follow())
        await eventually(lambda: heard)
        activity = Activity(house, seed)
        await activity.goes_on(60)

        async def fresh() -> Snapshot:
            async with house.tcp(house.token) as http:
                return Snapshot.model_validate((await http.get("/v1/snapshot")).json())

        async def is_the_same() -> bool:
            return _calm(heard[-1]) == _calm(await fresh()) and not _stale(house.server.service.live)

        await until(is_the_same)  # the changes are on their way
        assert [one.seq for one in heard] == sorted({one.seq for one in heard})
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following


async def test_what_did_not_change_is_the_same_object(house: House, listener: Listener):
    before = listener.snapshot
    wire = await house.connects("CP-1")
    await listener.until(lambda me: me.row("CP-1").connected)
    assert listener.snapshot.chargers[1] is before.chargers[1]
    assert listener.snapshot.firmware is before.firmware
    wire.cut()


async def test_a_row_changes_without_a_message(house: House, listener: Listener):
    """A limit, an alarm, a handshake that failed, a leg that is cut."""
    wire = await house.connects("CP-1")
    await listener.until(lambda me: me.row("CP-1").connected)
    house.parts["alarms"].alarms = (alarm("silent", "warning"), _alarm_of("CP-1/1", "critical"))
    await listener.until(lambda me: me.row("CP-1").alarms == 1)
    assert listener.row("CP-1").severity == "critical"
    assert listener.snapshot.alarms.active == 2
    wire.cut()
    await listener.until(lambda me: not me.row("CP-1").connected)
    house.gateway.entrance._note_failure("CP-1", "192.0.2.7", "401: the \x1b[2J cloud")
    await listener.until(lambda me: me.row("CP-1").handshake != "")
    assert listener.row("CP-1").handshake.isprintable()
    wire = await house.connects("CP-1")
    await listener.until(lambda me: me.row("CP-1").connected)
    assert listener.row("CP-1").handshake == ""
    house.parts["alarms"].alarms = ()
    await listener.until(lambda me: me.row("CP-1").alarms == 0)
    wire.cut()


async def test_an_alarm_is_there_before_its_charger(house: House, listener: Listener):
    house.parts["alarms"].alarms = (_alarm_of("X-5", "error"),)
    await listener.until(lambda me: me.snapshot.alarms.active == 1)
    (await house.connects("X-5")).cut()
    await listener.until(lambda me: len(me.snapshot.chargers) == 5 and me.row("X-5").alarms == 1)


def _alarm_of(target: str, severity: str):
    return msgspec.structs.replace(alarm("charger_fault", severity), target=target, id="charger-fault")


async def test_who_is_gone_is_said_and_who_missed_it_is_told_all(
    house: House, listener: Listener, monkeypatch
):
    for number in range(4):
        (await house.connects(f"X-{number}")).cut()
    await listener.until(lambda me: len(me.snapshot.chargers) == 8)
    del house.gateway.sessions["X-0"]
    await listener.until(lambda me: len(me.snapshot.chargers) == 7)
    assert set(listener.names[1:]) == {"change"}
    monkeypatch.setattr(live_desk, "GONE_MAX", 1)
    late = Listener(house.server.service.live)
    async with aclosing(late.blocks):
        await late.hears()
        for number in (1, 2, 3):
            del house.gateway.sessions[f"X-{number}"]
            await listener.until(lambda me, left=7 - number: len(me.snapshot.chargers) == left)
        assert await late.hears() == "snapshot"
        assert [row.identity for row in late.snapshot.chargers] == list(NAMES)


# --- seldom, and as much as fits ------------------------------------------------------------------


async def test_at_most_four_changes_a_second_however_much_happens(house: House, listener: Listener):
    busy = asyncio.create_task(_busy(house.parts["alarms"]))
    await listener.until(lambda me: len(me.names) >= 3)  # under way
    began, before = time.monotonic(), len(listener.names)
    await listener.until(lambda me: len(me.names) >= before + 4)
    assert time.monotonic() - began >= 3 * live_desk.TICK_S
    busy.cancel()


async def _busy(alarms: Alarms) -> None:
    for number in itertools.count():
        alarms.alarms = (msgspec.structs.replace(alarm("over_limit", "warning"), text=str(number)),)
        await asyncio.sleep(0.005)


async def test_a_slow_listener_is_told_the_newest_once_and_holds_nothing_up(
    house: House, listener: Listener, desk: LiveDesk
):
    slow = Listener(desk)
    async with aclosing(slow.blocks):
        await slow.hears()
        wire = await house.connects("CP-1")
        for vendor in ("one", "two", "three", "four"):
            wire.calls("BootNotification", {"chargePointVendor": vendor, "chargePointModel": "M"})
            house.cloud.wires["CP-1"].says([3, (await house.cloud.wires["CP-1"].hears())[1], {
                "status": "Accepted", "currentTime": "2026-11-20T10:00:00Z", "interval": 300}])  # fmt: skip
            await listener.until(lambda me, vendor=vendor: me.row("CP-1").vendor == vendor)
        assert len(desk._cuts) <= 2
        assert await slow.hears() == "change"
        assert slow.row("CP-1").vendor == "four"
        assert slow.names == ["snapshot", "change"]


async def test_nobody_listens_nobody_looks(house: House, desk: LiveDesk, listener: Listener):
    wire = await house.connects("CP-1")
    await listener.until(lambda me: me.row("CP-1").connected)
    assert desk._ticking is not None
    await listener.blocks.aclose()
    await eventually(desk._ticking.done)
    looks = desk.looks
    wire.cut()
    await asyncio.sleep(2 * live_desk.TICK_S)
    assert desk.looks == looks


async def test_only_what_changed_is_made_again(house: House, desk: LiveDesk, listener: Listener, monkeypatch):
    monkeypatch.setattr(LiveDesk, "_sweep", lambda self: range(0))
    house.load.stop()  # it touches the chargers that are balanced, once a second
    wire = await house.connects("CP-3")
    await listener.until(lambda me: me.row("CP-3").connected)
    await eventually(lambda: desk.seq and not desk._looking.locked())
    made, looks = desk.rows_made, desk.looks
    wire.says(b"no frame")
    await listener.until(lambda me: "could not be read" in me.row("CP-3").verdict)
    assert desk.rows_made - made <= 3
    assert desk.looks > looks


async def test_a_bug_in_a_look_costs_one_look(house: House, listener: Listener, monkeypatch, caplog):
    broken = [1]

    def made(gateway) -> object:
        if broken:
            broken.pop()
            raise ZeroDivisionError
        return original(gateway)

    original = live_desk.live_parts.queue
    monkeypatch.setattr(live_desk.live_parts, "queue", made)
    wire = await house.connects("CP-1")
    await eventually(lambda: not broken)
    await listener.until(lambda me: me.row("CP-1").connected)
    assert "bug while looking for what consoles are told" in caplog.text
    wire.cut()


# --- the door -------------------------------------------------------------------------------------


async def test_sixteen_listen_and_the_next_is_told_what_to_do(house: House):
    async with LiveClient(house.socket) as live:
        streams = [live.snapshots() for _ in range(SEATS)]
        for stream in streams:
            await anext(stream)
        with pytest.raises(Refused, match="close a console") as refused:
            await anext(live.snapshots())
        assert (refused.value.status, refused.value.code) == (503, "too_many_streams")
        await streams.pop().aclose()
        await eventually(lambda: house.server.service.seats.taken < SEATS)
        streams.append(live.snapshots())
        assert (await anext(streams[-1])).role == "operator"
        for stream in streams:
            await stream.aclose()
    await eventually(lambda: house.server.service.seats.taken == 0)


async def test_streams_end_when_the_box_stops_even_of_a_client_that_reads_nothing(tmp_path):
    house = House(tmp_path, known=frozenset(f"CP-{number}" for number in range(400)))
    await house.start()
    stuck = socket.socket(socket.AF_UNIX)
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.connect(str(house.socket))
    stuck.sendall(b"GET /v1/stream HTTP/1.1\r\nhost: box\r\n\r\n")
    async with LiveClient(house.socket, read_only=True) as live:
        stream = live.snapshots()
        assert (await anext(stream)).role == "read-only"
        await eventually(lambda: house.server.service.seats.taken == 2)
        stopping = asyncio.create_task(house.stop())
        with pytest.raises(NotReachable, match="ended the stream"):
            await asyncio.wait_for(_to_its_end(stream), DEADLINE_S)
        await asyncio.wait_for(stopping, DEADLINE_S)
    stuck.close()


async def _to_its_end(stream) -> None:
    async for _ in stream:
        pass


async def test_a_client_that_goes_leaves_its_seat(house: House):
    _, writer = await asyncio.open_unix_connection(str(house.socket))
    writer.write(b"GET /v1/stream HTTP/1.1\r\nhost: box\r\n\r\n")
    await eventually(lambda: house.server.service.seats.taken == 1)
    writer.transport.abort()
    await eventually(lambda: house.server.service.seats.taken == 0)


async def test_what_the_client_says_when_nobody_is_there(tmp_path, house: House):
    async with LiveClient(tmp_path / "none.sock") as live:
        with pytest.raises(NotReachable, match="is `edgegw run` running"):
            await anext(live.snapshots())
    async with LiveClient(base_url=f"http://{house.server.address}", token="wrong") as live:
        with pytest.raises(Refused, match="wants the token"):
            await anext(live.snapshots())
