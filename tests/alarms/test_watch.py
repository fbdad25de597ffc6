"""The watch itself: what survives a restart, what a bug in a source costs, how much work a look is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from edgegw.alarms import faults, watch
from edgegw.alarms.disk import DiskEyes, free_bytes
from edgegw.core.alarm_book import RECOVERED_HOLD_S, AlarmBook
from edgegw.core.alarms import AlarmChange, Condition
from edgegw.errors import StoreFault
from tests.alarms.scene import CATALOGUE, Scene
from tests.control.house import DEADLINE_S


@pytest.fixture
async def scene(tmp_path) -> AsyncIterator[Scene]:
    scene = Scene(tmp_path)
    await scene.start()
    yield scene
    await scene.stop()


async def test_a_latched_alarm_is_there_after_a_restart_until_it_is_acknowledged(scene: Scene):
    scene.gateway.site_noticed("store_corrupt", "3 rows could not be read")
    await scene.passes(5)
    before = scene.watch.alarms
    assert [(a.code, a.state) for a in before] == [("store_damaged", "active")]
    scene.gateway.notices.clear()
    await scene.restarts()
    assert scene.watch.alarms == before
    await scene.passes(RECOVERED_HOLD_S + 2)
    assert [(a.code, a.state) for a in scene.watch.alarms] == [("store_damaged", "cleared")]
    await scene.restarts()
    assert scene.watch.acknowledge("store-damaged", "Jo").acknowledged_by == "Jo"
    await scene.restarts()
    assert scene.watch.alarms == ()


async def test_an_alarm_that_is_still_so_after_a_restart_goes_on_and_stays_acknowledged(scene: Scene):
    charger = await scene.boots("CP-1")
    await scene.faults(charger, "GroundFailure")
    await scene.passes(5)
    (alarm,) = scene.watch.alarms
    seen = scene.watch.acknowledge(alarm.id, "Jo")
    await scene.all_is_stored()
    await scene.restarts()
    changes = await scene.passes(RECOVERED_HOLD_S + 60)
    assert "cleared charger_fault" not in changes
    assert seen in scene.watch.alarms
    await scene.faults(await scene.connects("CP-1"), "NoError")
    assert "cleared charger_fault" in await scene.passes(32)


async def test_what_the_store_found_while_it_was_opened_is_not_lost(scene: Scene):
    scene.gateway.site_noticed("store_corrupt", "3 rows could not be read")
    later = scene.watches(())
    assert [change.alarm.code for change in later.look(scene.now)] == ["store_damaged"]
    await later.stop()


async def test_everybody_who_listens_is_told_once(scene: Scene):
    told: list[AlarmChange] = []
    scene.watch.listeners.append(told.append)
    scene.broker.up = False
    await scene.passes(40)
    scene.watch.acknowledge("broker-away", "Jo")
    scene.broker.up = True
    await scene.passes(20)
    assert [change.kind for change in told] == ["raised", "acknowledged", "cleared"]
    assert {change.alarm.id for change in told} == {"broker-away"}


async def test_a_source_that_fails_silences_nobody_and_clears_nothing(scene: Scene, caplog):
    fails = False

    def flaky(now):
        if fails:
            raise RuntimeError("planted")
        yield Condition(code="rows_damaged", text="2 rows")

    scene.watch.sources.append(flaky)
    await scene.passes(2)
    fails = True
    scene.broker.taken_over = True
    await scene.passes(120)
    assert scene.is_on("rows_damaged")
    assert scene.is_on("broker_taken_over")
    assert [r.levelname for r in caplog.records if "flaky" in r.getMessage()] == ["ERROR"]
    assert scene.watch.bugs == 120


async def test_a_code_that_is_not_in_the_catalogue_is_a_bug_of_its_source(scene: Scene):
    scene.watch.sources.append(lambda now: [Condition(code="no_such_code", text="?")])
    scene.broker.taken_over = True
    await scene.passes(1)
    assert scene.is_on("broker_taken_over")
    assert scene.watch.bugs == 1


async def test_a_condition_that_flaps_all_night_is_one_alarm_and_few_writes(scene: Scene, monkeypatch):
    writes = []
    commit = scene.gateway.commit
    monkeypatch.setattr(scene.gateway, "commit", lambda ops, done: writes.append(ops) or commit(ops, done))
    changes = []
    for second in range(600):
        scene.broker.taken_over = second % 4 < 2
        changes += await scene.passes(1)
    assert changes.count("raised broker_taken_over") == 1
    assert changes.count("repeated broker_taken_over") == 149
    assert 100 <= len(writes) <= 600 / watch.WRITE_EVERY_S


async def test_a_write_that_failed_is_tried_again_after_a_while_until_it_is_done(scene: Scene, monkeypatch):
    tries = []

    def commit(ops, done) -> None:
        tries.append((scene.mono, ops))
        done(StoreFault("no space left") if len(tries) < 3 else None)

    monkeypatch.setattr(scene.gateway, "commit", commit)
    scene.broker.taken_over = True
    await scene.passes(60)
    first, second, third = [at for at, _ in tries]
    assert second - first >= watch.WRITE_EVERY_S
    assert third - second >= watch.WRITE_EVERY_S
    assert b"broker_taken_over" in tries[2][1][0].value


async def test_who_listens_and_fails_keeps_nothing_from_the_others(scene: Scene, caplog):
    def fails(change: AlarmChange) -> None:
        raise RuntimeError("planted")

    told: list[AlarmChange] = []
    scene.watch.listeners += [fails, told.append]
    scene.broker.taken_over = True
    await scene.passes(5)
    scene.watch.acknowledge("broker-taken-over", "Jo")
    assert [change.kind for change in told] == ["raised", "acknowledged"]
    assert scene.watch.bugs == 2
    logged = [r.levelname for r in caplog.records if r.exc_info and "planted" in str(r.exc_info[1])]
    assert logged == ["ERROR"]  # once, with its traceback


async def test_a_look_that_fails_stops_nobody_and_the_next_one_goes_on(scene: Scene, monkeypatch):
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    update, raised = AlarmBook.update, asyncio.Event()

    def fails_once(book, conditions, now):
        if not scene.watch.bugs:
            raise RuntimeError("planted")
        return update(book, conditions, now)

    monkeypatch.setattr(AlarmBook, "update", fails_once)
    scene.watch.listeners.append(lambda change: raised.set())
    scene.more = [Condition(code="messages_parked", text="3 messages")]
    scene.watch.start()
    assert scene.watch.bugs == 1
    await asyncio.wait_for(raised.wait(), DEADLINE_S)


async def test_a_quiet_site_writes_nothing(scene: Scene, monkeypatch):
    await scene.passes(60)
    writes = []
    monkeypatch.setattr(scene.gateway, "commit", lambda ops, done: writes.append(ops))
    await scene.passes(600)
    scene.watch._write(scene.now)
    assert writes == []


async def test_raised_alarms_are_in_the_log_with_their_weight(scene: Scene, caplog):
    caplog.set_level(logging.INFO, "edgegw.alarms")
    scene.broker.taken_over = True
    scene.lag_ms = 900.0
    await scene.passes(11)
    told = {r.getMessage().split(":")[1].strip(): r.levelname for r in caplog.records}
    assert told == {"broker-taken-over": "ERROR", "loop-lag": "WARNING"}


async def test_it_looks_once_a_second_by_itself(scene: Scene, monkeypatch):
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    looked = asyncio.Event()
    looks = 0

    def counts(now):
        nonlocal looks
        looks += 1
        if looks == 3:
            looked.set()
        return ()

    scene.watch.sources.append(counts)
    scene.watch.start()
    await asyncio.wait_for(looked.wait(), DEADLINE_S)


# --- bounded work -----------------------------------------------------------------------------------


@pytest.fixture
def explained(monkeypatch) -> list[str]:
    """Codes of the reports that were looked up in the catalogue."""
    asked: list[str] = []
    explain = faults.explain

    def counting(catalogue, report, vendor):
        asked.append(report.code)
        return explain(catalogue, report, vendor)

    monkeypatch.setattr(faults, "explain", counting)
    return asked


async def test_faults_are_worked_out_only_when_a_charger_reported_something(scene: Scene, explained):
    charger = await scene.boots("CP-1")
    await scene.faults(charger, "GroundFailure")
    await scene.passes(100)
    assert explained == ["GroundFailure"]
    await scene.faults(charger, "GroundFailure")
    await scene.passes(100)
    assert explained == ["GroundFailure"] * 2


async def test_a_site_that_floods_is_looked_at_in_turns(scene: Scene, explained):
    names = [f"X-{number:03}" for number in range(3 * faults.CHARGERS_PER_LOOK)]
    eyes = faults.FaultEyes(scene.gateway, CATALOGUE)
    chargers = [await scene.connects(name) for name in names]
    for _ in range(3):
        for charger in chargers:
            await scene.faults(charger, "GroundFailure")
        before = len(explained)
        found = list(eyes.look(scene.now))
        scene.mono += 1
        assert len(explained) - before == faults.CHARGERS_PER_LOOK
    assert {condition.target for condition in found} == {f"{name}/1" for name in names}


async def test_a_charger_with_many_faults_shows_the_worst(scene: Scene):
    charger = await scene.boots("CP-1")
    for number in range(30):
        await scene.faults(charger, "OtherError", vendorErrorCode=f"E{number}")
    await scene.faults(charger, "GroundFailure")
    await scene.passes(4)
    shown = [alarm for alarm in scene.watch.alarms if alarm.code == "charger_fault"]
    assert len(shown) == faults.FAULTS_MAX
    assert (shown[0].severity, shown[0].id) == ("critical", "charger-fault-cp-1--1--groundfailure")


async def test_nothing_a_charger_wrote_can_move_a_cursor_or_tell_a_secret(scene: Scene):
    charger = await scene.boots("CP-1")
    await scene.faults(charger, "OtherError", info="\x1b[2J", vendorErrorCode="\x9b31m")
    await scene.faults(charger, "Bog\x07us", info="new password=hunter2")
    await scene.faults(charger, "ReaderFailure", info='{"idTag":"04A1B2C3"}')
    await scene.passes(4)
    shown = [text for a in scene.watch.alarms for text in (a.id, a.title, a.text, a.target, a.todo)]
    assert len(scene.watch.alarms) == 3
    assert all(text.isprintable() for text in shown)
    assert not any("hunter2" in text or "04A1B2C3" in text for text in shown)


# --- single corners ---------------------------------------------------------------------------------


async def test_a_charger_that_was_never_here_or_was_taken_away_is_no_alarm(scene: Scene):
    scene.gateway.session("CP-2")  # known, never connected
    (await scene.boots("X-9")).cut()  # not in [chargers] known
    (await scene.boots("CP-1")).cut()
    await scene.passes(310)
    assert [a.target for a in scene.watch.alarms if a.code == "charger_silent"] == ["CP-1"]


async def test_what_was_taken_away_has_no_fault_any_more(scene: Scene):
    wires = {name: await scene.boots(name) for name in ("CP-1", "X-9")}  # not in [chargers] known
    for charger in wires.values():
        await scene.faults(charger, "GroundFailure")
    await scene.passes(4)
    targets = {a.target for a in scene.watch.alarms if a.code == "charger_fault"}
    assert targets == {"CP-1/1", "X-9/1"}
    for charger in wires.values():
        charger.cut()
    await scene.passes(40)
    assert [a.target for a in scene.watch.alarms if a.code == "charger_fault"] == ["CP-1/1"]


async def test_what_was_done_to_a_charger_before_it_was_taken_away_is_told(scene: Scene):
    charger = await scene.boots("X-9")
    event = {"type": "TamperDetectionActivated", "timestamp": "2026-11-20T10:00:00Z"}
    charger.calls("SecurityEventNotification", event)
    charger.cut()
    await scene.passes(1)
    assert [a.code for a in scene.watch.alarms] == ["charger_security"]


async def test_a_charger_is_expected_when_it_is_here_named_or_wired(scene: Scene):
    gateway = scene.gateway
    assert gateway.expects("CP-1")
    assert not gateway.expects("X-9")
    charger = await scene.boots("X-9")
    assert gateway.expects("X-9")
    charger.cut()
    assert not gateway.expects("X-9")
    gateway.settings = msgspec.structs.replace(gateway.settings, known=frozenset({"CP-7"}))
    assert gateway.expects("CP-1")  # it has a [[connector]]
    gateway.settings = msgspec.structs.replace(gateway.settings, known=frozenset())
    assert gateway.expects("X-9")


async def test_a_limit_that_ended_is_over_when_it_is_released(scene: Scene):
    limits, now = scene.load.control.limits, scene.now.wall
    limits.set("bms", now_wall=now, circuit="main", limit_a=40.0, expires_at=now + 5)
    await scene.passes(10)
    assert scene.is_on("limit_lapsed")
    limits.clear("bms")
    assert "cleared limit_lapsed" in await scene.passes(5)


async def test_a_full_disk_of_files_that_is_not_the_stores_is_told(scene: Scene, tmp_path):
    assert free_bytes(tmp_path, tmp_path) is None
    eyes = DiskEyes(Path("/proc"), tmp_path, scene.watch.tasks)  # another file system, with nothing free
    scene.watch.sources.append(eyes.look)
    await scene.passes(1)
    await asyncio.wait_for(asyncio.gather(*scene.watch.tasks._running), DEADLINE_S)
    await scene.passes(15)
    assert [(a.id, a.title) for a in scene.watch.alarms] == [
        ("disk-low-disk-files", "The disk for firmware and logs is nearly full")
    ]


async def test_a_bug_while_the_store_is_asked_is_no_end_of_asking(scene: Scene, caplog):
    scene.store.fails = RuntimeError("planted")
    await scene.passes(15)
    scene.store.fails = None
    scene.store.holds(quarantined=2)
    await scene.passes(15)
    assert scene.is_on("rows_damaged")
    assert "planted" in caplog.text


async def test_an_outage_of_the_cloud_is_one_alarm_not_one_per_charger(scene: Scene):
    await scene.boots("CP-1")
    await scene.boots("CP-2")
    scene.cloud.goes_down()
    for _ in range(20):
        scene.state("CP-1").outbox.waiting += 10  # what waits meanwhile is no queue that grows
        await scene.passes(60, every=20)
    assert [a.code for a in scene.watch.alarms if a.code != "charger_quiet"] == ["cloud_away"]


async def test_a_store_that_hangs_is_asked_once_and_told(scene: Scene):
    scene.store.hangs = asyncio.Event()
    await scene.passes(40)
    assert scene.is_on("store_unreadable")
    scene.store.hangs.set()
    scene.store.hangs = None
    await scene.passes(25)
    assert not scene.is_on("store_unreadable")


async def test_a_disk_at_the_edge_does_not_come_and_go(scene: Scene):
    changes = []
    for number in range(60):
        scene.store.holds(free_bytes=(250 + 20 * (number % 2)) * 2**20)
        changes += await scene.passes(15)
    assert changes == ["raised disk_low"]


async def test_a_repeated_word_of_2x_events_is_one_fault_and_its_end_is_the_end(scene: Scene):
    charger = await scene.connects("CP-1", "ocpp2.0.1")

    def says(value: str) -> None:
        event = {
            "eventId": 1, "timestamp": "2026-11-20T10:00:00Z", "trigger": "Alerting", "actualValue": value,
            "eventNotificationType": "HardWiredNotification",
            "component": {"name": "ConnectorPlugRetentionLock", "evse": {"id": 2}},
            "variable": {"name": "Problem"},
        }  # fmt: skip
        payload = {"generatedAt": "2026-11-20T10:00:00Z", "seqNo": 0, "eventData": [event]}
        charger.calls("NotifyEvent", payload)

    says("true")
    says("true")
    await scene.passes(4)
    assert [(a.target, a.severity) for a in scene.watch.alarms] == [("CP-1/2", "error")]
    says("false")
    assert "cleared charger_fault" in await scene.passes(32)
