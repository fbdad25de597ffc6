"""When the cloud is back: boot, states, notices, transactions, in order and byte for byte, nothing lost."""

from __future__ import annotations

import orjson
import pytest

from edgegw.core.effects import SendCloud
from edgegw.core.records import Discard, RowState, Settle
from edgegw.wire import frames
from tests.core.story import (
    BOOT,
    V16,
    V21,
    V201,
    away,
    event,
    meter,
    online,
    start,
    status,
    stop,
    time_at,
)

SECURITY = {"type": "Tamper", "timestamp": time_at()}


def test_the_order_is_boot_states_notices_transactions():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("SecurityEventNotification", SECURITY)
    told.charger.sends("StatusNotification", status(1, "Charging"))
    told.charger.sends("MeterValues", meter(local))
    told.charger.sends("BootNotification", BOOT[V16])
    told.charger.sends("StatusNotification", status(2))
    told.charger.sends("StopTransaction", stop(local))
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.actions == [
        "BootNotification",
        "StatusNotification",
        "StatusNotification",
        "SecurityEventNotification",
        "StartTransaction",
        "MeterValues",
        "StopTransaction",
    ]
    assert told.stored == []


def test_one_stored_message_is_on_its_way_at_a_time():
    told = away()
    for n in range(3):
        told.charger.sends("MeterValues", meter(7, wh=n))
    told.cloud.comes_back()
    assert len(told.cloud.raw) == 1
    told.expect(SendCloud)
    told.cloud.answers({})
    told.expect(Settle, SendCloud)
    assert len(told.cloud.raw) == 2


def test_every_stored_message_waits_for_the_site_s_replay_rate():
    told = away()
    for n in range(3):
        told.charger.sends("MeterValues", meter(7, wh=n))
    told.replay_is_free = False
    told.cloud.is_polite = True
    told.cloud.comes_back()
    for n in range(3):
        assert len(told.cloud.raw) == n
        told.grant_replay()
    assert len(told.cloud.raw) == 3


def test_an_unlimited_replay_asks_nobody():
    told = away(replay_unlimited=True)
    told.replay_is_free = False
    for n in range(3):
        told.charger.sends("MeterValues", meter(7, wh=n))
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert len(told.cloud.raw) == 3


def test_a_long_backlog_goes_up_whole_and_in_order():
    told = away()
    for n in range(300):
        told.charger.sends("MeterValues", meter(7, wh=n))
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert [f[1] for f in told.cloud.frames] == [row.message_id for row in told.rows]
    assert len(told.cloud.raw) == 300
    assert told.stored == []


def test_a_link_that_flaps_loses_and_reorders_nothing():
    told = away()
    sent = [told.charger.sends("MeterValues", meter(7, wh=n)) for n in range(100)]
    for n in range(99):
        told.cloud.comes_back()
        if n % 3:
            told.cloud.answers({})
        sent.append(told.charger.sends("MeterValues", meter(7, wh=1000 + n)))
        told.cloud.goes_away()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    heard = list(dict.fromkeys(f[1] for f in told.cloud.frames))
    assert heard == sent


def test_live_transaction_messages_wait_behind_the_queue_and_others_do_not():
    told = away()
    told.charger.sends("MeterValues", meter(7, wh=1))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.forget()
    sent = told.charger.sends("StopTransaction", stop(7))
    assert told.charger.was_answered(sent)
    assert told.cloud.take() == []
    told.charger.sends("Heartbeat")
    assert told.cloud.actions == ["Heartbeat"]
    told.cloud.answers({"currentTime": time_at()})
    told.cloud.is_polite = True
    told.replay_is_free = True
    told.grant_replay()
    assert told.cloud.actions == ["Heartbeat", "MeterValues", "StopTransaction"]


def test_a_live_start_does_not_overtake_the_boot_that_waits():
    """A cloud may close all transactions of a charger when it hears its boot."""
    told = away()
    told.charger.sends("BootNotification", BOOT[V16])
    told.replay_is_free = False
    told.cloud.comes_back()
    told.charger.sends("StartTransaction", start())
    assert told.cloud.take() == []
    told.replay_is_free = True
    told.cloud.is_polite = True
    told.grant_replay()
    assert told.cloud.actions == ["BootNotification", "StartTransaction"]


def test_the_cloud_ends_up_with_the_newest_state_of_a_connector():
    """A state said while an older one of the same connector still waits must not be overwritten by it."""
    told = away()
    told.charger.sends("StatusNotification", status(1, "Charging"))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.charger.sends("StatusNotification", status(1, "Available"))
    told.cloud.is_polite = True
    if told.cloud.raw:
        told.cloud.says(told.cloud.polite(told.cloud.last))
    told.replay_is_free = True
    told.grant_replay()
    assert told.cloud.frames[-1][3]["status"] == "Available"
    assert told.stored == []


def test_an_error_that_waits_is_told_before_the_newer_good_state():
    told = away()
    told.charger.sends("StatusNotification", status(1, "Faulted", "GroundFailure"))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.charger.sends("StatusNotification", status(1, "Available"))
    told.cloud.is_polite = True
    if told.cloud.raw:
        told.cloud.says(told.cloud.polite(told.cloud.last))
    told.replay_is_free = True
    told.grant_replay()
    assert [f[3]["status"] for f in told.cloud.frames] == ["Faulted", "Available"]


def test_of_states_only_the_newest_of_each_connector_is_kept_and_errors_are_all_kept():
    told = away()
    for state in ("Preparing", "Charging", "Finishing"):
        told.charger.sends("StatusNotification", status(1, state))
    told.charger.sends("StatusNotification", status(2, "Faulted", "GroundFailure"))
    told.charger.sends("StatusNotification", status(2, "Faulted", "OverVoltage"))
    told.charger.sends("StatusNotification", status(2, "Available"))
    told.expect(Discard)
    kept = [
        (f["connectorId"], f["status"], f["errorCode"]) for f in (orjson.loads(r.raw)[3] for r in told.stored)
    ]
    assert kept == [
        (1, "Finishing", "NoError"),
        (2, "Faulted", "GroundFailure"),
        (2, "Faulted", "OverVoltage"),
        (2, "Available", "NoError"),
    ]


def test_of_boots_only_the_newest_is_kept():
    told = away()
    for serial in ("a", "b"):
        told.charger.sends("BootNotification", BOOT[V16] | {"chargePointSerialNumber": serial})
    assert [orjson.loads(row.raw)[3]["chargePointSerialNumber"] for row in told.stored] == ["b"]


def test_how_an_upload_ended_is_not_forgotten_for_what_came_after():
    told = away()
    for state in ("Uploading", "UploadFailed", "Idle"):
        told.charger.sends("DiagnosticsStatusNotification", {"status": state})
    kept = [orjson.loads(row.raw)[3]["status"] for row in told.stored]
    assert kept == ["UploadFailed", "Idle"]


def test_every_state_of_an_update_is_told_however_late():
    told = away()
    states = ["Downloading", "Downloaded", "Installing", "Installed"]
    for state in states:
        told.charger.sends("FirmwareStatusNotification", {"status": state})
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert [frame[3]["status"] for frame in told.cloud.frames if frame[0] == 2] == states


def test_a_live_state_of_an_update_does_not_overtake_the_stored_ones():
    told = away()
    for state in ("Downloading", "Downloaded", "Installing"):
        told.charger.sends("FirmwareStatusNotification", {"status": state})
    told.cloud.comes_back()
    told.charger.sends("FirmwareStatusNotification", {"status": "Installed"})
    for _ in range(4):
        told.cloud.answers({})
    heard = [frame[3]["status"] for frame in told.cloud.frames if frame[0] == 2]
    assert heard == ["Downloading", "Downloaded", "Installing", "Installed"]


def test_security_events_are_kept_however_many_there_are():
    told = away()
    for _ in range(1100):
        told.charger.sends("SecurityEventNotification", SECURITY)
    for _ in range(10):
        told.charger.sends("ReservationStatusUpdate", {"reservationId": 1})
    assert len(told.stored) == 1100


@pytest.mark.parametrize("version", [V201, V21])
def test_a_stored_transaction_event_goes_up_marked_as_offline(version):
    told = away(version)
    told.charger.says(b'[2,"a","TransactionEvent",{"eventType":"Started","x" : 1.0}]')
    told.charger.says(b'[2,"b","TransactionEvent",{"offline": false ,"eventType":"Updated"}]')
    told.charger.says(b'[2,"c","TransactionEvent",{"offline":true,"eventType":"Ended"}]')
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.raw == [
        b'[2,"a","TransactionEvent",{"offline":true,"eventType":"Started","x" : 1.0}]',
        b'[2,"b","TransactionEvent",{"offline": true ,"eventType":"Updated"}]',
        b'[2,"c","TransactionEvent",{"offline":true,"eventType":"Ended"}]',
    ]


def test_an_offline_flag_is_put_on_nothing_but_stored_transaction_events():
    told = online(V201)
    told.charger.says(b'[2,"a","TransactionEvent",{"eventType":"Started"}]')
    told.cloud.answers({})
    told.cloud.goes_away()
    told.charger.says(b'[2,"b","MeterValues",{"evseId":0,"meterValue":[]}]')
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.raw == [
        b'[2,"a","TransactionEvent",{"eventType":"Started"}]',
        b'[2,"b","MeterValues",{"evseId":0,"meterValue":[]}]',
    ]


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_fault_48_a_link_cut_before_the_reply_means_the_same_id_and_bytes_again(version):
    told = away(version)
    action = "MeterValues" if version is V16 else "TransactionEvent"
    payload = meter(7) if version is V16 else event("Updated")
    told.charger.sends(action, payload)
    for _ in range(4):
        told.cloud.comes_back()
        told.cloud.goes_away()
    assert len(told.cloud.raw) == 4
    assert len(set(told.cloud.raw)) == 1


# --- boots ----------------------------------------------------------------------------------------


def test_without_a_reboot_the_cloud_gets_no_boot():
    told = away()
    told.cloud.comes_back()
    assert told.cloud.take() == []


def test_a_cloud_that_always_wants_a_boot_gets_one_with_a_fresh_id_before_all_else():
    told = online(replay_boot_always=True)
    told.charger.sends("StatusNotification", status(1, "Charging"))
    told.cloud.answers({})
    told.cloud.goes_away()
    told.charger.sends("MeterValues", meter(7))
    told.forget()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.actions == ["BootNotification", "StatusNotification", "MeterValues"]
    boot = told.cloud.frames[0]
    assert boot[1].startswith("box-")
    assert boot[3] == BOOT[V16]
    assert told.charger.take() == []  # its answer is the box's


def test_after_a_repeated_boot_that_is_not_accepted_the_cloud_hears_nothing_more():
    told = online(replay_boot_always=True)
    told.charger.sends("StatusNotification", status(1, "Charging"))
    told.cloud.answers({})
    told.cloud.goes_away()
    told.charger.sends("MeterValues", meter(7))
    told.forget()
    told.cloud.comes_back()
    told.cloud.answers({"status": "Pending", "currentTime": time_at(), "interval": 60})
    assert told.cloud.actions == ["BootNotification"]


def test_a_live_boot_makes_the_stored_one_superfluous():
    told = away()
    told.charger.sends("BootNotification", BOOT[V16])
    told.replay_is_free = False
    told.cloud.comes_back()
    told.charger.leaves()
    told.cloud.comes_back()
    told.charger.connects()
    told.forget()
    told.cloud.is_polite = True
    told.charger.sends("BootNotification", BOOT[V16])
    told.replay_is_free = True
    told.grant_replay()
    assert told.cloud.actions == ["BootNotification"]
    assert told.stored == []


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        (V16, ["ChangeConfiguration", {"key": "HeartbeatInterval", "value": "60"}]),
        (
            V201,
            [
                "SetVariables",
                {
                    "setVariableData": [
                        {
                            "component": {"name": "OCPPCommCtrlr"},
                            "variable": {"name": "HeartbeatInterval"},
                            "attributeValue": "60",
                        }
                    ]
                },
            ],
        ),
    ],
)
def test_an_interval_other_than_the_one_told_to_the_charger_is_corrected(version, wanted):
    told = away(version)
    assert told.charger.asks("BootNotification", BOOT[version])["interval"] == 300
    told.charger.take()
    told.cloud.comes_back()
    told.cloud.answers({"status": "Accepted", "currentTime": time_at(), "interval": 60})
    assert told.charger.last[2:] == wanted


def test_an_interval_that_is_the_same_is_not_corrected():
    told = away()
    told.charger.sends("BootNotification", BOOT[V16])
    told.charger.take()
    told.cloud.comes_back()
    told.cloud.answers({"status": "Accepted", "currentTime": time_at(), "interval": 300})
    assert told.charger.take() == []


def test_after_a_replayed_boot_the_cloud_gets_the_state_of_every_connector():
    told = online()
    for connector in (0, 1):
        told.charger.sends("StatusNotification", status(connector))
        told.cloud.answers({})
    told.cloud.goes_away()
    told.charger.sends("BootNotification", BOOT[V16])
    told.charger.sends("StatusNotification", status(1, "Charging"))
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    states = [(f[3]["connectorId"], f[3]["status"]) for f in told.cloud.frames[1:]]
    assert sorted(states) == [(0, "Available"), (1, "Charging")]


# --- refusals -------------------------------------------------------------------------------------


def test_a_refused_message_is_tried_again_after_the_interval_times_the_tries_so_far():
    told = away(message_attempts=3, message_retry_interval_s=60.0)
    told.charger.sends("MeterValues", meter(7))
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    told.after(59)
    assert len(told.cloud.raw) == 1
    told.after(2)
    assert len(told.cloud.raw) == 2
    told.cloud.refuses("InternalError")
    told.after(119)
    assert len(told.cloud.raw) == 2
    told.after(2)
    assert len(told.cloud.raw) == 3
    assert len(set(told.cloud.raw)) == 1
    (row,) = told.stored
    assert row.attempts == 2


def test_fault_47_what_is_refused_for_good_is_parked_and_the_queue_goes_on():
    told = away(message_attempts=3)
    told.charger.sends("MeterValues", meter(7, wh=1))
    told.charger.sends("MeterValues", meter(7, wh=2))
    told.cloud.comes_back()
    told.cloud.refuses("FormationViolation")
    told.after(61)
    told.cloud.refuses("FormationViolation")
    told.after(121)
    told.cloud.refuses("FormationViolation")
    told.cloud.answers({})
    first, second = told.rows
    assert (first.state, first.attempts) == (RowState.PARKED, 3)
    assert "FormationViolation" in first.error
    assert second.state is RowState.DELIVERED
    assert "parked" in told.noticed


def test_live_transaction_messages_wait_while_a_refused_one_waits_for_its_next_try():
    told = away()
    told.charger.sends("MeterValues", meter(7, wh=1))
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    sent = told.charger.sends("StopTransaction", stop(7))
    assert told.charger.was_answered(sent)
    assert told.cloud.actions == ["MeterValues"]
    told.cloud.is_polite = True
    told.after(61)
    assert told.cloud.actions == ["MeterValues", "MeterValues", "StopTransaction"]


def test_attempts_survive_a_restart():
    told = away(message_attempts=3)
    told.charger.sends("MeterValues", meter(7))
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    told.restart()
    told.charger.connects()
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    assert told.stored[0].attempts == 2


def test_parked_rows_that_a_person_sends_again_go_up_in_their_old_order():
    told = away(message_attempts=1)
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("StopTransaction", stop(local))
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    told.cloud.refuses("InternalError")
    assert [row.state for row in told.rows] == [RowState.PARKED, RowState.PARKED]
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.transaction_id = 4711
    assert told.parked_rows_are_sent_again() == 2
    assert told.cloud.actions == ["StartTransaction", "StopTransaction"]
    assert told.cloud.last[3]["transactionId"] == 4711
    assert [row.state for row in told.rows] == [RowState.DELIVERED, RowState.DELIVERED]


def test_parked_rows_sent_again_while_the_cloud_is_away_wait_for_it():
    told = away(message_attempts=1)
    told.charger.sends("MeterValues", meter(7, wh=1))
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    told.cloud.goes_away()
    told.charger.sends("MeterValues", meter(7, wh=2))
    told.parked_rows_are_sent_again()
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert [f[1] for f in told.cloud.frames] == [row.message_id for row in told.rows]


def test_a_refused_state_is_dropped_for_a_newer_one_will_follow():
    told = away()
    told.charger.sends("StatusNotification", status())
    told.charger.sends("MeterValues", meter(7))
    told.cloud.comes_back()
    told.cloud.refuses("InternalError")
    assert told.cloud.actions == ["StatusNotification", "MeterValues"]
    assert "stored_refused" in told.noticed


# --- what the cloud asks meanwhile ----------------------------------------------------------------


@pytest.mark.parametrize("version", [V201, V21])
def test_the_cloud_is_told_that_messages_of_a_transaction_still_wait_here(version):
    told = away(version)
    told.charger.sends("TransactionEvent", event("Started"))
    told.replay_is_free = False
    told.cloud.comes_back()
    told.cloud.sends("GetTransactionStatus", {"transactionId": "tx-1"}, id="g")
    told.charger.says(b'[3,"g",{"ongoingIndicator":false ,"messagesInQueue": false}]')
    assert told.cloud.take() == [b'[3,"g",{"ongoingIndicator":false ,"messagesInQueue": true}]']


def test_the_cloud_is_told_the_charger_s_own_word_when_nothing_waits_here():
    told = online(V201)
    told.cloud.sends("GetTransactionStatus", {"transactionId": "tx-1"}, id="g")
    raw = b'[3,"g",{"messagesInQueue":false}]'
    told.charger.says(raw)
    assert told.cloud.take() == [raw]


def test_a_state_that_waits_here_is_no_message_of_a_transaction():
    told = away(V201)
    told.charger.sends("SecurityEventNotification", SECURITY)
    told.replay_is_free = False
    told.cloud.comes_back()
    told.cloud.sends("GetTransactionStatus", {}, id="g")
    raw = frames.result("g", {"messagesInQueue": False})
    told.charger.says(raw)
    assert told.cloud.take() == [raw]
