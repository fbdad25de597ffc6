"""What the building is told of a real gateway: chargers that come, charge and go, its meters and limits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from edgegw.core.alarms import Alarm
from edgegw.core.files import FirmwareNews
from edgegw.mqtt import numbers, tokens
from edgegw.mqtt.host import Host, cpu_temp_c
from edgegw.mqtt.snapshot import CHARGERS_MAX, Snapshots
from edgegw.mqtt.snapshot_sources import Sources
from edgegw.mqtt.view import ChargerFacts
from tests.control import house
from tests.control.house import GARAGE, TAG
from tests.links.house import eventually
from tests.mqtt.site import SALT, Site

POWER = {"measurand": "Power.Active.Import", "unit": "kW", "value": "7.35"}
AMPS = [{"measurand": "Current.Import", "phase": f"L{n}", "value": f"1{n}.04"} for n in (1, 2, 3)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path)
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def garage(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path, plan=GARAGE)
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def standalone(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path, standalone=True)
    await site.start()
    yield site
    await site.stop()


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(tmp_path, card_ids="plain")
    await site.start()
    yield site
    await site.stop()


# --- the box --------------------------------------------------------------------------------------


async def test_a_box_that_nobody_has_dialled_yet(site: Site):
    view = site.sees()
    assert [ref.topic for ref in view.info.chargers] == ["cp-1", "cp-9"]
    assert (view.info.gateway, view.info.commands, view.info.api) == ("depot-1", (), 1)
    assert view.balancer.mode == "off"
    assert view.meters == view.circuits == view.limits == view.alarms == {}
    assert (view.site.chargers_known, view.site.chargers_connected, view.site.chargers_w) == (2, 0, None)
    assert (view.cloud.mode, view.cloud.url_host) == ("serving", "cloud.test")
    never = view.chargers["CP-9"]
    assert (never.online, never.info.registration, never.info.verdict) == (
        False,
        "never",
        "has never connected",
    )
    assert site.publishes()


async def test_health_is_that_of_the_local_api_and_of_the_host(site: Site):
    assert site.sees().health.status == "degraded"  # nobody has looked at the store yet
    await site.counts()
    health = site.sees().health
    assert (health.status, health.queue_depth, health.clock_trusted) == ("ok", 0, True)
    assert health.database_bytes is not None
    assert health.memory_rss_bytes is not None
    assert health.memory_rss_bytes > 10_000_000
    assert health.loop_lag_ms == 2.3


async def test_a_quiet_box_is_not_told_of_every_second(site: Site):
    await site.counts()
    first = site.sees()
    assert site.sees(later_s=5.0).health is first.health
    assert site.sees(later_s=11.0).health.uptime_s >= 11
    site.health = site.health.model_copy(update={"status": "away"})
    assert site.sees(later_s=12.0).health.status == "away"


async def test_alarms_are_told_and_counted(site: Site):
    worst = Alarm(
        id="store-broken", code="store_broken", target="", severity="critical", title="Store", text="x" * 900,
        todo="", since=1.8e9, last_at=1.8e9, count=3,
    )  # fmt: skip
    over = Alarm(
        id="tls", code="tls", target="", severity="error", title="", text="", todo="", since=1.8e9,
        last_at=1.8e9, state="cleared", latched=True,
    )  # fmt: skip
    site.alarms = (worst, over)
    view = site.sees()
    assert list(view.alarms) == ["store-broken", "tls"]
    assert (view.site.alarms, view.site.worst_severity, view.health.alarms) == (1, "critical", 1)
    assert len(view.alarms["store-broken"].text) == numbers.TEXT_MAX
    assert site.sees().alarms["tls"] is view.alarms["tls"]
    assert "edgegw/1/depot-1/alarm/tls" in site.publishes()


# --- a charger ------------------------------------------------------------------------------------


async def test_nothing_that_a_charger_or_a_cloud_says_gives_a_secret_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(house.BOOT, "chargePointVendor", "wss://me:hunter2@x")
    monkeypatch.setitem(house.BOOT, "chargePointModel", 'W "password":"hunter2"')
    monkeypatch.setitem(house.BOOT, "firmwareVersion", "1.2\x1b[2J")
    charger = await site.boots("CP-1")
    session = site.gateway.sessions["CP-1"]
    session.cloud_error = "closed with 1008: Authorization: Basic aHVudGVyMg=="
    told = site.sees().chargers["CP-1"]
    assert (told.info.vendor, told.info.model) == ("wss://***@x", 'W "password":"***"')
    assert told.info.firmware == "1.2\\x1b[2J"
    assert told.cloud.last_error == "closed with 1008: Authorization: Basic ***"
    for info, shown in (
        ("contactor welded", "contactor welded"),
        ("", ""),
        (f"unknown card {house.TAG}", "***"),
        (f"rejected {house.TAG}", "***"),
        ("password hunter2", "***"),
    ):
        await site.reports(charger, "Faulted", error="OtherError\x1b[2J", info=info)
        seen = site.sees().chargers["CP-1"].connectors[1]
        assert (seen.error_code, seen.info) == ("OtherError\\x1b[2J", shown)
    assert site.publishes()


async def test_a_charger_comes_charges_and_goes(site: Site):
    charger = await site.boots("CP-1")
    await site.reports(charger, "Available")
    seen = site.sees().chargers["CP-1"]
    assert (seen.online, seen.info.vendor, seen.info.protocol) == (True, "Acme", "ocpp1.6")
    assert (seen.cloud.connected, seen.cloud.url_host) == (True, "cloud.test")
    assert (seen.connectors[1].status, seen.connectors[1].power_w) == ("Available", 0.0)
    assert seen.sessions == {}

    site.cloud.goes_down()
    transaction = await site.starts(charger)
    seen = site.sees().chargers["CP-1"]
    assert seen.connectors[1].transaction == str(transaction)
    session = seen.sessions[1]
    assert (session.state, session.started_at, session.energy_wh) == (
        "running",
        "2026-11-20T10:00:00.000Z",
        0,
    )
    assert session.offline

    await site.stops(charger, transaction)
    seen = site.sees().chargers["CP-1"]
    assert (seen.sessions[1].state, seen.sessions[1].energy_wh) == ("ended", 2500)
    assert seen.sessions[1].ended_at == "2026-11-20T11:00:00.000Z"
    assert seen.connectors[1].transaction is None
    assert site.publishes()

    charger.cut()
    seen = site.sees().chargers["CP-1"]
    assert (seen.online, seen.connectors[1].power_w) == (False, None)
    assert seen.sessions[1].state == "ended"


async def test_a_card_id_is_told_as_a_hash_only(site: Site):
    charger = await site.boots("CP-1")
    site.cloud.goes_down()
    await site.starts(charger)
    token = site.sees().chargers["CP-1"].sessions[1].token
    assert token == tokens.hashed(SALT, TAG.lower())
    assert all(TAG.encode() not in message.body for message in site.publishes().values())


async def test_a_card_id_is_told_when_the_site_file_says_so(plain: Site):
    charger = await plain.boots("CP-1")
    plain.cloud.goes_down()
    await plain.starts(charger)
    assert plain.sees().chargers["CP-1"].sessions[1].token == TAG


async def test_without_a_secret_no_hash_is_made(site: Site):
    with pytest.raises(ValueError, match="salt"):
        Snapshots(site.gateway, site.site._replace(salt=b""), Sources(), site.settings)


async def test_power_is_what_the_charger_says(site: Site):
    charger = await site.boots("CP-1")
    await site.reports(charger, "Charging")
    assert site.sees().chargers["CP-1"].connectors[1].power_w is None
    await site.measures(charger, POWER, *AMPS)
    view = site.sees()
    connector = view.chargers["CP-1"].connectors[1]
    assert (connector.power_w, connector.current_l_a) == (7350, (11.0, 12.0, 13.0))
    assert connector.limit_a is None  # it is not balanced
    assert (view.site.chargers_w, view.site.connectors_charging) == (7350, 1)


async def test_what_was_drawn_before_says_nothing_of_now(site: Site):
    charger = await site.boots("CP-1")
    await site.reports(charger, "Charging")
    await site.measures(charger, POWER)
    assert site.sees(later_s=1000.0).chargers["CP-1"].connectors[1].power_w is None
    await site.reports(charger, "Finishing")
    assert site.sees().chargers["CP-1"].connectors[1].power_w == 0.0


async def test_energy_is_the_gateways_own_count(site: Site):
    charger = await site.boots("CP-1")
    for wh in ("1000", "4500"):
        await site.measures(charger, {"value": wh, "unit": "Wh"}, transactionId=7)
    total = site.gateway.sessions["CP-1"].charger.state.energy.total_wh(1)
    view = site.sees()
    assert view.chargers["CP-1"].connectors[1].energy_wh == view.site.energy_wh == total


async def test_what_a_charger_cannot_mean_is_not_told(site: Site):
    """A clock that was never set, a meter that runs backwards, a word of a novel's length."""
    charger = await site.boots("CP-1")
    site.cloud.goes_down()
    charger.calls(
        "StartTransaction",
        {"connectorId": 1, "idTag": TAG, "meterStart": 900, "timestamp": "1970-01-01T00:00:00Z"},
    )
    transaction = (await charger.hears())[2]["transactionId"]
    assert site.sees().chargers["CP-1"].sessions[1].started_at > "2026"
    charger.calls("StopTransaction", {"transactionId": transaction, "meterStop": 5, "timestamp": "never"})
    await charger.hears()
    await site.reports(charger, "Faulted", error="x" * 5000)
    session = site.sees().chargers["CP-1"].sessions[1]
    assert (session.ended_at, session.energy_wh) == (None, None)
    assert all(len(message.body) < 3000 for message in site.publishes().values())


async def test_firmware_is_told_by_what_became_of_the_last_order(site: Site):
    await site.boots("CP-1")
    assert site.sees().chargers["CP-1"].firmware.state == ""
    session = site.gateway.sessions["CP-1"]
    site.gateway.file_effect(session, FirmwareNews(order="a", status="Downloading"))
    assert site.sees().chargers["CP-1"].firmware.state == "Downloading"
    site.gateway.file_effect(session, FirmwareNews(order="a", status="InstallationFailed", why="bad image"))
    told = site.sees().chargers["CP-1"].firmware
    assert (told.version, told.state, told.error) == ("1.2", "InstallationFailed", "bad image")


AT = "2026-11-20T10:00:00Z"
BOOT_2X = {"reason": "PowerUp", "chargingStation": {"model": "Wall", "vendorName": "Acme"}}
OCCUPIED = {"timestamp": AT, "connectorStatus": "Occupied", "evseId": 2, "connectorId": 1}
STARTED = {
    "eventType": "Started",
    "timestamp": AT,
    "triggerReason": "CablePluggedIn",
    "seqNo": 0,
    "transactionInfo": {"transactionId": "t-1"},
    "evse": {"id": 2, "connectorId": 1},
    "idToken": {"idToken": TAG, "type": "ISO14443"},
}
DRAWS = {"measurand": "Power.Active.Import", "value": 11_000}
UPDATED = {
    "eventType": "Updated",
    "timestamp": AT,
    "triggerReason": "MeterValuePeriodic",
    "seqNo": 1,
    "transactionInfo": {"transactionId": "t-1"},
    "meterValue": [{"timestamp": AT, "sampledValue": [DRAWS]}],
}
ENDED = {**STARTED, "eventType": "Ended", "triggerReason": "EVDeparted", "seqNo": 2}


async def test_a_2x_charger_says_it_with_evses_and_events(standalone: Site):
    charger = await standalone.connects("CP-1", "ocpp2.0.1")

    async def seen_after(action: str, payload: dict) -> ChargerFacts:
        charger.calls(action, payload)
        await charger.hears()
        return standalone.sees().chargers["CP-1"]

    await seen_after("BootNotification", BOOT_2X)
    occupied = await seen_after("StatusNotification", OCCUPIED)
    assert occupied.connectors[2].power_w == 0.0  # no transaction, no current
    started = await seen_after("TransactionEvent", STARTED)
    assert (started.connectors[2].transaction, started.connectors[2].power_w) == ("t-1", None)
    draws = await seen_after("TransactionEvent", UPDATED)
    assert (draws.connectors[2].power_w, draws.sessions[2].state) == (11_000, "running")
    assert standalone.sees().site.connectors_charging == 1
    assert standalone.publishes()
    ended = await seen_after("TransactionEvent", ENDED)
    assert (ended.connectors[2].power_w, ended.sessions[2].state) == (0.0, "ended")
    assert standalone.sees().cloud.mode == "standalone"


async def test_an_evse_stays_although_nothing_but_its_transaction_spoke_of_it(standalone: Site):
    charger = await standalone.connects("CP-1", "ocpp2.0.1")
    for action, payload in (
        ("BootNotification", BOOT_2X),
        ("TransactionEvent", STARTED),
        ("TransactionEvent", ENDED),
    ):
        charger.calls(action, payload)
        await charger.hears()
    seen = standalone.sees().chargers["CP-1"]
    assert (seen.info.connectors, seen.sessions[2].state, seen.connectors[2].power_w) == ((2,), "ended", None)


# --- power ----------------------------------------------------------------------------------------


async def test_meters_circuits_and_the_site(garage: Site):
    garage.reads(10.04, 11.0, 12.0)
    view = garage.sees()
    meter = view.meters["grid"]
    assert (meter.ok, meter.current_l_a, meter.power_w) == (True, (10.0, 11.0, 12.0), None)
    assert meter.age_ms < 5000
    main, below = view.circuits["main"], view.circuits["garage"]
    assert (main.fuse_a, main.measured_l_a, below.parent) == (63.0, (10.0, 11.0, 12.0), "main")
    assert (view.site.fuse_a, view.site.limit_a, view.site.limit_source) == (63.0, 63.0, "fuse")
    assert view.site.current_l_a == (10.0, 11.0, 12.0)
    assert view.site.headroom_a == min(main.free_l_a)
    assert garage.publishes()


async def test_a_meter_that_is_silent_gives_no_numbers(garage: Site):
    assert garage.sees().meters["grid"].trouble == "has not answered yet"
    garage.reads(10.0, 11.0, 12.0)
    old = garage.sees(later_s=61.0).meters["grid"]
    assert (old.ok, old.current_l_a, old.trouble) == (False, (None, None, None), "silent")
    garage.load.on_trouble("grid", "meter_timeout", "no answer")
    told = garage.sees().meters["grid"]
    assert (told.ok, told.trouble, told.current_l_a) == (False, "no answer", (10.0, 11.0, 12.0))


async def test_the_balancer_says_who_may_draw_what_and_why(garage: Site):
    await garage.boots("CP-1")
    garage.reads(10.0, 11.0, 12.0)
    first = garage.sees()
    assert first.balancer.mode == "steering"
    here, away = first.balancer.allocations
    assert (here.charger, away.reason) == ("CP-1", "has never connected: 32 A are kept for it")
    assert away.binding == "unsteered"
    connector = first.chargers["CP-1"].connectors[1]
    assert (connector.limit_a, connector.phases) == (here.limit_a, 3)
    assert connector.limit_reason
    garage.load.step()
    second = garage.sees(later_s=1.0)
    assert second.balancer is first.balancer  # nothing changed


async def test_a_balanced_charger_that_paused_draws_nothing_until_it_measures_again(garage: Site):
    charger = await garage.boots("CP-1")
    for status, sampled, power_w in (
        ("Charging", POWER, 7350),
        ("SuspendedEV", None, 0.0),
        ("SuspendedEV", {**POWER, "value": "0.04"}, 40),
        ("Charging", AMPS[0], 11.04 * 230),
    ):
        await garage.reports(charger, status)
        if sampled is not None:
            await garage.measures(charger, sampled)
        assert garage.sees().chargers["CP-1"].connectors[1].power_w == round(power_w), status


async def test_limits_are_told_by_source_and_fall_back(garage: Site):
    book, now = garage.load.control.limits, time.time()
    book.set("bms", now_wall=now, limit_a=20.0, expires_at=now + 60, fallback_a=16.0, priority=10)
    book.set("bms", now_wall=now, circuit="garage", limit_w=11_000.0)
    book.set("dso", now_wall=now, limit_a=(30.0, 31.0, 32.0))
    view = garage.sees()
    assert list(view.limits) == ["bms", "dso"]
    main, below = view.limits["bms"].limits
    assert (main.limit_a, main.fallback_a, main.state, main.priority) == (20.0, 16.0, "holds", 10)
    assert (below.circuit, below.asked_w, below.until) == ("garage", 11_000, None)
    assert view.limits["dso"].limits[0].limit_l_a == (30.0, 31.0, 32.0)
    late = garage.sees(later_s=61.0).limits["bms"].limits[0]
    assert (late.limit_a, late.state) == (16.0, "fallback")
    assert "edgegw/1/depot-1/limit/bms/state" in garage.publishes()


# --- many, again and again --------------------------------------------------------------------------


async def test_what_has_not_changed_is_the_same_object(garage: Site):
    charger = await garage.boots("CP-1")
    await garage.reports(charger, "Available")
    first, second = garage.sees(), garage.sees()
    assert all(second.chargers[name] is first.chargers[name] for name in first.chargers)
    assert second.info is first.info
    await garage.reports(charger, "Preparing")
    third = garage.sees()
    assert third.chargers["CP-1"] is not second.chargers["CP-1"]
    assert third.chargers["CP-1"].info is second.chargers["CP-1"].info


async def test_made_up_identities_do_not_flood_the_broker(site: Site):
    """Where the site file names nobody, whoever dials is a charger."""
    site.gateway.settings = msgspec.structs.replace(site.gateway.settings, known=frozenset())
    for number in range(CHARGERS_MAX + 50):
        site.gateway.session(f"A-{number}")
    view = site.sees()
    assert len(view.chargers) == len(view.info.chargers) == CHARGERS_MAX


async def test_a_charger_that_the_site_file_names_no_more_is_gone_with_all_its_topics(site: Site):
    """The store knows it for ever. While it is connected all the same it is told."""
    charger = await site.connects("A-1")
    assert "A-1" in site.sees().chargers
    charger.cut()
    await eventually(lambda: site.gateway.sessions["A-1"].charger_leg is None)
    view = site.sees()
    assert "A-1" not in view.chargers
    assert "A-1" not in {ref.identity for ref in view.info.chargers}
    assert not [topic for topic in site.publishes() if "/a-1/" in topic]
    assert {"CP-1", "CP-9"} <= view.chargers.keys()


# --- small parts ----------------------------------------------------------------------------------


def test_a_hash_tells_cards_apart_and_no_more():
    assert tokens.hashed(SALT, TAG) == tokens.hashed(SALT, TAG.lower()) != tokens.hashed(SALT, TAG + "0")
    assert tokens.hashed(SALT, TAG) != tokens.hashed(SALT[::-1], TAG)
    assert len(tokens.hashed(SALT, TAG)) == tokens.HASH_CHARS
    assert tokens.hashed(SALT, "") == ""


def test_numbers_are_finite_and_short():
    infinite = float("inf")
    assert [numbers.rounded(v) for v in (infinite, -infinite, float("nan"), None, -0.04)] == [None] * 4 + [
        0.0
    ]
    assert str(numbers.rounded(-0.04)) == "0.0"
    assert numbers.phases((1.25, infinite)) == (1.2, None, None)
    assert numbers.lowest((infinite, None)) is None
    assert [numbers.utc(v) for v in (0.0, None, -5.0, 1e15)] == [None] * 4


def test_the_temperature_is_that_of_the_processor(tmp_path: Path):
    for number, (kind, milli) in enumerate([("acpitz", "20000"), ("x86_pkg_temp", "48321"), ("junk", "x")]):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "type").write_text(kind + "\n")
        (zone / "temp").write_text(milli + "\n")
    assert cpu_temp_c(tmp_path) == 48.3
    assert cpu_temp_c(tmp_path / "none") is None


def test_a_host_is_asked_now_and_then(tmp_path: Path):
    statm = tmp_path / "statm"
    statm.write_text("100 50 1 1 0 1 0\n")
    host = Host(thermal=tmp_path, statm=statm)
    first = host.facts(100.0)
    assert first.memory_rss_bytes % 50 == 0
    statm.write_text("junk")
    assert host.facts(109.0) is first
    assert host.facts(110.0).memory_rss_bytes is None
