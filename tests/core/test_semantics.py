"""Messages that fit the schema and make no sense: kept as they came, flagged, never dropped, never merged."""

from __future__ import annotations

import json

import pytest

from edgegw.core.records import RowState
from tests.core.story import (
    V16,
    V21,
    V201,
    Story,
    away,
    event,
    meter,
    online,
    start,
    status,
    stop,
    time_at,
)


def said(told: Story, action: str, payload: dict[str, object]) -> bytes:
    """Sends it and returns the bytes."""
    raw = json.dumps([2, f"r{len(told.rows)}", action, payload]).encode()
    told.charger.says(raw)
    return raw


@pytest.mark.parametrize("connector", [-1, 0, 999, 2**70, "1", None, True])
def test_fault_33_a_start_on_an_unknown_connector_is_stored_and_flagged(connector):
    told = away()
    raw = said(told, "StartTransaction", start(connector))
    (row,) = told.stored
    assert row.raw == raw
    assert "unknown_connector" in row.flags
    assert told.charger.last[2]["transactionId"] > 0


@pytest.mark.parametrize("connector", [-1, 2**70])
def test_fault_33_meter_values_of_an_unknown_connector_are_stored_and_flagged(connector):
    told = away()
    raw = said(told, "MeterValues", meter(connector=connector))
    assert (told.stored[0].raw, told.stored[0].flags[0]) == (raw, "unknown_connector")


def test_fault_33_states_of_very_many_connectors_are_bounded():
    told = away()
    for connector in range(200):
        told.charger.sends("StatusNotification", status(connector))
    assert len(told.core.state.connectors) <= 64
    assert all(frame[0] == 3 for frame in told.charger.frames)


@pytest.mark.parametrize(
    "text",
    [
        "222222017-10-27T19:10:11Z",
        "yesterday",
        "1970-01-01T00:00:00Z",
        "2106-02-07T06:28:15Z",
        "2026-09-21T14:13:20",
        "2026-09-21T14:13:60Z",
        "2026-09-21T14:13:20+14:00",
        5,
    ],
)
def test_fault_34_a_time_that_cannot_be_right_is_kept_and_flagged(text):
    told = away()
    raw = said(told, "StartTransaction", start() | {"timestamp": text})
    (row,) = told.stored
    assert row.raw == raw
    assert "clock_suspect" in row.flags
    assert row.received_at == told.wall


def test_fault_34_a_time_that_is_right_is_not_flagged():
    told = away()
    said(told, "StartTransaction", start())
    assert "clock_suspect" not in told.stored[0].flags


@pytest.mark.parametrize(
    ("began", "ended"), [(1000, 10), (0, -5), (0, 20_000_000), (4_294_967_290, 5), (0, 1.5)]
)
def test_fault_35_energy_that_cannot_be_is_forwarded_unchanged_and_flagged(began, ended):
    told = away()
    local = told.charger.asks("StartTransaction", start(wh=began))["transactionId"]
    raw = said(told, "StopTransaction", stop(local, wh=ended))
    row = told.stored[-1]
    assert row.raw == raw
    assert "meter_suspect" in row.flags


def test_fault_35_energy_that_can_be_is_not_flagged():
    told = away()
    local = told.charger.asks("StartTransaction", start(wh=1000))["transactionId"]
    said(told, "StopTransaction", stop(local, wh=21_000))
    assert told.stored[-1].flags == ()


def test_fault_35_a_live_stop_is_relayed_untouched_and_counted():
    told = online()
    told.charger.sends("StartTransaction", start(wh=1000))
    told.cloud.answers({"transactionId": 5, "idTagInfo": {"status": "Accepted"}})
    raw = said(told, "StopTransaction", stop(5, wh=10))
    assert told.cloud.raw[-1] == raw
    told.cloud.answers({})
    assert told.site.counters["meter_suspect"] == 1


@pytest.mark.parametrize("transaction", [999, -1, 0, "x", None])
def test_fault_36_a_stop_for_an_unknown_transaction_is_stored_answered_and_flagged(transaction):
    told = away()
    raw = said(told, "StopTransaction", stop(transaction))
    (row,) = told.stored
    assert row.raw == raw
    assert "unknown_transaction" in row.flags
    assert told.charger.last[0] == 3
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.raw == [raw]


def test_fault_36_a_stop_for_another_charger_s_transaction_leaves_that_one_alone():
    told = away()
    other = Story(V16, told.policy, identity="CP-2", beside=told)
    other.charger.connects()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    other.charger.sends("StopTransaction", stop(local))
    assert told.transaction(local).running
    assert str(local) in told.core.state.transactions.running
    assert other.rows[-1].charger == "CP-2"
    told.cloud.is_polite = True
    told.cloud.comes_back()
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == 101


def test_fault_36_a_second_stop_is_delivered_and_changes_nothing_that_is_known():
    told = away()
    local = told.charger.asks("StartTransaction", start(wh=100))["transactionId"]
    said(told, "StopTransaction", stop(local, wh=1100))
    before = told.transaction(local)
    said(told, "StopTransaction", stop(local, wh=9999))
    assert told.transaction(local) == before
    assert len(told.stored) == 3
    assert "unknown_transaction" in told.stored[-1].flags


def test_fault_36_a_second_end_of_a_2x_transaction_changes_nothing_that_is_known():
    told = away(V201)
    told.charger.sends("TransactionEvent", event("Started", seq=0, token="TAG"))
    told.charger.sends("TransactionEvent", event("Ended", seq=1))
    before = told.transaction("tx-1")
    told.charger.sends("TransactionEvent", event("Ended", seq=2))
    told.charger.sends("TransactionEvent", event("Updated", seq=3))
    assert told.transaction("tx-1") == before
    assert len(told.stored) == 4
    assert told.core.state.transactions.running == {}


def test_fault_36_a_stop_after_the_charger_s_reboot_ends_its_transaction():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.leaves()
    told.charger.connects()
    told.charger.sends("StopTransaction", stop(local, reason="PowerLoss"))
    assert told.transaction(local).stop_reason == "PowerLoss"


def test_fault_37_a_start_on_a_busy_connector_is_a_new_transaction_and_the_old_one_has_no_stop():
    told = away()
    old = told.charger.asks("StartTransaction", start(1, at=0))["transactionId"]
    new = told.charger.asks("StartTransaction", start(1, at=50))["transactionId"]
    assert old != new
    assert "connector_busy" in told.stored[-1].flags
    assert (told.transaction(old).running, told.transaction(old).flags) == (False, ("no_stop_seen",))
    assert told.transaction(new).running


def test_fault_38_meter_values_go_up_in_the_order_they_came_after_their_start():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    for wh in (300, 100, 100, 200):
        told.charger.sends("MeterValues", meter(local, wh=wh))
    told.charger.sends("StopTransaction", stop(local))
    told.charger.sends("MeterValues", meter(local, wh=50))
    told.cloud.is_polite = True
    told.cloud.comes_back()
    readings = [
        f[3]["meterValue"][0]["sampledValue"][0]["value"] for f in told.cloud.frames if f[2] == "MeterValues"
    ]
    assert readings == ["300", "100", "100", "200", "50"]
    assert told.cloud.actions[0] == "StartTransaction"
    assert {f[3]["transactionId"] for f in told.cloud.frames[1:]} == {101}


@pytest.mark.parametrize("version", [V201, V21])
def test_fault_39_events_with_gaps_and_repeats_all_go_up_in_order_and_are_flagged(version):
    told = away(version)
    sent = [0, 1, 4, 4, 2, 3]
    for n, seq in enumerate(sent):
        kind = "Started" if n == 0 else "Updated"
        told.charger.sends("TransactionEvent", event(kind, seq=seq, offline=True))
    assert [row.flags for row in told.stored] == [
        (),
        (),
        ("seq_gap",),
        ("seq_repeated",),
        ("seq_repeated",),
        (),
    ]
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert [f[3]["seqNo"] for f in told.cloud.frames] == sent


def test_fault_39_a_gap_in_live_events_is_counted():
    told = online(V201)
    for seq in (0, 2):
        told.charger.sends("TransactionEvent", event("Updated" if seq else "Started", seq=seq))
        told.cloud.answers({})
    assert told.site.counters["seq_gap"] == 1


def test_fault_41_a_flood_of_states_is_coalesced_and_never_starves_a_stop():
    told = online()
    told.charger.sends("Heartbeat")  # the cloud is slow
    sent = [told.charger.sends("StatusNotification", status(1, s)) for s in ["Charging", "SuspendedEV"] * 50]
    stopped = told.charger.sends("StopTransaction", stop(5))
    sent += [told.charger.sends("StatusNotification", status(1, s)) for s in ["Finishing", "Available"] * 50]
    told.cloud.is_polite = True
    told.cloud.says(told.cloud.polite(told.cloud.last))
    assert told.cloud.actions.count("StatusNotification") <= 2
    assert told.cloud.actions.index("StopTransaction") <= 2
    assert told.cloud.frames[-1][3]["status"] == "Available"
    assert all(told.charger.was_answered(one) for one in [*sent, stopped])


def test_fault_41_a_flood_while_the_cloud_is_away_costs_one_row_per_connector():
    told = away()
    for n in range(300):
        told.charger.sends("StatusNotification", status(n % 2, "Charging" if n % 3 else "SuspendedEV"))
    assert len(told.stored) == 2


def test_fault_41_errors_in_a_flood_are_all_told():
    told = online()
    told.charger.sends("Heartbeat")
    for error in ("GroundFailure", "OverVoltage", "HighTemperature"):
        told.charger.sends("StatusNotification", status(1, "Faulted", error))
    told.cloud.is_polite = True
    told.cloud.says(told.cloud.polite(told.cloud.last))
    errors = [f[3]["errorCode"] for f in told.cloud.frames if f[2] == "StatusNotification"]
    assert errors == ["GroundFailure", "OverVoltage", "HighTemperature"]


@pytest.mark.parametrize("payload", [{}, {"status": "Maybe"}, {"status": 5, "x": [1]}])
def test_fault_27_an_answer_that_fits_no_schema_reaches_who_asked_at_once(payload):
    told = online()
    told.cloud.sends("Reset", id="r")
    told.charger.answers(payload)
    assert told.cloud.last == [3, "r", payload]
    told.somebody_calls("Reset", ticket=1)
    told.charger.answers(payload)
    assert told.finished[0].payload == payload
    told.charger.sends("BootNotification", {}, id="b")
    told.cloud.answers(payload)
    assert told.charger.last == [3, "b", payload]


def test_fault_28_an_action_that_is_a_path_or_too_odd_for_a_name_reaches_no_table():
    told = away()
    assert told.charger.asks("....passwd") == "NotImplemented"
    assert told.charger.asks("StopTransactionX") == "NotImplemented"
    assert told.rows == []


def test_fault_52_a_call_for_a_charger_that_is_gone_is_not_kept_for_it():
    told = online()
    told.charger.leaves()
    told.cloud.comes_back()
    told.cloud.sends("Reset", id="stale")
    told.cloud.goes_away()
    told.cloud.comes_back()
    told.charger.connects()
    assert "Reset" not in told.charger.actions


# --- signed messages (2.x Part 4 chapter 7) -------------------------------------------------------

# JWS payload of {"eventType":"Started","seqNo":0,"transactionInfo":{"transactionId":"tx-9"},...} with a token
SIGNED = (
    b'[2,"j-1","TransactionEvent-Signed",{"payload":"eyJldmVudFR5cGUiOiJTdGFydGVkIiwidGltZXN0YW1wIjoiMjAyNi0w'
    b"OS0yMVQxNDoxMzoyMFoiLCJ0cmlnZ2VyUmVhc29uIjoiQXV0aG9yaXplZCIsInNlcU5vIjowLCJ0cmFuc2FjdGlvbkluZm8iOnsidHJh"
    b"bnNhY3Rpb25JZCI6InR4LTkifSwiaWRUb2tlbiI6eyJpZFRva2VuIjoiVEFHIiwidHlwZSI6IklTTzE0NDQzIn19"
    b'" , "protected":"e30","signature":"AA\\/"}]'
)


@pytest.mark.parametrize("version", [V201, V21])
def test_a_signed_event_away_from_the_cloud_is_kept_and_goes_up_untouched(version):
    told = away(version)
    told.charger.says(SIGNED)
    assert told.charger.last == [3, "j-1", {"idTokenInfo": {"status": "Unknown"}}]
    (row,) = told.stored
    assert (row.raw, row.transaction, row.lane) == (SIGNED, "tx-9", 3)
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.raw == [SIGNED]
    assert told.rows[0].state is RowState.DELIVERED


@pytest.mark.parametrize("version", [V201, V21])
def test_a_signed_event_waits_behind_the_queue_like_any_other(version):
    told = away(version)
    told.charger.sends("TransactionEvent", event("Started"))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.charger.says(SIGNED)
    assert told.cloud.take() == []
    assert len(told.stored) == 2


@pytest.mark.parametrize("version", [V201, V21])
def test_a_signed_event_that_cannot_be_read_is_kept_all_the_same(version):
    told = away(version)
    raw = b'[2,"j","TransactionEvent-Signed",{"payload":5}]'
    told.charger.says(raw)
    assert told.charger.last == [3, "j", {}]
    assert told.stored[0].raw == raw


def test_a_signed_heartbeat_and_boot_are_answered_like_any_other():
    told = away(V201)
    told.charger.says(b'[2,"h","Heartbeat-Signed",{"payload":"e30","protected":"e30","signature":"AA"}]')
    assert told.charger.last == [3, "h", {"currentTime": time_at()}]
    told.charger.says(
        b'[2,"b","BootNotification-Signed",{"payload":"e30","protected":"e30","signature":"AA"}]'
    )
    assert told.charger.last[2]["status"] == "Accepted"
    assert [row.lane for row in told.stored] == [0]


def test_a_signed_move_away_from_the_box_is_refused_whatever_the_policy():
    """It cannot be rewritten, so it cannot be adopted."""
    told = online(V201, adopt_moves=True, gateway_url="ws://box/ocpp")
    payload = "eyJjb25maWd1cmF0aW9uU2xvdCI6MSwiY29ubmVjdGlvbkRhdGEiOnsib2NwcENzbXNVcmwiOiJ3c3M6Ly9vdGhlciJ9fQ"
    told.cloud.sends("SetNetworkProfile-Signed", {"payload": payload, "protected": "e30", "signature": "AA"})
    assert told.charger.take() == []
    assert told.noticed == ["move_refused"]


def test_fault_36_a_stop_that_is_repeated_after_a_restart_leaves_the_record_alone():
    told = online()
    told.charger.sends("StartTransaction", start())
    told.cloud.answers({"transactionId": 7, "idTagInfo": {"status": "Accepted"}})
    told.charger.sends("StopTransaction", stop(7))
    told.cloud.answers({})
    before = told.store.transactions[told.identity, "7"]
    assert not before.running
    assert before.meter_start_wh is not None
    told.restart()  # and the charger never heard the answer
    told.charger.connects()
    told.cloud.comes_back()
    told.charger.sends("StopTransaction", stop(7))
    told.cloud.answers({})
    assert told.store.transactions[told.identity, "7"] == before


def test_a_transaction_that_ended_before_a_restart_still_gets_its_name_of_the_cloud():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.asks("StopTransaction", stop(local))
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    told.cloud.answers({"transactionId": 99, "idTagInfo": {"status": "Accepted"}})
    assert told.store.transactions[told.identity, str(local)].cloud_id == "99"
