"""Who the cloud accepted and who not, and what either is told while it is there and while it is not."""

from __future__ import annotations

import pytest

from edgegw.core.effects import SendCharger
from edgegw.core.records import Append, SaveDocument
from edgegw.core.state import Registration
from tests.core.story import (
    BOOT,
    NOON,
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
    story,
    time_at,
)

EVERY_VERSION = pytest.mark.parametrize("version", [V16, V201, V21])


def boot_answer(state: str, interval: object = 300) -> dict[str, object]:
    return {"status": state, "currentTime": time_at(), "interval": interval}


@EVERY_VERSION
def test_a_charger_the_cloud_accepted_once_is_accepted_here_with_its_last_interval(version):
    told = online(version)
    told.charger.sends("BootNotification", BOOT[version])
    told.cloud.answers(boot_answer("Accepted", 77))
    told.cloud.goes_away()
    answer = told.charger.asks("BootNotification", BOOT[version])
    assert answer == {"status": "Accepted", "currentTime": time_at(), "interval": 77}
    told.expect(Append, SendCharger)


@EVERY_VERSION
def test_a_charger_the_cloud_never_accepted_is_told_to_wait_and_may_try_again(version):
    told = story(version)
    told.charger.connects()
    answer = told.charger.asks("BootNotification", BOOT[version])
    assert answer["status"] == "Pending"
    assert answer["interval"] > 0
    assert told.rows == []
    told.cloud.comes_back()
    assert told.cloud.take() == []
    told.charger.sends("BootNotification", BOOT[version])
    assert told.cloud.actions == ["BootNotification"]


@pytest.mark.parametrize(
    ("version", "action"), [(V16, "Heartbeat"), (V201, "Heartbeat"), (V21, "NotifyEvent")]
)
def test_before_it_is_accepted_a_charger_gets_a_security_error(version, action):
    told = story(version)
    told.charger.connects()
    assert told.charger.asks(action) == "SecurityError"
    assert told.rows == []


def test_billing_is_kept_even_from_a_charger_the_cloud_never_accepted():
    told = story()
    told.charger.connects()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("MeterValues", meter(local))
    told.charger.sends("StopTransaction", stop(local))
    assert len(told.stored) == 3
    assert all("not_accepted" in row.flags for row in told.stored)


@EVERY_VERSION
def test_the_cloud_s_pending_is_relayed_and_nothing_is_served_meanwhile(version):
    told = online(version)
    told.charger.sends("BootNotification", BOOT[version])
    raw = told.cloud.answers(boot_answer("Pending"))
    assert told.charger.take() == [raw]
    told.forget()
    sent = told.charger.sends("Heartbeat")
    told.after(25)
    assert told.cloud.actions == ["Heartbeat"]
    assert not told.charger.was_answered(sent)  # the cloud's to answer, not ours


def test_the_cloud_s_rejection_is_remembered_while_it_is_away():
    told = online()
    told.charger.sends("BootNotification", BOOT[V16])
    told.cloud.answers(boot_answer("Rejected", 90))
    told.cloud.goes_away()
    assert told.charger.asks("BootNotification", BOOT[V16])["status"] == "Rejected"
    assert told.charger.asks("Heartbeat") == "SecurityError"


def test_a_rejected_charger_that_the_cloud_accepts_later_is_served_again():
    told = online()
    told.charger.sends("BootNotification", BOOT[V16])
    told.cloud.answers(boot_answer("Rejected"))
    told.charger.sends("BootNotification", BOOT[V16])
    told.cloud.answers(boot_answer("Accepted"))
    told.cloud.goes_away()
    assert told.charger.asks("BootNotification", BOOT[V16])["status"] == "Accepted"


@pytest.mark.parametrize("state", ["Pending", "Rejected"])
def test_a_replayed_boot_that_is_not_accepted_holds_the_queue_and_is_noticed(state):
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.charger.sends("BootNotification", BOOT[V16])
    told.cloud.comes_back()
    told.cloud.answers(boot_answer(state))
    told.charger.sends("MeterValues", meter(local))
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.actions == ["BootNotification"]
    assert [row.action for row in told.stored] == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert "boot_not_accepted" in told.noticed


@pytest.mark.parametrize("state", ["Pending", "Rejected"])
def test_a_queue_that_is_held_goes_up_once_the_cloud_accepts_the_charger(state):
    """The charger was told Accepted and will not boot again: the box must ask in its place."""
    told = away()
    told.charger.sends("MeterValues", meter(7))
    told.charger.sends("BootNotification", BOOT[V16])
    told.cloud.comes_back()
    told.cloud.answers(boot_answer(state, 120))
    told.after(110)
    assert told.cloud.actions == ["BootNotification"]
    told.cloud.is_polite = True
    told.after(20)
    assert told.cloud.actions == ["BootNotification", "BootNotification", "MeterValues"]
    assert told.stored == []


def test_a_cloud_that_answers_a_charger_we_never_saw_boot_has_accepted_it():
    told = story()
    told.cloud.comes_back()
    told.charger.connects()
    told.charger.sends("Heartbeat")
    told.cloud.answers({"currentTime": time_at()})
    told.cloud.goes_away()
    assert told.charger.asks("BootNotification", BOOT[V16])["status"] == "Accepted"


def test_a_live_transaction_keeps_charging_while_the_cloud_is_dropped_by_policy():
    told = online(serve_locally=False)
    told.cloud.goes_away()
    assert [type(one).__name__ for one in told.closed] == ["CloseCharger"]
    told.charger.take()
    assert told.charger.asks("Heartbeat") == "GenericError"
    assert told.rows == []


@pytest.mark.parametrize(
    ("interval", "kept"), [(0, 300), (10**9, 86_400), (-5, 1), ("60", 300), (None, 300), (1, 1)]
)
def test_fault_51_an_odd_interval_is_relayed_and_clamped_for_later(interval, kept):
    told = online()
    told.charger.sends("BootNotification", BOOT[V16])
    raw = told.cloud.answers(boot_answer("Accepted", interval))
    assert told.charger.take()[-1] == raw
    told.cloud.goes_away()
    assert told.charger.asks("BootNotification", BOOT[V16])["interval"] == kept


@pytest.mark.parametrize("text", ["1999-01-01T00:00:00Z", "yesterday", 5, None])
def test_fault_51_a_time_the_cloud_cannot_mean_is_not_believed(text):
    told = online()
    told.clock_trusted = False
    told.charger.sends("Heartbeat")
    told.cloud.answers({"currentTime": text})
    told.cloud.goes_away()
    assert told.charger.asks("Heartbeat") == {"currentTime": time_at()}


def test_a_box_without_a_clock_carries_the_cloud_s_time_on():
    told = online()
    told.clock_trusted = False
    told.charger.sends("Heartbeat")
    told.cloud.answers({"currentTime": "2026-10-01T00:00:00Z"})
    told.cloud.goes_away()
    told.wall = 0.0  # 1970, as a board without battery has it
    told.after(90)
    assert told.charger.asks("Heartbeat") == {"currentTime": "2026-10-01T00:01:30.000Z"}


def test_what_a_charger_says_of_itself_at_its_boot_is_kept():
    told = away()
    told.charger.sends("BootNotification", BOOT[V16])
    profile = told.core.state.profile
    assert (profile.vendor, profile.model, profile.serial) == ("Ohm", "One", "S1")
    told.expect(SaveDocument)


def test_fault_42_a_charger_that_boots_all_the_time_is_noticed_and_costs_one_row():
    told = away()
    intervals = []
    for _ in range(20):
        intervals.append(told.charger.asks("BootNotification", BOOT[V16])["interval"])
        told.after(5)
    assert len(told.stored) == 1
    assert intervals[0] == 300
    assert intervals[-1] > 300
    assert told.noticed.count("boot_loop") == 1


def test_a_charger_that_boots_now_and_then_is_nothing_to_notice():
    told = away()
    for _ in range(20):
        assert told.charger.asks("BootNotification", BOOT[V16])["interval"] == 300
        told.after(600)
    assert told.noticed == []


# --- restart in the middle of an outage: the release gate -----------------------------------------


@EVERY_VERSION
def test_a_restart_in_the_middle_of_an_outage_changes_nothing_for_the_charger(version):
    told = online(version)
    token = {"idToken": {"idToken": "TAG", "type": "ISO14443"}} if version.is_2x else {"idTag": "TAG"}
    told.charger.sends("Authorize", token)
    info = {"status": "Accepted"}
    told.cloud.answers({"idTokenInfo": info} if version.is_2x else {"idTagInfo": info})
    told.cloud.goes_away()
    told.restart()
    told.charger.connects()
    told.charger.take()
    answer = told.charger.asks("BootNotification", BOOT[version])
    assert (answer["status"], answer["interval"]) == ("Accepted", 300)
    assert next(iter(told.charger.asks("Authorize", token).values()))["status"] == "Accepted"
    assert "currentTime" in told.charger.asks("Heartbeat")


def test_a_16_transaction_that_spans_two_restarts_reaches_the_cloud_whole():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.restart()
    told.charger.connects()
    told.charger.sends("MeterValues", meter(local))
    told.restart()
    told.charger.connects()
    told.charger.sends("StopTransaction", stop(local))
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.transaction_id = 4711
    told.cloud.comes_back()
    assert told.cloud.actions == ["StartTransaction", "MeterValues", "StopTransaction"]
    assert [f[3]["transactionId"] for f in told.cloud.frames[1:]] == [4711, 4711]
    record = told.transaction(local)
    assert (record.cloud_id, record.running) == ("4711", False)


def test_the_pair_of_ids_works_for_ever_after():
    told = away()
    local = told.charger.asks("StartTransaction", start())["transactionId"]
    told.cloud.is_polite = True
    told.cloud.transaction_id = 4711
    told.cloud.comes_back()
    told.restart()
    told.wall += 30 * 86_400
    told.cloud.comes_back()
    told.charger.connects()
    told.charger.sends("StopTransaction", stop(local))
    assert told.cloud.last[3]["transactionId"] == 4711
    told.cloud.sends("RemoteStopTransaction", {"transactionId": 4711})
    assert told.charger.last[3]["transactionId"] == local


def test_no_id_is_given_twice_over_a_restart():
    told = away()
    first = told.charger.asks("StartTransaction", start(1))["transactionId"]
    told.restart()
    told.charger.connects()
    assert told.charger.asks("StartTransaction", start(2))["transactionId"] != first


def test_a_message_repeated_after_a_restart_is_not_executed_twice():
    told = away()
    told.charger.says(
        b'[2,"s","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":0,"timestamp":"x"}]'
    )
    (first,) = told.charger.take()
    told.restart()
    told.charger.connects()
    told.charger.says(
        b'[2,"s","StartTransaction",{"connectorId":1,"idTag":"T","meterStart":0,"timestamp":"x"}]'
    )
    assert told.charger.take() == [first]
    assert len(told.rows) == 1


def test_a_2x_transaction_that_spans_a_restart_reaches_the_cloud_in_order():
    told = away(V201)
    told.charger.sends("TransactionEvent", event("Started", seq=0))
    told.restart()
    told.charger.connects()
    told.charger.sends("TransactionEvent", event("Updated", seq=1))
    told.charger.sends("TransactionEvent", event("Ended", seq=2))
    told.cloud.take()
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert [f[3]["seqNo"] for f in told.cloud.frames] == [0, 1, 2]
    assert all(f[3]["offline"] is True for f in told.cloud.frames)


def test_states_and_boot_survive_a_restart():
    told = away()
    told.charger.sends("BootNotification", BOOT[V16])
    told.charger.sends("StatusNotification", status(1, "Charging"))
    told.restart()
    told.charger.connects()
    told.charger.sends("StatusNotification", status(1, "Finishing"))
    told.cloud.is_polite = True
    told.cloud.comes_back()
    assert told.cloud.actions == ["BootNotification", "StatusNotification"]
    assert told.cloud.last[3]["status"] == "Finishing"
    assert told.stored == []


def test_the_registration_survives_a_restart():
    told = online()
    told.restart()
    assert told.core.state.profile.registration is Registration.ACCEPTED
    assert told.wall >= NOON
