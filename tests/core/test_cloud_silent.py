"""The cloud's link is open and no answer comes: the charger is answered here, and nothing is sent twice."""

from __future__ import annotations

from edgegw.core.effects import CloseCloud, SendCharger, SendCloud
from edgegw.core.records import Append, RowState, SaveDocument, Settle
from edgegw.wire import frames
from tests.core.story import BOOT, V16, V201, event, meter, online, start, status, stop

ACCEPTED = {"status": "Accepted"}


def test_a_start_the_cloud_does_not_answer_is_stored_and_answered_in_time():
    told = online()
    sent = told.charger.sends("StartTransaction", start())
    told.expect_only(SendCloud, SaveDocument)  # of its energy; nobody waits for that
    told.after(19.9)
    assert told.charger.take() == []
    told.after(0.2)
    told.expect(Append, SendCharger)
    local = told.charger.told(sent)["transactionId"]
    (row,) = told.stored
    assert row.transaction == str(local)
    assert "no_answer" in row.flags


def test_an_answer_at_one_and_a_fifth_of_the_time_counts_and_nothing_is_sent_twice():
    told = online()
    told.charger.sends("StartTransaction", start())
    told.after(24)
    told.cloud.answers({"transactionId": 7, "idTagInfo": ACCEPTED})
    (row,) = told.rows
    assert row.state is RowState.DELIVERED
    assert told.cloud.actions == ["StartTransaction"]
    assert len(told.charger.raw) == 1  # the late answer is not passed on
    local = told.charger.last[2]["transactionId"]
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == 7
    assert told.transaction(local).cloud_id == "7"


def test_fault_46_a_cloud_that_is_always_late_keeps_order_and_gets_nothing_twice():
    told = online(cloud_answer_timeout_s=20.0)
    start_raw = frames.call("s", "StartTransaction", start())
    told.charger.says(start_raw)
    told.after(29)
    told.cloud.answers({"transactionId": 7, "idTagInfo": ACCEPTED})
    local = told.charger.last[2]["transactionId"]
    for n in range(20):
        told.charger.sends("MeterValues", meter(local, wh=n))
        told.after(29)
        told.cloud.answers({})
    assert told.closed == []
    assert told.cloud.actions == ["StartTransaction"] + ["MeterValues"] * 20
    readings = [f[3]["meterValue"][0]["sampledValue"][0]["value"] for f in told.cloud.frames[1:]]
    assert readings == [str(n) for n in range(20)]
    assert {row.state for row in told.rows} == {RowState.DELIVERED}


def test_fault_45_a_cloud_that_never_answers_billing_loses_its_link_and_gets_the_same_bytes_again():
    told = online()
    raw = frames.call("s", "StartTransaction", start())
    told.charger.says(raw)
    told.after(31)
    told.expect(CloseCloud)
    told.cloud.comes_back()
    assert told.cloud.take() == [raw, raw]
    assert told.stored[0].attempts == 0  # a link failure is no attempt of the message


def test_fault_45_any_number_of_silent_links_costs_the_message_no_attempt():
    told = online(message_attempts=3)
    told.charger.sends("MeterValues", meter())
    for _ in range(10):
        told.after(31)
        assert not told.cloud.up
        told.cloud.comes_back()
    (row,) = told.stored
    assert row.attempts == 0
    assert len(set(told.cloud.take())) == 1


def test_the_order_of_transaction_messages_survives_a_silent_cloud():
    told = online()
    sent = [told.charger.sends("MeterValues", meter(7, wh=n)) for n in range(3)]
    sent.append(told.charger.sends("StopTransaction", stop(7)))
    told.after(31)
    assert [row.message_id for row in told.rows] == sent
    assert all(told.charger.was_answered(one) for one in sent)
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert [f[1] for f in told.cloud.frames] == sent


def test_a_heartbeat_the_cloud_does_not_answer_gets_the_time_here():
    told = online()
    sent = told.charger.sends("Heartbeat")
    told.after(20.5)
    assert "currentTime" in told.charger.told(sent)
    assert told.rows == []


def test_two_unanswered_messages_in_a_row_mean_the_link_is_dead():
    told = online()
    told.charger.sends("Heartbeat")
    told.after(31)
    assert told.closed == []
    told.charger.sends("Heartbeat")
    told.after(31)
    assert [type(one) for one in told.closed] == [CloseCloud]
    assert "cloud_silent" in told.noticed


def test_an_answer_in_between_shows_that_the_link_lives():
    told = online()
    for _ in range(5):
        told.charger.sends("Heartbeat")
        told.after(31)
        told.charger.sends("StatusNotification", status())
        told.cloud.answers({})
    assert told.closed == []


def test_a_state_that_waits_too_long_behind_a_silent_call_is_stored():
    told = online()
    told.charger.sends("Heartbeat")
    sent = told.charger.sends("StatusNotification", status())
    told.after(20.5)
    assert told.charger.told(sent) == {}
    assert [row.action for row in told.stored] == ["StatusNotification"]


def test_a_boot_the_cloud_does_not_answer_is_accepted_here_and_the_late_answer_counts():
    told = online()
    sent = told.charger.sends("BootNotification", BOOT[V16])
    told.after(21)
    assert told.charger.told(sent)["status"] == "Accepted"
    told.cloud.answers({"status": "Accepted", "currentTime": "2026-09-21T14:13:20Z", "interval": 300})
    assert told.stored == []
    assert told.cloud.actions == ["BootNotification"]


def test_a_late_answer_for_a_transaction_event_is_learned_from():
    told = online(V201)
    sent = told.charger.sends("TransactionEvent", event("Started", token="NEW"))
    told.after(21)
    assert told.charger.told(sent)["idTokenInfo"]["status"] == "Unknown"
    told.cloud.answers({"idTokenInfo": ACCEPTED})
    told.cloud.goes_away()
    asked = told.charger.asks("Authorize", {"idToken": {"idToken": "NEW", "type": "ISO14443"}})
    assert asked["idTokenInfo"]["status"] == "Accepted"


def test_a_settled_row_is_on_disk_before_the_next_message_goes():
    told = online()
    told.charger.sends("MeterValues", meter(7, wh=1))
    told.charger.sends("MeterValues", meter(7, wh=2))
    told.after(21)
    told.forget()
    told.cloud.answers({}, id="cp-2")
    told.expect(Settle, SendCloud)
