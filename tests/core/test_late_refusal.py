"""The cloud's late no to a transaction that the box allowed: it is stopped the way the charger is set."""

from __future__ import annotations

import pytest

from edgegw.wire.schemas import Schemas
from tests.core.story import V16, V21, V201, Story, away, event, online, start, stop

REFUSED = {"status": "Blocked"}


def refused_16() -> tuple[Story, int]:
    told = away()
    local = told.charger.asks("StartTransaction", start(2))["transactionId"]
    told.charger.take()
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": 4711, "idTagInfo": REFUSED})
    return told, local


def refused_2x(version) -> Story:
    told = away(version)
    told.charger.sends("TransactionEvent", event("Started", token="TAG", evse={"id": 3, "connectorId": 1}))
    told.charger.take()
    told.cloud.comes_back()
    told.cloud.answers({"idTokenInfo": REFUSED})
    return told


def test_the_charger_is_asked_how_it_is_set():
    told, _ = refused_16()
    assert told.charger.last[2:] == ["GetConfiguration", {"key": ["StopTransactionOnInvalidId"]}]
    assert "late_refusal" in told.noticed


@pytest.mark.parametrize(
    "answer",
    [
        {"configurationKey": [{"key": "StopTransactionOnInvalidId", "readonly": False, "value": "true"}]},
        {"unknownKey": ["StopTransactionOnInvalidId"]},
        {},
        {"configurationKey": 5},
        {"configurationKey": ["x"]},
    ],
)
def test_a_charger_set_to_stop_or_that_does_not_say_is_stopped_with_the_id_it_knows(answer):
    told, local = refused_16()
    told.charger.answers(answer)
    assert told.charger.last[2:] == ["RemoteStopTransaction", {"transactionId": local}]


def test_a_charger_that_does_not_answer_is_stopped_all_the_same():
    told, local = refused_16()
    told.after(31)
    assert told.charger.last[2:] == ["RemoteStopTransaction", {"transactionId": local}]


def test_a_late_word_of_the_charger_stops_nothing_twice():
    told, _ = refused_16()
    asked = told.charger.newest_call
    told.after(31)
    told.charger.answers({"status": "Accepted"})
    told.charger.take()
    told.charger.says(b'[3,"%s",{}]' % asked.encode())
    assert told.charger.take() == []


def test_a_charger_set_to_go_on_gets_no_more_energy():
    told, local = refused_16()
    told.charger.answers({"configurationKey": [{"key": "StopTransactionOnInvalidId", "value": "false"}]})
    _, _, action, payload = told.charger.last
    assert action == "SetChargingProfile"
    assert payload["connectorId"] == 2
    profile = payload["csChargingProfiles"]
    assert profile["transactionId"] == local
    assert profile["chargingProfilePurpose"] == "TxProfile"
    assert [p["limit"] for p in profile["chargingSchedule"]["chargingSchedulePeriod"]] == [0]
    assert Schemas().complaints(V16, "request", action, payload) == ()


def test_a_transaction_that_has_ended_is_left_alone():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("StopTransaction", stop(local))
    told.charger.take()
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": 4711, "idTagInfo": REFUSED})
    assert told.charger.actions == []


def test_a_transaction_that_ends_while_the_charger_is_asked_is_left_alone():
    told, local = refused_16()
    asked = told.charger.newest_call
    told.charger.sends("StopTransaction", stop(local))
    told.cloud.answers({})
    told.charger.take()
    told.charger.says(b'[3,"%s",{}]' % asked.encode())
    assert told.charger.actions == []


def test_people_are_told_when_a_refused_transaction_could_not_be_stopped():
    told, _ = refused_16()
    told.charger.answers({})
    told.charger.answers({"status": "Rejected"})
    assert "late_refusal_failed" in told.noticed


def test_an_accepted_tag_stops_nothing():
    told = away()
    told.charger.sends("StartTransaction", start())
    told.charger.take()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.charger.take() == []


def test_the_late_answer_of_a_slow_cloud_counts_as_well():
    told = online()
    told.charger.sends("StartTransaction", start())
    told.after(21)
    told.cloud.answers({"transactionId": 4711, "idTagInfo": REFUSED})
    assert told.charger.actions == ["GetConfiguration"]


def test_what_the_charger_answers_to_the_box_is_not_told_to_the_cloud():
    told, _ = refused_16()
    told.cloud.take()
    told.charger.answers({})
    told.charger.answers({"status": "Accepted"})
    assert told.cloud.take() == []


@pytest.mark.parametrize("version", [V201, V21])
def test_a_2x_charger_is_asked_how_it_is_set_and_stopped(version):
    told = refused_2x(version)
    _, _, action, payload = told.charger.last
    assert action == "GetVariables"
    assert payload["getVariableData"][0]["variable"]["name"] == "StopTxOnInvalidId"
    assert Schemas().complaints(version, "request", action, payload) == ()
    told.charger.answers({"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": "true"}]})
    assert told.charger.last[2:] == ["RequestStopTransaction", {"transactionId": "tx-1"}]


@pytest.mark.parametrize("version", [V201, V21])
def test_a_2x_charger_set_to_go_on_gets_no_more_energy(version):
    told = refused_2x(version)
    told.charger.answers({"getVariableResult": [{"attributeStatus": "Accepted", "attributeValue": "false"}]})
    _, _, action, payload = told.charger.last
    assert action == "SetChargingProfile"
    assert payload["evseId"] == 3
    assert payload["chargingProfile"]["transactionId"] == "tx-1"
    assert Schemas().complaints(version, "request", action, payload) == ()


@pytest.mark.parametrize("version", [V201, V21])
def test_a_late_cost_is_passed_on_while_the_transaction_runs(version):
    told = away(version)
    told.charger.sends("TransactionEvent", event("Started"))
    told.charger.take()
    told.cloud.comes_back()
    told.cloud.answers({"totalCost": 1.5})
    assert told.charger.last[2:] == ["CostUpdated", {"totalCost": 1.5, "transactionId": "tx-1"}]
