"""The same message twice is one message; two messages with one id are two, and billing is never refused."""

from __future__ import annotations

import pytest

from edgegw.wire import frames
from tests.core.story import BOOT, V16, away, meter, online, start, status, stop


def test_fault_24_a_repeated_call_gets_the_same_answer_and_is_not_executed_twice():
    told = online()
    raw = frames.call("id-1", "StartTransaction", start())
    told.charger.says(raw)
    answer = told.cloud.answers({"transactionId": 7, "idTagInfo": {"status": "Accepted"}})
    told.forget()
    told.charger.says(raw)
    assert told.charger.take() == [answer]
    assert told.cloud.take() == []


def test_fault_24_a_repeated_call_is_not_sent_again_while_its_answer_is_awaited():
    told = online()
    raw = frames.call("id-1", "Heartbeat", {})
    told.charger.says(raw)
    told.charger.says(raw)
    assert told.cloud.take() == [raw]
    told.cloud.says(b'[3,"id-1",{}]')
    assert told.charger.take() == [b'[3,"id-1",{}]']


def test_a_charger_with_one_id_for_every_heartbeat_is_told_a_new_time_each_time():
    told = away()
    raw = frames.call("hb", "Heartbeat", {})
    told.charger.says(raw)
    told.after(600)
    told.charger.says(raw)
    first, second = told.charger.take()
    assert first != second


def test_fault_24_a_call_stored_here_and_repeated_is_stored_once():
    told = away()
    raw = frames.call("id-1", "StartTransaction", start())
    told.charger.says(raw)
    told.charger.says(raw)
    first, second = told.charger.take()
    assert first == second
    assert len(told.rows) == 1


def test_fault_24_another_message_with_a_used_id_is_refused():
    told = online()
    told.charger.sends("Heartbeat", id="id-1")
    told.cloud.answers({"currentTime": "2026-09-21T14:13:20Z"})
    told.forget()
    told.charger.sends("StatusNotification", status(), id="id-1")
    assert told.charger.last[:3] == [4, "id-1", "FormationViolation"]
    assert told.cloud.take() == []
    assert told.noticed == ["message_id_reused"]


def test_fault_24_billing_with_a_used_id_is_kept_all_the_same():
    told = away()
    told.charger.sends("MeterValues", meter(7, wh=1), id="id-1")
    told.charger.sends("MeterValues", meter(7, wh=2), id="id-1")
    told.charger.sends("StopTransaction", stop(7), id="id-1")
    assert [row.action for row in told.rows] == ["MeterValues", "MeterValues", "StopTransaction"]
    assert len({row.epoch for row in told.rows}) == 3
    assert [frame[0] for frame in told.charger.frames] == [3, 3, 3]
    assert told.site.counters["message_id_reused"] == 2


def test_a_charger_that_was_refused_may_try_again_with_the_same_id():
    told = online()
    raw = frames.call("id-1", "StartTransaction", start())
    told.charger.says(raw)
    told.cloud.refuses("InternalError")
    told.charger.says(raw)
    assert told.cloud.take() == [raw, raw]


def test_a_repeated_call_is_answered_even_if_its_answer_was_too_long_to_remember():
    told = online()
    raw = frames.call("id-1", "DataTransfer", {"vendorId": "x"})
    told.charger.says(raw)
    answer = told.cloud.answers({"status": "Accepted", "data": "y" * 5000})
    told.charger.take()
    told.charger.says(raw)
    assert told.cloud.raw == [raw, raw]
    told.cloud.says(answer)
    assert told.charger.take() == [answer]


def test_a_cloud_id_that_is_pending_at_the_charger_is_renumbered_and_restored():
    told = online()
    told.somebody_calls("Reset", {"type": "Soft"}, ticket=1)
    taken = told.charger.last[1]
    told.cloud.sends("GetConfiguration", {"key": ["a"]}, id=taken)
    told.charger.answers({"status": "Accepted"})
    kind, wire_id, action, payload = told.charger.last
    assert (kind, action, payload) == (2, "GetConfiguration", {"key": ["a"]})
    assert wire_id != taken
    told.cloud.take()
    told.charger.says(b'[3,"%s",{"unknownKey" : ["a"]}]' % wire_id.encode())
    assert told.cloud.take() == [b'[3,"%s",{"unknownKey" : ["a"]}]' % taken.encode()]


def test_an_error_answer_to_a_renumbered_call_gets_its_id_back_too():
    told = online()
    told.somebody_calls("Reset", {"type": "Soft"}, ticket=1)
    taken = told.charger.last[1]
    told.cloud.sends("GetConfiguration", id=taken)
    told.charger.answers({"status": "Accepted"})
    told.cloud.take()
    told.charger.refuses("NotSupported")
    assert told.cloud.last[:3] == [4, taken, "NotSupported"]


def test_fault_55_a_cloud_that_repeats_a_pending_call_does_not_make_the_charger_do_it_twice():
    told = online()
    raw = frames.call("c-1", "RemoteStartTransaction", {"idTag": "TAG"})
    told.cloud.says(raw)
    told.cloud.says(raw)
    told.charger.says(b'[3,"c-1",{"status":"Accepted"}]')
    assert told.charger.take() == [raw]
    assert told.cloud.take() == [b'[3,"c-1",{"status":"Accepted"}]']


def test_a_charger_that_counts_ids_from_one_after_every_boot_is_understood():
    told = away()
    for _ in range(3):
        told.charger.leaves()
        told.charger.connects()
        told.charger.take()
        assert told.charger.asks("BootNotification", BOOT[V16], id="1")["status"] == "Accepted"
        assert "currentTime" in told.charger.asks("Heartbeat", id="2")
        told.charger.sends("StatusNotification", status(), id="3")
        told.charger.sends("StartTransaction", start(at=told.mono), id="4")
        told.charger.sends("MeterValues", meter(wh=int(told.mono)), id="5")
        assert [f[0] for f in told.charger.frames] == [3] * 5
        told.after(100)
    kept = [row.message_id for row in told.rows if row.action in ("StartTransaction", "MeterValues")]
    assert kept == ["4", "5"] * 3


def test_a_transaction_message_repeated_after_a_reconnect_is_one_message():
    told = away()
    raw = frames.call("id-1", "StopTransaction", stop(7))
    told.charger.says(raw)
    told.charger.leaves()
    told.charger.connects()
    told.charger.says(raw)
    first, second = told.charger.take()
    assert first == second
    assert len(told.rows) == 1


@pytest.mark.parametrize("period", [2, 5, 20, 30, 50])
def test_a_charger_whose_ids_go_round_in_a_circle_loses_nothing(period):
    """Whatever it says in between: every sample is a row of its own, and no row is refused by the store."""
    told = away()
    chatter = [
        ("SecurityEventNotification", {"type": "Door", "timestamp": "2026-09-21T14:13:20Z"}),
        ("StatusNotification", status()),
        ("DataTransfer", {"vendorId": "x"}),
    ]
    for n in range(200):
        message_id = str(n % period)
        if n % 5 == 0:
            told.charger.sends("MeterValues", meter(7, wh=n), id=message_id)
        else:
            told.charger.sends(*chatter[n % 3], id=message_id)
    assert len([row for row in told.rows if row.action == "MeterValues"]) == 40
