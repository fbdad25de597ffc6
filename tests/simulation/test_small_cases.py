"""What the simulation's reading of the core found and no seed shows soon: each as one small case."""

from __future__ import annotations

import json
from typing import Any

from edgegw.core.charger import Charger
from edgegw.core.effects import CloseCloud, Effect, Noticed, SendCharger, SendCloud
from edgegw.core.events import (
    ChargerConnected,
    ChargerSpoke,
    CloudConnected,
    CloudLost,
    CloudSpoke,
    Instant,
    Woke,
)
from edgegw.core.records import Append, ChargerRecovery, JournalRow, Lane, SaveDocument
from edgegw.core.site import Policy, Site
from edgegw.runtime.sequencer import Sequencer
from edgegw.wire.frames import call, parse, result
from edgegw.wire.versions import Version


def at(mono: float) -> Instant:
    return Instant(mono, 1_790_000_000.0 + mono)


def said(message_id: str, action: str, payload: dict[str, Any]) -> ChargerSpoke:
    return ChargerSpoke(parse(call(message_id, action, payload), Version.V16))


def connected() -> Charger:
    charger = Charger("CP1", Site(Policy(), iter(map(str, range(1000))).__next__))
    charger.handle(CloudConnected(), at(0))
    charger.handle(ChargerConnected(Version.V16), at(0))
    return charger


def boot_answered(charger: Charger, status: str) -> None:
    charger.handle(said("boot", "BootNotification", {"chargePointModel": "S"}), at(1))
    answer = {"status": status, "currentTime": "2026-09-21T00:00:00Z", "interval": 60}
    charger.handle(CloudSpoke(parse(result("boot", answer), Version.V16)), at(2))


def answers(effects: list[Effect], message_id: str) -> list[bytes]:
    sent = [e.data for e in effects if isinstance(e, SendCharger)]
    return [data for data in sent if json.loads(data)[:2] == [3, message_id]]


METER_VALUES = {"connectorId": 1, "meterValue": [{"timestamp": "2026-09-21T00:00:00Z", "sampledValue": []}]}
STATUS = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}


def test_a_call_that_nobody_answered_is_asked_again_when_the_charger_asks_again():
    """The cloud said Pending, so only the cloud may answer; it is silent, and the charger retries."""
    charger = connected()
    boot_answered(charger, "Pending")
    assert charger.handle(said("1", "MeterValues", METER_VALUES), at(10))
    charger.handle(Woke(), at(41))  # given up after 30 s
    again = charger.handle(said("1", "MeterValues", METER_VALUES), at(60))
    assert [type(effect) for effect in again] == [SendCloud]


def test_a_flood_of_states_does_not_make_a_repeated_message_a_new_one():
    charger = connected()
    boot_answered(charger, "Accepted")
    charger.handle(CloudLost("gone"), at(10))
    first = charger.handle(said("1", "MeterValues", METER_VALUES), at(11))
    assert any(isinstance(effect, Append) for effect in first)
    for number in range(40):
        charger.handle(said(f"flood-{number}", "StatusNotification", STATUS), at(12))
    again = charger.handle(said("1", "MeterValues", METER_VALUES), at(13))
    assert answers(again, "1")
    assert not any(isinstance(effect, Append) for effect in again)


def test_an_id_used_again_before_a_restart_is_not_the_first_to_be_forgotten():
    """A charger counts from 1 after each boot; power goes, and it sends its last message once more."""
    rows = [stored(seq, str(seq), METER_VALUES) for seq in range(1, 32)]
    last = stored(32, "1", {**METER_VALUES, "connectorId": 2})
    kept = ChargerRecovery(charger="CP1", seq_last=32, epoch_last=9, recent=(*rows, last))
    charger = Charger.recover(kept, Site(Policy(), iter(map(str, range(1000))).__next__))
    charger.handle(ChargerConnected(Version.V16), at(0))
    again = charger.handle(ChargerSpoke(parse(last.raw, Version.V16)), at(1))
    assert again == [SendCharger(last.answer)]


def stored(seq: int, message_id: str, payload: dict[str, Any]) -> JournalRow:
    return JournalRow(
        charger="CP1",
        seq=seq,
        epoch=8,
        message_id=message_id,
        lane=Lane.TRANSACTION,
        version="ocpp1.6",
        action="MeterValues",
        raw=call(message_id, "MeterValues", payload),
        answer=result(message_id, {}),
        received_at=1_790_000_000.0,
        clock_trusted=True,
    )


def test_what_an_effect_brings_about_waits_for_the_effects_beside_it():
    """Closing a leg is an event, and its effects come from the middle of a list."""
    done: list[object] = []

    def perform(effect: Effect) -> None:
        done.append(effect)
        if isinstance(effect, CloseCloud):
            sequencer.push([SendCharger(b"brought about")])

    sequencer = Sequencer(perform, lambda ops, then: None, lambda error: None)
    sequencer.push([CloseCloud(""), Noticed("a", ""), SendCharger(b"beside")])
    assert [type(effect) for effect in done] == [CloseCloud, Noticed, SendCharger, SendCharger]
    assert done[-1] == SendCharger(b"brought about")


def test_a_halted_sequencer_takes_nothing_until_it_is_reset():
    done: list[object] = []
    sequencer = Sequencer(done.append, lambda ops, then: then(OSError("disk")), lambda error: None)
    sequencer.push([SaveDocument(kind="x", charger="CP1", key="", value=b"1"), SendCharger(b"a")])
    sequencer.push([SendCharger(b"decided on what is not stored")])
    assert done == []
    sequencer.reset()
    sequencer.push([SendCharger(b"b")])
    assert done == [SendCharger(b"b")]


def test_what_was_meant_for_a_leg_that_is_gone_does_not_reach_the_next():
    done: list[object] = []
    commits: list[Any] = []
    sequencer = Sequencer(done.append, lambda ops, then: commits.append(then), lambda error: None)
    saved = SaveDocument(kind="x", charger="CP1", key="", value=b"1")
    sequencer.push([saved, SendCharger(b"old"), SendCloud(b"stays")])
    sequencer.forget(SendCharger)
    commits[0](None)
    assert done == [SendCloud(b"stays")]
