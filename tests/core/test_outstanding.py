"""One outstanding CALL per direction; what comes early waits in order; what matters more goes first."""

from __future__ import annotations

from edgegw.core.calls import CallQueue, Outgoing, Priority
from edgegw.core.effects import CallOutcome
from edgegw.wire import frames
from edgegw.wire.frames import Call, parse
from tests.core.story import BOOT, V16, V201, meter, online, status, stop


def ids_of(raw: list[bytes]) -> list[str]:
    return [frame.id for frame in (parse(one, V16) for one in raw)]


def test_a_charger_that_calls_early_is_held_and_its_calls_go_up_in_order():
    told = online()
    sent = [told.charger.sends("MeterValues", meter(7, wh=n)) for n in range(4)]
    assert ids_of(told.cloud.raw) == sent[:1]
    for n in range(1, 4):
        told.cloud.answers({})
        assert ids_of(told.cloud.raw) == sent[: n + 1]


def test_a_cloud_that_calls_early_is_held_and_its_calls_go_down_in_order():
    told = online()
    sent = [told.cloud.sends("GetConfiguration", {"key": [str(n)]}) for n in range(4)]
    assert ids_of(told.charger.raw) == sent[:1]
    for n in range(1, 4):
        told.charger.answers({})
        assert ids_of(told.charger.raw) == sent[: n + 1]


def test_calls_of_both_sides_may_cross():
    told = online()
    told.charger.sends("Heartbeat")
    told.cloud.sends("GetConfiguration")
    assert told.cloud.actions == ["Heartbeat"]
    assert told.charger.actions == ["GetConfiguration"]


def test_a_held_call_goes_when_the_one_ahead_is_refused():
    told = online()
    told.charger.sends("StopTransaction", stop(1))
    told.charger.sends("Heartbeat")
    told.cloud.refuses("InternalError")
    assert told.cloud.actions == ["StopTransaction", "Heartbeat"]


def test_answers_are_matched_by_id_and_not_by_order():
    told = online()
    told.charger.sends("Heartbeat", id="h1")
    told.cloud.says(b'[3,"h2",{}]')
    assert told.charger.take() == []
    told.cloud.says(b'[3,"h1",{}]')
    assert told.charger.take() == [b'[3,"h1",{}]']


def test_a_boot_goes_before_what_waits():
    told = online()
    told.charger.sends("Heartbeat")
    told.charger.sends("StatusNotification", status())
    told.charger.sends("BootNotification", BOOT[V16])
    told.cloud.answers({"currentTime": "2026-09-21T14:13:20Z"})
    assert told.cloud.actions == ["Heartbeat", "BootNotification"]


def test_a_safety_limit_goes_before_everything_that_waits():
    queue = CallQueue()
    queue.ready = True

    def outgoing(name: str, priority: Priority) -> Outgoing:
        call = parse(frames.call(name, "X", {}), V16)
        assert isinstance(call, Call)
        return Outgoing(call, priority=priority)

    for name in ("a", "b", "c"):
        queue.submit(outgoing(name, Priority.LIVE), 0.0)
    queue.submit(outgoing("gateway", Priority.GATEWAY), 0.0)
    queue.submit(outgoing("boot", Priority.BOOT), 0.0)
    queue.submit(outgoing("limit", Priority.SAFETY), 0.0)
    order = []
    while queue.outstanding is not None:
        order.append(queue.outstanding.id)
        queue.resolve(queue.outstanding.id)
        queue.next(0.0)
    assert order == ["a", "limit", "boot", "b", "c", "gateway"]


def test_people_on_the_box_use_the_same_queue_as_the_cloud():
    told = online()
    told.cloud.sends("GetConfiguration", id="c")
    told.somebody_calls("Reset", {"type": "Soft"}, ticket=9)
    assert told.charger.actions == ["GetConfiguration"]
    told.charger.answers({})
    assert told.charger.actions == ["GetConfiguration", "Reset"]
    told.cloud.take()
    told.charger.answers({"status": "Accepted"})
    assert told.cloud.take() == []  # Part 4 6.4: answers to the box's own CALLs are not the cloud's
    (finished,) = told.finished
    assert (finished.ticket, finished.outcome) == (9, CallOutcome.RESULT)
    assert finished.payload == {"status": "Accepted"}


def test_somebody_who_calls_is_told_in_every_case_what_became_of_it():
    told = online()
    told.somebody_calls("Reset", ticket=1)
    told.charger.refuses("NotSupported")
    told.somebody_calls("Reset", ticket=2)
    told.after(31)
    told.somebody_calls("Reset", ticket=3)
    told.charger.leaves()
    told.somebody_calls("Reset", ticket=4)
    outcomes = [(f.ticket, f.outcome) for f in told.finished]
    assert outcomes == [
        (1, CallOutcome.ERROR),
        (2, CallOutcome.TIMEOUT),
        (3, CallOutcome.GONE),
        (4, CallOutcome.GONE),
    ]
    assert told.finished[0].code == "NotSupported"


def test_somebody_who_asks_for_what_cannot_be_written_is_told_so():
    told = online()
    told.somebody_calls("SetChargingProfile", {"limit": float("inf")}, ticket=1)
    told.somebody_calls("../x", ticket=2)
    assert [(f.ticket, f.outcome) for f in told.finished] == [(1, CallOutcome.ERROR), (2, CallOutcome.ERROR)]
    assert told.charger.take() == []


def test_fault_26_an_answer_after_its_time_has_exactly_one_consumer():
    told = online()
    told.somebody_calls("Reset", ticket=1)
    call = told.charger.frames[-1][1]
    told.after(31)
    told.charger.says(frames.result(call, {"status": "Accepted"}))
    told.charger.says(frames.result(call, {"status": "Accepted"}))
    assert [f.outcome for f in told.finished] == [CallOutcome.TIMEOUT]
    assert told.cloud.take() == []


def test_an_answer_of_the_charger_that_comes_late_is_late_for_the_cloud_too():
    told = online()
    told.cloud.sends("GetConfiguration", id="slow")
    told.after(31)
    told.cloud.sends("Reset", id="next")
    assert told.charger.actions == ["GetConfiguration", "Reset"]
    told.charger.says(b'[3,"slow",{}]')
    assert told.cloud.take() == [b'[3,"slow",{}]']


def test_fault_25_answers_nobody_waits_for_leave_nothing_behind():
    told = online()
    for n in range(2000):
        told.charger.says(frames.result(f"x{n}", {}))
        told.cloud.says(frames.error(f"x{n}", "InternalError"))
    assert told.charger.take() == []
    assert told.cloud.take() == []
    assert told.effects == []
    assert told.site.counters["charger_answer_unknown"] == 2000
    assert told.site.counters["cloud_answer_unknown"] == 2000


def test_fault_29_a_thousand_calls_at_once_slow_their_writer_down():
    told = online(V201)
    for n in range(1000):
        told.charger.sends("DataTransfer", {"vendorId": "x", "data": str(n)})
        if told.core.charger_is_ahead:
            break
    assert 1 < n < 100  # the leg is told to stop reading long before memory is spent
    told.cloud.is_polite = True
    told.cloud.answers({"status": "Accepted"})
    assert not told.core.charger_is_ahead
    assert len(told.cloud.actions) == n + 1


def test_what_the_cloud_asked_on_a_lost_link_is_told_to_nobody():
    told = online()
    told.cloud.sends("GetConfiguration", id="old")
    told.cloud.sends("Reset", id="older")
    told.cloud.goes_away()
    told.cloud.comes_back()
    told.forget()
    told.charger.says(b'[3,"old",{"configurationKey":[]}]')
    assert told.cloud.take() == []
    assert told.charger.take() == []  # fault 52: a stale Reset is not delivered
