"""Every alarm of the catalogue is raised when its thing is wrong, and cleared when it is right again.

One story per code: what goes wrong before the `yield`, what makes it right behind it. A code without a story
fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edgegw.alarms.chargers import CONNECTS
from edgegw.core.alarm_book import ALARMS_MAX
from edgegw.core.alarms import Condition
from edgegw.core.effects import Noticed
from edgegw.core.files import FirmwareNews
from edgegw.core.power import Control
from edgegw.core.rollout_state import Member, Rollout, Stage
from edgegw.errors import StoreFault
from tests.alarms.scene import RULES, Scene
from tests.control.house import BOOT, DEADLINE_S
from tests.files.keys import certificate

Story = Callable[[Scene], AsyncIterator[None]]
STORIES: dict[str, Story] = {}
SOON_S = 2.0  # looks are a second apart


def story(told: Story) -> Story:
    STORIES[told.__name__] = told
    return told


@pytest.fixture
async def scene(tmp_path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    scene.certificate.write_text(pem(days=400))
    await scene.start()
    yield scene
    await scene.stop()


@pytest.mark.parametrize("code", RULES)
async def test_an_alarm_comes_and_goes(scene: Scene, code: str):
    rule = RULES[code]
    await scene.passes(15)
    await asyncio.wait_for(scene.watch.certificates.all_read.wait(), DEADLINE_S)
    assert [alarm.code for alarm in scene.watch.alarms] == []
    told = STORIES[code](scene)
    await anext(told)
    await scene.passes(rule.raise_after_s + SOON_S)
    assert scene.is_on(code), scene.watch.alarms
    alarm = scene.alarm(code)
    assert alarm is not None
    assert alarm.text
    assert alarm.title == rule.title
    await anext(told, None)
    await scene.passes(rule.clear_after_s + SOON_S)
    assert not scene.is_on(code), scene.watch.alarms
    left = scene.alarm(code)
    assert (left is not None) is rule.latched
    if left is not None:
        scene.watch.acknowledge(left.id, "Jo")
        assert scene.alarm(code) is None


def test_no_story_is_about_an_alarm_that_is_not_in_the_catalogue():
    assert set(STORIES) == set(RULES)


# --- chargers ---------------------------------------------------------------------------------------


@story
async def charger_fault(scene: Scene) -> AsyncIterator[None]:
    charger = await scene.boots("CP-1")
    await scene.faults(charger, "GroundFailure", info="30 mA")
    await scene.passes(3)
    alarm = scene.alarm("charger_fault")
    assert alarm is not None
    assert (alarm.severity, alarm.target) == ("critical", "CP-1/1")
    assert "leaks to earth" in alarm.text
    assert "electrician" in alarm.todo
    yield
    await scene.faults(charger, "NoError")


@story
async def charger_security(scene: Scene) -> AsyncIterator[None]:
    charger = await scene.boots("CP-1")
    for kind in ("StartupOfTheDevice", "TamperDetectionActivated"):
        charger.calls("SecurityEventNotification", {"type": kind, "timestamp": "2026-11-20T10:00:00Z"})
    yield
    assert [a.code for a in scene.watch.alarms] == ["charger_security"]
    await scene.passes(60)


@story
async def charger_silent(scene: Scene) -> AsyncIterator[None]:
    charger = await scene.boots("CP-1")
    charger.cut()
    yield
    await scene.connects("CP-1")


@story
async def charger_quiet(scene: Scene) -> AsyncIterator[None]:
    charger = await scene.boots("CP-1")
    await scene.passes(890, every=10)
    assert not scene.is_on("charger_quiet")
    await scene.passes(20, every=10)
    yield
    charger.calls("Heartbeat", {})


@story
async def charger_flapping(scene: Scene) -> AsyncIterator[None]:
    for _ in range(CONNECTS):
        charger = await scene.connects("CP-1")
        await scene.passes(1)
        charger.cut()
        await scene.passes(1)
    charger = await scene.connects("CP-1")
    yield
    await scene.passes(600, every=10)


@story
async def charger_not_accepted(scene: Scene) -> AsyncIterator[None]:
    charger = await scene.connects("CP-1")
    cloud = scene.cloud.wires["CP-1"]

    async def boots(status: str) -> None:
        asked = charger.calls("BootNotification", BOOT)
        await cloud.hears()
        answer = {"status": status, "currentTime": "2026-11-20T10:00:00Z", "interval": 300}
        cloud.says([3, asked, answer])
        await scene.all_is_stored()

    await boots("Rejected")
    yield
    await boots("Accepted")


@story
async def charger_without_cloud(scene: Scene) -> AsyncIterator[None]:
    await scene.boots("CP-1")
    await scene.boots("CP-2")
    scene.cloud.up = False
    scene.cloud.wires.pop("CP-2").cut()
    yield
    assert not scene.is_on("cloud_away")
    await scene.cloud.comes_back("CP-2")


async def unsteered(scene: Scene, control: Control) -> AsyncIterator[None]:
    await scene.boots("CP-1")
    connector = scene.state("CP-1").power.connectors[1]
    connector.control, connector.fault = control, "rejects SetChargingProfile"
    yield
    connector.control, connector.fault = Control.STEERED, ""


@story
def charger_refuses_limits(scene: Scene) -> AsyncIterator[None]:
    return unsteered(scene, Control.REFUSES)


@story
def charger_disobeys(scene: Scene) -> AsyncIterator[None]:
    return unsteered(scene, Control.DISOBEYS)


@story
def charger_silent_to_limits(scene: Scene) -> AsyncIterator[None]:
    return unsteered(scene, Control.SILENT)


# --- the cloud --------------------------------------------------------------------------------------


@story
async def cloud_away(scene: Scene) -> AsyncIterator[None]:
    await scene.boots("CP-1")
    scene.cloud.goes_down()
    yield
    await scene.cloud.comes_back("CP-1")


@story
async def queue_growing(scene: Scene) -> AsyncIterator[None]:
    await scene.boots("CP-1")
    outbox = scene.state("CP-1").outbox
    for _ in range(11):
        await scene.passes(60, every=30)
        outbox.waiting += 10
    yield
    assert "at least 50 messages longer than 10 minutes ago" in scene.watch.alarms[0].text
    outbox.waiting = 0


@story
async def queue_old(scene: Scene) -> AsyncIterator[None]:
    await scene.boots("CP-1")
    outbox = scene.state("CP-1").outbox
    outbox.waiting, outbox.oldest_at = 1, scene.now.wall - 90_000
    yield
    outbox.waiting, outbox.oldest_at = 0, None


@story
async def messages_parked(scene: Scene) -> AsyncIterator[None]:
    await scene.boots("CP-1")
    scene.state("CP-1").outbox.parked = 3
    yield
    scene.state("CP-1").outbox.parked = 0


# --- power ------------------------------------------------------------------------------------------


@story
async def meter_missing(scene: Scene) -> AsyncIterator[None]:
    scene.reading = None
    await scene.passes(12)
    assert not scene.is_on("meter_missing")
    yield
    scene.reading = (10.0, 10.0, 10.0)


@story
async def meter_implausible(scene: Scene) -> AsyncIterator[None]:
    scene.load.on_trouble("grid", "meter_implausible", "L1 has 23 V, plausible are 90 to 300 V")
    yield
    scene.load.on_trouble("grid", "meter_ok", "reads well again")


@story
async def meter_below_chargers(scene: Scene) -> AsyncIterator[None]:
    phase = scene.load.control.buildings[0].phases[1]
    phase.below, phase._above_since = True, scene.mono  # believed again after 30 s of good readings
    yield
    await scene.passes(30)


@story
async def meter_reversed(scene: Scene) -> AsyncIterator[None]:
    phase = scene.load.control.buildings[0].phases[2]
    phase._against = 5  # cars that stopped and made it rise
    yield
    phase._against = 0


@story
async def over_limit(scene: Scene) -> AsyncIterator[None]:
    scene.reading = (80.0, 10.0, 10.0)
    await scene.passes(9)
    assert not scene.is_on("over_limit")
    yield
    assert "main L1: more than the limit of 63 A" in scene.watch.alarms[0].text
    scene.reading = (50.0, 10.0, 10.0)


@story
async def balancing_failed(scene: Scene) -> AsyncIterator[None]:
    scene.load.failing = True
    yield
    scene.load.failing = False


@story
async def limit_fallback(scene: Scene) -> AsyncIterator[None]:
    def renews() -> None:
        now = scene.now.wall
        scene.load.control.limits.set(
            "bms", now_wall=now, circuit="main", limit_a=40.0, expires_at=now + 30, fallback_a=16.0
        )

    renews()
    await scene.passes(29)
    assert not scene.is_on("limit_fallback")
    yield
    renews()


@story
async def limit_lapsed(scene: Scene) -> AsyncIterator[None]:
    def sets(source: str) -> None:
        now = scene.now.wall
        scene.load.control.limits.set(source, now_wall=now, circuit="main", limit_a=40.0, expires_at=now + 30)

    sets("bms")
    sets("a person, for half a minute")
    await scene.passes(29)
    assert not scene.is_on("limit_lapsed")
    yield
    (alarm,) = scene.watch.alarms
    assert alarm.target == "limit bms"
    assert "40 A on main by 'bms' was not renewed and has ended" in alarm.text
    sets("bms")


# --- MQTT -------------------------------------------------------------------------------------------


@story
async def broker_away(scene: Scene) -> AsyncIterator[None]:
    scene.broker.up, scene.broker.trouble = False, "connection refused"
    yield
    scene.broker.up = True


@story
async def broker_taken_over(scene: Scene) -> AsyncIterator[None]:
    scene.broker.taken_over = True
    yield
    scene.broker.taken_over = False


@story
async def telemetry_unusable(scene: Scene) -> AsyncIterator[None]:
    scene.telemetry_trouble = "the disk is full"
    yield
    scene.telemetry_trouble = ""


# --- the store --------------------------------------------------------------------------------------


async def store_holds(scene: Scene, **wrong: object) -> AsyncIterator[None]:
    scene.store.holds(**wrong)
    await scene.passes(12)
    yield
    scene.store.holds()
    await scene.passes(12)


@story
def disk_low(scene: Scene) -> AsyncIterator[None]:
    return store_holds(scene, free_bytes=100 * 1024 * 1024)


@story
def disk_full(scene: Scene) -> AsyncIterator[None]:
    return store_holds(scene, free_bytes=0, reserve=False)


@story
def rows_damaged(scene: Scene) -> AsyncIterator[None]:
    return store_holds(scene, quarantined=2)


@story
async def store_broken(scene: Scene) -> AsyncIterator[None]:
    scene.store.broken = True
    yield
    scene.store.broken = False


@story
async def store_unreadable(scene: Scene) -> AsyncIterator[None]:
    scene.store.fails = StoreFault("the disk does not answer")
    await scene.passes(12)
    yield
    scene.store.fails = None
    await scene.passes(12)


@story
async def store_damaged(scene: Scene) -> AsyncIterator[None]:
    scene.gateway.site_noticed("store_corrupt", "3 of 500 rows could not be read any more")
    yield
    await scene.passes(5)


@story
async def store_commit_unsure(scene: Scene) -> AsyncIterator[None]:
    scene.gateway.site_noticed("store_unknown_outcome", "a COMMIT failed; opening the store again")
    yield
    await scene.passes(5)


# --- clock, certificates ----------------------------------------------------------------------------


@story
async def clock_not_set(scene: Scene) -> AsyncIterator[None]:
    scene.trusted = False
    yield
    scene.trusted = True
    scene.wall_ahead += 26 * 365 * 86_400.0
    await scene.passes(1)
    assert not scene.is_on("clock_stepped")  # it was set for the first time


@story
async def clock_stepped(scene: Scene) -> AsyncIterator[None]:
    scene.wall_ahead -= 2 * 86_400.0
    yield
    assert "back by 2 days" in scene.watch.alarms[0].text
    await scene.passes(60)


def pem(days: float) -> str:
    return certificate(ec.generate_private_key(ec.SECP256R1()), end=datetime.now(UTC) + timedelta(days=days))


async def an_hour(scene: Scene) -> None:
    """The files are read again, in a thread."""
    eyes = scene.watch.certificates
    eyes.all_read.clear()
    await scene.passes(3600, every=600)
    await asyncio.wait_for(eyes.all_read.wait(), DEADLINE_S)


@story
async def certificate_ends(scene: Scene) -> AsyncIterator[None]:
    scene.certificate.write_text(pem(days=20))
    await an_hour(scene)
    await scene.passes(1)
    assert [a.severity for a in scene.watch.alarms] == ["warning"]
    scene.certificate.write_text(pem(days=400) + pem(days=5))  # of a chain the first to end counts
    await an_hour(scene)
    await scene.passes(1)
    assert [a.severity for a in scene.watch.alarms] == ["error"]
    await scene.passes(6 * 86_400, every=3600)
    assert [(a.severity, "has ended" in a.text) for a in scene.watch.alarms] == [("critical", True)]
    yield
    scene.certificate.write_text(pem(days=400))
    await an_hour(scene)


@story
async def certificate_unreadable(scene: Scene) -> AsyncIterator[None]:
    scene.certificate.unlink()
    await an_hour(scene)
    yield
    scene.certificate.write_text(pem(days=400))
    await an_hour(scene)


# --- firmware, the box ------------------------------------------------------------------------------


@story
async def rollout_stopped(scene: Scene) -> AsyncIterator[None]:
    failed = {"CP-1": Member(stage=Stage.FAILED)}
    by_itself = Rollout(id="3", sha256="", name="fw.bin", chargers=failed, paused=True, why="1 failed: CP-1")
    by_a_person = Rollout(id="4", sha256="", name="fw.bin", paused=True, why="by a person")
    scene.rollouts = [by_itself, by_a_person]
    yield
    assert [a.target for a in scene.watch.alarms] == ["rollout 3"]
    scene.rollouts = []


@story
async def update_failed(scene: Scene) -> AsyncIterator[None]:
    for status, ended in (("Downloading", False), ("Installed", True), ("InstallationFailed", True)):
        for listener in scene.gateway.file_listeners:
            listener("CP-1", FirmwareNews(order="o", status=status, ended=ended))
    yield
    await scene.passes(5)


@story
async def cache_unusable(scene: Scene) -> AsyncIterator[None]:
    scene.files_trouble = "the cache belongs to root"
    scene.gateway.note(Noticed("files_unusable", scene.files_trouble))
    yield
    assert len(scene.watch.alarms) == 1
    scene.files_trouble = ""


@story
async def door_shut(scene: Scene) -> AsyncIterator[None]:
    scene.shut["[files] listen"] = "[files] listen = 10.0.0.5:9080: Address already in use; ..."
    scene.shut["[control] listen"] = "[control] listen = 127.0.0.1:9000: Address already in use; ..."
    yield
    assert sorted(alarm.target for alarm in scene.watch.alarms) == ["[control] listen", "[files] listen"]
    scene.shut.clear()


@story
async def loop_lag(scene: Scene) -> AsyncIterator[None]:
    scene.lag_ms = 800.0
    yield
    scene.lag_ms = 3.0


@story
async def alarms_not_shown(scene: Scene) -> AsyncIterator[None]:
    scene.more = [
        Condition(code="messages_parked", target=f"CP-{number}", text="3 messages")
        for number in range(ALARMS_MAX + 10)
    ]
    await scene.passes(6)
    yield
    scene.more = []
    await scene.passes(5)
