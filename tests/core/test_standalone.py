"""No cloud at all: the same code is a complete local CSMS."""

from __future__ import annotations

import pytest

from edgegw.core.authorization import TokenPolicy
from edgegw.core.effects import SendCharger, SendCloud
from edgegw.core.records import Append, RowState
from tests.core.story import BOOT, V16, V21, V201, Story, event, meter, start, status, stop, story

EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])


def standalone(version) -> Story:
    told = story(version, standalone=True, tokens=TokenPolicy(tags={"tag": "Accepted", "bad": "Blocked"}))
    told.charger.connects()
    told.forget()
    return told


@EVERY_VERSION
def test_a_charger_boots_and_keeps_time(version):
    told = standalone(version)
    answer = told.charger.asks("BootNotification", BOOT[version])
    assert (answer["status"], answer["interval"]) == ("Accepted", 300)
    assert "currentTime" in told.charger.asks("Heartbeat")


def test_a_16_charger_charges_from_start_to_stop():
    told = standalone(V16)
    told.charger.sends("BootNotification", BOOT[V16])
    assert told.charger.asks("Authorize", {"idTag": "TAG"}) == {"idTagInfo": {"status": "Accepted"}}
    assert told.charger.asks("Authorize", {"idTag": "BAD"}) == {"idTagInfo": {"status": "Blocked"}}
    assert told.charger.asks("Authorize", {"idTag": "ELSE"}) == {"idTagInfo": {"status": "Invalid"}}
    answer = told.charger.asks("StartTransaction", start(wh=100))
    assert answer["idTagInfo"] == {"status": "Accepted"}
    transaction = answer["transactionId"]
    assert told.charger.asks("MeterValues", meter(transaction, wh=600)) == {}
    told.charger.asks("StopTransaction", stop(transaction, wh=1100, idTag="TAG"))
    record = told.transaction(transaction)
    assert (record.meter_start_wh, record.meter_last_wh, record.meter_stop_wh) == (100, 600, 1100)
    assert (record.running, record.offline, record.id_tag) == (False, False, "TAG")


@pytest.mark.parametrize("version", [V201, V21])
def test_a_2x_charger_charges_from_start_to_stop(version):
    told = standalone(version)
    told.charger.sends("BootNotification", BOOT[version])
    answer = told.charger.asks("TransactionEvent", event("Started", seq=0, token="TAG"))
    assert answer == {"idTokenInfo": {"status": "Accepted"}}
    reading = [
        {
            "timestamp": "2026-09-21T14:13:20Z",
            "sampledValue": [{"value": 1.5, "unitOfMeasure": {"unit": "kWh"}}],
        }
    ]
    assert told.charger.asks("TransactionEvent", event("Updated", seq=1, meterValue=reading)) == {}
    assert told.charger.asks("TransactionEvent", event("Ended", seq=2)) == {}
    record = told.transaction("tx-1")
    assert (record.meter_stop_wh, record.running, record.offline) == (1500, False, False)


@EVERY_VERSION
def test_everything_is_recorded_and_nothing_waits_for_a_cloud(version):
    told = standalone(version)
    told.charger.sends("BootNotification", BOOT[version])
    told.charger.sends("StatusNotification", status())
    if version is V16:
        told.charger.sends("StartTransaction", start())
    else:
        told.charger.sends("TransactionEvent", event("Started"))
    assert len(told.rows) == 3
    assert {row.state for row in told.rows} == {RowState.RECORDED}
    assert len(told.core.state.outbox) == 0
    assert not any(isinstance(effect, SendCloud) for effect in told.effects)
    told.after(3600)
    told.restart()
    assert len(told.core.state.outbox) == 0


@EVERY_VERSION
def test_a_record_is_on_disk_before_the_charger_is_answered(version):
    told = standalone(version)
    told.charger.sends("BootNotification", BOOT[version])
    told.expect(Append, SendCharger)


def test_a_restart_goes_on_with_the_transaction():
    told = standalone(V16)
    told.charger.sends("BootNotification", BOOT[V16])
    transaction = told.charger.asks("StartTransaction", start(wh=100))["transactionId"]
    told.restart()
    told.charger.connects()
    told.charger.sends("StopTransaction", stop(transaction, wh=1100))
    record = told.transaction(transaction)
    assert (record.meter_start_wh, record.meter_stop_wh, record.running) == (100, 1100, False)


def test_somebody_on_the_box_starts_and_stops_a_charger():
    told = standalone(V16)
    told.somebody_calls("RemoteStartTransaction", {"idTag": "GUEST", "connectorId": 1})
    told.charger.answers({"status": "Accepted"})
    assert told.charger.asks("StartTransaction", start(tag="GUEST"))["idTagInfo"]["status"] == "Accepted"
