"""How a charger is brought to its limit, by stories; what it may draw is never more than is kept free."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgegw.core import actuation
from edgegw.core.calls import Priority
from edgegw.core.events import CallRequested
from edgegw.core.limit_orders import READY
from edgegw.core.power import Control, Wiring
from edgegw.quirks.model import QuirkEntry
from tests.core.limit_story import LimitStory, charging, new_charger, steered
from tests.core.story import V16, V21, V201, Version, status

EVERY = [V16, V201, V21]


def quirk(**flags: object) -> tuple[QuirkEntry, ...]:
    return (QuirkEntry(name="test", flags=dict(flags)),)


# --- bringing it under control ---------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_a_new_charger_is_read_cleared_and_given_its_safe_limit(version: Version) -> None:
    told = steered(version, Wiring(connector=1, safe_a=8.0))
    assert told.may_draw(1) == 8.0
    [standing] = told.profiles
    assert (standing.purpose, standing.level, standing.id >= 1_000_000_000) == ("tx_default", 0, True)
    assert told.core.state.power.armed
    assert told.power().control is Control.STEERED
    assert told.core.state.power.capabilities.stack_level_max == 5


@pytest.mark.parametrize("version", EVERY)
def test_nothing_is_sent_before_the_boot_is_answered_nor_in_the_quiet_time_after(version: Version) -> None:
    told = new_charger(version)
    told.seconds(30)
    assert told.sent_calls == []
    told.charger.sends("BootNotification", told.boot)
    told.seconds(10)
    assert told.sent_calls == []
    told.cloud.answers({"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300})
    told.seconds(4)
    assert told.sent_calls == []
    told.seconds(2)
    assert told.sent_calls[-1][0] == "SetChargingProfile"


def test_a_charger_that_the_cloud_knew_before_needs_no_boot() -> None:
    told = new_charger()
    told.charger.sends("Heartbeat")
    told.cloud.answers({"currentTime": "2026-01-01T00:00:00Z"})
    told.seconds(8)
    assert told.may_draw(1) == 6.0


def test_a_charger_that_the_cloud_does_not_accept_is_left_alone() -> None:
    told = new_charger()
    told.charger.sends("BootNotification", told.boot)
    told.cloud.answers({"status": "Pending", "currentTime": "2026-01-01T00:00:00Z", "interval": 300})
    told.seconds(60)
    assert told.sent_calls == []


@pytest.mark.parametrize(("version", "calls"), [(V16, 1), (V201, 3), (V21, 4)])
def test_foreign_profiles_are_cleared_once_and_not_again_after_a_restart(
    version: Version, calls: int
) -> None:
    told = new_charger(version)
    told.boots()
    told.seconds(6)
    assert [action for action, _ in told.sent_calls].count("ClearChargingProfile") == calls
    told.forget()
    told.restart()
    told.cloud.comes_back()
    told.charger.connects()
    told.boots()
    told.seconds(6)
    actions = [action for action, _ in told.sent_calls]
    assert "SetChargingProfile" in actions
    assert "ClearChargingProfile" not in actions


def test_each_connector_gets_its_own_safe_limit() -> None:
    told = steered(V16, Wiring(connector=1, safe_a=6.0), Wiring(connector=2, safe_a=10.0))
    assert (told.may_draw(1), told.may_draw(2)) == (6.0, 10.0)


def test_a_reconnect_sets_only_what_is_not_known_to_hold() -> None:
    told = charging()
    told.goes()
    told.seconds(3)
    told.comes()
    told.seconds(8)
    assert [(kept.purpose, kept.limit) for kept in told.sent] == [("tx", 16.0)]
    told.forget()
    told.seconds(20)
    assert told.sent == []


def test_after_a_boot_everything_is_set_again() -> None:
    told = charging()
    told.profiles = []  # this one forgets
    told.boots()
    told.seconds(10)
    assert [(kept.purpose, kept.limit) for kept in told.sent] == [("tx_default", 6.0), ("tx", 16.0)]
    assert told.may_draw(1) == 16.0


def test_a_charger_that_does_not_answer_about_itself_is_steered_all_the_same() -> None:
    told = new_charger()
    told.silent = True
    told.boots()
    told.seconds(50)  # three attempts of 10 s
    told.silent = False
    told.seconds(60)
    assert told.core.state.power.armed
    assert told.may_draw(1) == 6.0
    assert told.core.state.power.capabilities.stack_level_max is None


# --- live limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_a_transaction_gets_what_the_site_grants(version: Version) -> None:
    told = steered(version)
    transaction = told.begins()
    told.grants(13.0)
    [live] = told.sent
    assert (live.purpose, live.limit, live.level, live.transaction) == ("tx", 13.0, 5, transaction)
    assert told.may_draw(1) == 13.0
    assert told.reserved() == 13.0


def test_without_a_transaction_nothing_is_written() -> None:
    told = steered()
    told.grants(32.0)
    told.seconds(30)
    assert told.sent == []
    assert told.reserved() == 6.0


def test_a_grant_that_equals_the_safe_limit_is_not_written() -> None:
    told = steered()
    told.begins()
    told.seconds(10)
    assert told.sent == []
    assert told.reserved() == 6.0


def test_the_next_transaction_starts_at_the_safe_limit() -> None:
    told = charging()
    told.ends()
    assert told.reserved() == told.may_draw(1) == 6.0
    told.begins(id="tx-2")
    assert told.reserved() >= 6.0
    told.seconds(6)
    assert told.may_draw(1) == told.reserved() == 16.0


@pytest.mark.parametrize("version", EVERY)
def test_a_limit_ends_with_its_transaction_before_the_cloud_has_heard(version: Version) -> None:
    told = charging(version)
    told.grants(0.0)
    told.ends(cloud_answers=False)
    assert told.may_draw(1) == told.reserved() == 6.0


def test_a_decrease_goes_at_once_and_an_increase_waits_its_interval() -> None:
    told = charging()
    told.grants(10.0)
    assert told.may_draw(1) == 10.0
    told.grants(12.0)
    assert told.may_draw(1) == 10.0
    told.seconds(6)
    assert told.may_draw(1) == 12.0


def test_below_the_least_a_car_is_paused() -> None:
    told = charging()
    told.grants(5.9)
    assert told.may_draw(1) == 0.0


def test_a_limit_is_rounded_down_to_one_decimal() -> None:
    told = charging()
    told.grants(15.99)
    assert told.sent[-1].limit == 15.9


def test_a_newer_limit_takes_the_place_of_one_that_still_waits() -> None:
    told = charging()
    told.cloud.sends("GetDiagnostics", {"location": "ftp://x/"})  # the charger is busy with it
    told.grants(10.0)
    told.grants(8.0)
    assert told.waiting_priorities() == [Priority.SAFETY]
    assert told.sent == []
    told.charger.answers({})
    assert [kept.limit for kept in told.sent] == [8.0]


def test_a_waiting_increase_that_is_taken_back_is_never_sent() -> None:
    told = charging()
    told.seconds(10)
    told.cloud.sends("GetDiagnostics", {"location": "ftp://x/"})
    told.grants(32.0)
    assert told.waiting_priorities() == [Priority.GATEWAY]
    told.grants(20.0)
    told.charger.answers({})
    assert [kept.limit for kept in told.sent] == [20.0]


def test_a_decrease_overtakes_what_else_waits() -> None:
    told = charging()
    told.cloud.sends("GetDiagnostics", {"location": "ftp://x/"})
    told.cloud.sends("TriggerMessage", {"requestedMessage": "Heartbeat"})
    told.grants(8.0)
    told.charger.answers({})
    assert told.charger.actions == ["GetDiagnostics", "SetChargingProfile", "TriggerMessage"]


def test_one_limit_is_under_way_at_a_time() -> None:
    told = charging()
    told.silent = True
    told.grants(10.0)
    told.grants(8.0)
    told.seconds(5)
    assert len(told.sent) == 1


def test_the_last_answer_counts_when_the_wish_moved_meanwhile() -> None:
    told = charging()
    told.silent = True
    told.grants(20.0)
    told.seconds(6)
    told.grants(7.0)
    assert told.reserved() == 20.0
    told.silent = False
    told.profiles = [k for k in told.profiles if k.purpose != "tx"] + [told.sent[-1]]
    told.charger.answers({"status": "Accepted"})
    assert told.may_draw(1) == 7.0


# --- limits that end -------------------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_when_nobody_renews_it_a_limit_ends_in_the_safe_one(version: Version) -> None:
    told = charging(version)
    told.goes()
    told.after(280.0)
    assert told.may_draw(1) == 16.0
    assert told.reserved() == 16.0
    told.after(60.0)
    told.happens_nothing_but_the_loop()
    assert told.may_draw(1) == 6.0
    assert told.reserved() == 6.0


@pytest.mark.parametrize("version", [V16, V201])
def test_a_limit_is_renewed_before_it_ends(version: Version) -> None:
    told = charging(version)
    for _ in range(100):
        told.seconds(10)
        assert told.may_draw(1) == told.reserved() == 16.0
    assert 3 <= len(told.sent) <= 5
    ends_at = told.power().expires_at
    told.until_sent(400)
    assert told.mono < ends_at - 30
    assert told.power().writes_today == len(told.sent) + 2  # the standing one and the first live one


def test_a_charger_whose_clock_is_behind_keeps_a_limit_longer() -> None:
    told = steered()
    told.clock_off_s = -25.0
    told.begins()
    told.grants(16.0)
    told.goes()
    told.after(told.power().expires_at - told.mono + 20.0)
    assert told.may_draw(1) == told.reserved() == 16.0
    told.after(20.0)
    assert told.may_draw(1) == told.reserved() == 6.0


def test_2_1_without_a_tx_profile_needs_no_renewal_while_the_charger_is_there() -> None:
    told = charging(V21, quirks=quirk(methods=("tx_default",)))
    told.seconds(1000)
    assert told.sent == []
    assert told.may_draw(1) == 16.0


@pytest.mark.parametrize("version", [V16, V201, V21])
def test_fault_74_a_box_that_hangs_with_its_connections_open_leaves_the_safe_limit(version: Version) -> None:
    told = charging(version)
    assert told.may_draw(1) == 16.0
    told.after(400.0)  # nobody decides anything
    assert told.may_draw(1) == 6.0


def test_a_limit_at_the_safe_value_is_left_to_end() -> None:
    told = charging()
    told.grants(6.0)
    told.forget()
    told.seconds(600)
    assert told.sent == []
    assert told.may_draw(1) == told.reserved() == 6.0


def test_a_pause_is_renewed_for_its_end_would_be_a_charge() -> None:
    told = charging()
    told.grants(0.0)
    for _ in range(60):
        told.seconds(10)
        assert told.may_draw(1) == 0.0


def test_a_charger_whose_flash_wears_keeps_its_limit_without_an_end() -> None:
    told = charging(quirks=quirk(flash_safe=False))
    told.seconds(1000)
    assert told.sent == []
    assert told.may_draw(1) == told.reserved() == 16.0


def test_writes_are_counted_by_the_day() -> None:
    told = charging(quirks=quirk(flash_safe=False))
    told.grants(10.0)
    assert told.power().writes_today == 3
    told.after(86_400.0)
    told.grants(8.0)
    assert told.power().writes_today == 1


def test_after_a_boot_a_pause_may_have_become_the_safe_limit() -> None:
    told = charging()
    told.grants(0.0)
    assert told.reserved() == 0.0
    told.profiles = [kept for kept in told.profiles if kept.purpose != "tx"]
    told.boots()
    assert told.may_draw(1) == told.reserved() == 6.0
    told.seconds(10)
    assert told.may_draw(1) == told.reserved() == 0.0


@pytest.mark.parametrize("version", EVERY)
def test_a_live_limit_in_the_place_of_the_standing_one_leaves_the_safe_one_behind(version: Version) -> None:
    told = charging(version, quirks=quirk(methods=("tx_default",), stack_level="zero"))
    assert told.may_draw(1) == 16.0
    told.goes()
    told.after(400.0)
    told.happens_nothing_but_the_loop()
    assert told.may_draw(1) == told.reserved() == 6.0


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "no", ["Rejected", "!NotSupported", "!PropertyConstraintViolation", "!NotImplemented"]
)
def test_the_next_method_is_tried(no: str) -> None:
    told = steered()
    told.refuses = lambda kept: no if kept.purpose == "tx" else None
    told.begins()
    told.grants(16.0)
    told.seconds(6)
    assert [kept.purpose for kept in told.sent] == ["tx", "tx_default"]
    assert told.may_draw(1) == told.reserved() == 16.0
    assert told.power().method == "tx_default"


def test_with_tx_default_the_limit_falls_to_the_safe_one_when_the_car_leaves() -> None:
    told = steered(quirks=quirk(methods=("tx_default",)))
    told.begins()
    told.grants(16.0)
    told.seconds(1)
    assert told.may_draw(1) == 16.0
    told.ends()
    told.seconds(1)
    assert told.may_draw(1) == told.reserved() == 6.0


def test_all_refused_is_an_alarm_once_and_its_maximum_is_reserved() -> None:
    told = new_charger(vendor="Schneider Electric", model="EVlink")
    told.refuses = lambda kept: "Rejected"
    told.boots()
    told.seconds(30)
    assert told.power().control is Control.REFUSES
    assert told.reserved() == 32.0
    alarms = [notice for notice in told.notices if notice.kind == "charger_unsteerable"]
    assert len(alarms) == 1
    assert "EM controlled by external system" in alarms[0].text
    assert "EM controlled by external system" in told.power().fault


def test_a_charger_whose_setting_is_put_right_is_steered_again() -> None:
    told = new_charger(vendor="Schneider Electric")
    told.refuses = lambda kept: "Rejected"
    told.boots()
    told.seconds(30)
    told.refuses = lambda kept: None
    told.seconds(300)
    assert told.power().control is Control.STEERED
    assert told.may_draw(1) == told.reserved() == 6.0
    assert told.noticed.count("charger_unsteerable_over") == 1


def test_one_refusal_of_a_method_that_works_is_no_reason_to_leave_it() -> None:
    told = charging()
    told.refuses = lambda kept: "Rejected" if len(told.sent) == 1 else None
    told.grants(8.0)
    assert told.reserved() == 16.0
    told.seconds(10)
    assert told.may_draw(1) == told.reserved() == 8.0
    assert told.power().method == "tx"


def test_a_method_that_stops_working_is_taken_out_of_the_way_of_the_next() -> None:
    told = charging()
    told.refuses = lambda kept: "Rejected" if kept.purpose == "tx" else None
    told.grants(8.0)
    told.seconds(20)
    assert told.may_draw(1) == told.reserved() == 8.0
    assert [kept.purpose for kept in told.profiles if kept.at_wall(told.wall) is not None].count("tx") == 0


def test_a_refusal_because_the_transaction_ended_is_no_word_on_the_method() -> None:
    told = charging()
    told.silent = True
    told.grants(8.0)
    told.ends()
    told.happens_answer("Rejected")
    assert told.power().refused == ()
    assert told.power().failures == 0


def test_the_max_is_the_last_and_then_the_standing_limit_is_one_too() -> None:
    told = new_charger()
    told.refuses = lambda kept: None if kept.purpose == "max" else "Rejected"
    told.boots()
    told.seconds(10)
    assert told.may_draw(1) == told.reserved() == 6.0
    told.begins()
    told.grants(16.0)
    told.seconds(6)
    assert told.may_draw(1) == told.reserved() == 16.0
    told.goes()
    told.after(400.0)
    assert told.may_draw(1) == 6.0


def test_live_limits_that_work_only_as_max_are_not_held_down_by_the_standing_one() -> None:
    told = steered()
    told.refuses = lambda kept: None if kept.purpose == "max" or kept.level == 0 else "Rejected"
    told.begins()
    told.grants(16.0)
    told.seconds(20)
    assert told.may_draw(1) == told.reserved() == 16.0


def test_a_live_limit_that_goes_with_the_standing_one_is_not_counted_on() -> None:
    told = steered(quirks=quirk(methods=("tx_default", "max"), stack_level="zero"))
    told.begins()
    told.grants(0.0)
    told.refuses = lambda kept: "Rejected" if kept.limit == 16.0 and kept.purpose == "tx_default" else None
    told.grants(16.0)
    for _ in range(40):
        told.seconds(1)
        limit = told.may_draw(1)
        assert limit is not None
        assert limit <= told.reserved()
    assert told.may_draw(1) == told.reserved() == 16.0


def test_one_max_for_two_connectors_is_the_lower_of_those_that_charge() -> None:
    told = new_charger(V16, Wiring(connector=1), Wiring(connector=2))
    told.refuses = lambda kept: None if kept.purpose == "max" else "Rejected"
    told.boots()
    told.seconds(10)
    told.begins(1)
    told.grants(16.0, 1)
    told.grants(10.0, 2)
    told.seconds(6)
    assert told.may_draw(1) == 16.0
    told.begins(2, id="tx-2")
    told.seconds(6)
    assert told.may_draw(1) == told.may_draw(2) == 10.0
    assert told.reserved(1) == told.reserved(2) == 10.0


def test_a_max_is_never_relative_even_where_all_else_is() -> None:
    told = new_charger(quirks=quirk(profile_kind="relative"))
    told.refuses = lambda kept: None if kept.purpose == "max" else "Rejected"
    told.boots()
    told.seconds(10)
    assert {kept.kind for kept in told.sent if kept.purpose == "max"} == {"Absolute"}
    assert {kept.kind for kept in told.sent if kept.purpose != "max"} == {"Relative"}


# --- silence ---------------------------------------------------------------------------------------


def test_an_unanswered_increase_may_hold_and_an_unanswered_decrease_may_not() -> None:
    told = charging()
    told.silent = True
    told.grants(8.0)
    told.seconds(11)
    assert told.power().control is Control.SILENT
    assert told.reserved() == 16.0
    told = charging()
    told.silent = True
    told.seconds(6)
    told.grants(20.0)
    told.seconds(11)
    told.grants(10.0)
    assert told.reserved() == 20.0
    assert told.noticed.count("charger_silent_to_limits") == 1


def test_an_unanswered_limit_is_over_with_its_transaction() -> None:
    told = charging()
    told.seconds(6)
    told.refuses = lambda kept: "mute"
    told.grants(24.0)
    told.seconds(11)
    assert told.may_draw(1) == told.reserved() == 24.0
    told.ends()
    assert told.may_draw(1) == told.reserved() == 6.0


def test_silence_is_tried_again_with_back_off_until_it_answers() -> None:
    told = charging()
    told.silent = True
    told.grants(8.0)
    told.seconds(120)
    assert 4 <= len(told.sent) <= 7
    told.silent = False
    told.seconds(45)
    assert told.may_draw(1) == told.reserved() == 8.0
    assert told.power().control is Control.STEERED
    assert told.noticed.count("charger_silent_to_limits_over") == 1


def test_a_charger_that_leaves_with_a_limit_on_its_way_may_have_it() -> None:
    told = charging()
    told.silent = True
    told.seconds(6)
    told.grants(25.0)
    told.goes()
    assert told.reserved() == 25.0


# --- others ---


def test_a_transaction_whose_tag_was_refused_late_gets_no_energy() -> None:
    told = charging()
    told.power().forbidden = told.on_it[1]
    told.seconds(1)
    assert told.may_draw(1) == 0.0
    told.ends()
    told.begins(id="tx-2")
    told.seconds(6)
    assert told.may_draw(1) == 16.0


@pytest.mark.parametrize("version", EVERY)
def test_profiles_that_a_person_changed_are_set_again(version: Version) -> None:
    told = charging(version)
    told.profiles = []
    told.happens_disturbance()
    told.seconds(1)
    assert told.may_draw(1) == 16.0
    assert {kept.purpose for kept in told.profiles} == {"tx", "tx_default"}


def test_what_a_person_changed_is_not_forgotten_by_a_restart() -> None:
    told = charging()
    told.profiles = []
    told.refuses = lambda kept: "Rejected"
    told.happens_disturbance()
    told.restart()
    assert told.may_draw(1) is None
    assert told.reserved() == 32.0


def test_a_limit_that_was_on_its_way_when_a_person_changed_something_is_set_after_the_clearing() -> None:
    told = charging()
    told.silent = True  # the person's CALL is under way, and our pause waits behind it
    told.happens(CallRequested(1, "ClearChargingProfile", {}))
    told.grants(0.0)
    told.silent = False
    told.charger.answers({"status": "Accepted"})
    told.seconds(8)
    assert told.may_draw(1) == 0.0
    assert told.reserved() == 0.0


def test_what_a_person_changes_while_the_safe_limit_is_set_is_cleared_too() -> None:
    told = new_charger()
    told.refuses = lambda kept: ""
    told.boots()
    told.seconds(6)  # the standing limit is not answered yet
    told.happens_disturbance()
    told.forget()
    told.refuses = lambda kept: None
    told.seconds(20)
    assert "ClearChargingProfile" in [action for action, _ in told.sent_calls]
    assert (told.may_draw(1), told.core.state.power.adopted) == (6.0, True)


def test_a_charger_that_leaves_with_a_persons_call_on_its_way_may_have_done_it() -> None:
    told = charging()
    told.silent = True
    told.happens(CallRequested(1, "ClearChargingProfile", {}))
    told.goes()
    assert told.reserved() == 32.0
    told.silent = False
    told.forget()
    told.comes()
    told.seconds(8)
    assert "ClearChargingProfile" in [action for action, _ in told.sent_calls]
    assert told.may_draw(1) == 16.0


@pytest.mark.parametrize("version", EVERY)
@pytest.mark.parametrize("restart", [False, True])
def test_a_charger_that_was_replaced_is_taken_for_a_new_one(version: Version, restart: bool) -> None:
    told = charging(version, grant_a=6.0)
    told.ends()
    told.seconds(1)
    told.goes()
    if restart:
        told.restart()
    told.profiles = []
    station = told.boot.get("chargingStation", told.boot)
    station |= {"serialNumber" if version.is_2x else "chargePointSerialNumber": "other"}
    told.forget()
    told.comes()
    told.charger.sends("BootNotification", told.boot)
    assert told.reserved() == 32.0
    told.cloud.answers({"status": "Accepted", "currentTime": "2026-01-01T00:00:00Z", "interval": 300})
    told.seconds(8)
    assert "ClearChargingProfile" in [action for action, _ in told.sent_calls]
    assert told.noticed.count("charger_replaced") == 1
    assert (told.may_draw(1), told.reserved()) == (6.0, 6.0)
    told.boots()
    told.seconds(8)
    assert told.noticed.count("charger_replaced") == 1


@pytest.mark.parametrize("clears", [True, False])
def test_a_charger_that_does_not_clear_is_not_said_to_be_cleared(clears: bool) -> None:
    told = new_charger()
    if not clears:
        told.clears = "!NotSupported"
    told.boots()
    told.seconds(6)
    [adopted] = [notice for notice in told.notices if notice.kind == "charger_adopted"]
    assert adopted.warning is not clears
    assert ("were cleared" in adopted.text) is clears
    assert told.may_draw(1) == 6.0


def test_a_charger_that_boots_while_the_cloud_is_away_is_steered() -> None:
    told = steered()
    told.cloud.goes_away()
    told.profiles = []
    told.charger.sends("BootNotification", told.boot)
    told.seconds(8)
    assert told.may_draw(1) == 6.0
    assert told.core.state.power.armed


# --- obedience -------------------------------------------------------------------------------------


def test_more_than_its_limit_for_too_long_is_disobedience_told_once() -> None:
    told = charging(quirks=quirk(methods=("tx",)))
    told.grants(10.0)
    for _ in range(6):
        told.seconds(10)
        told.draws(16.0, 16.0, 16.0)
    assert told.power().control is Control.DISOBEYS
    assert told.reserved() == 32.0
    assert told.noticed.count("charger_unsteerable") == 1
    assert "16.0 A" in told.power().fault
    for _ in range(3):
        told.seconds(10)
        told.draws(10.0, 10.0, 10.0)
    assert told.power().control is Control.STEERED
    assert told.noticed.count("charger_unsteerable_over") == 1


def test_a_slow_car_and_a_coarse_meter_are_no_disobedience() -> None:
    told = charging()
    told.grants(10.0)
    for wait in (1, 8, 8):  # still ramping down
        told.seconds(wait)
        told.draws(16.0, 16.0, 16.0)
    for _ in range(6):
        told.seconds(10)
        told.draws(11.4, 11.4, 0.0)
    assert told.power().control is Control.STEERED
    assert told.noticed == ["charger_adopted"]


def test_limits_that_rise_all_the_time_hide_no_disobedience() -> None:
    told = charging(grant_a=8.0)
    for step in range(12):
        told.grants(8.0 + step * 0.5)
        told.seconds(9)
        told.draws(25.0, 25.0, 25.0)
        if told.power().control is Control.DISOBEYS:
            break
    assert told.power().control is Control.DISOBEYS


def test_a_method_that_is_accepted_and_ignored_is_left_for_the_next() -> None:
    told = charging()
    told.grants(10.0)
    for _ in range(4):
        told.seconds(10)
        told.draws(16.0, 16.0, 16.0)
    assert told.sent[-1].purpose == "tx_default"
    for _ in range(3):
        told.seconds(10)
        told.draws(9.0, 9.0, 9.0)
    assert told.power().control is Control.STEERED
    assert told.may_draw(1) == told.reserved() == 10.0


def test_values_of_another_transaction_are_not_this_cars() -> None:
    told = charging()
    value = {
        "timestamp": "2026-01-01T00:00:00Z",
        "sampledValue": [{"value": "30", "measurand": "Current.Import"}],
    }
    told.charger.sends("MeterValues", {"connectorId": 1, "transactionId": 77, "meterValue": [value]})
    assert told.power().drawn_a is None
    told.charger.sends("MeterValues", {"connectorId": 1, "meterValue": [value]})
    assert told.power().drawn_a == (30.0, 30.0, 30.0)


def test_a_2x_event_without_evse_is_of_its_transaction() -> None:
    told = charging(V201)
    sample = {"value": 14.0, "measurand": "Current.Import", "phase": "L1"}
    value = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [sample]}
    updated = {
        "eventType": "Updated",
        "timestamp": "2026-01-01T00:00:00Z",
        "triggerReason": "MeterValuePeriodic",
        "seqNo": 3,
        "transactionInfo": {"transactionId": "tx-1"},
        "meterValue": [value],
    }
    told.charger.sends("TransactionEvent", updated)
    assert told.power().drawn_a == (14.0, None, None)
    told.charger.sends("TransactionEvent", updated | {"offline": True, "seqNo": 4, "meterValue": []})
    assert told.power().drawn_a == (14.0, None, None)


# --- restarts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", EVERY)
def test_after_a_restart_what_it_had_before_is_not_sent_again_unasked(version: Version) -> None:
    """The site's load may have risen meanwhile: first the site decides, then the charger is told."""
    told = charging(version)
    told.restart()
    told.forget()
    told.comes()
    told.grants(16.0)  # of whom nobody steers the site keeps free what it may have
    for _ in range(30):
        told.seconds(1)
        if told.core.state.power.stage == READY:
            break
    told.grants(7.0)
    assert [kept.limit for kept in told.sent if kept.purpose == "tx"] == [7.0]
    assert told.may_draw(1) == 7.0


@pytest.mark.parametrize("version", EVERY)
def test_after_a_restart_the_gateway_knows_what_may_still_hold(version: Version) -> None:
    told = charging(version)
    told.restart()
    told.happens_nothing_but_the_loop()
    assert told.reserved() == 16.0
    told.after(340.0)
    told.happens_nothing_but_the_loop()
    assert told.may_draw(1) == told.reserved() == 6.0


def test_after_a_restart_a_limit_that_was_never_answered_may_hold() -> None:
    told = charging()
    told.seconds(6)
    told.refuses = lambda kept: "mute"
    told.grants(24.0)
    told.restart()
    assert told.may_draw(1) == 24.0
    assert told.reserved() >= 24.0


def test_after_a_restart_limits_are_as_before_once_the_charger_is_back() -> None:
    told = charging()
    told.restart()
    told.comes()
    told.grants(12.0)
    told.seconds(8)
    assert told.may_draw(1) == told.reserved() == 12.0


def test_a_charger_nobody_has_met_may_draw_all_it_can() -> None:
    told = new_charger()
    assert told.reserved() == 32.0


# --- models ----------------------------------------------------------------------------------------


def test_abb_terra_ac_gets_stack_level_zero_only() -> None:
    told = new_charger(vendor="ABB", model="CDT_TACW22::NET_WIFI", firmware="TAC3Z9119006710273::V1.8.21")
    told.refuses = lambda kept: None if kept.level == 0 else "Rejected"
    told.boots()
    told.seconds(8)
    told.begins()
    told.grants(16.0)
    told.seconds(6)
    assert told.may_draw(1) == told.reserved() == 16.0
    assert all(kept.level == 0 for kept in told.sent)
    assert "GetConfiguration" not in [action for action, _ in told.sent_calls]


def test_an_old_wallbox_gets_relative_profiles_and_time() -> None:
    told = new_charger(vendor="Wall Box Chargers", model="PLP1-0-2-4", firmware="4.9.1")
    told.refuses = lambda kept: None if (kept.kind, kept.level) == ("Relative", 0) else "Rejected"
    told.boots()
    told.seconds(14)
    assert told.sent_calls == []
    told.seconds(4)
    told.begins()
    told.grants(16.0)
    told.seconds(6)
    assert told.may_draw(1) == told.reserved() == 16.0
    told.goes()
    told.after(400.0)
    assert told.may_draw(1) == 6.0  # validTo: a duration would count from the start of the transaction


def test_huawei_gets_watts_and_never_zero() -> None:
    told = new_charger(vendor="", model="ACChargePoint")
    told.refuses = lambda kept: None if kept.unit == "W" and kept.limit >= 4500 else "Rejected"
    told.boots()
    told.seconds(8)
    told.begins()
    told.grants(16.0)
    told.seconds(6)
    assert told.may_draw(1) == 16 * 230 * 3
    told.grants(0.0)
    assert told.may_draw(1) == pytest.approx(6.6 * 690)
    assert told.reserved() == 6.6
    assert "safe_limit_raised" in told.noticed


def test_evbox_is_never_sent_a_max() -> None:
    told = new_charger(vendor="EV-BOX", model="Elvi")
    told.refuses = lambda kept: "Rejected"
    told.boots()
    told.seconds(700)
    assert {kept.purpose for kept in told.sent} == {"tx_default"}


def test_necharge_gets_the_steps_it_knows() -> None:
    told = charging(vendor="NEcharge", model="Pro", grant_a=15.9)
    assert told.may_draw(1) == told.reserved() == 13.0
    told.grants(9.0)
    assert told.may_draw(1) == 8.0
    told.grants(5.0)
    assert told.may_draw(1) == 0.0


def test_heidelberg_is_not_asked_and_its_maximum_is_reserved() -> None:
    told = steered(vendor="Amperfied", model="connect.business")
    told.begins()
    told.grants(6.0)
    told.seconds(60)
    assert told.sent_calls == []
    assert told.power().control is Control.REFUSES
    assert told.reserved() == 32.0
    assert told.noticed.count("charger_unsteerable") == 1
    assert "cannot be steered over OCPP" in told.power().fault


def test_go_e_gets_no_tx_profile() -> None:
    told = charging(vendor="go-e", model="Gemini")
    assert [kept.purpose for kept in told.profiles] == ["tx_default", "tx_default"]
    assert told.may_draw(1) == told.reserved() == 16.0


def test_a_dc_charger_is_told_watts_for_the_car() -> None:
    wiring = Wiring(connector=1, dc=True, min_a=0.0, max_a=100.0, safe_a=10.0, efficiency=0.9)
    told = charging(V201, wiring, grant_a=50.0)
    assert told.profiles[-1].unit == "W"
    assert told.may_draw(1) == pytest.approx(50 * 690 * 0.9)


def test_a_single_phase_charger_of_watts_is_told_how_many_phases() -> None:
    told = charging(V16, Wiring(connector=1, phases=1), quirks=quirk(rate_unit="W"))
    [period, *_] = told.profiles[-1].schedule["chargingSchedulePeriod"]
    assert (period["limit"], period["numberPhases"]) == (16 * 230, 1)


# --- the cloud's own limit -------------------------------------------------------------------------


def test_the_lower_of_site_and_cloud_holds() -> None:
    told = charging(grant_a=16.0)
    period = {"startPeriod": 0, "limit": 9.0}
    profile = {
        "chargingProfileId": 7,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "A", "chargingSchedulePeriod": [period]},
    }
    told.cloud.sends("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": profile})
    told.seconds(6)
    assert told.may_draw(1) == 9.0
    told.grants(7.0)
    assert told.may_draw(1) == 7.0
    told.grants(16.0)
    told.cloud.sends("ClearChargingProfile", {"id": 7})
    told.seconds(6)
    assert told.may_draw(1) == 16.0


# --- what always holds -----------------------------------------------------------------------------

STEPS = st.one_of(
    st.tuples(st.just("grant"), st.sampled_from([0.0, 6.0, 7.7, 16.0, 32.0])),
    st.tuples(st.just("wait"), st.sampled_from([1, 4, 12, 70, 400])),
    st.tuples(
        st.just("verdict"), st.sampled_from(["yes", "no", "silent", "mute", "tx refused", "error", "mixed"])
    ),
    st.tuples(
        st.sampled_from(["begin", "end", "boot", "leave", "come", "restart", "draw", "meddle"]), st.just(0)
    ),
)
VERDICTS = {
    "yes": lambda kept: None,
    "no": lambda kept: "Rejected",
    "silent": lambda kept: "",
    "mute": lambda kept: "mute",  # takes it and does not say so
    "tx refused": lambda kept: "Rejected" if kept.purpose == "tx" else None,
    "error": lambda kept: "!InternalError",
    "mixed": lambda kept: "Rejected" if int(kept.limit * 10) % 3 == 1 else None,
}


def _do(told: LimitStory, what: str, value: object, count: int) -> None:
    up = told.core.state.charger_up
    if what == "grant":
        told.grants(float(value))  # type: ignore[arg-type]
    elif what == "wait":
        told.seconds(int(value))  # type: ignore[call-overload]
    elif what == "verdict":
        told.refuses = VERDICTS[str(value)]
    elif what == "begin" and up and not told.on_it:
        told.begins(id=f"tx-{count}")
    elif what == "end" and up and told.on_it:
        told.ends()
    elif what == "boot" and up:
        told.boots()
    elif what == "leave" and up:
        told.goes()
    elif what == "come" and not up:
        told.comes()
    elif what == "restart":
        told.restart()
    elif what == "meddle" and up:
        told.profiles = []
        told.happens_disturbance()
    elif what == "draw" and up:
        told.draws(*[min(told.may_draw(1) or 32.0, 32.0)] * 3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    version=st.sampled_from(EVERY),
    flags=st.sampled_from(
        [
            {},
            {"stack_level": "zero"},
            {"methods": ("tx_default",)},
            {"methods": ("tx_default", "max"), "stack_level": "zero"},
        ]
    ),
    clock_off_s=st.sampled_from([-25.0, 0.0, 25.0]),
    steps=st.lists(STEPS, min_size=3, max_size=25),
)
def test_what_the_charger_may_draw_is_never_more_than_is_kept_free(
    version: Version, flags: dict[str, object], clock_off_s: float, steps: list[tuple[str, object]]
) -> None:
    told = new_charger(version, quirks=quirk(**flags))
    told.clock_off_s = clock_off_s
    told.boots()
    told.seconds(8)
    for count, (what, value) in enumerate(steps):
        _do(told, what, value, count)
        limit = told.may_draw(1)
        real = 32.0 if limit is None else limit
        assert min(real, 32.0) <= told.reserved() + 0.05, (what, value)


@settings(max_examples=40, deadline=None)
@given(grants=st.lists(st.floats(0, 40), min_size=1, max_size=8))
def test_a_willing_charger_ends_at_what_it_is_granted(grants: list[float]) -> None:
    told = charging()
    for grant in grants:
        told.grants(grant)
        told.seconds(1)
    told.seconds(6)
    wanted = min(grants[-1], 32.0)
    limit = told.may_draw(1)
    assert limit is not None
    assert limit == 0.0 if wanted < 6.0 else wanted - 0.1 - 1e-6 <= limit <= wanted + 1e-6
    assert not actuation.due(told.core.state, told.now)


@pytest.mark.parametrize("version", EVERY)
def test_a_charger_that_is_not_balanced_is_never_spoken_to(version: Version) -> None:
    told = new_charger(version, Wiring(connector=1))
    told.core.state.power.connectors.clear()
    told.boots()
    told.seconds(20)
    if version is V16:
        told.charger.sends("StatusNotification", status())
    assert told.sent_calls == []
    assert not actuation.due(told.core.state, told.now)
