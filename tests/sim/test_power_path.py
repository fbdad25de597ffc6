"""Simulated chargers with cars: they obey profiles and say what flows; the site's meter shows the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgegw.sim.audit import audit, table
from edgegw.sim.building import Building
from edgegw.sim.charger import SimCharger
from edgegw.sim.cloud import SimCloud
from edgegw.sim.desk import timestamp
from edgegw.sim.ev import Car
from edgegw.sim.habits import Habits
from edgegw.sim.lines import start_chargers
from edgegw.sim.site import Grid, SimSite, Traffic

Quick = Callable[..., Habits]
VERSIONS = ("1.6", "2.0.1", "2.1")
HASTY = Car(reaction_s=0.05, ramp_up_a_s=500, ramp_down_a_s=500)
SINGLE = Car(phases=1, max_a=32, reaction_s=0.05, ramp_up_a_s=500, ramp_down_a_s=500)
STACK = {"safe": 0, "live": 1}


def profile(
    charger: SimCharger, limit: float, purpose: str = "TxDefaultProfile", **more: Any
) -> dict[str, Any]:
    """A SetChargingProfile payload for connector 1. `lasts`: seconds from now."""
    schedule: dict[str, Any] = {
        "chargingRateUnit": more.pop("unit", "A"),
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
    }
    if lasts := more.pop("lasts", None):
        more["validTo"] = timestamp(datetime.now(UTC) + timedelta(seconds=lasts))
    body = {"stackLevel": 0, "chargingProfilePurpose": purpose, "chargingProfileKind": "Absolute", **more}
    schedule["startSchedule"] = timestamp(datetime.now(UTC) - timedelta(seconds=60))
    place = 0 if "Max" in purpose else 1
    number = body.pop("number", 100 + STACK["live"] * body["stackLevel"])
    if charger.version == "ocpp1.6":
        inner = {"chargingProfileId": number, **body, "chargingSchedule": schedule}
        return {"connectorId": place, "csChargingProfiles": inner}
    return {
        "evseId": place,
        "chargingProfile": {"id": number, **body, "chargingSchedule": [{"id": 1, **schedule}]},
    }


async def tell(cloud: SimCloud, charger: SimCharger, limit: float, **more: Any) -> str:
    answer = await cloud.call(charger.identity, "SetChargingProfile", profile(charger, limit, **more))
    return str(answer["status"])


async def draws(charger: SimCharger, amps: float) -> None:
    """Until connector 1 draws so much on its first phase."""
    async with asyncio.timeout(30):
        while True:
            charger.power.update()
            if abs(charger.power.amps(1)[0] - amps) < 0.01:
                return
            await asyncio.sleep(0.02)


def a_charger(cloud: SimCloud, tmp_path: Path, version: str, habits: Habits) -> SimCharger:
    return SimCharger("CP1", version, cloud.url, ledger=tmp_path / "CP1.jsonl", habits=habits)


def currents(payload: dict[str, Any]) -> list[float]:
    """Of a periodic sample; [] of another message."""
    samples = payload["meterValue"][0]["sampledValue"]
    mine = [s for s in samples if s.get("measurand") == "Current.Import"]
    if not mine:
        return []
    assert [s["phase"] for s in mine] == ["L1", "L2", "L3"]
    assert {s.get("unit") or s["unitOfMeasure"]["unit"] for s in mine} == {"A"}
    return [float(s["value"]) for s in mine]


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_obeys_and_says_what_flows(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    habits = quick(cars=(HASTY,), meter_interval_s=0.05, energy_speed=3600)
    async with a_charger(cloud, tmp_path, version, habits) as charger:
        await charger.wait_online()
        assert await tell(cloud, charger, 10) == "Accepted"
        session = await charger.begin(1, "TAG1")
        assert session is not None
        await draws(charger, 10)
        assert await tell(cloud, charger, 0, stackLevel=1) == "Accepted"
        await draws(charger, 0)
        assert session.charging_state == "SuspendedEVSE"
        assert await tell(cloud, charger, 32, stackLevel=1) == "Accepted"
        await draws(charger, 16)  # the car's own maximum
        if version == "1.6":
            await cloud.wait_for(lambda: cloud.desk.statuses.get(("CP1", 0, 1)) == "Charging")
        charger.sample(1)
        charger.finish(1)
        await charger.drained()
    meter = [r.payload for r in cloud.calls(charger.dialect.meter_action) if r.payload.get("meterValue")]
    assert [16, 16, 16] in [currents(payload) for payload in meter]
    if version == "1.6":
        said = [
            r.payload["status"] for r in cloud.calls("StatusNotification") if r.payload["connectorId"] == 1
        ]
    else:
        said = [r.payload["transactionInfo"]["chargingState"] for r in cloud.calls("TransactionEvent")]
    assert "Charging" in said
    assert "SuspendedEVSE" in said
    assert said.index("SuspendedEVSE") < len(said) - 1 - said[::-1].index("Charging")
    verdict = audit([tmp_path / "CP1.jsonl"], tmp_path / "cloud.jsonl", complete=True)
    assert verdict.holds, table(verdict)
    assert verdict.facts["energy_cloud_wh"] > 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_an_expired_profile_ends_by_itself(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    async with a_charger(cloud, tmp_path, version, quick(cars=(SINGLE,))) as charger:
        await charger.wait_online()
        await tell(cloud, charger, 6)
        await tell(cloud, charger, 20, stackLevel=1, lasts=600)
        await charger.begin(1, "TAG1")
        await draws(charger, 20)
        await tell(cloud, charger, 20, stackLevel=1, lasts=0.3)  # in its place
        await draws(charger, 6)
        assert charger.power.amps(1) == (6, 0, 0)
        await tell(cloud, charger, 5.9, stackLevel=2)
        assert charger.power.offered_a(1) == 0  # no car can be told less than 6 A


async def test_profiles_survive_a_reboot_and_tx_profiles_end_with_it(
    cloud: SimCloud, tmp_path: Path, quick: Quick
):
    memory = tmp_path / "CP1.memory"
    habits = quick(cars=(HASTY,))
    async with SimCharger("CP1", "1.6", cloud.url, memory=memory, habits=habits) as charger:
        await charger.wait_online()
        assert await tell(cloud, charger, 12, purpose="TxProfile") == "Rejected"
        session = await charger.begin(1, "TAG1")
        assert session is not None
        await charger.wait_for(lambda: bool(session.tx))
        assert await tell(cloud, charger, 8, number=1) == "Accepted"
        assert await tell(cloud, charger, 12, purpose="TxProfile", number=2) == "Accepted"
        await draws(charger, 12)
        await charger.reboot()
        await charger.wait_online()
    async with SimCharger("CP1", "1.6", cloud.url, memory=memory, habits=habits) as charger:
        await charger.wait_online()
        assert [kept.id for kept in charger.memory.profiles] == [1]
        await charger.begin(1, "TAG1")
        await draws(charger, 8)


async def test_max_offline_duration(cloud: SimCloud, tmp_path: Path, quick: Quick):
    async with a_charger(cloud, tmp_path, "2.1", quick(cars=(HASTY,))) as charger:
        await charger.wait_online()
        await tell(cloud, charger, 6)
        await tell(cloud, charger, 16, stackLevel=1, maxOfflineDuration=0, invalidAfterOfflineDuration=True)
        await charger.begin(1, "TAG1")
        await draws(charger, 16)
        await cloud.cut()
        await draws(charger, 6)
        await cloud.restore()
        await charger.wait_online()
        await draws(charger, 6)
        assert [kept.lapsed for kept in charger.memory.profiles] == [False, True]


@pytest.mark.parametrize("version", VERSIONS)
async def test_habits_of_one_that_does_not_do_as_told(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with a_charger(cloud, tmp_path, version, quick(cars=(HASTY,))) as charger:
        await charger.wait_online()
        maximum = "ChargePointMaxProfile" if version == "1.6" else "ChargingStationMaxProfile"
        charger.manners.rejects = {"max"}
        assert await tell(cloud, charger, 10, purpose=maximum) == "Rejected"
        charger.manners.stack_level_max = 0
        assert await tell(cloud, charger, 10, stackLevel=1) == "Rejected"
        charger.manners.units = ("W",)
        assert await tell(cloud, charger, 10) == "Rejected"
        assert await tell(cloud, charger, 6900, unit="W") == "Accepted"
        await charger.begin(1, "TAG1")
        await draws(charger, 10)
        charger.manners.disobeys = True
        await draws(charger, 16)


@pytest.mark.parametrize("version", VERSIONS)
async def test_it_tells_what_it_can(cloud: SimCloud, tmp_path: Path, quick: Quick, version: str):
    async with a_charger(cloud, tmp_path, version, quick()) as charger:
        await charger.wait_online()
        charger.manners.stack_level_max, charger.manners.units = 3, ("W",)
        if version == "1.6":
            keys = ["ChargeProfileMaxStackLevel", "ChargingScheduleAllowedChargingRateUnit"]
            answer = await cloud.call("CP1", "GetConfiguration", {"key": keys})
            found = {item["key"]: (item["value"], item["readonly"]) for item in answer["configurationKey"]}
            assert found == {keys[0]: ("3", True), keys[1]: ("Power", True)}
            return
        component = {"name": "SmartChargingCtrlr"}
        wanted = [
            {"component": component, "variable": {"name": n}} for n in ("ProfileStackLevel", "RateUnit")
        ]
        answer = await cloud.call("CP1", "GetVariables", {"getVariableData": wanted})
        assert [item["attributeValue"] for item in answer["getVariableResult"]] == ["3", "W"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_composite_schedule_is_what_it_does(
    cloud: SimCloud, tmp_path: Path, quick: Quick, version: str
):
    async with a_charger(cloud, tmp_path, version, quick(cars=(HASTY,))) as charger:
        await charger.wait_online()
        await tell(cloud, charger, 6)
        await tell(cloud, charger, 20, stackLevel=1, lasts=100)
        place = "connectorId" if version == "1.6" else "evseId"
        answer = await cloud.call("CP1", "GetCompositeSchedule", {place: 1, "duration": 600})
        schedule = answer["chargingSchedule" if version == "1.6" else "schedule"]
        assert [period["limit"] for period in schedule["chargingSchedulePeriod"]] == [20, 6]
        nowhere = await cloud.call("CP1", "GetCompositeSchedule", {place: 7, "duration": 600})
        assert nowhere["status"] == "Rejected"


async def test_the_meter_shows_what_the_chargers_say(cloud: SimCloud, quick: Quick):
    building = Building()
    building.set((10, 20, 30))
    site = SimSite(
        cloud.url, 3, habits=quick(cars=(SINGLE,)), traffic=Traffic(pause_s=1e6), grid=Grid(building)
    )
    async with site:
        await site.wait_for(lambda: site.online() == 3)
        for number, charger in enumerate(site.chargers.values(), 1):
            await tell(cloud, charger, 6 + number)
            await charger.begin(1, "TAG1")
            await draws(charger, 6 + number)
        # L1 of the first charger lies on L1, of the second on L2, of the third on L3.
        assert site.grid_a() == pytest.approx((10 + 7, 20 + 8, 30 + 9))
        assert site.meter is not None
        shown = site.meter.values()
        assert [shown[at] for at in (6, 8, 10)] == pytest.approx([17, 28, 39])
        await site.chargers["CP02"].power_off()
        assert site.grid_a() == pytest.approx((17, 20, 39))


async def test_a_site_process_with_cars_and_a_meter(cloud: SimCloud):
    arguments = ("--count", "1", "--no-cars", "--cars", "one", "--meter-port", "0", "--building", "5")
    async with await start_chargers(*arguments, "--meter-interval", "0.2") as process:
        assert process.ready["meter"].startswith("tcp://127.0.0.1:")
        assert process.ready["wiring"] == {"CP01/1": "L1 L2 L3"}
        assert (await process.command(f"dial {cloud.url}"))["ok"]
        await process.wait_event("online")
        assert (await process.command("start CP01 1 TAG1 two"))["ok"]
        await process.wait_event("started")
        power = await process.command("power")
        assert power["building"] == [5, 5, 5]
        assert power["connectors"]["CP01/1"]["car"] == "two phases, 16 A"
        assert (await process.command("building 9 8 7"))["building"] == [9, 8, 7]
        assert (await process.command("meter nan on"))["ok"]
        for line in ("rejects max tx", "stack_level_max 0", "units W", "disobeys on", "answer_delay 0.1"):
            assert (await process.command(f"habit CP01 {line}"))["ok"]
        assert (await process.command("profiles CP01"))["profiles"] == []
        for wrong in ("habit CP01 units V", "habit CP09 units A", "habit CP01 manners good", "building x"):
            assert not (await process.command(wrong))["ok"]
        assert await process.stop() == 0
